package import WeirCompiler
package import WeirFlow
package import WeirImage
package import WeirModel

/// Why a flow is allowed or denied, side by side.
package struct FlowExplanation: Sendable {
    package struct Side: Sendable {
        package var node: String
        package var endpoint: String
        package var direction: Direction
        package var localAddress: IPAddress
        package var peerAddress: IPAddress
        package var verdict: SideVerdict
        /// How the maps answer.
        package var path: MapPath
        /// How the rules do; nil where only an image is known.
        package var rules: SideExplanation?
    }

    package var flow: Flow
    /// nil: that end is no managed endpoint.
    package var egress: Side?
    package var ingress: Side?
    package var answer: FlowAnswer

    package var sides: [Side] { [egress, ingress].compactMap(\.self) }
}

/// Explains flows of an inventory.
package struct FlowExplainer {
    private let resolver: FlowResolver
    private let answerer: FlowAnswerer
    private let image: (String) throws -> Image
    private let explainer: Explainer?

    /// - Parameter image: of a node by name; asked more than once for the same.
    /// - Parameter judge: what judges with an image.
    /// - Parameter explainer: nil where only images are known.
    package init(
        _ inventory: Inventory, hostFirewall: Bool, explainer: Explainer?,
        image: @escaping (String) throws -> Image, judge: @escaping (Image) throws -> any FlowJudge
    ) {
        resolver = FlowResolver(inventory, hostFirewall: hostFirewall)
        self.image = image
        self.explainer = explainer
        answerer = FlowAnswerer(inventory, hostFirewall: hostFirewall) { node in
            let compiled = try image(node)
            return (compiled, try judge(compiled))
        }
    }

    /// Throws `FlowError` for a flow that cannot be judged.
    package func explain(_ flow: Flow) throws -> FlowExplanation {
        let sides = try resolver.resolve(flow)
        let answer = try answerer.answer(flow)
        return FlowExplanation(
            flow: flow, egress: try sides.egress.map { try side($0, flow, answer.egress) },
            ingress: try sides.ingress.map { try side($0, flow, answer.ingress) }, answer: answer)
    }

    private func side(
        _ side: FlowResolver.Side, _ flow: Flow, _ verdict: SideVerdict
    ) throws -> FlowExplanation.Side {
        guard
            let path = MapPath(try image(side.node), side, protocol: flow.protocol, port: flow.port)
        else { throw FlowError("the maps of \(side.node) have no answer for \(side.endpoint)") }
        let question = SideExplanation.Question(
            subject: side.endpoint, node: side.node, direction: side.direction,
            peer: side.direction == .ingress && side.path == .host && side.endpoint != Image.hostName
                ? .host : .address(side.peerAddress), protocol: flow.protocol, port: flow.port)
        return FlowExplanation.Side(
            node: side.node, endpoint: side.endpoint, direction: side.direction, localAddress: side.localAddress,
            peerAddress: side.peerAddress, verdict: verdict, path: path, rules: explainer?.explain(question))
    }
}
