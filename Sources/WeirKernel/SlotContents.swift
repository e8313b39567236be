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
            let entries = map == .endpoints ? endpoints : ipcache[map] ?? image.entries(map)
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
    package func create(
        verified: (SlotMap) throws(KernelError) -> Void = { _ in }
    ) throws(KernelError) -> [SlotMap: KernelMap] {
        var created: [SlotMap: KernelMap] = [:]
        for (name, contents) in maps.sorted(by: { $0.key < $1.key }) {
            let map = try KernelMap(creating: contents.schema)
            do throws(MapError) { try map.updateBatch(contents.entries) } catch {
                throw KernelError("fill", "map '\(name.rawValue)' with \(contents.entries.count) entries", error)
            }
            try Self.verify(map, contains: contents.entries)
            try verified(name)
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

    /// Every entry is there with its very bytes, and nothing else is.
    private static func verify(_ map: KernelMap, contains expected: [MapEntry]) throws(KernelError) {
        let name = "map '\(map.schema.name)'"
        do throws(MapError) {
            let found = try map.entries()
            switch map.schema.type {
            case .lpmTrie:
                // Before 6.13 walking a trie may skip keys: ask for each, and see that the walk finds no stranger. A
                // lookup by a full key of the same length finds that key first.
                let known = Set(expected)
                for entry in expected where try map.lookup(entry.key) != entry.value {
                    throw MapError.noEntry
                }
                guard found.allSatisfy(known.contains) else { throw MapError.exists }
            case .array:
                // An array has every index; those that nobody wrote are zero.
                let written = Dictionary(expected.map { ($0.key, $0.value) }) { $1 }
                let zero = [UInt8](repeating: 0, count: map.schema.valueSize)
                guard found.count == map.schema.maxEntries, found.allSatisfy({ $0.value == written[$0.key] ?? zero })
                else { throw MapError.noEntry }
            default:
                guard found.sorted() == expected.sorted() else { throw MapError.noEntry }
            }
        } catch .noEntry {
            throw KernelError(
                "verify", name, errno: .ioError, hint: "what was read back differs from what was written")
        } catch .exists {
            throw KernelError("verify", name, errno: .ioError, hint: "an entry that nobody wrote is in it")
        } catch {
            throw KernelError("read back", name, error)
        }
    }
}
