package import WeirABI
package import WeirImage
package import WeirMaps

/// What one slot will hold, sized before anything is created.
package struct SlotContents: Sendable {
    /// Schema and entries of every in-slot map.
    package let maps: [SlotMap: (schema: MapSchema, entries: [MapEntry])]
    /// How many of the slot's counters in `rule_counters` the image uses.
    package let ruleCount: Int

    /// - Parameters:
    ///   - endpoints: the `endpoints` entries for this node's interfaces.
    ///   - ipcache: replaces the image's `ipcache4` and `ipcache6` where given.
    ///   - extraRoom: leave room in hashes and tries for later changes in place.
    package init(
        image: Image, endpoints: [MapEntry], ipcache: [SlotMap: [MapEntry]] = [:], extraRoom: Bool
    ) throws(KernelError) {
        ruleCount = image.attributions.count
        var maps: [SlotMap: (schema: MapSchema, entries: [MapEntry])] = [:]
        for map in SlotMap.allCases {
            let entries = map == .endpoints ? endpoints : ipcache[map] ?? image.mapEntries(map)
            let schema = map.schema(entries: entries.count, extraRoom: extraRoom)
            guard entries.allSatisfy({ $0.key.count == schema.keySize && $0.value.count == schema.valueSize }) else {
                throw KernelError(
                    "use", "the image's '\(map.rawValue)'", errno: .invalidArgument, hint: "an entry has another size")
            }
            maps[map] = (schema, entries)
        }
        self.maps = maps
    }

    /// An upper estimate of the kernel memory of one slot.
    package var estimatedBytes: Int {
        maps.values.reduce(0) { $0 + $1.schema.estimatedBytes(entries: $1.entries.count) }
    }

    /// Maps that no kernel would create, as sentences. Empty: all are possible.
    package var impossibleMaps: [String] {
        var impossible = maps.sorted { $0.key < $1.key }.compactMap { name, map -> String? in
            let schema = map.schema
            guard schema.maxEntries > schema.entryLimit else { return nil }
            return "'\(name.rawValue)' would need \(schema.maxEntries) entries; the most is \(schema.entryLimit)"
        }
        if ruleCount > Int(WEIR_RULES_MAX) {
            impossible.append("\(ruleCount) sets of rules decide; 'rule_counters' has room for \(WEIR_RULES_MAX)")
        }
        return impossible
    }

    /// Creates and fills every map of the slot and reads each back. Nothing refers to them yet.
    ///
    /// - Parameter types: for people who look at the maps; without them everything works alike.
    package func create(types: MapTypes? = nil) throws(KernelError) -> [SlotMap: KernelMap] {
        var created: [SlotMap: KernelMap] = [:]
        for (name, contents) in maps.sorted(by: { $0.key < $1.key }) {
            let map = try KernelMap(creating: contents.schema, type: types?.entry(of: name))
            do throws(MapError) { try map.updateBatch(contents.entries) } catch {
                throw KernelError("fill", "map '\(name.rawValue)' with \(contents.entries.count) entries", error)
            }
            try ReadBack(of: map, expecting: contents.entries).verify()
            created[name] = map
        }
        return created
    }

    package func meta(image: Image, nodeDigest: [UInt8], generation: UInt64) -> weir_slot_meta {
        var meta = weir_slot_meta()
        setABIBytes(&meta.image_digest, image.digest)
        setABIBytes(&meta.node_digest, nodeDigest)
        meta.generation = weir_u64(generation)
        meta.state = WEIR_SLOT_READY.rawValue
        meta.abi_version = UInt32(WEIR_ABI_VERSION)
        return meta
    }
}
