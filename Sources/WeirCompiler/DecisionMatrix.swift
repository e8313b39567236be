internal import OrderedCollections
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
    /// Frontends of which some backends are allowed and some are not.
    private(set) var mixedFrontends: Set<MixedFrontend> = []

    struct MixedFrontend: Hashable, Sendable {
        var ruleSet: Int
        var service: Int
        var `protocol`: IPProtocol
        var port: UInt16
    }

    /// How the rules of the node see one candidate.
    private struct Signature: Hashable {
        /// A kind with a fixed group, which is treated by itself.
        var fixedGroup: PeerGroup?
        /// Parallel to the distinct peers of all rules.
        var matches: [PeerMatch]
        /// What it calls its ports, where an egress rule asks for one.
        var ports: [NamedPort]
        /// Of a Service address, with classes as peers.
        var frontends: [Frontend]?
    }

    /// One candidate for all of its class.
    private struct Representative {
        var candidate: PeerCandidate
        var matches: [PeerMatch]
        var frontends: [Frontend]?
    }

    /// - Parameter everyPort: what port names may mean at a pod that nobody knows.
    init(resolution: RuleSetResolution, catalogue: PeerCatalogue, everyPort: [NamedPort]) {
        var distinctPeers: OrderedSet<Peers> = []
        let peersOfRule = resolution.rules.map { distinctPeers.append($0.rule.peers).index }
        let matches = Self.matches(of: distinctPeers, in: catalogue.candidates)

        var representatives: [Representative] = []
        var signatures: OrderedSet<Signature> = []
        for (index, candidate) in catalogue.candidates.enumerated() {
            // Services come last, so the classes of their backends are known.
            let frontends = candidate.kind == .service ? candidate.frontends.map(inClasses) : nil
            let signature = Signature(
                fixedGroup: candidate.fixedGroup, matches: matches[index],
                ports: candidate.ports, frontends: frontends)
            let (isNew, number) = signatures.append(signature)
            if isNew {
                representatives.append(
                    Representative(candidate: candidate, matches: matches[index], frontends: frontends))
            }
            classOfCandidate.append(number)
        }

        for (ruleSetIndex, ruleSet) in resolution.ruleSets.enumerated() {
            // Classes that the rule set's own rules match alike share the work, too.
            var memo: [CellKey: Int] = [:]
            var row: [Int] = []
            for (number, representative) in representatives.enumerated() {
                let key = CellKey(
                    applied: ruleSet.rules.compactMap { rule in
                        let match = representative.matches[peersOfRule[rule]]
                        return resolution.rules[rule].rule.action.applies(match).map {
                            Applied(rule: rule, isCertain: $0)
                        }
                    },
                    ports: representative.candidate.ports,
                    kind: representative.candidate.kind.isAsItsRules ? nil : representative.candidate.kind)
                if let known = memo[key], representative.frontends == nil {
                    row.append(known)
                    continue
                }
                let inputs = Self.inputs(
                    ruleSet, key.applied, resolution: resolution, candidate: representative.candidate,
                    everyPort: everyPort)
                var table = PortTable(inputs, ruleSet.decision(forHost: representative.candidate.kind == .host))
                if let frontends = representative.frontends, ruleSet.direction == .egress {
                    let judged = judge(
                        frontends, elsewhere: table.everything ?? ruleSet.fallback, fallback: ruleSet.fallback, row)
                    for frontend in judged where frontend.ruling.isMixed {
                        mixedFrontends.insert(
                            MixedFrontend(
                                ruleSet: ruleSetIndex, service: number, protocol: frontend.protocol,
                                port: frontend.port))
                    }
                    table = PortTable(
                        everything: table.everything,
                        ports: judged.compactMap { frontend in
                            frontend.ruling.ruling.map { (frontend.protocol, frontend.port, $0) }
                        }, fallback: ruleSet.fallback)
                }
                let index = tables.append(table).index
                memo[key] = index
                row.append(index)
            }
            cells.append(row)
        }
    }

    private struct CellKey: Hashable {
        var applied: [Applied]
        var ports: [NamedPort]
        var kind: PeerCandidate.Kind?
    }

    /// A rule of a rule set that counts for a peer.
    struct Applied: Hashable {
        /// Index into the resolution's rules.
        var rule: Int
        var isCertain: Bool
    }

    /// The rules that count for a peer, with their ports as they are meant there.
    static func inputs(
        _ ruleSet: RuleSet, _ applied: [Applied], resolution: RuleSetResolution, candidate: PeerCandidate,
        everyPort: [NamedPort]
    ) -> [AppliedInput] {
        applied.compactMap { applied -> AppliedInput? in
            let rule = resolution.rules[applied.rule]
            func input(_ ports: ResolvedPorts) -> AppliedInput {
                AppliedInput(
                    origin: rule.origin, tier: rule.tier, spec: rule.spec, action: rule.rule.action, ports: ports,
                    isCertain: applied.isCertain, isAudited: rule.isAudited)
            }
            if candidate.kind == .service, case .list = rule.rule.ports {
                // Beyond its frontends nobody knows who answers, and on which port.
                guard rule.rule.action != .allow else { return nil }
                var anyPort = input(ResolvedPorts(.any) { _, _ in [] })
                anyPort.isCertain = rule.rule.action == .deny
                return anyPort
            }
            let definitions: [NamedPort] =
                switch (ruleSet.direction, candidate.kind) {
                case (.ingress, _): ruleSet.subjectPorts
                case (.egress, .endpoint): candidate.ports
                // Nobody knows what the peer calls its ports: a deny takes every meaning.
                case (.egress, .unknownPod), (.egress, .masqueraded): rule.rule.action == .allow ? [] : everyPort
                case (.egress, _): []
                }
            return input(
                ResolvedPorts(rule.rule.ports) { name, protocols in
                    definitions.filter { $0.name == name && protocols.contains($0.protocol) }
                })
        }
    }

    // MARK: Services

    private func inClasses(_ frontend: Frontend) -> Frontend {
        Frontend(
            protocol: frontend.protocol, port: frontend.port,
            backends: frontend.backends.map { Frontend.Backend(peer: classOfCandidate[$0.peer], port: $0.port) })
    }

    /// Each frontend as its backends are judged. `row` has the tables of their classes.
    private func judge(
        _ frontends: [Frontend], elsewhere: Ruling, fallback: Ruling, _ row: [Int]
    ) -> [(protocol: IPProtocol, port: UInt16, ruling: FrontendRuling)] {
        frontends.map { frontend in
            let backends = frontend.backends.map {
                tables[row[$0.peer]].ruling(frontend.protocol, $0.port) ?? fallback
            }
            return (
                frontend.protocol, frontend.port,
                FrontendRuling(backends: backends, elsewhere: elsewhere, fallback: fallback)
            )
        }
    }

    /// How one backend of a frontend is judged.
    func ruling(ofCandidate candidate: Int, ruleSet: Int, _ proto: IPProtocol, _ port: UInt16) -> Ruling? {
        tables[cells[ruleSet][classOfCandidate[candidate]]].ruling(proto, port)
    }

    // MARK: Matching

    /// `result[candidate][peers]`. Selectors are asked only of candidates that have a label they need.
    private static func matches(of distinctPeers: OrderedSet<Peers>, in candidates: [PeerCandidate])
        -> [[PeerMatch]]
    {
        var result = [[PeerMatch]](
            repeating: [PeerMatch](repeating: .no, count: distinctPeers.count), count: candidates.count)
        let index = CandidateIndex(candidates)
        for (column, peers) in distinctPeers.enumerated() {
            for candidate in index.asked(by: peers) {
                result[candidate][column] = candidates[candidate].matches(peers)
            }
        }
        return result
    }
}

extension RuleAction {
    /// Whether a rule of this action counts for a peer that it matches like this: nil, if not. Allows need certainty,
    /// denies take the possibility for it, and a pass that is only possible (false) leaves both ways open.
    func applies(_ match: PeerMatch) -> Bool? {
        switch (match, self) {
        case (.yes, _), (.possibly, .deny): true
        case (.possibly, .pass): false
        case (.possibly, .allow), (.no, _): nil
        }
    }
}

extension PeerCandidate.Kind {
    /// Whether nothing but the rules that match decides about it.
    var isAsItsRules: Bool {
        switch self {
        case .endpoint, .hostAddress, .remoteNode, .outside, .multicast: true
        case .host, .unknownPod, .masqueraded, .service: false
        }
    }
}

extension Inventory {
    /// Every port that some pod has a name for, sorted.
    var everyPort: [NamedPort] { Set(endpoints.flatMap(\.ports)).sorted() }
}
