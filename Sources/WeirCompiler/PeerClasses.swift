internal import OrderedCollections
internal import WeirModel

/// Candidates that every rule of a resolution matches alike are one class.
///
/// A rule set meets each class that one of its narrow peers singles out, and the rest in *backgrounds*: classes that
/// its wide peers match alike. Rule sets share their wide peers, so few partitions serve them all.
struct PeerClasses {
    /// One for all classes that the rule set treats alike.
    struct Meeting {
        var candidate: PeerCandidate
        /// Ascending.
        var applied: [DecisionMatrix.Applied]
    }

    private struct Match: Hashable {
        var peers: Int
        var match: PeerMatch
    }

    /// What no rule can make alike.
    private struct Nature: Hashable {
        var kind: PeerCandidate.Kind?
        /// Where an egress rule asks for a name.
        var ports: [NamedPort]
    }

    private struct Signature: Hashable {
        var nature: Nature
        var matches: [Match]
    }

    private struct Partition {
        /// For each class.
        var partOfClass: [Int] = []
        /// The classes of each part, ascending.
        var parts: [[Int]] = []
    }

    /// Peers that match more classes than this are wide.
    private static let narrow = 32

    private var peersOfRule: [Int] = []
    private var representatives: [PeerCandidate] = []
    private var natureOfClass: [Int] = []
    /// For each of the distinct peers the classes that it matches.
    private var classesOfPeers: [[(number: Int, match: PeerMatch)]] = []
    /// For each wide peer how it matches each class.
    private var matchesOfWide: [Int: [PeerMatch]] = [:]
    /// By the wide peers that matter, ascending.
    private var partitions: [[Int]: Partition] = [:]

    init(resolution: RuleSetResolution, catalogue: PeerCatalogue) {
        var distinctPeers: OrderedSet<Peers> = []
        for applied in resolution.rules { peersOfRule.append(distinctPeers.append(applied.rule.peers).index) }
        let index = CandidateIndex(catalogue.candidates)
        var matches = [[Match]](repeating: [], count: catalogue.candidates.count)
        for (number, peers) in distinctPeers.enumerated() {
            for candidate in Set(index.asked(by: peers)) {
                let match = catalogue.candidates[candidate].matches(peers)
                if match != .no { matches[candidate].append(Match(peers: number, match: match)) }
            }
        }
        classesOfPeers = Array(repeating: [], count: distinctPeers.count)
        var signatures: OrderedSet<Signature> = []
        var natures: OrderedSet<Nature> = []
        for (index, candidate) in catalogue.candidates.enumerated() {
            let nature = Nature(
                kind: candidate.kind.isAsItsRules ? nil : candidate.kind, ports: candidate.ports)
            let (isNew, number) = signatures.append(Signature(nature: nature, matches: matches[index]))
            guard isNew else { continue }
            representatives.append(candidate)
            natureOfClass.append(natures.append(nature).index)
            for match in matches[index] { classesOfPeers[match.peers].append((number, match.match)) }
        }
        for (peers, classes) in classesOfPeers.enumerated() where classes.count > Self.narrow {
            var dense = [PeerMatch](repeating: .no, count: representatives.count)
            for (number, match) in classes { dense[number] = match }
            matchesOfWide[peers] = dense
        }
    }

    /// Every way in which the rule set meets somebody, some perhaps twice.
    mutating func meetings(of ruleSet: RuleSet, resolution: RuleSetResolution) -> [Meeting] {
        var narrow: [Int: [DecisionMatrix.Applied]] = [:]
        var wide: [Int] = []
        for rule in ruleSet.rules {
            guard matchesOfWide[peersOfRule[rule]] == nil else {
                wide.append(rule)
                continue
            }
            for (number, match) in classesOfPeers[peersOfRule[rule]] {
                guard let isCertain = resolution.rules[rule].rule.action.applies(match) else { continue }
                narrow[number, default: []].append(DecisionMatrix.Applied(rule: rule, isCertain: isCertain))
            }
        }
        let partition = partition(by: Set(wide.map { peersOfRule[$0] }).sorted())
        let background = partition.parts.map { classes in
            classes.first.map { applied(wide, toClass: $0, resolution: resolution) } ?? []
        }
        var singledOut = [Int](repeating: 0, count: partition.parts.count)
        var meetings: [Meeting] = []
        for (number, applied) in narrow.sorted(by: { $0.key < $1.key }) {
            let part = partition.partOfClass[number]
            singledOut[part] += 1
            meetings.append(
                Meeting(
                    candidate: representatives[number],
                    applied: (background[part] + applied).sorted { $0.rule < $1.rule }))
        }
        for (part, classes) in partition.parts.enumerated() where singledOut[part] < classes.count {
            guard let number = classes.first(where: { narrow[$0] == nil }) else { continue }
            meetings.append(Meeting(candidate: representatives[number], applied: background[part]))
        }
        return meetings
    }

    private func applied(
        _ wide: [Int], toClass number: Int, resolution: RuleSetResolution
    ) -> [DecisionMatrix.Applied] {
        wide.compactMap { rule in
            guard let match = matchesOfWide[peersOfRule[rule]]?[number],
                let isCertain = resolution.rules[rule].rule.action.applies(match)
            else { return nil }
            return DecisionMatrix.Applied(rule: rule, isCertain: isCertain)
        }
    }

    private mutating func partition(by wide: [Int]) -> Partition {
        if let known = partitions[wide] { return known }
        var partition = Partition()
        var partOfVector: [[Int]: Int] = [:]
        let columns = wide.compactMap { matchesOfWide[$0] }
        for number in representatives.indices {
            let vector = [natureOfClass[number]] + columns.map { $0[number].order }
            let part = partOfVector[vector, default: partition.parts.count]
            if part == partition.parts.count {
                partOfVector[vector] = part
                partition.parts.append([])
            }
            partition.parts[part].append(number)
            partition.partOfClass.append(part)
        }
        partitions[wide] = partition
        return partition
    }
}

extension PeerMatch {
    fileprivate var order: Int {
        switch self {
        case .no: 0
        case .possibly: 1
        case .yes: 2
        }
    }
}
