internal import CLibbpf
package import WeirMaps

/// The types (BTF) that came with a loaded object, for maps that the loader makes by itself: with them others' tools,
/// `bpftool map dump` for one, show keys and values field by field.
///
/// A class because the maps of a slot share it while they are made; the kernel keeps the types as long as a map has them.
package final class MapTypes {
    let descriptor: OwnedDescriptor
    private let ids: [SlotMap: (key: UInt32, value: UInt32)]

    /// What each map's keys and values are called in `bpf/abi/weir_abi.h`; nil is a 32-bit word.
    private static func names(_ map: SlotMap) -> (key: String?, value: String?) {
        switch map {
        case .endpoints: (nil, "weir_endpoint")
        case .ipcache4: ("weir_address4", "weir_peer")
        case .ipcache6: ("weir_address6", "weir_peer")
        case .cidrs4: ("weir_cidr4", "weir_peer")
        case .cidrs6: ("weir_cidr6", "weir_peer")
        case .peers: (nil, "weir_actions")
        case .verdicts: ("weir_verdict_key", nil)
        }
    }

    /// The types of a map of the object; nil where it has none, or where this kernel takes no inner map with types beside
    /// a template without. Enforcement does not depend on them, so that whatever goes wrong here is no error.
    package init?(of map: KernelMap) {
        guard map.typesID != 0 else { return nil }
        let raw = bpf_btf_get_fd_by_id(map.typesID)
        guard raw >= 0 else { return nil }
        descriptor = OwnedDescriptor(adopting: raw)
        // SAFETY: the types are a copy in this process, freed below; names outlive the calls.
        guard let types = unsafe btf__load_from_kernel_by_id(map.typesID) else { return nil }
        defer { unsafe btf__free(types) }
        func id(_ name: String?) -> UInt32? {
            let id =
                unsafe name.map { unsafe btf__find_by_name_kind(types, $0, UInt32(BTF_KIND_STRUCT)) }
                ?? btf__find_by_name_kind(types, "unsigned int", UInt32(BTF_KIND_INT))
            return id > 0 ? UInt32(id) : nil
        }
        let peer = SlotMap.ipcache4.schema.valueSize
        guard let word = id(nil), let structure = id(Self.names(.ipcache4).value),
            weir_probe_typed_inner(raw, word, structure, UInt32(peer)) == 1
        else { return nil }
        var ids: [SlotMap: (key: UInt32, value: UInt32)] = [:]
        for map in SlotMap.allCases {
            let names = Self.names(map)
            if let key = id(names.key), let value = id(names.value) { ids[map] = (key, value) }
        }
        self.ids = ids
    }

    /// nil where the object does not know the map's types.
    package func entry(of map: SlotMap) -> EntryType? {
        ids[map].map { EntryType(types: self, key: $0.key, value: $0.value) }
    }
}

/// The types of one map's keys and values.
package struct EntryType {
    let types: MapTypes
    let key: UInt32
    let value: UInt32
}
