/// What a map costs and how large the kernel would make it at most; the loader refuses what lint warns of.
extension MapSchema {
    /// The kernel's limit for the bytes of one array, and so for what an index may reach.
    private static let maxArrayBytes = 1 << 31

    private var elementBytes: Int { (valueSize + 7) / 8 * 8 }

    package var entryLimit: Int { min(1 << 30, (Self.maxArrayBytes - 1) / max(elementBytes, 1)) }

    /// An upper estimate of kernel memory for this many entries: element, allocator and bucket overheads rounded up.
    package func estimatedBytes(entries: Int) -> Int {
        switch type {
        case .array: maxEntries * elementBytes
        case .hash: maxEntries.nextPowerOfTwo * 16 + entries * (elementBytes + keySize + 64)
        default: entries * 2 * (elementBytes + keySize + 64)
        }
    }
}

extension SlotMap {
    /// The schema for this many entries.
    ///
    /// - Parameter extraRoom: leave room in hashes and tries for later changes in place.
    package func schema(entries: Int, extraRoom: Bool) -> MapSchema {
        let grows = extraRoom && self != .peers
        return schema.withMaxEntries(entries + (grows ? entries / 4 + 64 : 0))
    }
}

extension Int {
    fileprivate var nextPowerOfTwo: Int { self <= 1 ? 1 : 1 << (Int.bitWidth - (self - 1).leadingZeroBitCount) }
}
