package import WeirImage
package import WeirModel

/// The verdict of one side, and the places that gave it.
package struct SideVerdict: Hashable, Sendable {
    package enum Kind: String, Hashable, Sendable {
        case allow, deny
        case defaultDeny = "default-deny"
        /// That side is no managed endpoint.
        case none
    }

    /// What audit mode lets pass.
    package struct Refusal: Hashable, Sendable {
        package var kind: Decision.Kind
        /// `path:line`, sorted.
        package var rules: [String]
    }

    package var kind: Kind
    /// `path:line`, sorted. An image does not name what allows where audit mode refuses.
    package var rules: [String]
    /// With an allow: what would refuse it, if it were not in audit mode.
    package var wouldBe: Refusal?

    package init(_ kind: Kind, rules: [String] = [], wouldBe: Refusal? = nil) {
        self.kind = kind
        self.rules = rules
        self.wouldBe = wouldBe
    }
}

/// The answer to one flow.
package struct FlowAnswer: Hashable, Sendable {
    package var egress: SideVerdict
    package var ingress: SideVerdict

    package init(egress: SideVerdict, ingress: SideVerdict) {
        self.egress = egress
        self.ingress = ingress
    }

    /// Over both sides: allowed unless one of them denies.
    package var isAllowed: Bool {
        [egress, ingress].allSatisfy { $0.kind == .allow || $0.kind == .none }
    }

    package var verdict: String { isAllowed ? "allow" : "deny" }
}

/// Answers flows across the nodes of an inventory; each pod is judged on its own node.
package final class FlowAnswerer {
    // A class because the judges are compiled when their node is first asked and then kept.
    private let resolver: FlowResolver
    private let makeJudge: (String) throws -> (Image, any FlowJudge)
    private var nodes: [String: NodeJudge] = [:]
    private var peers = FlowPeers()

    private struct Subject {
        var id: UInt32
        var isAudited: Bool
    }

    private struct NodeJudge {
        var judge: any FlowJudge
        var endpoints: [String: Subject]
        var ruleLocations: [[String]]
    }

    /// - Parameter makeJudge: the image of a node and what judges with it.
    package init(
        _ inventory: Inventory, hostFirewall: Bool = false,
        makeJudge: @escaping (String) throws -> (Image, any FlowJudge)
    ) {
        resolver = FlowResolver(inventory, hostFirewall: hostFirewall)
        self.makeJudge = makeJudge
    }

    /// Reads and answers one line of a flow list.
    package func answer(_ object: FlowObject) throws -> (flow: Flow, answer: FlowAnswer) {
        let flow = try object.flow(&peers)
        return (flow, try answer(flow))
    }

    /// Throws `FlowError` for a flow that cannot be judged, or the judge's own error.
    package func answer(_ flow: Flow) throws -> FlowAnswer {
        let sides = try resolver.resolve(flow)
        return FlowAnswer(egress: try verdict(sides.egress, flow), ingress: try verdict(sides.ingress, flow))
    }

    private func verdict(_ side: FlowResolver.Side?, _ flow: Flow) throws -> SideVerdict {
        guard let side else { return SideVerdict(.none) }
        let node = try node(side.node)
        guard let endpoint = node.endpoints[side.endpoint] else {
            throw FlowError("\(side.endpoint) is not in the image of node \(side.node)")
        }
        let decision = try node.judge.judge(
            FlowQuery(
                endpoint: endpoint.id, direction: side.direction, localAddress: side.localAddress,
                peerAddress: side.peerAddress, path: side.path, protocol: flow.protocol, port: flow.port))
        let rules = node.ruleLocations[Int(decision.rule.rawValue)]
        if decision.kind != .allow, decision.isAudited || endpoint.isAudited {
            return SideVerdict(.allow, wouldBe: SideVerdict.Refusal(kind: decision.kind, rules: rules))
        }
        let kind: SideVerdict.Kind =
            switch decision.kind {
            case .allow: .allow
            case .deny: .deny
            case .defaultDeny: .defaultDeny
            }
        return SideVerdict(kind, rules: rules)
    }

    private func node(_ name: String) throws -> NodeJudge {
        if let known = nodes[name] { return known }
        let (image, judge) = try makeJudge(name)
        let made = NodeJudge(
            judge: judge,
            endpoints: Dictionary(
                image.endpoints.map { ($0.name, Subject(id: $0.id, isAudited: $0.isAudited)) },
                uniquingKeysWith: { first, _ in first }),
            ruleLocations: image.attributions.indices.map { image.ruleLocations(RuleID(rawValue: UInt32($0))) })
        nodes[name] = made
        return made
    }
}
