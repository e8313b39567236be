internal import WeirImage
internal import WeirModel

/// One direction of one subject and one peer: which rules match, and what would happen with others.
struct SideInquiry {
    let question: SideExplanation.Question
    let ruleSet: RuleSet
    private let resolution: RuleSetResolution
    private let candidate: PeerCandidate
    private let decision: AuditedDecision
    /// The rules whose peers match, in the order in which they count.
    private let inputs: [AppliedInput]
    private let portNames: (String, [IPProtocol]) -> [NamedPort]

    init(
        question: SideExplanation.Question, resolution: RuleSetResolution, ruleSet: RuleSet, candidate: PeerCandidate,
        everyPort: [NamedPort]
    ) {
        self.question = question
        self.resolution = resolution
        self.ruleSet = ruleSet
        self.candidate = candidate
        decision = ruleSet.decision(forHost: candidate.kind == .host)
        let applied = ruleSet.rules.compactMap { rule in
            resolution.rules[rule].rule.action.applies(candidate.matches(resolution.rules[rule].rule.peers)).map {
                DecisionMatrix.Applied(rule: rule, isCertain: $0)
            }
        }
        inputs =
            DecisionMatrix.inputs(
                ruleSet, applied, resolution: resolution, candidate: candidate, everyPort: everyPort
            ).inOrder
        let subjectPorts = ruleSet.subjectPorts
        let peerPorts = candidate.ports
        let direction = ruleSet.direction
        portNames = { name, protocols in
            (direction == .ingress ? subjectPorts : peerPorts).filter {
                $0.name == name && protocols.contains($0.protocol)
            }
        }
    }

    func decider(_ ruling: Ruling) -> SideExplanation.Decider {
        let kind: Decision.Kind =
            switch ruling.kind {
            case .allow: .allow
            case .deny: .deny
            case .defaultDeny: .defaultDeny
            }
        return SideExplanation.Decider(
            kind: kind, isAudited: ruling.isAudited, rules: ruling.origins.map { resolution.origins[$0] })
    }

    // MARK: Rules

    func rules(decidedBy ruling: Ruling, of labels: LabelSet?) -> [SideExplanation.ConsideredRule] {
        ruleSet.rules.map { resolution.rules[$0] }
            .sorted { ($0.tier, $0.spec, $0.origin) < ($1.tier, $1.spec, $1.origin) }
            .map { applied in
                let match = candidate.matches(applied.rule.peers)
                let ports = ports(of: applied.rule)
                return SideExplanation.ConsideredRule(
                    origin: applied.rule.origin, tier: applied.tier, action: applied.rule.action,
                    isAudited: applied.isAudited, peers: SideExplanation.Match(match),
                    peersReason: candidate.reason(match, for: applied.rule.peers, labels: labels),
                    ports: ports.matches ? .yes : .no, portsReason: ports.reason,
                    decides: ruling.origins.contains(applied.origin))
            }
    }

    private func ports(of rule: Rule) -> (matches: Bool, reason: String) {
        guard case .list(let list) = rule.ports else { return (true, "any port") }
        let resolved = ResolvedPorts(rule.ports, named: portNames)
        let said = list.isEmpty ? "no port" : list.map(\.words).joined(separator: ", ")
        return (resolved.covers(question.protocol, question.port), said)
    }

    // MARK: Remedies

    /// Changes of which each alone turns the answer round, tried by deciding again.
    func remedies(_ ruling: Ruling) -> [SideExplanation.Remedy] {
        var remedies: [SideExplanation.Remedy] = []
        if let removal = removal(ruling) { remedies.append(removal) }
        if !ruling.passes {
            for rule in ruleSet.rules.map({ resolution.rules[$0] }) where rule.rule.action == .allow {
                let matches = candidate.matches(rule.rule.peers) == .yes
                let covers = ports(of: rule.rule).matches
                guard matches != covers else { continue }
                if decide(with: [input(rule)]).passes {
                    remedies.append(matches ? .widenPorts(rule.rule.origin) : .widenPeers(rule.rule.origin))
                }
            }
        }
        let action: RuleAction = ruling.passes ? .deny : .allow
        if decide(with: [added(action)]).passes != ruling.passes {
            remedies.append(.addRule(action))
        }
        if ruling.passes, ruling.kind == .allow, ruling.origins.isEmpty, ruleSet.fallback.kind == .allow {
            remedies.append(.enforce)
        }
        return remedies
    }

    /// Takes away what decides until the answer turns; nil where it never does, or specs decide.
    private func removal(_ ruling: Ruling) -> SideExplanation.Remedy? {
        var removed: Set<Int> = []
        var current = ruling
        while current.passes == ruling.passes {
            let rules = Set(current.origins).intersection(inputs.map(\.origin)).subtracting(removed)
            guard !rules.isEmpty else { return nil }
            removed.formUnion(rules)
            current = decide(with: [], without: removed)
        }
        return .remove(removed.sorted().map { resolution.origins[$0] }, leaves: decider(current))
    }

    private func decide(with more: [AppliedInput], without removed: Set<Int> = []) -> Ruling {
        let matching = (inputs.filter { !removed.contains($0.origin) } + more)
            .filter { $0.ports.covers(question.protocol, question.port) }
        return decision.decide(matching.inOrder) ?? decision.fallback
    }

    /// A rule as if it took in the flow.
    private func input(_ rule: RuleSetResolution.AppliedRule) -> AppliedInput {
        AppliedInput(
            origin: rule.origin, tier: rule.tier, spec: rule.spec, action: rule.rule.action,
            ports: ResolvedPorts(.any) { _, _ in [] }, isCertain: true, isAudited: rule.isAudited)
    }

    private func added(_ action: RuleAction) -> AppliedInput {
        AppliedInput(
            origin: resolution.origins.count, tier: .network, spec: resolution.origins.count, action: action,
            ports: ResolvedPorts(.any) { _, _ in [] }, isCertain: true, isAudited: false)
    }
}

extension [AppliedInput] {
    fileprivate var inOrder: Self { sorted { ($0.tier, $0.spec, $0.origin) < ($1.tier, $1.spec, $1.origin) } }
}

extension ResolvedPorts {
    fileprivate func covers(_ proto: IPProtocol, _ port: UInt16) -> Bool {
        ranges?.contains { $0.protocol == proto && $0.ports.contains(port) } ?? true
    }
}

extension SideExplanation.Match {
    fileprivate init(_ match: PeerMatch) {
        self =
            switch match {
            case .no: .no
            case .possibly: .possibly
            case .yes: .yes
            }
    }
}

extension PortMatch {
    /// `80/tcp`, `8000-8100/udp`, `http/tcp`.
    fileprivate var words: String {
        switch self {
        case .range(let proto, let range):
            let name = proto.description.lowercased()
            if range == 0...UInt16.max { return name }
            return range.count == 1 ? "\(range.lowerBound)/\(name)" : "\(range.lowerBound)-\(range.upperBound)/\(name)"
        case .named(let name, let protocols):
            return protocols == IPProtocol.withPorts
                ? name : protocols.map { "\(name)/\($0.description.lowercased())" }.joined(separator: ", ")
        }
    }
}
