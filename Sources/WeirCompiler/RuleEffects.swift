internal import WeirModel

/// What each rule of a resolution does, from every cell in which it applies.
struct RuleEffects {
    /// Parallel to the resolution's rules.
    private(set) var effects: [PolicyAnalysis.Effect] = []

    private let resolution: RuleSetResolution
    private let cells: [PolicyCells.Cell]
    /// For each origin the cells in which it applies.
    private var cellsOfOrigin: [[Int]]
    /// Origins that are left out, as nothing changes without them.
    private var leftOut: Set<Int> = []

    init(resolution: RuleSetResolution, cells: PolicyCells) {
        self.resolution = resolution
        self.cells = cells.cells
        cellsOfOrigin = Array(repeating: [], count: resolution.origins.count)
        for (index, cell) in self.cells.enumerated() {
            for origin in Set(cell.inputs.map(\.origin)) { cellsOfOrigin[origin].append(index) }
        }
        let order = resolution.rules.indices.sorted { isAskedBefore(resolution.rules[$0], resolution.rules[$1]) }
        effects = Array(repeating: .matchesNothing, count: resolution.rules.count)
        for index in order {
            let rule = resolution.rules[index]
            guard !cellsOfOrigin[rule.origin].isEmpty else { continue }
            guard !isNeeded(rule.origin, without: []), !isNeeded(rule.origin, without: leftOut) else {
                effects[index] = .decides
                continue
            }
            leftOut.insert(rule.origin)
            effects[index] = effect(of: rule)
        }
    }

    /// The narrower of two rules that could each do without the other is the one to leave out, then the later.
    private func isAskedBefore(_ left: RuleSetResolution.AppliedRule, _ right: RuleSetResolution.AppliedRule) -> Bool {
        func width(_ rule: RuleSetResolution.AppliedRule) -> Int {
            (rule.rule.ports == .any ? 1 : 0) + (rule.rule.peers == .any ? 1 : 0)
        }
        return (width(left), right.origin) < (width(right), left.origin)
    }

    /// Whether a verdict changes without it, where others are missing already.
    private func isNeeded(_ origin: Int, without missing: Set<Int>) -> Bool {
        cellsOfOrigin[origin].contains { index in
            let cell = cells[index]
            let remaining = cell.inputs.filter { !missing.contains($0.origin) }
            let before = Verdicts(PortTable(remaining, cell.decision), cell.decision)
            let after = Verdicts(PortTable(remaining.filter { $0.origin != origin }, cell.decision), cell.decision)
            return before != after
        }
    }

    // MARK: Who decides instead

    /// Of a rule that is left out. Instead of a rule in force, none in audit mode decides.
    private func effect(of rule: RuleSetResolution.AppliedRule) -> PolicyAnalysis.Effect {
        var deciding: Set<Int> = []
        var hasSay = false
        for index in cellsOfOrigin[rule.origin] {
            let cell = rule.isAudited ? cells[index] : cells[index].inForce
            let others = cell.inputs.filter { !leftOut.contains($0.origin) }
            let table = PortTable(others, cell.decision)
            for input in cell.inputs where input.origin == rule.origin {
                let rulings = table.rulings(within: input.ports, fallback: cell.decision.fallback)
                deciding.formUnion(rulings.flatMap(\.origins))
                deciding.formUnion(others.filter { isPass($0, before: input) }.map(\.origin))
                hasSay = hasSay || matters(input, among: others, cell, rulings)
            }
        }
        let origins = deciding.sorted().map { resolution.origins[$0] }
        return hasSay ? .redundant(with: origins) : .shadowed(by: origins)
    }

    /// Whether a rule that certainly matches leaves the ordered tier before another is asked; nothing names it.
    private func isPass(_ pass: AppliedInput, before input: AppliedInput) -> Bool {
        pass.action == .pass && pass.isCertain && (pass.tier < .network) == (input.tier < .network)
            && (pass.tier > .network) == (input.tier > .network)
            && (pass.tier, pass.spec, pass.origin) < (input.tier, input.spec, input.origin)
    }

    /// Whether it would make a difference if the rule said something else. A deny beside another deny of its tier
    /// only repeats it.
    private func matters(
        _ input: AppliedInput, among others: [AppliedInput], _ cell: PolicyCells.Cell, _ rulings: [Ruling]
    ) -> Bool {
        if input.tier == .network, input.action == .deny {
            let denies = Set(others.filter { $0.tier == .network && $0.action == .deny }.map(\.origin))
            return rulings.contains { $0.kind == .deny && !denies.isDisjoint(with: $0.origins) }
        }
        let actions: [RuleAction] = input.tier == .network ? [.deny] : [.allow, .deny, .pass]
        let without = Verdicts(PortTable(others, cell.decision), cell.decision)
        return actions.contains { action in
            var changed = input
            changed.action = action
            changed.isCertain = true
            return Verdicts(PortTable(others + [changed], cell.decision), cell.decision) != without
        }
    }
}

/// A port table without the names of those who decide.
private struct Verdicts: Hashable {
    private struct Verdict: Hashable {
        var kind: Ruling.Kind
        var isAudited: Bool

        init(_ ruling: Ruling) {
            kind = ruling.kind
            isAudited = ruling.isAudited
        }
    }

    private struct Entry: Hashable {
        var `protocol`: IPProtocol
        var ports: ClosedRange<UInt16>
        var verdict: Verdict
    }

    private var everything: Verdict
    private var ranges: [Entry] = []

    init(_ table: PortTable, _ decision: AuditedDecision) {
        everything = Verdict(table.everything ?? decision.fallback)
        for entry in table.ranges {
            let verdict = Verdict(entry.ruling)
            guard verdict != everything else { continue }
            if let last = ranges.last, last.protocol == entry.protocol, last.verdict == verdict,
                UInt32(last.ports.upperBound) + 1 == UInt32(entry.ports.lowerBound)
            {
                ranges[ranges.count - 1].ports = last.ports.lowerBound...entry.ports.upperBound
            } else {
                ranges.append(Entry(protocol: entry.protocol, ports: entry.ports, verdict: verdict))
            }
        }
    }
}

extension PortTable {
    /// Every ruling that something within these ports gets.
    fileprivate func rulings(within ports: ResolvedPorts, fallback: Ruling) -> [Ruling] {
        let rest = everything ?? fallback
        guard let wanted = ports.ranges else { return [rest] + ranges.map(\.ruling) }
        return wanted.flatMap { range -> [Ruling] in
            let inside = ranges.filter { $0.protocol == range.protocol && $0.ports.overlaps(range.ports) }
            let covered = inside.reduce(0) { $0 + $1.ports.clamped(to: range.ports).count }
            return inside.map(\.ruling) + (covered < range.ports.count ? [rest] : [])
        }
    }
}
