internal import SystemPackage
package import WeirMaps

/// Reads a map back and compares every byte: what was written is there, and nothing else is.
package struct ReadBack {
    private let map: KernelMap
    private let expected: [MapEntry]

    package init(of map: KernelMap, expecting entries: [MapEntry]) {
        self.map = map
        expected = entries
    }

    package func verify() throws(KernelError) {
        let name = "map '\(map.schema.name)'"
        do throws(MapError) {
            switch map.schema.type {
            case .lpmTrie: try verifyTrie()
            case .array: try verifyArray()
            default: try verifyKeys()
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

    /// Before 6.13 walking a trie may skip keys: ask for each, and see that the walk finds no stranger. A lookup by a full
    /// key of the same length finds that key first.
    private func verifyTrie() throws(MapError) {
        for entry in expected where try map.lookup(entry.key) != entry.value { throw .noEntry }
        let known = Set(expected)
        guard try map.entries().allSatisfy(known.contains) else { throw .exists }
    }

    /// An array has every index, in order; those that nobody wrote are zero.
    private func verifyArray() throws(MapError) {
        let (keySize, valueSize) = (map.schema.keySize, map.schema.valueSize)
        var wanted = [UInt8](repeating: 0, count: map.schema.maxEntries * valueSize)
        for entry in expected {
            let start = Int(nativeNumber(entry.key, 0..<keySize)) * valueSize
            wanted.replaceSubrange(start..<start + valueSize, with: entry.value)
        }
        var found = 0
        var isAsWanted = true
        try map.read { keys, values in
            let count = keys.count / keySize
            for index in 0..<count where nativeNumber(keys, index * keySize..<(index + 1) * keySize) != found + index {
                isAsWanted = false
            }
            isAsWanted = isAsWanted && values[...] == wanted.dropFirst(found * valueSize).prefix(values.count)
            found += count
        }
        guard found == map.schema.maxEntries, isAsWanted else { throw .noEntry }
    }

    private func verifyKeys() throws(MapError) {
        let (keySize, valueSize) = (map.schema.keySize, map.schema.valueSize)
        let table = KeyTable(expected.map { nativeNumber($0.key, 0..<keySize) })
        var wanted: [UInt8] = []
        wanted.reserveCapacity(expected.count * valueSize)
        for entry in expected { wanted += entry.value }
        var found = 0
        var strangers = 0
        var isAsWanted = true
        try map.read { keys, values in
            for index in 0..<keys.count / keySize {
                guard let known = table.index(of: nativeNumber(keys, index * keySize..<(index + 1) * keySize)) else {
                    strangers += 1
                    continue
                }
                found += 1
                for byte in 0..<valueSize where values[index * valueSize + byte] != wanted[known * valueSize + byte] {
                    isAsWanted = false
                }
            }
        }
        guard strangers == 0 else { throw .exists }
        guard found == expected.count, isAsWanted else { throw .noEntry }
    }
}

/// Where each key stands in a list. A dictionary's hash is proof against chosen keys, which takes longer than reading the
/// map does; here keys that collide only make the check of one apply slower.
private struct KeyTable {
    private let keys: [UInt128]
    /// Open addressing: an index into `keys`, or -1.
    private var slots: [Int32]

    init(_ keys: [UInt128]) {
        self.keys = keys
        var size = 2
        while size < keys.count * 2 { size *= 2 }
        slots = Array(repeating: -1, count: size)
        for (index, key) in keys.enumerated() {
            var slot = Self.start(of: key, in: size)
            while slots[slot] >= 0 { slot = (slot + 1) & (size - 1) }
            slots[slot] = Int32(index)
        }
    }

    func index(of key: UInt128) -> Int? {
        var slot = Self.start(of: key, in: slots.count)
        while slots[slot] >= 0 {
            if keys[Int(slots[slot])] == key { return Int(slots[slot]) }
            slot = (slot + 1) & (slots.count - 1)
        }
        return nil
    }

    /// The upper bits of a product depend on every bit of the key.
    private static func start(of key: UInt128, in size: Int) -> Int {
        let folded = UInt64(truncatingIfNeeded: key) ^ UInt64(truncatingIfNeeded: key >> 64) &* 0xff51_afd7_ed55_8ccd
        return Int(truncatingIfNeeded: (folded &* 0x9e37_79b9_7f4a_7c15) >> 32) & (size - 1)
    }
}

/// A key as one number, which an array's index is: no key of a hash is longer than 16 bytes.
private func nativeNumber(_ bytes: [UInt8], _ range: Range<Int>) -> UInt128 {
    precondition(range.count <= 16)
    var low: UInt64 = 0
    var high: UInt64 = 0
    for index in range {
        let byte = UInt64(bytes[index])
        let place = UInt64(index - range.lowerBound)
        if place < 8 { low |= byte << (place * 8) } else { high |= byte << ((place - 8) * 8) }
    }
    return UInt128(high) << 64 | UInt128(low)
}
