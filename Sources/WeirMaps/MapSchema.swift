/// The map types that weir uses, with the kernel's names.
package enum MapType: String, Hashable, Sendable, CaseIterable {
    case hash, lruHash = "lru_hash", lpmTrie = "lpm_trie", array, perCPUArray = "percpu_array"
    case arrayOfMaps = "array_of_maps", ringBuffer = "ringbuf"
}

/// What the kernel needs to know to create a map. One schema serves emulator and kernel.
package struct MapSchema: Hashable, Sendable {
    package var name: String
    package var type: MapType
    /// Bytes.
    package var keySize: Int
    /// Bytes; for a per-CPU map of one CPU's value.
    package var valueSize: Int
    /// At least 1; for a ring buffer its size in bytes.
    package var maxEntries: Int
    package var flags: MapFlags

    package init(
        name: String, type: MapType, keySize: Int, valueSize: Int, maxEntries: Int, flags: MapFlags = []
    ) {
        self.name = name
        self.type = type
        self.keySize = keySize
        self.valueSize = valueSize
        self.maxEntries = maxEntries
        self.flags = flags
    }

    package func withMaxEntries(_ count: Int) -> MapSchema {
        var copy = self
        copy.maxEntries = max(count, 1)
        return copy
    }
}

/// `BPF_F_*` of map creation, with the kernel's values (linux/bpf.h; a kernel test compares them).
package struct MapFlags: OptionSet, Hashable, Sendable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let noPreallocation = MapFlags(rawValue: 1 << 0)
    package static let mmapable = MapFlags(rawValue: 1 << 10)
    package static let innerMap = MapFlags(rawValue: 1 << 12)
}

/// `BPF_ANY`, `BPF_NOEXIST`, `BPF_EXIST`.
package enum UpdateMode: UInt64, Hashable, Sendable, CaseIterable {
    case any = 0, noExist = 1, exist = 2
}

/// The errors of map operations, one for each errno that the kernel documents for them.
package enum MapError: Error, Hashable, Sendable {
    case noEntry  // ENOENT
    case exists  // EEXIST
    case tooBig  // E2BIG
    case noSpace  // ENOSPC
    case invalid  // EINVAL
    case noMemory  // ENOMEM
    case busy  // EBUSY
    case other(errno: Int32)

    package init(errno: Int32) {
        self =
            switch errno {
            case 2: .noEntry
            case 7: .tooBig
            case 12: .noMemory
            case 16: .busy
            case 17: .exists
            case 22: .invalid
            case 28: .noSpace
            default: .other(errno: errno)
            }
    }
}

/// A key and a value, both exactly as the kernel sees them.
package struct MapEntry: Hashable, Sendable, Comparable {
    package var key: [UInt8]
    package var value: [UInt8]

    package init(key: [UInt8], value: [UInt8]) {
        self.key = key
        self.value = value
    }

    package static func < (left: Self, right: Self) -> Bool {
        left.key == right.key
            ? left.value.lexicographicallyPrecedes(right.value) : left.key.lexicographicallyPrecedes(right.key)
    }
}

/// One map, in the kernel or in the emulator. Keys and values have the schema's sizes,
/// anything else is `.invalid`. Per-CPU values are one CPU's value after the other.
///
/// Implementations are reference types: a map is shared by whoever looks into it.
package protocol BPFMap: AnyObject {
    var schema: MapSchema { get }
    /// nil where the key is absent.
    func lookup(_ key: [UInt8]) throws(MapError) -> [UInt8]?
    func update(_ key: [UInt8], _ value: [UInt8], mode: UpdateMode) throws(MapError)
    /// `.noEntry` where the key is absent; arrays refuse with `.invalid`.
    func delete(_ key: [UInt8]) throws(MapError)
    /// Every entry, in no particular order. Arrays list every index.
    func entries() throws(MapError) -> [MapEntry]
    /// Writes all; on an error some may be written. The kernel may do it in one system call.
    func updateBatch(_ entries: [MapEntry]) throws(MapError)
}

extension BPFMap {
    package func updateBatch(_ entries: [MapEntry]) throws(MapError) {
        for entry in entries { try update(entry.key, entry.value, mode: .any) }
    }
}
