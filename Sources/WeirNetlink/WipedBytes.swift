internal import Glibc
internal import WeirWireGuard

/// Bytes that may hold a secret: there is one copy of them, also while they grow, and it is wiped.
@safe struct WipedBytes: ~Copyable {
    private var start: UnsafeMutableRawPointer
    private var room: Int
    private(set) var count = 0

    init(room: Int = 512) {
        unsafe start = UnsafeMutableRawPointer.allocate(byteCount: room, alignment: 16)
        self.room = room
    }

    deinit { unsafe Self.release(start, count) }

    private static func release(_ start: UnsafeMutableRawPointer, _ count: Int) {
        // SAFETY: the first `count` bytes of an allocation that is not used again.
        unsafe explicit_bzero(start, count)
        unsafe start.deallocate()
    }

    /// Appends what `fill` writes: it gets room for at least so many bytes and says how many it used.
    mutating func append(atMost size: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Int) {
        if count + size > room {
            let former = unsafe start
            room = (count + size) * 2
            unsafe start = UnsafeMutableRawPointer.allocate(byteCount: room, alignment: 16)
            // SAFETY: both have at least `count` bytes, and they are apart.
            unsafe start.copyMemory(from: former, byteCount: count)
            unsafe Self.release(former, count)
        }
        // SAFETY: behind what is there is room for `size` bytes.
        let used = unsafe fill(UnsafeMutableRawBufferPointer(start: start + count, count: size))
        precondition((0...size).contains(used))
        count += used
    }

    mutating func append(_ text: String) {
        unsafe append(atMost: text.utf8.count) { room in
            unsafe room.copyBytes(from: text.utf8)
            return text.utf8.count
        }
    }

    /// Appends the key's 64 hexadecimal digits.
    mutating func append(hexadecimal key: borrowing SecretKey) {
        unsafe key.withBytes { bytes in
            unsafe append(atMost: 2 * bytes.count) { room in
                for unsafe(index, byte) in unsafe bytes.enumerated() {
                    unsafe room[2 * index] = hexadecimalDigit(byte >> 4)
                    unsafe room[2 * index + 1] = hexadecimalDigit(byte & 15)
                }
                return 2 * bytes.count
            }
        }
    }

    /// The bytes, for the call's duration.
    func withBytes<Value>(_ body: (UnsafeRawBufferPointer) throws -> Value) rethrows -> Value {
        // SAFETY: as many bytes as were appended.
        try unsafe body(UnsafeRawBufferPointer(start: start, count: count))
    }
}

func hexadecimalDigit(_ value: UInt8) -> UInt8 { value < 10 ? 48 + value : 87 + value }

/// nil for anything but a hexadecimal digit.
func hexadecimalValue(_ digit: UInt8) -> UInt8? {
    switch digit {
    case 48...57: digit - 48
    case 65...70: digit - 55
    case 97...102: digit - 87
    default: nil
    }
}
