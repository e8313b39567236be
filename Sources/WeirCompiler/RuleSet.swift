internal import OrderedCollections
internal import WeirModel

/// What one direction of one subject is judged by. Subjects with an equal rule set share a row of `peers`.
struct RuleSet: Hashable, Sendable {
    var direction: Direction
    /// Indices into `RuleSetResolution.rules`, ascending.
    var rules: [Int]
    /// What the subject's named ports mean, where an ingress rule asks for one; else empty.
    var subjectPorts: [NamedPort]
    var inForce: Defaults
    /// With the specs in audit mode; nil where none has anything to say.
    var withAudited: Defaults?

    /// What holds beside the rules of some specs.
    struct Defaults: Hashable, Sendable {
        /// What decides where no rule does.
        var fallback: Ruling
        /// The node itself is let in below every rule of the network tier.
        var admitsHost: Bool

        fileprivate func decision(forHost isHost: Bool) -> TieredDecision {
            TieredDecision(fallback: fallback, base: admitsHost && isHost ? Ruling(.allow) : nil)
        }
    }

    /// What decides where no rule does.
    var fallback: Ruling { decision(forHost: false).fallback }

    func decision(forHost isHost: Bool) -> AuditedDecision {
        AuditedDecision(
            inForce: inForce.decision(forHost: isHost), withAudited: withAudited?.decision(forHost: isHost))
    }
}

/// Which rules apply to which local subject.
struct RuleSetResolution: Sendable {
    struct AppliedRule: Sendable {
        var rule: Rule
        var tier: Tier
        /// Index into `origins`.
        var origin: Int
        /// Of its spec, an index into `origins`.
        var spec: Int
        /// Of a spec in audit mode.
        var isAudited: Bool
    }

    /// The rule sets of one subject, as indices into `ruleSets`.
    struct Directions: Hashable, Sendable {
        var egress: Int
        var ingress: Int
    }

    /// What the rules tell apart beyond labels; peers are described no further than this.
    struct Distinctions: Sendable {
        /// Every prefix of a CIDR peer, exceptions included.
        var cidrs: Set<Prefix> = []
        /// The same of network peers, which match pods and nodes too.
        var networks: Set<Prefix> = []
        var nodeLabels = false
        /// Every key that a selector of endpoints asks for.
        var labelKeys: Set<String> = []
        /// Whether an egress rule asks for what a peer calls its ports.
        var portNames = false
    }

    /// Every rule and spec that selects a local subject, in the order of their origins.
    private(set) var origins: [RuleOrigin] = []
    private(set) var rules: [AppliedRule] = []
    /// Distinct rule sets in canonical order: endpoints by name, then the host, egress before ingress.
    private(set) var ruleSets: OrderedSet<RuleSet> = []
    /// Parallel to the local endpoints.
    private(set) var endpointRuleSets: [Directions] = []
    /// Parallel to the hosts; empty without a host firewall.
    private(set) var hostRuleSets: [Directions] = []
    private(set) var distinctions = Distinctions()

    /// - Parameter hosts: nodes that are subjects themselves.
    init(policies: PolicySet, endpoints: [Endpoint], hosts: [Node], options: PolicyOptions) {
        let index = SubjectIndex(policies.specs)
        var matchingEndpoint = endpoints.map(index.matching)
        var matchingHost = hosts.map { host in
            policies.specs.indices.filter { policies.specs[$0].subject.matches(host) }
        }
        // From here on specs that select nobody do not count.
        let used = Set((matchingEndpoint + matchingHost).joined()).sorted()
        let specs = used.map { policies.specs[$0] }
        let position = Dictionary(uniqueKeysWithValues: used.enumerated().map { ($1, $0) })
        matchingEndpoint = matchingEndpoint.map { $0.compactMap { position[$0] } }
        matchingHost = matchingHost.map { $0.compactMap { position[$0] } }
        var rulesOfSpec: [[Direction: [Int]]] = []
        var originOfSpec: [Int] = []
        for spec in specs {
            let specOrigin = origins.count
            originOfSpec.append(specOrigin)
            origins.append(spec.origin)
            var indices: [Direction: [Int]] = [:]
            for rule in spec.rules.sorted(by: { $0.origin < $1.origin }) {
                indices[rule.direction, default: []].append(rules.count)
                rules.append(
                    AppliedRule(
                        rule: rule, tier: spec.tier, origin: origins.count, spec: specOrigin,
                        isAudited: spec.isAudited))
                origins.append(rule.origin)
            }
            rulesOfSpec.append(indices)
        }
        for applied in rules { distinctions.add(applied.rule) }

        func directions(of matching: [Int], ports: [NamedPort], isHost: Bool) -> Directions {
            let indices = [Direction.egress, .ingress].map { direction -> Int in
                func defaults(_ matching: [Int]) -> RuleSet.Defaults {
                    self.defaults(
                        direction, isHost: isHost,
                        enforcedBy: matching.filter { specs[$0].enforces.contains(direction) }
                            .map { originOfSpec[$0] },
                        isSelected: matching.contains {
                            specs[$0].tier == .network && specs[$0].selects.contains(direction)
                        }, options: options)
                }
                let ruleSet = self.ruleSet(
                    direction, ports: ports, rules: matching.flatMap { rulesOfSpec[$0][direction] ?? [] }.sorted(),
                    inForce: defaults(matching.filter { !specs[$0].isAudited }), all: defaults(matching),
                    options: options)
                return ruleSets.append(ruleSet).index
            }
            return Directions(egress: indices[0], ingress: indices[1])
        }
        for (endpoint, matching) in zip(endpoints, matchingEndpoint) {
            endpointRuleSets.append(directions(of: matching, ports: endpoint.ports, isHost: false))
        }
        for matching in matchingHost {
            hostRuleSets.append(directions(of: matching, ports: [], isHost: true))
        }
    }

    private func defaults(
        _ direction: Direction, isHost: Bool, enforcedBy: [Int], isSelected: Bool, options: PolicyOptions
    ) -> RuleSet.Defaults {
        let isEnforced: Bool
        switch options.enforcementMode {
        case .never: return RuleSet.Defaults(fallback: Ruling(.allow), admitsHost: false)
        case .always: isEnforced = true
        case .default: isEnforced = !enforcedBy.isEmpty
        }
        return RuleSet.Defaults(
            fallback: isEnforced ? Ruling(.defaultDeny, origins: enforcedBy) : Ruling(.allow),
            admitsHost: direction == .ingress && !isHost && isSelected && options.allowLocalhost == .always)
    }

    private func ruleSet(
        _ direction: Direction, ports: [NamedPort], rules applied: [Int], inForce: RuleSet.Defaults,
        all: RuleSet.Defaults, options: PolicyOptions
    ) -> RuleSet {
        if options.enforcementMode == .never {
            return RuleSet(direction: direction, rules: [], subjectPorts: [], inForce: inForce)
        }
        let asksForNames = direction == .ingress && applied.contains { rules[$0].rule.ports.hasNames }
        let hasAudited = all != inForce || applied.contains { rules[$0].isAudited }
        return RuleSet(
            direction: direction, rules: applied, subjectPorts: asksForNames ? ports : [], inForce: inForce,
            withAudited: hasAudited ? all : nil)
    }
}

/// Specs by the namespace that their subjects must be in, so that an endpoint asks few of them.
struct SubjectIndex {
    private let specs: [PolicySpec]
    private var ofNamespace: [String: [Int]] = [:]
    private var anywhere: [Int] = []

    init(_ specs: [PolicySpec]) {
        self.specs = specs
        for (index, spec) in specs.enumerated() {
            guard case .endpoints(let selector) = spec.subject else { continue }
            let named = selector.requirements.first {
                $0.key.name == WellKnownLabel.namespace && $0.operator == .in
            }
            guard let named else {
                anywhere.append(index)
                continue
            }
            for namespace in named.values { ofNamespace[namespace, default: []].append(index) }
        }
    }

    /// Ascending.
    func matching(_ endpoint: Endpoint) -> [Int] {
        let namespaces = Set(endpoint.labels.values(of: LabelKey(source: nil, name: WellKnownLabel.namespace)))
        let asked = Set(namespaces.flatMap { ofNamespace[$0] ?? [] }).union(anywhere)
        return asked.filter { specs[$0].subject.matches(endpoint) }.sorted()
    }
}

extension RuleSetResolution.Distinctions {
    mutating func add(_ rule: Rule) {
        if rule.direction == .egress, rule.ports.hasNames { portNames = true }
        guard case .list(let list) = rule.peers else { return }
        for peer in list {
            switch peer {
            case .cidr(let block): cidrs.formUnion([block.prefix] + block.except)
            case .network(let block): networks.formUnion([block.prefix] + block.except)
            case .nodes: nodeLabels = true
            case .selector(let selector): labelKeys.formUnion(selector.requirements.map(\.key.name))
            case .entity, .service: break
            }
        }
    }
}

extension Ports {
    var hasNames: Bool {
        guard case .list(let list) = self else { return false }
        return list.contains { if case .named = $0 { true } else { false } }
    }
}
