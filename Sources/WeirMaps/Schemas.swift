internal import WeirABI

/// The maps of the datapath. Names are those of the object's `.maps` section; a kernel test
/// compares every attribute with the loaded object.
package enum SlotMap: String, Hashable, Sendable, CaseIterable, Comparable {
    case endpoints, ipcache4, ipcache6, cidrs4, cidrs6, peers, verdicts

    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    /// The schema of an inner map; `maxEntries` is a placeholder, sized from the image at load.
    package var schema: MapSchema {
        switch self {
        case .endpoints: inner(.hash, key: 4, value: MemoryLayout<weir_endpoint>.size)
        case .ipcache4: inner(.hash, key: MemoryLayout<weir_address4>.size, value: MemoryLayout<weir_peer>.size)
        case .ipcache6: inner(.hash, key: MemoryLayout<weir_address6>.size, value: MemoryLayout<weir_peer>.size)
        case .cidrs4: inner(.lpmTrie, key: MemoryLayout<weir_cidr4>.size, value: MemoryLayout<weir_peer>.size)
        case .cidrs6: inner(.lpmTrie, key: MemoryLayout<weir_cidr6>.size, value: MemoryLayout<weir_peer>.size)
        case .peers: inner(.array, key: 4, value: MemoryLayout<weir_actions>.size)
        case .verdicts: inner(.lpmTrie, key: MemoryLayout<weir_verdict_key>.size, value: 4)
        }
    }

    private func inner(_ type: MapType, key: Int, value: Int) -> MapSchema {
        let flags: MapFlags =
            switch type {
            case .lpmTrie, .hash: .noPreallocation
            case .array: .innerMap
            default: []
            }
        return MapSchema(name: rawValue, type: type, keySize: key, valueSize: value, maxEntries: 1, flags: flags)
    }
}

/// The maps that outlive a policy.
package enum NodeMap: String, Hashable, Sendable, CaseIterable, Comparable {
    case control, slot_meta, conntrack4, conntrack4_new, conntrack6, conntrack6_new, fragments, rule_counters, drops
    case events, monitor, monitor_state, fence

    /// The tables of flows; the first of each family has the established ones.
    package static let conntrack: [NodeMap] = [.conntrack4, .conntrack4_new, .conntrack6, .conntrack6_new]

    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    package var schema: MapSchema {
        switch self {
        case .control: map(.array, key: 4, value: MemoryLayout<weir_control>.size, entries: 1, flags: .mmapable)
        case .slot_meta:
            map(.array, key: 4, value: MemoryLayout<weir_slot_meta>.size, entries: Int(WEIR_SLOT_COUNT))
        case .conntrack4: conntrack(MemoryLayout<weir_flow4>.size, entries: Int(WEIR_CONNTRACK4_ENTRIES))
        case .conntrack4_new: conntrack(MemoryLayout<weir_flow4>.size, entries: Int(WEIR_CONNTRACK4_NEW_ENTRIES))
        case .conntrack6: conntrack(MemoryLayout<weir_flow6>.size, entries: Int(WEIR_CONNTRACK6_ENTRIES))
        case .conntrack6_new: conntrack(MemoryLayout<weir_flow6>.size, entries: Int(WEIR_CONNTRACK6_NEW_ENTRIES))
        case .fragments:
            map(
                .lruHash, key: MemoryLayout<weir_fragment_key>.size, value: MemoryLayout<weir_fragment>.size,
                entries: Int(WEIR_FRAGMENTS_ENTRIES))
        case .rule_counters:
            map(
                .perCPUArray, key: 4, value: MemoryLayout<weir_counter>.size,
                entries: Int(WEIR_SLOT_COUNT) * Int(WEIR_RULES_MAX))
        case .monitor: map(.array, key: 4, value: MemoryLayout<weir_monitor>.size, entries: 1)
        case .monitor_state: map(.perCPUArray, key: 4, value: MemoryLayout<weir_monitor_state>.size, entries: 1)
        case .drops:
            map(.perCPUArray, key: 4, value: MemoryLayout<weir_counter>.size, entries: Int(WEIR_DROPS_ENTRIES))
        case .events: map(.ringBuffer, key: 0, value: 0, entries: Int(WEIR_EVENTS_BYTES))
        case .fence: map(.arrayOfMaps, key: 4, value: 4, entries: 1)
        }
    }

    private func conntrack(_ keySize: Int, entries: Int) -> MapSchema {
        map(.lruHash, key: keySize, value: MemoryLayout<weir_conntrack>.size, entries: entries)
    }

    private func map(_ type: MapType, key: Int, value: Int, entries: Int, flags: MapFlags = []) -> MapSchema {
        MapSchema(name: rawValue, type: type, keySize: key, valueSize: value, maxEntries: entries, flags: flags)
    }
}
