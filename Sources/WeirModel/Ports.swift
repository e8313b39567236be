/// An IP protocol number.
package struct IPProtocol: Hashable, Sendable, Comparable, RawRepresentable, Codable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static let icmp = IPProtocol(rawValue: 1)
    package static let igmp = IPProtocol(rawValue: 2)
    package static let ipip = IPProtocol(rawValue: 4)
    package static let tcp = IPProtocol(rawValue: 6)
    package static let udp = IPProtocol(rawValue: 17)
    package static let ipv6 = IPProtocol(rawValue: 41)
    package static let gre = IPProtocol(rawValue: 47)
    package static let esp = IPProtocol(rawValue: 50)
    package static let ah = IPProtocol(rawValue: 51)
    package static let icmpv6 = IPProtocol(rawValue: 58)
    package static let vrrp = IPProtocol(rawValue: 112)
    package static let sctp = IPProtocol(rawValue: 132)

    /// The protocols that `ANY` with a port stands for.
    package static let withPorts: [IPProtocol] = [.tcp, .udp, .sctp]

    /// The other protocols that Cilium's `toPorts` takes (`--enable-extended-ip-protocols`).
    package static let withoutPorts: [IPProtocol] = [.vrrp, .igmp, .gre, .ipip, .ipv6, .esp, .ah]

    /// By policy name: `TCP`, `ICMPv6`, `VRRP` …; any case.
    package init?(name: some StringProtocol) {
        guard let known = Self.names.first(where: { $0.name.lowercased() == name.lowercased() }) else { return nil }
        self = known.protocol
    }

    private static let names: [(name: String, protocol: IPProtocol)] = [
        ("TCP", .tcp), ("UDP", .udp), ("SCTP", .sctp), ("ICMP", .icmp), ("ICMPv6", .icmpv6), ("VRRP", .vrrp),
        ("IGMP", .igmp), ("GRE", .gre), ("IPIP", .ipip), ("IPV6", .ipv6), ("ESP", .esp), ("AH", .ah),
    ]

    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

extension IPProtocol: CustomStringConvertible {
    package var description: String {
        Self.names.first { $0.protocol == self }?.name ?? String(rawValue)
    }
}

/// What a rule says about ports: one alternative of a list.
package enum PortMatch: Hashable, Sendable, Codable {
    /// Inclusive ports of one protocol; for ICMP and ICMPv6 the range is of types.
    /// A protocol with every port is 0...65535.
    case range(IPProtocol, ClosedRange<UInt16>)
    /// A named port, for each of the protocols where the owner defines it with that protocol.
    /// Ingress: the name at the subject. Egress: the name at each peer.
    case named(String, [IPProtocol])
}

/// The L4 side of a rule.
package enum Ports: Hashable, Sendable, Codable {
    /// Every protocol, with or without ports.
    case any
    /// Any of these; an empty list matches nothing.
    case list([PortMatch])
}

/// A named container port.
package struct NamedPort: Hashable, Sendable, Comparable, Codable {
    package var name: String
    package var `protocol`: IPProtocol
    package var port: UInt16

    package init(name: String, protocol: IPProtocol, port: UInt16) {
        self.name = name
        self.protocol = `protocol`
        self.port = port
    }

    package static func < (left: Self, right: Self) -> Bool {
        (left.name, left.protocol, left.port) < (right.name, right.protocol, right.port)
    }
}
