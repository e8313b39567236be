package import WeirMaps

/// Makes emulated maps and refuses what the kernel refuses, with its errno.
///
/// A class because it owns the ids by which arrays of maps refer to their elements.
package final class EmulatedMapFactory {
    /// How many values a per-CPU map holds for each key.
    package let cpuCount: Int
    package let faults: FaultPlan?
    private var nextID: UInt32 = 1
    /// Everything that anybody but this dictionary still holds, and what was dropped since the last `register`.
    /// Not weak references: those would make every retain of a map slow.
    private var made: [UInt32: EmulatedMap] = [:]

    package init(cpuCount: Int = 2, faults: FaultPlan? = nil) {
        precondition(cpuCount > 0)
        self.cpuCount = cpuCount
        self.faults = faults
    }

    /// `inner` is needed for an array of maps, and gives the attributes that its elements must have.
    package func makeMap(_ schema: MapSchema, inner: MapSchema? = nil) throws(MapError) -> EmulatedMap {
        try faults?.check(.create, on: schema.name)
        try Self.check(schema)
        let id = nextID
        nextID += 1
        let map: EmulatedMap
        switch schema.type {
        case .hash: map = EmulatedHash(schema: schema, id: id, faults: faults)
        case .lruHash: map = EmulatedLRUHash(schema: schema, id: id, faults: faults)
        case .lpmTrie: map = EmulatedLPMTrie(schema: schema, id: id, faults: faults)
        case .array: map = EmulatedArray(schema: schema, cpuCount: 1, id: id, faults: faults)
        case .perCPUArray: map = EmulatedArray(schema: schema, cpuCount: cpuCount, id: id, faults: faults)
        case .arrayOfMaps: map = try makeArrayOfMaps(schema, inner: inner, id: id)
        case .ringBuffer: map = EmulatedRingBuffer(schema: schema, id: id, faults: faults)
        }
        register(map)
        return map
    }

    package func makeArrayOfMaps(_ schema: MapSchema, inner: MapSchema) throws(MapError) -> EmulatedArrayOfMaps {
        try faults?.check(.create, on: schema.name)
        try Self.check(schema)
        let map = try makeArrayOfMaps(schema, inner: inner, id: nextID)
        nextID += 1
        register(map)
        return map
    }

    /// Also forgets the maps that nobody uses any more.
    private func register(_ map: EmulatedMap) {
        for id in Array(made.keys) where isKnownUniquelyReferenced(&made[id]) { made[id] = nil }
        made[map.id] = map
    }

    private func makeArrayOfMaps(
        _ schema: MapSchema, inner: MapSchema?, id: UInt32
    ) throws(MapError) -> EmulatedArrayOfMaps {
        guard let inner else { throw MapErrno.badDescriptor }
        try Self.check(inner)
        // One level only.
        guard inner.type != .arrayOfMaps else { throw .invalid }
        return EmulatedArrayOfMaps(schema: schema, inner: inner, id: id, faults: faults) { [weak self] in
            self?.made[$0]
        }
    }

    // MARK: What the kernel accepts

    private static let kmallocMax = 1 << 22
    private static let perCPUValueMax = 32 << 10
    private static let pageSize = 4096

    /// The checks of `map_alloc_check` and `map_alloc` of each type.
    private static func check(_ schema: MapSchema) throws(MapError) {
        guard schema.keySize >= 0, schema.valueSize >= 0, (0...Int(UInt32.max)).contains(schema.maxEntries) else {
            throw .invalid
        }
        let allowed: MapFlags =
            switch schema.type {
            case .hash, .lruHash, .lpmTrie: .noPreallocation
            case .array: [.mmapable, .innerMap]
            case .perCPUArray, .arrayOfMaps, .ringBuffer: []
            }
        guard schema.flags.subtracting(allowed).isEmpty else { throw .invalid }
        switch schema.type {
        case .hash, .lruHash:
            if schema.type == .lruHash, schema.flags.contains(.noPreallocation) { throw MapErrno.notSupported }
            guard schema.maxEntries > 0, schema.keySize > 0, schema.valueSize > 0 else { throw .invalid }
            guard schema.keySize + schema.valueSize < kmallocMax - 48 else { throw .tooBig }
        case .lpmTrie:
            guard schema.flags.contains(.noPreallocation), schema.maxEntries > 0,
                (5...260).contains(schema.keySize), (1...(kmallocMax - 260 - 40)).contains(schema.valueSize)
            else { throw .invalid }
        case .array, .perCPUArray:
            guard schema.maxEntries > 0, schema.keySize == 4, schema.valueSize > 0 else { throw .invalid }
            if schema.type == .perCPUArray, roundedUp(schema.valueSize) > perCPUValueMax { throw .tooBig }
        case .arrayOfMaps:
            guard schema.maxEntries > 0, schema.keySize == 4, schema.valueSize == 4 else { throw .invalid }
        case .ringBuffer:
            let size = schema.maxEntries
            guard schema.keySize == 0, schema.valueSize == 0, size > 0, size & (size - 1) == 0, size % pageSize == 0
            else { throw .invalid }
        }
    }
}

/// To the eight bytes at which the kernel aligns values and ring buffer records.
func roundedUp(_ size: Int) -> Int { (size + 7) & ~7 }
