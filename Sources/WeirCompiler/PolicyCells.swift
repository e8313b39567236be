internal import OrderedCollections
internal import WeirModel

/// Every distinct meeting of a subject's direction with a peer: which rules match, and what decides where they do not.
struct PolicyCells: Sendable {
    struct Cell: Sendable {
        /// Sorted by tier, spec and origin: `PortTable`'s order. None is without ports.
        var inputs: [AppliedInput]
        var decision: TieredDecision
    }

    private(set) var cells: [Cell] = []

    /// What makes two meetings the same.
    private struct Key: Hashable {
        var applied: [DecisionMatrix.Applied]
        var fallback: Ruling.Kind
        var admitsHost: Bool
        var direction: Direction
        /// What the rules' port names mean.
        var ports: [NamedPort]
        var kind: PeerCandidate.Kind?
    }

    init(resolution: RuleSetResolution, catalogue: PeerCatalogue, inventory: Inventory) {
        let classes = PeerClasses(resolution: resolution, catalogue: catalogue)
        let everyPort = Array(Set(inventory.endpoints.flatMap(\.ports))).sorted()
        var known: Set<Key> = []
        for ruleSet in resolution.ruleSets {
            let namesMatter =
                ruleSet.direction == .egress && ruleSet.rules.contains { resolution.rules[$0].rule.ports.hasNames }
            for meeting in classes.meetings(of: ruleSet, resolution: resolution) {
                let candidate = meeting.candidate
                let key = Key(
                    applied: meeting.applied, fallback: ruleSet.fallback.kind,
                    admitsHost: ruleSet.admitsHost && candidate.kind == .host, direction: ruleSet.direction,
                    ports: namesMatter ? candidate.ports : ruleSet.subjectPorts,
                    kind: candidate.kind.isAsItsRules ? nil : candidate.kind)
                guard known.insert(key).inserted else { continue }
                let inputs = DecisionMatrix.inputs(
                    ruleSet, meeting.applied, resolution: resolution, candidate: candidate, everyPort: everyPort
                ).filter { $0.ports.ranges?.isEmpty != true }
                guard !inputs.isEmpty else { continue }
                cells.append(Cell(inputs: inputs, decision: ruleSet.decision(forHost: candidate.kind == .host)))
            }
        }
    }
}

/// Candidates that every rule matches alike, with what matches them.
private struct PeerClasses {
    struct Meeting {
        var candidate: PeerCandidate
        var applied: [DecisionMatrix.Applied]
    }

    private struct Signature: Hashable {
        var kind: PeerCandidate.Kind?
        var ports: [NamedPort]
        /// Indices into the distinct peers, without those that match everybody.
        var matches: [Match]
    }

    private struct Match: Hashable {
        var peers: Int
        var match: PeerMatch
    }

    /// What is left of a signature for rules that match everybody.
    private struct Background: Hashable {
        var kind: PeerCandidate.Kind?
        var ports: [NamedPort]
    }

    private var peersOfRule: [Int] = []
    private var distinctPeers: OrderedSet<Peers> = []
    private var representatives: [PeerCandidate] = []
    /// For each class.
    private var backgroundOfClass: [Int] = []
    /// For each background its classes.
    private var backgrounds: [[Int]] = []
    /// For each of the distinct peers the classes that it matches.
    private var classesOfPeers: [[(number: Int, match: PeerMatch)]] = []

    init(resolution: RuleSetResolution, catalogue: PeerCatalogue) {
        for applied in resolution.rules { peersOfRule.append(distinctPeers.append(applied.rule.peers).index) }
        let namesMatter = resolution.rules.contains { $0.rule.direction == .egress && $0.rule.ports.hasNames }
        let index = CandidateIndex(catalogue.candidates)
        var matches = [[Match]](repeating: [], count: catalogue.candidates.count)
        for (number, peers) in distinctPeers.enumerated() where peers != .any {
            for candidate in Set(index.asked(by: peers)) {
                let match = catalogue.candidates[candidate].matches(peers)
                if match != .no { matches[candidate].append(Match(peers: number, match: match)) }
            }
        }
        classesOfPeers = Array(repeating: [], count: distinctPeers.count)
        var signatures: OrderedSet<Signature> = []
        var backgroundNumbers: OrderedSet<Background> = []
        for (index, candidate) in catalogue.candidates.enumerated() {
            let background = Background(
                kind: candidate.kind.isAsItsRules ? nil : candidate.kind, ports: namesMatter ? candidate.ports : [])
            let (isNew, number) = signatures.append(
                Signature(kind: background.kind, ports: background.ports, matches: matches[index]))
            guard isNew else { continue }
            representatives.append(candidate)
            for match in matches[index] { classesOfPeers[match.peers].append((number, match.match)) }
            let place = backgroundNumbers.append(background).index
            if place == backgrounds.count { backgrounds.append([]) }
            backgrounds[place].append(number)
            backgroundOfClass.append(place)
        }
    }

    /// One for each class that a rule of the set singles out, and one for each background beside them.
    func meetings(of ruleSet: RuleSet, resolution: RuleSetResolution) -> [Meeting] {
        var toEverybody: [DecisionMatrix.Applied] = []
        var toClass: [Int: [DecisionMatrix.Applied]] = [:]
        for rule in ruleSet.rules {
            let peers = peersOfRule[rule]
            if distinctPeers[peers] == .any {
                toEverybody.append(DecisionMatrix.Applied(rule: rule, isCertain: true))
                continue
            }
            for (number, match) in classesOfPeers[peers] {
                guard let isCertain = resolution.rules[rule].rule.action.applies(match) else { continue }
                toClass[number, default: []].append(DecisionMatrix.Applied(rule: rule, isCertain: isCertain))
            }
        }
        var singledOut = [Int](repeating: 0, count: backgrounds.count)
        for number in toClass.keys { singledOut[backgroundOfClass[number]] += 1 }
        var meetings = toClass.sorted { $0.key < $1.key }.map { number, applied in
            Meeting(
                candidate: representatives[number], applied: (toEverybody + applied).sorted { $0.rule < $1.rule })
        }
        for (background, classes) in backgrounds.enumerated() where singledOut[background] < classes.count {
            guard let number = classes.first(where: { toClass[$0] == nil }) else { continue }
            meetings.append(Meeting(candidate: representatives[number], applied: toEverybody))
        }
        return meetings
    }
}
