internal import WeirModel

/// Bounds-checked reads from a frame. `end` may be before the last byte: what lies behind is padding.
struct FrameBytes {
    let bytes: [UInt8]
    var end: Int

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        end = bytes.count
    }

    /// Whether `count` bytes from `offset` on are inside.
    func has(_ count: Int, at offset: Int) -> Bool { offset >= 0 && count >= 0 && offset + count <= end }

    /// The caller has asked `has`.
    func byte(_ offset: Int) -> UInt8 { bytes[offset] }

    /// Network byte order.
    func word16(_ offset: Int) -> UInt16 { UInt16(bytes[offset]) << 8 | UInt16(bytes[offset + 1]) }

    func address(_ offset: Int, _ family: AddressFamily) -> IPAddress {
        var value: UInt128 = 0
        for index in offset..<(offset + family.bitWidth / 8) { value = value << 8 | UInt128(bytes[index]) }
        return IPAddress(family: family, value: value)
    }
}
