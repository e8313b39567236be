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

    package var kind: Kind
    /// `path:line`, sorted.
    package var rules: [String]

    package init(_ kind: Kind, rules: [String] = []) {
        self.kind = kind
        self.rules = rules
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

    private struct NodeJudge {
        var judge: any FlowJudge
        var endpointIDs: [String: UInt32]
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
        guard let endpoint = node.endpointIDs[side.endpoint] else {
            throw FlowError("\(side.endpoint) is not in the image of node \(side.node)")
        }
        let decision = try node.judge.judge(
            FlowQuery(
                endpoint: endpoint, direction: side.direction, localAddress: side.localAddress,
                peerAddress: side.peerAddress, path: side.path, protocol: flow.protocol, port: flow.port))
        let kind: SideVerdict.Kind =
            switch decision.kind {
            case .allow: .allow
            case .deny: .deny
            case .defaultDeny: .defaultDeny
            }
        return SideVerdict(kind, rules: node.ruleLocations[Int(decision.rule.rawValue)])
    }

    private func node(_ name: String) throws -> NodeJudge {
        if let known = nodes[name] { return known }
        let (image, judge) = try makeJudge(name)
        let made = NodeJudge(
            judge: judge,
            endpointIDs: Dictionary(
                image.endpoints.map { ($0.name, $0.id) }, uniquingKeysWith: { first, _ in first }),
            ruleLocations: image.attributions.indices.map { image.ruleLocations(RuleID(rawValue: UInt32($0))) })
        nodes[name] = made
        return made
    }
}
