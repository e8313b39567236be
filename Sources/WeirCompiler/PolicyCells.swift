internal import OrderedCollections
internal import WeirModel

/// Every distinct meeting of a subject's direction with a peer: which rules match, and what decides where they do not.
struct PolicyCells: Sendable {
    struct Cell: Sendable {
        /// Sorted by tier, spec and origin: `PortTable`'s order. None is without ports.
        var inputs: [AppliedInput]
        var decision: AuditedDecision

        /// Without the policies in audit mode.
        var inForce: Cell {
            Cell(inputs: inputs.filter { !$0.isAudited }, decision: AuditedDecision(inForce: decision.inForce))
        }
    }

    private(set) var cells: [Cell] = []

    /// What makes two meetings the same.
    private struct Key: Hashable {
        var applied: [DecisionMatrix.Applied]
        var inForce: Defaults
        var withAudited: Defaults?
        var direction: Direction
        /// What the rules' port names mean.
        var ports: [NamedPort]
        var kind: PeerCandidate.Kind?

        struct Defaults: Hashable {
            var fallback: Ruling.Kind
            var admitsHost: Bool

            init(_ defaults: RuleSet.Defaults, forHost isHost: Bool) {
                fallback = defaults.fallback.kind
                admitsHost = defaults.admitsHost && isHost
            }
        }
    }

    init(resolution: RuleSetResolution, catalogue: PeerCatalogue, inventory: Inventory) {
        var classes = PeerClasses(resolution: resolution, catalogue: catalogue)
        let everyPort = inventory.everyPort
        var known: Set<Key> = []
        for ruleSet in resolution.ruleSets {
            let namesMatter =
                ruleSet.direction == .egress && ruleSet.rules.contains { resolution.rules[$0].rule.ports.hasNames }
            for meeting in classes.meetings(of: ruleSet, resolution: resolution) {
                let candidate = meeting.candidate
                let isHost = candidate.kind == .host
                let key = Key(
                    applied: meeting.applied, inForce: Key.Defaults(ruleSet.inForce, forHost: isHost),
                    withAudited: ruleSet.withAudited.map { Key.Defaults($0, forHost: isHost) },
                    direction: ruleSet.direction,
                    ports: namesMatter ? candidate.ports : ruleSet.subjectPorts,
                    kind: candidate.kind.isAsItsRules ? nil : candidate.kind)
                guard known.insert(key).inserted else { continue }
                let inputs = DecisionMatrix.inputs(
                    ruleSet, meeting.applied, resolution: resolution, candidate: candidate, everyPort: everyPort
                ).filter { $0.ports.ranges?.isEmpty != true }
                guard !inputs.isEmpty else { continue }
                cells.append(Cell(inputs: inputs, decision: ruleSet.decision(forHost: isHost)))
            }
        }
    }
}
