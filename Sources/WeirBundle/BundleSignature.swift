internal import Crypto
internal import Foundation
internal import Glibc
internal import WeirWireGuard

/// The name of a key pair: the first 8 bytes of the SHA-256 of the public key. It finds a key; it proves nothing.
package struct BundleKeyID: Hashable, Sendable, Comparable, CustomStringConvertible {
    static let byteCount = 8

    let bytes: [UInt8]

    /// As 16 hexadecimal digits.
    package var description: String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    package static func < (left: Self, right: Self) -> Bool { left.bytes.lexicographicallyPrecedes(right.bytes) }
}

/// The public half of a signing key, in text as signify and minisign write theirs: a comment line, and base64 of `Ed`, the
/// key's id and 32 bytes.
package struct BundleKey: Hashable, Sendable {
    static let algorithm = Array("Ed".utf8)
    static let commentPrefix = "untrusted comment: "
    private static let byteCount = 32

    private let bytes: [UInt8]

    init(bytes: [UInt8]) { self.bytes = bytes }

    package var id: BundleKeyID {
        BundleKeyID(bytes: Array(SHA256.hash(data: bytes).prefix(BundleKeyID.byteCount)))
    }

    /// Exactly two lines. nil for anything else, also where the id is not the key's: then a character is wrong.
    package init?(text: [UInt8]) {
        guard let text = String(validating: text, as: UTF8.self) else { return nil }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count == 2 || lines.count == 3 && lines[2].isEmpty, lines[0].hasPrefix(Self.commentPrefix),
            let data = Data(base64Encoded: String(lines[1])),
            data.count == Self.algorithm.count + BundleKeyID.byteCount + Self.byteCount,
            data.starts(with: Self.algorithm)
        else { return nil }
        bytes = Array(data.suffix(Self.byteCount))
        guard data.dropFirst(Self.algorithm.count).starts(with: id.bytes) else { return nil }
    }

    package var text: String {
        let data = Data(Self.algorithm + id.bytes + bytes)
        return "\(Self.commentPrefix)weir bundle public key \(id)\n\(data.base64EncodedString())\n"
    }

    package func isValid(_ signature: BundleSignature, of message: ArraySlice<UInt8>) -> Bool {
        guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: bytes) else { return false }
        return key.isValidSignature(signature.bytes, for: message)
    }
}

/// An Ed25519 signature, and by which key. Its bytes are those of signify: `Ed`, the key's id, 64 bytes.
package struct BundleSignature: Hashable, Sendable {
    private static let byteCount = 64

    package let key: BundleKeyID
    let bytes: [UInt8]

    fileprivate init(key: BundleKeyID, bytes: [UInt8]) {
        self.key = key
        self.bytes = bytes
    }

    init?(encoded: [UInt8]) {
        let prefix = BundleKey.algorithm
        guard encoded.count == prefix.count + BundleKeyID.byteCount + Self.byteCount, encoded.starts(with: prefix)
        else { return nil }
        key = BundleKeyID(bytes: Array(encoded.dropFirst(prefix.count).prefix(BundleKeyID.byteCount)))
        bytes = Array(encoded.suffix(Self.byteCount))
    }

    var encoded: [UInt8] { BundleKey.algorithm + key.bytes + bytes }
}

/// The private half: a seed of 32 random bytes, in one copy that is wiped.
package struct SigningKey: ~Copyable {
    /// No key pair can be made of these bytes.
    package struct Unusable: Error, Hashable, Sendable, CustomStringConvertible {
        package let description = "the signing key cannot be used; make another one with weir bundle key"
    }

    private let seed: SecretKey
    package let publicKey: BundleKey

    private init(seed: consuming SecretKey) throws(Unusable) {
        publicKey = BundleKey(bytes: try Self.withKey(seed) { Array($0.publicKey.rawRepresentation) })
        self.seed = seed
    }

    /// A fresh one.
    package static func generate() throws(Unusable) -> SigningKey {
        let seed = unsafe SecretKey { bytes in
            var generator = SystemRandomNumberGenerator()
            for index in bytes.indices { unsafe bytes[index] = generator.next() }
        }
        return try SigningKey(seed: seed)
    }

    func signature(of message: [UInt8]) throws(Unusable) -> BundleSignature {
        let bytes = try Self.withKey(seed) { try Array($0.signature(for: message)) }
        return BundleSignature(key: publicKey.id, bytes: bytes)
    }

    private static func withKey<Value>(
        _ seed: borrowing SecretKey, _ body: (Curve25519.Signing.PrivateKey) throws -> Value
    ) throws(Unusable) -> Value {
        let value = unsafe seed.withBytes { bytes in
            // SAFETY: the library copies the 32 bytes into a buffer that it wipes.
            try? unsafe body(Curve25519.Signing.PrivateKey(rawRepresentation: bytes))
        }
        guard let value else { throw Unusable() }
        return value
    }
}

/// The private key's text: a comment line, then 44 characters of base64. Without a passphrase: what reads it is a build.
extension SigningKey {
    /// More is no key.
    package static let maximumTextCount = 256

    /// nil unless the text is a comment line and a line of base64 that stands for 32 bytes.
    package static func decode(_ text: UnsafeRawBufferPointer) -> SigningKey? {
        let prefix = BundleKey.commentPrefix.utf8
        guard unsafe text.starts(with: prefix), let end = unsafe text.firstIndex(of: UInt8(ascii: "\n")) else {
            return nil
        }
        // SAFETY: what is behind the first line, inside of the text.
        let line = unsafe UnsafeRawBufferPointer(rebasing: text[(end + 1)...])
        guard let seed = unsafe SecretKey.decode(base64: line) else { return nil }
        return try? SigningKey(seed: seed)
    }

    /// The line that stands above the key.
    package var comment: String {
        "\(BundleKey.commentPrefix)weir bundle private key \(publicKey.id), never to be shown to anybody\n"
    }

    /// The key's line, for the call's duration.
    package func withBase64<Value>(_ body: (UnsafeRawBufferPointer) throws -> Value) rethrows -> Value {
        try unsafe seed.withBase64(body)
    }
}
