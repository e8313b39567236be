internal import WeirABI
package import WeirImage
package import WeirMaps

/// Where maps are looked into: a node, or an image.
package protocol MapSource {
    associatedtype Failure: Error

    /// nil where nothing says what numbers mean.
    var image: Image? { get }
    /// Every entry in no particular order, with the kernel's bytes; nil where there is no such map. Arrays have every
    /// element.
    func entries(_ map: MapName) throws(Failure) -> [MapEntry]?
    /// The value that the map has for the key: in a trie that of the longest prefix. nil: none.
    func lookup(_ map: MapName, _ key: [UInt8]) throws(Failure) -> [UInt8]?
    /// - Parameter members: the members of peer groups are wanted, too, for which all addresses have to be read.
    func decoder(members: Bool) throws(Failure) -> EntryDecoder
    /// What there is, in order of `MapName`.
    func summaries() throws(Failure) -> [MapSummary]
}

/// One map in short. Encodes as an element of `weir map list --output json`.
package struct MapSummary: Hashable, Sendable, Encodable {
    package var name: String
    /// `slot` or `node`.
    package var scope: String
    package var type: String
    package var keySize: Int
    package var valueSize: Int
    /// nil for a ring buffer, which has none.
    package var entries: Int?
    /// Of a ring buffer bytes.
    package var capacity: Int
    /// nil where it is always full, as an array.
    package var fillPercent: Double?
    package var memoryBytes: Int?
    /// Counted by the kernel, or estimated from sizes.
    package var isMemoryEstimated: Bool
    /// The kernel's; nil in an image.
    package var id: UInt32?

    package init(_ map: MapName, _ schema: MapSchema, entries: Int?, memoryBytes: Int?, id: UInt32?) {
        name = map.description
        scope = if case .slot = map { "slot" } else { "node" }
        type = schema.type.rawValue
        keySize = schema.keySize
        valueSize = schema.valueSize
        self.entries = entries
        capacity = schema.maxEntries
        let canFill = !map.isArray && schema.maxEntries > 0
        fillPercent = canFill ? entries.map { (Double($0) * 1000 / Double(schema.maxEntries)).rounded() / 10 } : nil
        // A kernel's LRU has all of its elements from the beginning; what is per CPU depends on how many there are.
        let estimate: Int? =
            switch schema.type {
            case .hash, .lpmTrie, .array: schema.estimatedBytes(entries: entries ?? 0)
            case .lruHash: schema.estimatedBytes(entries: schema.maxEntries)
            case .ringBuffer: schema.maxEntries
            case .perCPUArray, .arrayOfMaps: nil
            }
        self.memoryBytes = memoryBytes ?? estimate
        isMemoryEstimated = memoryBytes == nil && estimate != nil
        self.id = id
    }
}

/// The maps of an image: those of a slot. What a node remembers and counts is not in it.
package struct ImageMaps: MapSource, Sendable {
    private let compiled: Image

    package init(_ image: Image) { compiled = image }

    package var image: Image? { compiled }

    /// Those of `endpoints` have no key, because only a node knows interfaces.
    package func entries(_ map: MapName) throws(Never) -> [MapEntry]? {
        guard case .slot(let map) = map else { return nil }
        return map == .endpoints
            ? compiled.endpoints.map { MapEntry(key: [], value: $0.value) } : compiled.mapEntries(map)
    }

    package func lookup(_ map: MapName, _ key: [UInt8]) throws(Never) -> [UInt8]? {
        guard let entries = entries(map) else { return nil }
        return map.match(key, in: entries)?.value
    }

    package func decoder(members: Bool) throws(Never) -> EntryDecoder {
        let peers = members ? MapName.peerMaps.flatMap { compiled.entries($0) } : []
        return EntryDecoder(names: EntryNames(image: compiled, peers: peers))
    }

    /// With the room that a node would give them.
    package func summaries() throws(Never) -> [MapSummary] {
        SlotMap.allCases.sorted().map { map in
            let count = (map == .endpoints ? compiled.endpoints.count : compiled.mapEntries(map).count)
            return MapSummary(
                .slot(map), map.schema(entries: count, extraRoom: true), entries: count, memoryBytes: nil, id: nil)
        }
    }
}

extension MapName {
    /// Those that give an address its group.
    package static let peerMaps: [SlotMap] = [.ipcache4, .ipcache6, .cidrs4, .cidrs6]

    /// The entry that a lookup finds: in a trie the one with the longest prefix that the key is in.
    package func match(_ key: [UInt8], in entries: [MapEntry]) -> MapEntry? {
        guard schema.type == .lpmTrie else { return entries.first { $0.key == key } }
        guard let length = UInt32(abiBytes: Array(key.prefix(4))) else { return nil }
        var best: (length: UInt32, entry: MapEntry)?
        for entry in entries {
            guard entry.key.count == key.count, let own = UInt32(abiBytes: Array(entry.key.prefix(4))),
                own <= length, own >= best?.length ?? 0, Self.agree(entry.key, key, bits: Int(own))
            else { continue }
            best = (own, entry)
        }
        return best?.entry
    }

    /// Whether two keys of a trie have the same first bits behind the length.
    private static func agree(_ left: [UInt8], _ right: [UInt8], bits: Int) -> Bool {
        let whole = 4 + bits / 8
        guard whole <= left.count, left[4..<whole].elementsEqual(right[4..<whole]) else { return false }
        guard bits % 8 > 0 else { return true }
        guard whole < left.count else { return false }
        return (left[whole] ^ right[whole]) >> UInt8(8 - bits % 8) == 0
    }
}
