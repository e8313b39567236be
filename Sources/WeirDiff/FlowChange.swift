package import WeirModel

/// Somebody at an end of flows that changed.
package enum FlowEnd: Hashable, Sendable, Comparable {
    case endpoint(String)
    /// The other end's own node.
    case host
    /// A node, as itself.
    case hostAddress(IPAddress)
    case remoteNode(IPAddress)
    /// With what is known of it.
    case address(IPAddress, label: String)
    case region(Prefix, label: String)
    /// Anybody behind an address of the other end's own node.
    case masqueraded
    case multicast

    private var order: Int {
        switch self {
        case .endpoint: 0
        case .host: 1
        case .hostAddress: 2
        case .remoteNode: 3
        case .address: 4
        case .region: 5
        case .masqueraded: 6
        case .multicast: 7
        }
    }

    package static func < (left: Self, right: Self) -> Bool {
        switch (left, right) {
        case (.endpoint(let left), .endpoint(let right)): left < right
        case (.hostAddress(let left), .hostAddress(let right)): left < right
        case (.remoteNode(let left), .remoteNode(let right)): left < right
        case (.address(let left, _), .address(let right, _)): left < right
        case (.region(let left, _), .region(let right, _)): left < right
        default: left.order < right.order
        }
    }
}

extension FlowEnd: CustomStringConvertible {
    /// As a flow names it, where it can.
    package var description: String {
        switch self {
        case .endpoint(let name): name
        case .host: "host"
        case .hostAddress(let address): "host:\(address)"
        case .remoteNode(let address): "remote-node:\(address)"
        case .address(let address, let label): label.isEmpty ? "ip:\(address)" : "ip:\(address) (\(label))"
        case .region(let prefix, let label):
            label == "unknown-pod"
                ? "unknown pods in \(prefix)" : prefix.length == 0 ? "world (\(prefix.family.rawValue))" : "\(prefix)"
        case .masqueraded: "masqueraded"
        case .multicast: "multicast"
        }
    }
}

/// Ports of one protocol, or whole protocols.
package enum PortSpan: Hashable, Sendable, Comparable {
    /// Every protocol but these.
    case everyProtocol(except: [IPProtocol])
    case ports(IPProtocol, ClosedRange<UInt16>)

    package static func < (left: Self, right: Self) -> Bool {
        switch (left, right) {
        case (.everyProtocol, .ports): true
        case (.ports, .everyProtocol): false
        case (.everyProtocol(let left), .everyProtocol(let right)): left.lexicographicallyPrecedes(right)
        case (.ports(let leftProtocol, let left), .ports(let rightProtocol, let right)):
            (leftProtocol, left.lowerBound, left.upperBound) < (rightProtocol, right.lowerBound, right.upperBound)
        }
    }

    /// The largest port, or ICMP type, of a protocol.
    static func limit(_ proto: IPProtocol) -> UInt16 {
        switch proto {
        case .icmp, .icmpv6: 255
        default: IPProtocol.withPorts.contains(proto) ? .max : 0
        }
    }
}

extension PortSpan: CustomStringConvertible {
    /// `5432/tcp`, `8000-8100/tcp`, `tcp`, `any`.
    package var description: String {
        switch self {
        case .everyProtocol(let excepted):
            return excepted.isEmpty
                ? "any" : "any but \(excepted.map { $0.description.lowercased() }.joined(separator: ", "))"
        case .ports(let proto, let range):
            let name = proto.description.lowercased()
            if range == 0...Self.limit(proto) { return name }
            return range.count == 1
                ? "\(range.lowerBound)/\(name)" : "\(range.lowerBound)-\(range.upperBound)/\(name)"
        }
    }
}

/// What one side said of a flow.
package struct SideRuling: Hashable, Sendable {
    package enum Verdict: String, Hashable, Sendable, Codable {
        case allow, deny
        case defaultDeny = "default-deny"
        /// That side is not judged.
        case none
    }

    package var side: Direction
    package var verdict: Verdict
    package var rules: [RuleOrigin]
}

/// Flows that are allowed now and were not, or the other way round, for one reason.
package struct FlowChange: Hashable, Sendable {
    package enum Effect: String, Hashable, Sendable, Codable, Comparable {
        case allowed, denied

        package static func < (left: Self, right: Self) -> Bool { left == .allowed && right == .denied }
    }

    /// From any of these to any of those, except to itself.
    package struct Flows: Hashable, Sendable {
        /// Sorted.
        package var from: [FlowEnd]
        package var to: [FlowEnd]
        package var families: [AddressFamily]
    }

    package var effect: Effect
    /// Sorted.
    package var ports: [PortSpan]
    /// What the sides that changed said, and say.
    package var before: [SideRuling]
    package var after: [SideRuling]
    package var flows: [Flows]

    /// How many pairs of ends it is about.
    package var pairs: Int { flows.reduce(0) { $0 + $1.pairs } }
}

extension FlowChange.Flows {
    /// Without those from somebody to himself.
    var pairs: Int { from.count * to.count - Set(from).intersection(to).count }
}
