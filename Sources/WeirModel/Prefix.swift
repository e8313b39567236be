/// A CIDR prefix with its host bits cleared. Ordered by family, address, then length: a prefix
/// comes before everything it contains.
package struct Prefix: Hashable, Sendable, Comparable {
    package let address: IPAddress
    package let length: Int

    /// Clears the host bits. `length` must be 0...32 or 0...128, by family.
    package init(_ address: IPAddress, length: Int) {
        precondition((0...address.family.bitWidth).contains(length))
        self.address = IPAddress(
            family: address.family, value: address.value & Self.mask(family: address.family, length: length))
        self.length = length
    }

    /// The one address.
    package init(host address: IPAddress) { self.init(address, length: address.family.bitWidth) }

    /// Everything of a family.
    package init(all family: AddressFamily) { self.init(IPAddress(family: family, value: 0), length: 0) }

    /// `ADDRESS/LENGTH`; a bare address is not a prefix.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = IPAddress(parts[0]),
            (1...3).contains(parts[1].utf8.count), parts[1].utf8.allSatisfy({ (48...57).contains($0) }),
            parts[1] == "0" || parts[1].first != "0",
            let length = Int(parts[1]), length <= address.family.bitWidth
        else { return nil }
        self.init(address, length: length)
    }

    package var family: AddressFamily { address.family }

    package func contains(_ other: IPAddress) -> Bool {
        family == other.family && other.value & Self.mask(family: family, length: length) == address.value
    }

    package func contains(_ other: Prefix) -> Bool { other.length >= length && contains(other.address) }

    package static func < (left: Self, right: Self) -> Bool {
        (left.address, left.length) < (right.address, right.length)
    }

    private static func mask(family: AddressFamily, length: Int) -> UInt128 {
        length == 0 ? 0 : ~UInt128(0) << UInt128(family.bitWidth - length)
    }
}

extension Prefix: CustomStringConvertible {
    package var description: String { "\(address)/\(length)" }
}

extension Prefix: CodedAsText {
    package static let noun = "prefix"

    package init?(_ text: String) { self.init(text[...]) }
}
