package import WeirMaps

/// Maps by the letter of the kernel's documentation: a list of entries, searched from end to end.
/// Nothing here is shared with the emulator.
package struct MapOracle: MapFactory {
    package let cpuCount: Int

    package init(cpuCount: Int) { self.cpuCount = cpuCount }

    package func makeMap(_ schema: MapSchema) throws(MapError) -> any BPFMap {
        guard schema.maxEntries > 0, schema.keySize > 0, schema.valueSize > 0 else { throw .invalid }
        switch schema.type {
        case .array, .perCPUArray: guard schema.keySize == 4 else { throw .invalid }
        case .lpmTrie: guard schema.keySize > 4, schema.flags.contains(.noPreallocation) else { throw .invalid }
        case .hash: break
        case .lruHash: guard !schema.flags.contains(.noPreallocation) else { throw .other(errno: 524) }
        case .arrayOfMaps, .ringBuffer: throw .invalid
        }
        return OracleMap(schema, cpuCount: cpuCount)
    }
}

/// A class because `BPFMap` asks for one.
private final class OracleMap: BPFMap {
    let schema: MapSchema
    private let valueSize: Int
    private var list: [MapEntry] = []

    private var isArray: Bool { schema.type == .array || schema.type == .perCPUArray }

    init(_ schema: MapSchema, cpuCount: Int) {
        self.schema = schema
        valueSize = schema.type == .perCPUArray ? (schema.valueSize + 7) / 8 * 8 * cpuCount : schema.valueSize
        if isArray {
            list = (0..<schema.maxEntries).map { index in
                MapEntry(
                    key: [0, 8, 16, 24].map { UInt8(truncatingIfNeeded: index >> $0) },
                    value: Array(repeating: 0, count: valueSize))
            }
        }
    }

    func lookup(_ key: [UInt8]) throws(MapError) -> [UInt8]? {
        guard key.count == schema.keySize else { throw .invalid }
        guard schema.type == .lpmTrie else { return list.first { $0.key == key }?.value }
        let wanted = bits(key)
        guard let wanted else { return nil }
        return list.compactMap { entry in bits(entry.key).map { (bits: $0, value: entry.value) } }
            .filter { wanted.starts(with: $0.bits) }.max { $0.bits.count < $1.bits.count }?.value
    }

    func update(_ key: [UInt8], _ value: [UInt8], mode: UpdateMode) throws(MapError) {
        guard key.count == schema.keySize, value.count == valueSize else { throw .invalid }
        if schema.type == .lpmTrie, bits(key) == nil { throw .invalid }
        let index = list.firstIndex { isSame($0.key, key) }
        if isArray, index == nil { throw .tooBig }
        if index != nil, mode == .noExist { throw .exists }
        if index == nil, mode == .exist { throw .noEntry }
        if let index {
            list[index] = MapEntry(key: key, value: value)
            return
        }
        if list.count == schema.maxEntries {
            switch schema.type {
            case .lpmTrie: throw .noSpace
            case .lruHash: list.removeFirst()
            default: throw .tooBig
            }
        }
        list.append(MapEntry(key: key, value: value))
    }

    func delete(_ key: [UInt8]) throws(MapError) {
        guard key.count == schema.keySize else { throw .invalid }
        if isArray { throw .invalid }
        if schema.type == .lpmTrie, bits(key) == nil { throw .invalid }
        guard let index = list.firstIndex(where: { isSame($0.key, key) }) else { throw .noEntry }
        list.remove(at: index)
    }

    func entries() throws(MapError) -> [MapEntry] { list }

    private func isSame(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        schema.type == .lpmTrie ? bits(left) == bits(right) : left == right
    }

    /// The bits that count; nil where the length is more than there are.
    private func bits(_ key: [UInt8]) -> [UInt8]? {
        let length = key.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
        let all = key.dropFirst(4).flatMap { byte in (0..<8).map { byte >> (7 - UInt8($0)) & 1 } }
        return length <= all.count ? Array(all.prefix(length)) : nil
    }
}
