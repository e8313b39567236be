internal import OrderedCollections
internal import WeirModel

/// What one direction of one endpoint is judged by. Endpoints with an equal rule set share a row of `peers`.
struct RuleSet: Hashable, Sendable {
    var direction: Direction
    /// Indices into `RuleSetResolution.rules`, ascending.
    var rules: [Int]
    /// What the subject's named ports mean, where an ingress rule asks for one; else empty.
    var subjectPorts: [NamedPort]
    /// What decides where no rule does.
    var fallback: Ruling
    /// The node itself is let in below every rule.
    var admitsHost: Bool
}

/// Which rules apply to which local endpoint.
struct RuleSetResolution: Sendable {
    struct AppliedRule: Sendable {
        var rule: Rule
        /// Index into `origins`.
        var origin: Int
    }

    /// Every rule and spec that selects a local endpoint, in the order of their origins.
    private(set) var origins: [RuleOrigin] = []
    private(set) var rules: [AppliedRule] = []
    /// Distinct rule sets in canonical order: endpoints by name, egress before ingress.
    private(set) var ruleSets: OrderedSet<RuleSet> = []
    /// For each local endpoint, the index of its egress and of its ingress rule set.
    private(set) var endpointRuleSets: [(egress: Int, ingress: Int)] = []
    /// Every prefix that a local rule mentions, exceptions included.
    private(set) var prefixes: Set<Prefix> = []

    init(policies: PolicySet, endpoints: [Endpoint], options: PolicyOptions) {
        let specs = policies.specs.filter { spec in endpoints.contains { spec.subject.matches($0) } }
        var rulesOfSpec: [[Direction: [Int]]] = []
        var originOfSpec: [Int] = []
        for spec in specs {
            originOfSpec.append(origins.count)
            origins.append(spec.origin)
            var indices: [Direction: [Int]] = [:]
            for rule in spec.rules.sorted(by: { $0.origin < $1.origin }) {
                indices[rule.direction, default: []].append(rules.count)
                rules.append(AppliedRule(rule: rule, origin: origins.count))
                origins.append(rule.origin)
            }
            rulesOfSpec.append(indices)
        }
        for applied in rules {
            guard case .list(let peers) = applied.rule.peers else { continue }
            for case .cidr(let block) in peers {
                prefixes.insert(block.prefix)
                prefixes.formUnion(block.except)
            }
        }

        for endpoint in endpoints {
            let matching = specs.indices.filter { specs[$0].subject.matches(endpoint) }
            let indices = [Direction.egress, .ingress].map { direction -> Int in
                let ruleSet = self.ruleSet(
                    direction, endpoint: endpoint,
                    rules: matching.flatMap { rulesOfSpec[$0][direction] ?? [] }.sorted(),
                    enforcedBy: matching.filter { specs[$0].enforces.contains(direction) }.map { originOfSpec[$0] },
                    isSelected: matching.contains { specs[$0].selects.contains(direction) }, options: options)
                return ruleSets.append(ruleSet).index
            }
            endpointRuleSets.append((indices[0], indices[1]))
        }
    }

    private func ruleSet(
        _ direction: Direction, endpoint: Endpoint, rules applied: [Int], enforcedBy: [Int], isSelected: Bool,
        options: PolicyOptions
    ) -> RuleSet {
        let isEnforced: Bool
        switch options.enforcementMode {
        case .never:
            return RuleSet(
                direction: direction, rules: [], subjectPorts: [], fallback: Ruling(kind: .allow, origins: []),
                admitsHost: false)
        case .always: isEnforced = true
        case .default: isEnforced = !enforcedBy.isEmpty
        }
        let asksForNames = direction == .ingress && applied.contains { rules[$0].rule.ports.hasNames }
        return RuleSet(
            direction: direction, rules: applied, subjectPorts: asksForNames ? endpoint.ports : [],
            fallback: isEnforced
                ? Ruling(kind: .defaultDeny, origins: enforcedBy) : Ruling(kind: .allow, origins: []),
            admitsHost: direction == .ingress && isSelected && options.allowLocalhost == .always)
    }
}

extension Ports {
    var hasNames: Bool {
        guard case .list(let list) = self else { return false }
        return list.contains { if case .named = $0 { true } else { false } }
    }
}
