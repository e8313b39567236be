internal import Crypto
internal import Foundation
internal import Glibc

/// 32 secret bytes: a private key, or one that two peers share beforehand.
///
/// There is one copy, on a page that is never swapped out where the kernel allows it, and it is wiped when its owner
/// ends. The type can be neither copied nor printed, and nothing encodes it.
@safe package struct SecretKey: ~Copyable {
    package static let byteCount = 32

    private let page: UnsafeMutableRawPointer

    /// - Parameter fill: writes all 32 bytes.
    package init(filledBy fill: (UnsafeMutableRawBufferPointer) throws -> Void) rethrows {
        let size = Int(getpagesize())
        let page = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: size)
        // SAFETY: `page` is a page of its own, and initialised here.
        unsafe page.initializeMemory(as: UInt8.self, repeating: 0, count: size)
        _ = unsafe mlock(page, size)
        unsafe self.page = unsafe page
        // SAFETY: the first 32 bytes of the page.
        try unsafe fill(UnsafeMutableRawBufferPointer(start: page, count: Self.byteCount))
    }

    /// A fresh private key, clamped as Curve25519 wants it.
    package static func generatePrivateKey() -> SecretKey {
        let key = Curve25519.KeyAgreement.PrivateKey()
        return unsafe SecretKey { bytes in
            unsafe bytes.copyBytes(from: key.rawRepresentation)
            unsafe bytes[0] &= 248
            unsafe bytes[31] = bytes[31] & 127 | 64
        }
    }

    deinit {
        let size = Int(getpagesize())
        // SAFETY: the page is whole and ours until it is deallocated.
        unsafe explicit_bzero(page, size)
        _ = unsafe munlock(page, size)
        unsafe page.deallocate()
    }

    /// The bytes, for the call's duration.
    package func withBytes<Value>(_ body: (UnsafeRawBufferPointer) throws -> Value) rethrows -> Value {
        // SAFETY: the first 32 bytes of the page.
        try unsafe body(UnsafeRawBufferPointer(start: page, count: Self.byteCount))
    }

    /// The public key, if these bytes are a private key; nil where the library refuses them.
    package var publicKey: PublicKey? {
        let key = unsafe withBytes { bytes in try? unsafe Curve25519.KeyAgreement.PrivateKey(rawRepresentation: bytes) }
        return key.flatMap { PublicKey(bytes: $0.publicKey.rawRepresentation) }
    }
}

/// Base64 without a copy that nobody wipes.
extension SecretKey {
    private static let textCount = 44
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    /// nil unless the text is 44 characters that stand for 32 bytes, and at most a newline.
    package static func decode(base64 text: UnsafeRawBufferPointer) -> SecretKey? {
        let hasNewline = unsafe text.count == Self.textCount + 1 && text[Self.textCount] == UInt8(ascii: "\n")
        guard text.count == Self.textCount || hasNewline, unsafe text[43] == UInt8(ascii: "=") else {
            return nil
        }
        var isValid = true
        let key = unsafe SecretKey { bytes in
            for group in 0..<11 {
                var bits: UInt32 = 0
                for place in 0..<4 {
                    let character = unsafe text[group * 4 + place]
                    let isPadding = group == 10 && place == 3
                    guard let value = isPadding ? 0 : Self.alphabet.firstIndex(of: character) else {
                        isValid = false
                        return
                    }
                    bits = bits << 6 | UInt32(value)
                }
                for place in 0..<(group == 10 ? 2 : 3) {
                    unsafe bytes[group * 3 + place] = UInt8(truncatingIfNeeded: bits >> UInt32(16 - 8 * place))
                }
                // What the last characters say beyond 32 bytes must be nothing.
                if group == 10, bits & 0xff != 0 { isValid = false }
            }
        }
        guard isValid else { return nil }
        return key
    }

    /// The key as text and a newline, for the call's duration.
    package func withBase64<Value>(_ body: (UnsafeRawBufferPointer) throws -> Value) rethrows -> Value {
        try unsafe withUnsafeTemporaryAllocation(byteCount: Self.textCount + 1, alignment: 8) { text in
            // SAFETY: the text is the allocation, and wiped before it ends.
            defer { if let base = text.baseAddress { unsafe explicit_bzero(base, text.count) } }
            unsafe withBytes { bytes in
                for group in 0..<11 {
                    let count = group == 10 ? 2 : 3
                    var bits: UInt32 = 0
                    for place in 0..<3 {
                        bits = unsafe bits << 8 | (place < count ? UInt32(bytes[group * 3 + place]) : 0)
                    }
                    for place in 0..<4 {
                        let value = Self.alphabet[Int(bits >> UInt32(18 - 6 * place) & 63)]
                        unsafe text[group * 4 + place] = place > count ? UInt8(ascii: "=") : value
                    }
                }
            }
            unsafe text[Self.textCount] = UInt8(ascii: "\n")
            return try unsafe body(UnsafeRawBufferPointer(text))
        }
    }
}
