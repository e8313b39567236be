import WeirCompiler
import WeirDiagnostics
import WeirExplain
import WeirFlow
import WeirImage
import WeirLoader
import WeirModel

/// What `weir explain` prints, as text; `json` is the same for programs.
struct ExplainReport {
    /// What the node adds to an explanation by its maps.
    struct Live {
        var revision: UInt64
        var differences: [MapChange]
        var egress: LiveSide?
        var ingress: LiveSide?
    }

    let explanation: FlowExplanation
    let live: Live?

    init(_ explanation: FlowExplanation, live: Live? = nil) {
        self.explanation = explanation
        self.live = live
    }

    var text: String {
        var quotation = SourceQuotation()
        let flow = explanation.flow
        var lines = [
            "\(flow.from) -> \(flow.to)  \(flow.port)/\(flow.protocol.description.lowercased())  "
                + explanation.answer.verdict.uppercased()
        ]
        for side in explanation.sides { lines += [""] + text(side, &quotation) }
        if explanation.egress == nil {
            lines += ["", "egress: \(flow.from) is no managed endpoint, so nothing judges it"]
        }
        if explanation.ingress == nil {
            lines += ["", "ingress: \(flow.to) is no managed endpoint, so nothing judges it"]
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private func text(_ side: FlowExplanation.Side, _ quotation: inout SourceQuotation) -> [String] {
        var lines = [
            "\(side.direction.rawValue) of \(side.endpoint) (\(side.localAddress), node \(side.node)): "
                + side.verdict.words
        ]
        lines.append("  peer \(side.peerAddress): \(side.peerWords)")
        if let rules = side.rules {
            lines += text(rules)
            lines += text(deciding: rules.decider.rules, &quotation)
            if !rules.remedies.isEmpty {
                lines.append("  the opposite, by one of:")
                lines += rules.remedies.map { "    * \($0.words(rules))" }
            }
        } else {
            lines += text(deciding: side.path.rules, &quotation)
        }
        let counted = side.direction == .egress ? live?.egress : live?.ingress
        return lines + text(side.path) + (counted.map { text($0, side) } ?? [])
    }

    private func text(_ live: LiveSide, _ side: FlowExplanation.Side) -> [String] {
        var lines = ["  these rules have counted \(live.rules.text)"]
        if let drops = live.drops {
            lines.append(
                "  the node has dropped \(drops.text) at \(side.direction.rawValue) as policy-"
                    + "\(side.path.decision.kind.rawValue)")
        }
        if live.flows.isEmpty { lines.append("  the node remembers no such flow") }
        lines += live.flows.map { flow in
            let age = flow.ageSeconds.map { ", \($0) s old" } ?? ""
            return "  flow \(flow.local) - \(flow.remote), \(flow.state.rawValue)\(age): egress "
                + LiveSide.Counter(packets: flow.egressPackets, bytes: flow.egressBytes).text + ", ingress "
                + LiveSide.Counter(packets: flow.ingressPackets, bytes: flow.ingressBytes).text
                + (flow.isCurrent ? "" : "; of an earlier policy, its next packet is judged again")
        }
        return lines
    }

    private func text(_ rules: SideExplanation) -> [String] {
        var lines: [String] = []
        if rules.isSubjectAudited {
            lines.append("  \(rules.question.subject) is in audit mode: what is refused passes")
        }
        if rules.specs.isEmpty {
            lines.append("  no policy selects \(rules.question.subject) for \(rules.question.direction.rawValue)")
        } else {
            lines.append("  policies that select it:")
            lines += rules.specs.map { spec in
                let effect = spec.enforces ? ", default deny" : ""
                return "    \(spec.origin.location.lineDescription)  \(spec.origin)  \(spec.tier.words)\(effect)"
                    + (spec.isAudited ? ", audit mode" : "")
            }
        }
        if !rules.rules.isEmpty {
            lines.append("  rules, in the order in which they count:")
            for rule in rules.rules {
                let mark = rule.decides ? ">" : rule.peers == .no || rule.ports == .no ? " " : "+"
                lines.append(
                    "  \(mark) \(rule.origin.location.lineDescription)  \(rule.action.rawValue)"
                        + (rule.isAudited ? " (audit mode)" : "") + "  \(rule.origin)")
                lines.append("        peer \(rule.peers.rawValue): \(rule.peersReason)")
                lines.append("        port \(rule.ports.rawValue): \(rule.portsReason)")
            }
        }
        for backend in rules.backends {
            let places = backend.decider.rules.places
            lines.append(
                "  backend \(backend.address) port \(backend.port): \(backend.decider.kind.rawValue)"
                    + (places.isEmpty ? "" : " by \(places.joined(separator: ", "))"))
        }
        return lines
    }

    private func text(deciding rules: [RuleOrigin], _ quotation: inout SourceQuotation) -> [String] {
        guard !rules.isEmpty else { return ["  decided by no rule: nothing refuses it"] }
        var lines = ["  decided by:"]
        var seen: Set<String> = []
        for rule in rules where seen.insert(rule.location.lineDescription).inserted {
            lines.append("    \(rule.location.lineDescription)  \(rule)")
            lines += quotation.lines(at: rule.location).map { "      \($0)" }
        }
        return lines
    }

    private func text(_ path: MapPath) -> [String] {
        let decision =
            path.table.map { table in
                "table \(table), " + (path.entry.map { "entry \($0)" } ?? "no entry, so the row's default")
            } ?? "decided there"
        return ["  in the maps: row \(path.row), \(path.peer) -> group \(path.group), \(decision)"]
    }
}

extension SideVerdict {
    fileprivate var words: String {
        guard let wouldBe else { return kind.rawValue.uppercased() }
        return "ALLOW (audit mode: else \(wouldBe.kind.rawValue))"
    }
}

extension FlowExplanation.Side {
    /// What it is, and its own labels; those that say where it is follow from its name.
    fileprivate var peerWords: String {
        let identity = rules?.peerIdentity ?? path.identity
        let labels = identity.split(separator: ",").filter {
            !$0.contains(WellKnownLabel.namespace) && !$0.contains("io.cilium.k8s.")
        }
        let shown = labels.isEmpty ? identity : labels.joined(separator: ", ")
        guard let rules else { return shown }
        guard let name = rules.peerName else {
            return rules.peerKind == identity ? identity : "\(rules.peerKind), \(shown)"
        }
        return "\(name), \(shown)"
    }
}

extension LiveSide.Counter {
    fileprivate var text: String { "\(packets) \(packets == 1 ? "packet" : "packets") (\(bytes) bytes)" }
}

extension Tier {
    var words: String {
        switch self {
        case .admin(let priority): "admin tier, priority \(priority)"
        case .network: "network tier"
        case .baseline(let priority): "baseline tier, priority \(priority)"
        }
    }
}

extension SideExplanation.Remedy {
    func words(_ side: SideExplanation) -> String {
        let subject = side.question.subject
        let direction = side.question.direction.rawValue
        func place(_ rule: RuleOrigin) -> String { rule.location.lineDescription }
        switch self {
        case .remove(let rules, let leaves):
            let rest = leaves.rules.places.isEmpty ? "" : " by \(leaves.rules.places.joined(separator: ", "))"
            return "without \(rules.map(place).joined(separator: ", ")), which leaves \(leaves.kind.rawValue)\(rest)"
        case .widenPeers(let rule): return "\(place(rule)) with this peer among its peers"
        case .widenPorts(let rule): return "\(place(rule)) with this port among its ports"
        case .addRule(let action):
            return "a rule that \(action == .allow ? "allows" : "denies") it, in a policy that selects \(subject)"
        case .enforce: return "a policy that selects \(subject) and enforces \(direction)"
        }
    }
}
