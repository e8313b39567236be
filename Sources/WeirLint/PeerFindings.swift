internal import WeirCompiler
internal import WeirDiagnostics
internal import WeirModel

/// Peers of one rule that are nobody.
struct PeerFindings {
    let rule: Rule
    let inventory: Inventory
    let population: Population
    let cidrMatchesNodes: Bool

    func report(to findings: inout DiagnosticsCollector) {
        guard case .list(let list) = rule.peers else { return }
        var seen: Set<Peer> = []
        for peer in list where seen.insert(peer).inserted {
            switch peer {
            case .selector(let selector): report(selector, &findings)
            case .nodes(let selector, _): report(nodes: selector, &findings)
            case .entity(let entity): report(entity, &findings)
            case .cidr(let block): report(block, &findings)
            case .service(let reference): report(reference, &findings)
            case .network: break
            }
        }
    }

    private var place: SourceLocation { rule.origin.location }

    // MARK: Selectors

    private func report(_ selector: LabelSelector, _ findings: inout DiagnosticsCollector) {
        if reportAbsentReserved(selector, &findings) { return }
        guard !population.hasEndpoint(matching: selector), !Population.choosesOutsiders(selector) else {
            reportNamespaces(selector, &findings)
            return
        }
        let why = SelectorDoubt(selector, population)
        findings.warning(
            why.id(otherwise: .unmatchedSelector), "the peer \(selector.text) is no endpoint: \(why.text)", at: place)
    }

    /// `reserved:init` and its like, written as a label.
    private func reportAbsentReserved(_ selector: LabelSelector, _ findings: inout DiagnosticsCollector) -> Bool {
        for requirement in selector.requirements
        where requirement.key.source == WellKnownLabel.reservedSource && [.in, .exists].contains(requirement.operator) {
            guard let entity = Entity(rawValue: requirement.key.name), isAbsent(entity) else { continue }
            report(entity, &findings)
            return true
        }
        return false
    }

    /// One namespace of several may be misspelled although the others exist.
    private func reportNamespaces(_ selector: LabelSelector, _ findings: inout DiagnosticsCollector) {
        for requirement in selector.requirements
        where requirement.operator == .in && requirement.key.name == WellKnownLabel.namespace {
            for name in requirement.values where !population.namespaces.contains(name) {
                findings.warning(
                    .unknownNamespace,
                    "namespace \"\(name)\" has no endpoint" + suggestion(name, among: population.namespaces), at: place)
            }
        }
    }

    private func report(nodes selector: LabelSelector, _ findings: inout DiagnosticsCollector) {
        guard !inventory.nodes.contains(where: { selector.matches($0.labelSet) }) else { return }
        let keys = Set(inventory.nodes.flatMap(\.labels.keys))
        let unknown = selector.requirements.first {
            [.in, .exists].contains($0.operator) && !keys.contains($0.key.name)
        }
        findings.warning(
            .unmatchedSelector,
            "the peer \(selector.text) is no node"
                + (unknown.map { suggestion($0.key.name, among: keys) } ?? ""), at: place)
    }

    // MARK: Entities

    /// Cilium's agent gives these identities; here nobody does.
    private static let never: Set<Entity> = [.`init`, .health, .unmanaged, .ingress]

    private func isAbsent(_ entity: Entity) -> Bool {
        Self.never.contains(entity)
            || entity == .kubeAPIServer && inventory.kubeAPIServerAddresses.isEmpty
                && !inventory.nodes.contains(where: \.isKubeAPIServer)
    }

    private func report(_ entity: Entity, _ findings: inout DiagnosticsCollector) {
        guard isAbsent(entity) else { return }
        findings.warning(
            .absentEntity,
            Self.never.contains(entity)
                ? "nothing is \"\(entity.rawValue)\" here: only Cilium's agent gives that identity"
                : "the inventory has no \"\(entity.rawValue)\": neither EndpointSlices of Service default/kubernetes nor a "
                    + "node marked so", at: place)
    }

    // MARK: CIDRs

    private func report(_ block: CIDRBlock, _ findings: inout DiagnosticsCollector) {
        let network = population.podNetworks.first { $0.contains(block.prefix) }
        let inside = population.addresses(in: block.prefix, nodes: !cidrMatchesNodes).map { Prefix(host: $0) }
        let networks = population.podNetworks.filter { block.prefix.contains($0) }
        guard network != nil || isCovered(block.prefix, by: inside + networks + block.except) else { return }
        findings.warning(
            .clusterCIDR,
            "\(block.text) matches nothing: "
                + (network.map { "it lies inside the pod network \($0)" }
                    ?? (block.except.contains(block.prefix)
                        ? "its exceptions leave nothing" : "it covers only addresses of the cluster"))
                + ", and CIDR rules mean the outside; select endpoints by labels", at: place)
    }

    /// Whether every address of a prefix lies in one of the others.
    private func isCovered(_ prefix: Prefix, by others: [Prefix]) -> Bool {
        func last(_ prefix: Prefix) -> UInt128 {
            let hostBits = prefix.family.bitWidth - prefix.length
            return hostBits >= 128 ? .max : prefix.address.value | ((UInt128(1) << UInt128(hostBits)) - 1)
        }
        var next = prefix.address.value
        for other in others.sorted() where last(other) >= next {
            guard other.address.value <= next else { return false }
            if last(other) >= last(prefix) { return true }
            next = last(other) + 1
        }
        return false
    }

    // MARK: Services

    private func report(_ reference: ServiceReference, _ findings: inout DiagnosticsCollector) {
        switch reference {
        case .named(let namespace, let name):
            let inScope = inventory.services.filter { namespace == nil || $0.namespace == namespace }
            guard !inScope.contains(where: { $0.name == name }) else { return }
            let written = namespace.map { "\($0)/\(name)" } ?? name
            let names = inScope.isEmpty ? inventory.services.map(\.qualifiedName) : inScope.map(\.name)
            findings.warning(
                .unknownService,
                "there is no Service \"\(written)\"" + suggestion(inScope.isEmpty ? written : name, among: names),
                at: place)
        case .selected(let selector, let namespace):
            guard !inventory.services.contains(where: reference.covers) else { return }
            let scope = namespace.map { " in namespace \"\($0)\"" } ?? ""
            findings.warning(
                .unknownService, "no Service\(scope) has the labels \(selector.text)", at: place)
        }
    }
}
