internal import Foundation

/// A WireGuard public key: a point on Curve25519, 32 bytes, written as base64.
package struct PublicKey: Hashable, Sendable, Comparable {
    package static let byteCount = 32

    /// Always 32.
    package let bytes: [UInt8]

    /// nil for another number of bytes.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        self.bytes = Array(bytes)
    }

    /// nil for anything but 44 characters of base64 that stand for 32 bytes.
    package init?(base64 text: String) {
        guard text.utf8.count == 44, let data = Data(base64Encoded: text), data.base64EncodedString() == text else {
            return nil
        }
        self.init(bytes: data)
    }

    package var base64: String { Data(bytes).base64EncodedString() }

    /// No peer can have it: whatever is encrypted to it, anybody can read.
    package var isZero: Bool { bytes.allSatisfy { $0 == 0 } }

    package static func < (left: Self, right: Self) -> Bool { left.bytes.lexicographicallyPrecedes(right.bytes) }
}

extension PublicKey: CustomStringConvertible {
    /// Shortened, for people.
    package var description: String { "\(base64.prefix(8))…" }
}
