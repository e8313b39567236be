package import WeirImage
package import WeirModel

/// Why one side of a flow is judged as it is: every rule that was considered, the ones that decided, and what would have
/// to change for the opposite answer.
package struct SideExplanation: Hashable, Sendable {
    /// Who is asked, and about whom.
    package struct Question: Hashable, Sendable {
        package enum Peer: Hashable, Sendable {
            /// The subject's own node, as the sender.
            case host
            case address(IPAddress)
        }

        /// An endpoint's qualified name, or `Image.hostName`.
        package var subject: String
        package var node: String
        package var direction: Direction
        package var peer: Peer
        package var `protocol`: IPProtocol
        package var port: UInt16

        package init(
            subject: String, node: String, direction: Direction, peer: Peer, protocol: IPProtocol, port: UInt16
        ) {
            self.subject = subject
            self.node = node
            self.direction = direction
            self.peer = peer
            self.protocol = `protocol`
            self.port = port
        }
    }

    /// Who decides, and how.
    package struct Decider: Hashable, Sendable {
        package var kind: Decision.Kind
        /// A refusal that is reported and passes.
        package var isAudited: Bool
        /// Specs for a default deny. Empty: nothing is enforced, or the node may always reach its pods.
        package var rules: [RuleOrigin]

        package var passes: Bool { kind == .allow || isAudited }
    }

    /// A spec that selects the subject.
    package struct Spec: Hashable, Sendable {
        package var origin: RuleOrigin
        package var tier: Tier
        /// Whether it sets the direction to default deny.
        package var enforces: Bool
        package var isAudited: Bool
    }

    package enum Match: String, Hashable, Sendable, Codable {
        case no
        /// Nobody can know: a deny counts it, an allow does not.
        case possibly
        case yes
    }

    /// A rule of those specs, in the order in which rules count.
    package struct ConsideredRule: Hashable, Sendable {
        package var origin: RuleOrigin
        package var tier: Tier
        package var action: RuleAction
        package var isAudited: Bool
        package var peers: Match
        /// Why, in words: what matched, or what is missing.
        package var peersReason: String
        package var ports: Match
        package var portsReason: String
        /// Whether it is among those that decide.
        package var decides: Bool
    }

    /// One backend of a Service that is asked for in its place.
    package struct Backend: Hashable, Sendable {
        package var address: IPAddress
        package var port: UInt16
        package var decider: Decider
    }

    /// A change to the policies after which this side answers the opposite. Each was tried.
    package enum Remedy: Hashable, Sendable {
        /// Without these; `leaves` decides then.
        case remove([RuleOrigin], leaves: Decider)
        /// This rule, if its peers or ports took in this flow.
        case widenPeers(RuleOrigin)
        case widenPorts(RuleOrigin)
        /// Another rule in the network tier.
        case addRule(RuleAction)
        /// A policy that selects the subject and enforces the direction.
        case enforce
    }

    package var question: Question
    /// What the peer is to the subject, in words: `endpoint`, `host`, `world` …
    package var peerKind: String
    /// Of an endpoint.
    package var peerName: String?
    /// The peer's labels, or its prefix.
    package var peerIdentity: String
    /// Sorted by origin.
    package var specs: [Spec]
    package var rules: [ConsideredRule]
    package var decider: Decider
    /// The endpoint itself is in audit mode: whatever is refused passes.
    package var isSubjectAudited: Bool
    /// Of a Service's frontend: it is allowed if and only if all of these are.
    package var backends: [Backend]
    package var remedies: [Remedy]

    /// Whether the side lets the flow pass.
    package var passes: Bool { decider.passes || isSubjectAudited }
}
