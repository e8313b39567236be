import WeirCompiler
import WeirExplain
import WeirImage
import WeirLoader
import WeirModel

/// What `weir explain` says, as JSON.
extension ExplainReport {
    struct JSON: Encodable {
        struct Rule: Encodable {
            var rule: String
            var place: String
            var tier: String
            var action: RuleAction
            var audit: Bool
            var peers: SideExplanation.Match
            var peersReason: String
            var ports: SideExplanation.Match
            var portsReason: String
            var decides: Bool
        }

        struct Spec: Encodable {
            var policy: String
            var place: String
            var tier: String
            var enforces: Bool
            var audit: Bool
        }

        struct Backend: Encodable {
            var address: String
            var port: UInt16
            var verdict: String
            var rules: [String]
        }

        struct Maps: Encodable {
            var endpoint: UInt32
            var row: UInt32
            var peer: String
            var group: UInt32
            var identity: String
            var table: UInt32?
            var entry: String?
        }

        struct Side: Encodable {
            var endpoint: String
            var node: String
            var address: String
            var peer: String
            var peerKind: String?
            var peerName: String?
            var peerIdentity: String
            var verdict: String
            var rules: [String]
            var audit: String?
            var policies: [Spec]?
            var considered: [Rule]?
            var backends: [Backend]?
            var changes: [String]?
            var maps: Maps
            var live: LiveSide?
        }

        var from: String
        var to: String
        var `protocol`: String
        var port: UInt16
        var verdict: String
        var egress: Side?
        var ingress: Side?
        /// Of the policy that is in force; only of a node.
        var revision: UInt64?
        var differences: [MapChange]?
    }

    var json: JSON {
        JSON(
            from: explanation.flow.from.description, to: explanation.flow.to.description,
            protocol: explanation.flow.protocol.description, port: explanation.flow.port,
            verdict: explanation.answer.verdict, egress: explanation.egress.map { Self.json($0, live?.egress) },
            ingress: explanation.ingress.map { Self.json($0, live?.ingress) }, revision: live?.revision,
            differences: live?.differences)
    }

    private static func json(_ side: FlowExplanation.Side, _ live: LiveSide?) -> JSON.Side {
        JSON.Side(
            endpoint: side.endpoint, node: side.node, address: "\(side.localAddress)", peer: "\(side.peerAddress)",
            peerKind: side.rules?.peerKind, peerName: side.rules?.peerName,
            peerIdentity: side.rules?.peerIdentity ?? side.path.identity,
            verdict: side.verdict.kind.rawValue, rules: side.verdict.wouldBe?.rules ?? side.verdict.rules,
            audit: side.verdict.wouldBe?.kind.rawValue,
            policies: side.rules?.specs.map { spec in
                JSON.Spec(
                    policy: spec.origin.description, place: spec.origin.location.lineDescription,
                    tier: spec.tier.words, enforces: spec.enforces, audit: spec.isAudited)
            },
            considered: side.rules?.rules.map { rule in
                JSON.Rule(
                    rule: rule.origin.description, place: rule.origin.location.lineDescription,
                    tier: rule.tier.words, action: rule.action, audit: rule.isAudited, peers: rule.peers,
                    peersReason: rule.peersReason, ports: rule.ports, portsReason: rule.portsReason,
                    decides: rule.decides)
            },
            backends: side.rules?.backends.map {
                JSON.Backend(
                    address: "\($0.address)", port: $0.port, verdict: $0.decider.kind.rawValue,
                    rules: $0.decider.rules.places)
            }, changes: side.rules.map { rules in rules.remedies.map { $0.words(rules) } },
            maps: JSON.Maps(
                endpoint: side.path.endpoint, row: side.path.row, peer: side.path.peer, group: side.path.group,
                identity: side.path.identity, table: side.path.table, entry: side.path.entry), live: live)
    }
}
