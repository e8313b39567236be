internal import WeirImage
package import WeirModel

/// Explains sides of flows from policies and an inventory.
package struct Explainer: Sendable {
    private let policies: PolicySet
    private let inventory: Inventory
    private let options: PolicyOptions

    package init(policies: PolicySet, inventory: Inventory, options: PolicyOptions) {
        self.policies = policies.resolvingServices(inventory)
        self.inventory = inventory
        self.options = options
    }

    /// nil where the inventory has no such subject.
    package func explain(_ question: SideExplanation.Question) -> SideExplanation? {
        let isHost = question.subject == Image.hostName
        let endpoints = isHost ? [] : inventory.endpoints.filter { $0.qualifiedName == question.subject }
        let hosts = isHost ? inventory.node(named: question.node).map { [$0] } ?? [] : []
        let resolution = RuleSetResolution(policies: policies, endpoints: endpoints, hosts: hosts, options: options)
        guard let ruleSets = resolution.endpointRuleSets.first ?? resolution.hostRuleSets.first else { return nil }
        let catalogue = PeerCatalogue(
            inventory: inventory, node: question.node, distinctions: resolution.distinctions, options: options)
        let matrix = DecisionMatrix(resolution: resolution, catalogue: catalogue, everyPort: inventory.everyPort)
        let row = question.direction == .egress ? ruleSets.egress : ruleSets.ingress
        let candidate = Self.candidate(question, catalogue, isHost: isHost)
        let inquiry = SideInquiry(
            question: question, resolution: resolution, ruleSet: resolution.ruleSets[row],
            candidate: catalogue.candidates[candidate], everyPort: inventory.everyPort)
        let ruling =
            matrix.ruling(ofCandidate: candidate, ruleSet: row, question.protocol, question.port)
            ?? resolution.ruleSets[row].fallback
        let decider = inquiry.decider(ruling)
        let identity = catalogue.identity(of: question.peer, candidate: candidate)
        // Of a Service its backends say what to change; nothing does where nothing is ever enforced.
        let canChange = catalogue.candidates[candidate].kind != .service && options.enforcementMode != .never
        return SideExplanation(
            question: question, peerKind: catalogue.candidates[candidate].kind.words,
            peerName: peerEndpoint(question.peer)?.qualifiedName, peerIdentity: identity,
            specs: specs(question.direction, endpoints.first, hosts.first),
            rules: inquiry.rules(decidedBy: ruling, of: peerEndpoint(question.peer)?.labels), decider: decider,
            isSubjectAudited: endpoints.first?.isAudited == true,
            backends: backends(of: catalogue.candidates[candidate], question, matrix, row, inquiry, catalogue),
            remedies: canChange ? inquiry.remedies(ruling) : [])
    }

    /// As the datapath takes the peer.
    private static func candidate(
        _ question: SideExplanation.Question, _ catalogue: PeerCatalogue, isHost: Bool
    ) -> Int {
        func fixed(_ kind: PeerCandidate.Kind) -> Int { catalogue.candidates.firstIndex { $0.kind == kind } ?? 0 }
        guard case .address(let address) = question.peer else { return fixed(.host) }
        if question.direction == .egress, address.isMulticast || address.isBroadcast { return fixed(.multicast) }
        let candidate = catalogue.candidate(of: address)
        let kind = catalogue.candidates[candidate].kind
        // Forwarded, so the node has only lent its address.
        if question.direction == .ingress, !isHost, kind == .host || kind == .hostAddress { return fixed(.masqueraded) }
        return candidate
    }

    private func specs(_ direction: Direction, _ endpoint: Endpoint?, _ host: Node?) -> [SideExplanation.Spec] {
        policies.specs.filter { spec in
            spec.selects.contains(direction)
                && (endpoint.map(spec.subject.matches) ?? host.map(spec.subject.matches) ?? false)
        }
        .map {
            SideExplanation.Spec(
                origin: $0.origin, tier: $0.tier, enforces: $0.enforces.contains(direction), isAudited: $0.isAudited)
        }
    }

    private func peerEndpoint(_ peer: SideExplanation.Question.Peer) -> Endpoint? {
        guard case .address(let address) = peer else { return nil }
        return inventory.endpoints.first { $0.addresses.contains(address) }
    }

    private func backends(
        of candidate: PeerCandidate, _ question: SideExplanation.Question, _ matrix: DecisionMatrix, _ row: Int,
        _ inquiry: SideInquiry, _ catalogue: PeerCatalogue
    ) -> [SideExplanation.Backend] {
        guard case .address(let address) = question.peer, candidate.kind == .service, question.direction == .egress
        else { return [] }
        let ports = inventory.services.filter { $0.addresses.contains(address) }.flatMap(\.ports)
            .filter { $0.protocol == question.protocol && $0.port == question.port }
        return Set(ports.flatMap(\.backends)).filter { $0.address.family == address.family }.sorted().map { backend in
            let ruling =
                matrix.ruling(
                    ofCandidate: catalogue.candidate(of: backend.address), ruleSet: row, question.protocol,
                    backend.port) ?? inquiry.ruleSet.fallback
            return SideExplanation.Backend(
                address: backend.address, port: backend.port, decider: inquiry.decider(ruling))
        }
    }
}

extension PeerCatalogue {
    /// Of an address as it stands in a packet.
    fileprivate func candidate(of address: IPAddress) -> Int {
        if let known = addresses.first(where: { $0.address == address }) { return known.candidate }
        return region(around: address)?.candidate ?? 0
    }

    fileprivate func identity(of peer: SideExplanation.Question.Peer, candidate: Int) -> String {
        let kind = candidates[candidate].kind
        guard case .address(let address) = peer, kind != .masqueraded, kind != .multicast else {
            return kind == .host ? candidates[candidate].labels.description : kind.words
        }
        let number = addresses.first { $0.address == address }?.identity ?? region(around: address)?.identity ?? 0
        return identityNames[number]
    }

    private func region(around address: IPAddress) -> Region? {
        regions.filter { $0.prefix.contains(address) }.max { $0.prefix.length < $1.prefix.length }
    }
}

extension PeerCandidate.Kind {
    /// For people.
    fileprivate var words: String {
        switch self {
        case .endpoint: "endpoint"
        case .host, .hostAddress: "host"
        case .remoteNode: "remote-node"
        case .outside: "world"
        case .unknownPod: "unknown-pod"
        case .masqueraded: "masqueraded"
        case .service: "service"
        case .multicast: "multicast"
        }
    }
}
