package import WeirDiagnostics
package import WeirFlow
package import WeirModel

/// One document of kind Expectations: what policies are meant to do.
package struct Expectations: Hashable, Sendable {
    package var name: String
    package var flows: [FlowExpectation]
    package var closed: [ClosedExpectation]
}

/// Flows that are to be judged in one way, all of them.
package struct FlowExpectation: Hashable, Sendable {
    package enum Verdict: String, Hashable, Sendable, CaseIterable { case allow, deny }

    /// As written, or `from → to ports`.
    package var name: String
    package var from: Ends
    package var to: Ends
    package var ports: [PortChoice]
    /// nil: each family that both ends have.
    package var family: AddressFamily?
    package var verdict: Verdict
    package var egress: SideVerdict.Kind?
    package var ingress: SideVerdict.Kind?
    package var rule: RuleName?
    package var location: SourceLocation
}

/// Between these ends nothing is allowed but what the flows of the same document say.
package struct ClosedExpectation: Hashable, Sendable {
    package var name: String
    package var from: Ends
    package var to: Ends
    package var location: SourceLocation
}

/// Who stands on one side: names, and whoever selectors choose.
package struct Ends: Hashable, Sendable {
    package var peers: [Flow.Peer]
    /// Names in the order of the inventory.
    package var endpoints: [String]
    /// As written, for people.
    package var text: String
}

/// Ports of one protocol, or everything.
package enum PortChoice: Hashable, Sendable, CustomStringConvertible {
    case everything
    /// Every protocol but those that nearly everything is: TCP, UDP, SCTP, ICMP, ICMPv6.
    case other
    /// For ICMP and ICMPv6 the range is of types; for protocols without ports it is 0.
    case range(IPProtocol, ClosedRange<UInt16>)

    package var description: String {
        switch self {
        case .everything: "any"
        case .other: "other"
        case .range(let proto, let ports): portText(proto, ports)
        }
    }
}

/// `5432/tcp`, `8000-8100/tcp`, `tcp` for all of them, as expectations and reports write ports.
func portText(_ proto: IPProtocol, _ ports: ClosedRange<UInt16>) -> String {
    let known = proto.description.lowercased()
    let name = known.first?.isNumber == true ? "protocol-\(known)" : known
    if ports == proto.portDomain { return name }
    return ports.count == 1 ? "\(ports.lowerBound)/\(name)" : "\(ports.lowerBound)-\(ports.upperBound)/\(name)"
}

extension IPProtocol {
    /// Those that `other` leaves out.
    static let common: Set<IPProtocol> = [.tcp, .udp, .sctp, .icmp, .icmpv6]

    /// What a flow of this protocol may have in the place of its port.
    var portDomain: ClosedRange<UInt16> {
        if hasPorts { return 0...UInt16.max }
        return self == .icmp || self == .icmpv6 ? 0...255 : 0...0
    }

    /// nil: both.
    var family: AddressFamily? {
        switch self {
        case .icmp: .ipv4
        case .icmpv6: .ipv6
        default: nil
        }
    }
}

/// The rule that is to decide: a place, or the policy that it belongs to.
package enum RuleName: Hashable, Sendable, CustomStringConvertible {
    /// The path may be cut short from the left at a slash.
    case place(path: String, line: Int)
    case policy(kind: PolicyKind, namespace: String?, name: String)

    func matches(_ origin: RuleOrigin) -> Bool {
        switch self {
        case .place(let path, let line):
            line == origin.location.line
                && (origin.location.path == path || origin.location.path.hasSuffix("/" + path))
        case .policy(let kind, let namespace, let name):
            kind == origin.kind && namespace == origin.namespace && name == origin.name
        }
    }

    package var description: String {
        switch self {
        case .place(let path, let line): "\(path):\(line)"
        case .policy(let kind, let namespace, let name):
            "\(kind.rawValue)/" + (namespace.map { "\($0)/" } ?? "") + name
        }
    }
}
