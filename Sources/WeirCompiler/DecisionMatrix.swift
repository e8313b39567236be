internal import OrderedCollections
internal import WeirABI
internal import WeirImage
internal import WeirModel

/// For every rule set and peer class, the normal form of the policy between them.
///
/// Candidates that every rule of the node matches alike are one class, so a rule set is evaluated
/// once for each class, not once for each peer; classes whose column is equal in the end are one group.
struct DecisionMatrix: Sendable {
    /// For each candidate its class.
    private(set) var classOfCandidate: [Int] = []
    /// Distinct tables; `cells` points into them.
    private(set) var tables: OrderedSet<PortTable> = []
    /// `cells[ruleSet][class]`: index into `tables`.
    private(set) var cells: [[Int]] = []

    /// How the rules of the node see one candidate.
    private struct Signature: Hashable {
        /// A kind with a fixed group, which is treated by itself.
        var fixedGroup: PeerGroup?
        /// Parallel to `distinctPeers`.
        var matches: [PeerMatch]
        /// What it calls its ports, where an egress rule asks for one.
        var ports: [NamedPort]
    }

    init(resolution: RuleSetResolution, catalogue: PeerCatalogue, inventory: Inventory) {
        var distinctPeers: OrderedSet<Peers> = []
        let peersOfRule = resolution.rules.map { distinctPeers.append($0.rule.peers).index }
        let matches = Self.matches(of: distinctPeers, in: catalogue.candidates)
        let namesMatter = resolution.rules.contains { $0.rule.direction == .egress && $0.rule.ports.hasNames }

        var representatives: [Int] = []
        var signatures: OrderedSet<Signature> = []
        for (candidateIndex, candidate) in catalogue.candidates.enumerated() {
            let signature = Signature(
                fixedGroup: candidate.fixedGroup, matches: matches[candidateIndex],
                ports: namesMatter ? candidate.ports : [])
            let (isNew, index) = signatures.append(signature)
            if isNew { representatives.append(candidateIndex) }
            classOfCandidate.append(index)
        }

        let everyPort = Array(Set(inventory.endpoints.flatMap(\.ports))).sorted()
        for ruleSet in resolution.ruleSets {
            // Classes that the rule set's own rules match alike share the work, too.
            var memo: [CellKey: Int] = [:]
            cells.append(
                representatives.map { representative in
                    let candidate = catalogue.candidates[representative]
                    let key = CellKey(
                        applied: ruleSet.rules.filter { rule in
                            let match = matches[representative][peersOfRule[rule]]
                            let needed: PeerMatch =
                                resolution.rules[rule].rule.action == .allow ? .yes : .possibly
                            return match == .yes || match == needed
                        },
                        ports: namesMatter ? candidate.ports : [], kind: candidate.fixedGroup)
                    if let known = memo[key] { return known }
                    let table = Self.table(
                        ruleSet, applied: key.applied.map { resolution.rules[$0] }, candidate: candidate,
                        everyPort: everyPort)
                    let index = tables.append(table).index
                    memo[key] = index
                    return index
                })
        }
    }

    private struct CellKey: Hashable {
        var applied: [Int]
        var ports: [NamedPort]
        var kind: PeerGroup?
    }

    private static func table(
        _ ruleSet: RuleSet, applied: [RuleSetResolution.AppliedRule], candidate: PeerCandidate,
        everyPort: [NamedPort]
    ) -> PortTable {
        let inputs = applied.compactMap { applied -> PortTable.Input? in
            let action = applied.rule.action
            if candidate.kind == .service {
                // The frontend's port is not the backends': only what holds for every port is exact.
                guard case .any = applied.rule.ports else {
                    return action == .allow
                        ? nil
                        : PortTable.Input(
                            origin: applied.origin, action: .deny, ports: ResolvedPorts(.any) { _, _ in [] })
                }
            }
            let definitions: [NamedPort] =
                switch (ruleSet.direction, candidate.kind) {
                case (.ingress, _): ruleSet.subjectPorts
                case (.egress, .endpoint): candidate.ports
                // Nobody knows what the peer calls its ports: a deny takes every meaning.
                case (.egress, .unknownPod), (.egress, .masqueraded): action == .deny ? everyPort : []
                case (.egress, _): []
                }
            return PortTable.Input(
                origin: applied.origin, action: action,
                ports: ResolvedPorts(applied.rule.ports) { name, protocols in
                    definitions.filter { $0.name == name && protocols.contains($0.protocol) }
                })
        }
        let base: Ruling? =
            ruleSet.admitsHost && candidate.kind == .host ? Ruling(kind: .allow, origins: []) : nil
        return PortTable(inputs, base: base)
    }

    /// `result[candidate][peers]`. Selectors are asked only of candidates that have a label they need.
    private static func matches(of distinctPeers: OrderedSet<Peers>, in candidates: OrderedSet<PeerCandidate>)
        -> [[PeerMatch]]
    {
        var result = [[PeerMatch]](
            repeating: [PeerMatch](repeating: .no, count: distinctPeers.count), count: candidates.count)
        var endpointsWithLabel: [LabelKey: [String: [Int]]] = [:]
        var others: [Int] = []
        for (index, candidate) in candidates.enumerated() {
            guard candidate.kind == .endpoint else {
                others.append(index)
                continue
            }
            for label in candidate.labels.labels {
                endpointsWithLabel[LabelKey(source: nil, name: label.key), default: [:]][label.value, default: []]
                    .append(index)
            }
        }
        for (column, peers) in distinctPeers.enumerated() {
            let asked = neededLabels(peers).map { needed in
                others + needed.flatMap { endpointsWithLabel[LabelKey(source: nil, name: $0.name)]?[$0.value] ?? [] }
            }
            for candidate in asked ?? Array(candidates.indices) {
                result[candidate][column] = candidates[candidate].matches(peers)
            }
        }
        return result
    }

    /// Labels of which an endpoint must have at least one to match, or nil where none is certain.
    private static func neededLabels(_ peers: Peers) -> [(name: String, value: String)]? {
        guard case .list(let list) = peers else { return nil }
        var needed: [(name: String, value: String)] = []
        for peer in list {
            switch peer {
            case .cidr, .network, .nodes, .service: continue
            case .entity: return nil
            case .selector(let selector):
                let choices = selector.requirements.filter { $0.operator == .in }
                // The namespace is the widest of them, so it is the last choice.
                guard
                    let best = choices.first(where: { $0.key.name != WellKnownLabel.namespace }) ?? choices.first
                else { return nil }
                needed += best.values.map { (best.key.name, $0) }
            }
        }
        return needed
    }
}
