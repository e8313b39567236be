internal import WeirModel

/// A decision before rule ids are numbered: who decided is a sorted list of indices into the
/// compiler's origins.
struct Ruling: Hashable, Sendable {
    enum Kind: Int, Hashable, Sendable, Comparable {
        case allow, defaultDeny, deny

        static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    }
    var kind: Kind
    var origins: [Int]
    /// A refusal that is reported and passes.
    var isAudited = false

    init(_ kind: Kind, origins: some Sequence<Int> = []) {
        self.kind = kind
        self.origins = Set(origins).sorted()
    }

    /// Whether a packet goes on.
    var passes: Bool { kind == .allow || isAudited }
}

/// A rule of a rule set, as it applies to one peer.
struct AppliedInput: Hashable, Sendable {
    /// Index into the compiler's origins.
    var origin: Int
    var tier: Tier
    /// The origin of its spec: in the ordered tiers, the rules of one spec are asked one after the other.
    var spec: Int
    var action: RuleAction
    var ports: ResolvedPorts
    /// False for a pass that only might match; a deny that might counts as one that does, and an allow as none.
    var isCertain: Bool
    /// Of a policy in audit mode.
    var isAudited: Bool
}

/// Which of the rules that match a packet decides.
///
/// The admin tier is asked first, then the network tier, then, unless the network tier enforces the
/// direction, the baseline tier. Where a pass might match and might not, the answer is the more
/// restrictive of the two that are possible, so doubt never widens.
///
/// Worked example: admin priority 5 passes tcp/80, admin priority 9 denies everything; the network tier
/// allows tcp/80. Then tcp/80 is allowed by the network tier and all else is denied by priority 9.
struct TieredDecision {
    /// What decides where no rule does.
    var fallback: Ruling
    /// What comes below every rule of the network tier.
    var base: Ruling?

    private var isEnforced: Bool { fallback.kind == .defaultDeny }

    /// - Parameter matching: the rules that match, sorted by tier, spec and origin.
    /// - Returns: nil where the fallback decides.
    func decide(_ matching: [AppliedInput]) -> Ruling? {
        let network = matching.filter { $0.tier == .network }
        guard network.count < matching.count else { return decideInNetworkTier(network) ?? base }
        let admin = matching.filter { $0.tier < .network }
        let baseline = matching.filter { $0.tier > .network }
        let belowAdmin =
            decideInNetworkTier(network) ?? base ?? (isEnforced ? nil : decideInOrder(baseline, otherwise: nil))
        return decideInOrder(admin, otherwise: belowAdmin)
    }

    /// Any deny beats any allow. A rule for every port is named alone: what is narrower adds nothing to it.
    private func decideInNetworkTier(_ matching: [AppliedInput]) -> Ruling? {
        for (action, kind) in [(RuleAction.deny, Ruling.Kind.deny), (.allow, .allow)] {
            let deciding = matching.filter { $0.action == action }
            guard !deciding.isEmpty else { continue }
            let wide = deciding.filter { $0.ports.ranges == nil }
            return Ruling(kind, origins: (wide.isEmpty ? deciding : wide).map(\.origin))
        }
        return nil
    }

    // MARK: Ordered tiers

    /// What one priority says; the greater beats the lesser where specs of one priority disagree.
    private enum Outcome: Int, Comparable {
        case nothing, allow, pass, deny

        static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    }

    /// `otherwise` is what holds where the tier passes or says nothing.
    private func decideInOrder(_ matching: [AppliedInput], otherwise: Ruling?) -> Ruling? {
        var result = otherwise
        for level in matching.chunked(by: { $0.tier == $1.tier }).reversed() {
            let possible = possibleOutcomes(level).map { outcome, origins -> Ruling? in
                switch outcome {
                case .nothing: result
                case .pass: otherwise
                case .allow: Ruling(.allow, origins: origins)
                case .deny: Ruling(.deny, origins: origins)
                }
            }
            result = possible.max { kind($0) < kind($1) } ?? result
        }
        return result
    }

    private func kind(_ ruling: Ruling?) -> Ruling.Kind { ruling?.kind ?? fallback.kind }

    /// In the order of `Outcome`.
    private func possibleOutcomes(_ level: ArraySlice<AppliedInput>) -> [(Outcome, Set<Int>)] {
        var combined: [Outcome: Set<Int>] = [.nothing: []]
        for spec in level.chunked(by: { $0.spec == $1.spec }) {
            var next: [Outcome: Set<Int>] = [:]
            for (left, leftOrigins) in combined {
                for (right, rightOrigins) in possibleOutcomes(ofSpec: spec) {
                    let outcome = max(left, right)
                    if outcome == left { next[outcome, default: []].formUnion(leftOrigins) }
                    if outcome == right { next[outcome, default: []].formUnion(rightOrigins) }
                }
            }
            combined = next
        }
        return combined.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// The first rule that certainly matches ends the list; one that might match leaves both ways open.
    private func possibleOutcomes(ofSpec rules: ArraySlice<AppliedInput>) -> [Outcome: Set<Int>] {
        var outcomes: [Outcome: Set<Int>] = [:]
        for rule in rules {
            let outcome: Outcome =
                switch rule.action {
                case .allow: .allow
                case .deny: .deny
                case .pass: .pass
                }
            outcomes[outcome, default: []].insert(rule.origin)
            if rule.isCertain { return outcomes }
        }
        outcomes[.nothing] = []
        return outcomes
    }
}

extension Collection {
    /// Runs of neighbours that belong together.
    fileprivate func chunked(by belongTogether: (Element, Element) -> Bool) -> [SubSequence] {
        var chunks: [SubSequence] = []
        var start = startIndex
        while start < endIndex {
            var end = index(after: start)
            while end < endIndex, belongTogether(self[start], self[end]) { formIndex(after: &end) }
            chunks.append(self[start..<end])
            start = end
        }
        return chunks
    }
}
