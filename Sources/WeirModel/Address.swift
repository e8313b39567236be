/// The two address families, in the order in which weir prints them.
package enum AddressFamily: String, Hashable, Sendable, Comparable, CaseIterable, Codable {
    case ipv4 = "IPv4"
    case ipv6 = "IPv6"

    /// 32 or 128.
    package var bitWidth: Int { self == .ipv4 ? 32 : 128 }

    package static func < (left: Self, right: Self) -> Bool { left.bitWidth < right.bitWidth }
}

/// An IPv4 or IPv6 address. Ordered by family, then numerically.
///
/// The value is held as an integer; `bytes` is network byte order.
package struct IPAddress: Hashable, Sendable, Comparable {
    package let family: AddressFamily
    /// The address as a number; for IPv4 in the low 32 bits.
    package let value: UInt128

    package init(family: AddressFamily, value: UInt128) {
        self.family = family
        self.value = family == .ipv4 ? value & 0xffff_ffff : value
    }

    /// Network byte order; four or sixteen bytes, anything else is `nil`.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        self.init(
            family: bytes.count == 4 ? .ipv4 : .ipv6,
            value: bytes.reduce(UInt128(0)) { $0 << 8 | UInt128($1) })
    }

    /// Network byte order; four or sixteen bytes.
    package var bytes: [UInt8] {
        (0..<(family.bitWidth / 8)).reversed().map { UInt8(truncatingIfNeeded: value >> (UInt128($0) * 8)) }
    }

    /// Sixteen bytes; IPv4 as `::ffff:a.b.c.d`, the form of a conntrack key.
    package var mappedBytes: [UInt8] {
        family == .ipv6 ? bytes : [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff] + bytes
    }

    package static func < (left: Self, right: Self) -> Bool {
        (left.family, left.value) < (right.family, right.value)
    }

    package var isMulticast: Bool {
        switch family {
        case .ipv4: value >> 28 == 0xe
        case .ipv6: value >> 120 == 0xff
        }
    }

    /// 255.255.255.255.
    package var isBroadcast: Bool { family == .ipv4 && value == 0xffff_ffff }

    package var isLoopback: Bool {
        switch family {
        case .ipv4: value >> 24 == 127
        case .ipv6: value == 1
        }
    }

    package var isUnspecified: Bool { value == 0 }

    /// 169.254.0.0/16 or fe80::/10.
    package var isLinkLocal: Bool {
        switch family {
        case .ipv4: value >> 16 == 0xa9fe
        case .ipv6: value >> 118 == 0x3fa
        }
    }

    /// `::ffff:0:0/96`.
    package var isV4Mapped: Bool { family == .ipv6 && value >> 32 == 0xffff }
}

extension IPAddress: CustomStringConvertible {
    /// Dotted quad, or RFC 5952.
    package var description: String {
        let bytes = bytes
        if family == .ipv4 { return bytes.map(String.init).joined(separator: ".") }
        if isV4Mapped { return "::ffff:" + bytes.suffix(4).map(String.init).joined(separator: ".") }
        let groups = stride(from: 0, to: 16, by: 2).map { UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]) }
        var best = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, groups[end] == 0 { end += 1 }
            if end - start > best.count, end - start > 1 { best = start..<end }
            start = max(end, start + 1)
        }
        func join(_ part: ArraySlice<UInt16>) -> String {
            part.map { String($0, radix: 16) }.joined(separator: ":")
        }
        if best.isEmpty { return join(groups[...]) }
        return join(groups[..<best.lowerBound]) + "::" + join(groups[best.upperBound...])
    }
}

extension IPAddress {
    /// Parses dotted quad (no leading zeros, as Go's netip) or RFC 4291 text. No zone, no prefix length.
    package init?(_ text: some StringProtocol) {
        if text.utf8.contains(UInt8(ascii: ":")) {
            guard let value = Self.parseIPv6(text) else { return nil }
            self.init(family: .ipv6, value: value)
        } else {
            guard let value = Self.parseIPv4(text) else { return nil }
            self.init(family: .ipv4, value: UInt128(value))
        }
    }

    private static func parseIPv4(_ text: some StringProtocol) -> UInt32? {
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            guard (1...3).contains(part.count), part.count == 1 || part.first != UInt8(ascii: "0") else { return nil }
            var octet: UInt32 = 0
            for digit in part {
                guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
                octet = octet * 10 + UInt32(digit - UInt8(ascii: "0"))
            }
            guard octet <= 255 else { return nil }
            value = value << 8 | octet
        }
        return value
    }

    private static func parseIPv6(_ text: some StringProtocol) -> UInt128? {
        guard text.utf8.count <= 45 else { return nil }
        var halves: [[UInt16]] = [[]]
        var pieces = text.split(separator: ":", omittingEmptySubsequences: false)[...]
        // "::" shows as an empty piece; at either end as two.
        if pieces.first?.isEmpty == true {
            guard pieces.count >= 3, pieces[1].isEmpty else { return nil }
            pieces = pieces.dropFirst()
        }
        if pieces.count >= 2, pieces.last?.isEmpty == true {
            guard pieces[pieces.endIndex - 2].isEmpty || pieces.count == 2 && pieces.first?.isEmpty == true else {
                return nil
            }
            pieces = pieces.dropLast()
        }
        for (index, piece) in zip(pieces.indices, pieces) {
            if piece.isEmpty {
                guard halves.count == 1 else { return nil }
                halves.append([])
            } else if piece.utf8.contains(UInt8(ascii: ".")) {
                guard index == pieces.endIndex - 1, let tail = parseIPv4(piece) else { return nil }
                halves[halves.count - 1] += [UInt16(tail >> 16), UInt16(truncatingIfNeeded: tail)]
            } else {
                guard (1...4).contains(piece.utf8.count),
                    piece.utf8.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
                    let group = UInt16(piece, radix: 16)
                else { return nil }
                halves[halves.count - 1].append(group)
            }
        }
        let count = halves.reduce(0) { $0 + $1.count }
        if halves.count == 1 {
            guard count == 8 else { return nil }
        } else {
            guard count <= 7 else { return nil }
            halves[0] += Array(repeating: 0, count: 8 - count)
        }
        return halves.joined().reduce(UInt128(0)) { $0 << 16 | UInt128($1) }
    }
}

extension IPAddress: CodedAsText {
    package static let noun = "IP address"

    package init?(_ text: String) { self.init(text[...]) }
}
