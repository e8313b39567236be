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
