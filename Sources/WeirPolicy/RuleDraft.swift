internal import WeirDiagnostics
internal import WeirModel

/// A rule as far as L3 and L4 go, with what it asks for beyond.
///
/// Under `--unsupported=deny` a rule with a gap never allows more than was meant. An allow rule then matches
/// nobody. A deny rule denies all that it may have meant: whom cannot be known is everybody, which ports
/// cannot be known is all, and a further condition is left out. A Pass rule becomes such a deny.
///
/// Worked example: `egressDeny: [{toFQDNs: […], toPorts: [443]}]` becomes a deny of port 443 to everybody;
/// the same in `egress` allows nothing, and the direction stays enforced.
struct RuleDraft {
    enum Gap: Hashable {
        /// Some peers cannot be known.
        case peers
        /// Some ports cannot be known.
        case ports
        /// What matches peers and ports must fulfil something more.
        case condition
        /// What other rules allow must fulfil something more.
        case otherRules
    }

    var peers: Peers
    var ports: Ports
    var gaps: Set<Gap> = []

    func rule(_ origin: RuleOrigin, _ direction: Direction, _ action: RuleAction) -> Rule {
        var rule = Rule(origin: origin, direction: direction, action: action, peers: peers, ports: ports)
        guard !gaps.isEmpty else { return rule }
        if gaps.contains(.otherRules) {
            rule.action = .deny
            rule.peers = .any
            rule.ports = .any
            return rule
        }
        switch action {
        case .allow:
            rule.peers = .list([])
        case .deny, .pass:
            rule.action = .deny
            if gaps.contains(.peers) { rule.peers = .any }
            if gaps.contains(.ports) { rule.ports = .any }
        }
        return rule
    }
}

/// A field beyond L3 and L4.
struct UnsupportedField {
    var name: String
    /// What it would take to enforce it.
    var needs: String
    var gap: RuleDraft.Gap

    init(_ name: String, needs: String, gap: RuleDraft.Gap) {
        self.name = name
        self.needs = needs
        self.gap = gap
    }

    /// Refuses the field, or says what becomes of its rule.
    func report(
        _ mode: UnsupportedRules, in action: RuleAction, at location: SourceLocation,
        _ diagnostics: inout DiagnosticsCollector
    ) {
        let message = "\(name) would take \(needs), which weir does not have"
        switch mode {
        case .error:
            diagnostics.error(
                .unsupportedField, "\(message); with --unsupported=deny the rule \(effect(in: action))", at: location)
        case .deny:
            diagnostics.warning(.unsupportedField, "\(message), so the rule \(effect(in: action))", at: location)
        }
    }

    private func effect(in action: RuleAction) -> String {
        switch (gap, action) {
        case (.otherRules, _): "denies everything"
        case (_, .allow): "allows nothing"
        case (.peers, .deny): "denies everybody"
        case (.peers, .pass): "denies everybody instead of passing"
        case (.ports, .deny): "denies every port"
        case (.ports, .pass): "denies every port instead of passing"
        case (.condition, .deny): "denies without that condition"
        case (.condition, .pass): "denies without that condition instead of passing"
        }
    }
}
