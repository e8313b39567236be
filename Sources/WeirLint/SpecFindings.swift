internal import WeirCompiler
internal import WeirDiagnostics
internal import WeirModel

/// What is to be said about one spec and its rules, each rule for itself.
struct SpecFindings {
    let spec: PolicySpec
    let inventory: Inventory
    let population: Population
    let analysis: PolicyAnalysis
    let node: String?
    let options: PolicyOptions

    func report(to findings: inout DiagnosticsCollector) {
        guard let subjects = subjects(&findings) else { return }
        let onNode = subjects.filter { node == nil || population.endpoints[$0].node == node }
        for rule in spec.rules {
            var own = DiagnosticsCollector()
            reportEmpty(rule, &own)
            let peers = PeerFindings(
                rule: rule, inventory: inventory, population: population,
                cidrMatchesNodes: options.cidrMatchesNodes)
            peers.report(to: &own)
            if case .endpoints = spec.subject, !onNode.isEmpty {
                PortFindings(rule: rule, subjects: onNode, inventory: inventory, population: population)
                    .report(to: &own)
            }
            reportEffect(rule, isExplained: !own.all.isEmpty || isEmptyOnPurpose(rule), &own)
            WidthFindings(rule: rule).report(to: &own)
            findings.append(contentsOf: own.all)
        }
    }

    /// Indices of the endpoints that the spec selects; nil, reported, where it selects nobody.
    private func subjects(_ findings: inout DiagnosticsCollector) -> [Int]? {
        let place = spec.origin.location
        switch spec.subject {
        case .nodes(let selector):
            // Under another setting they are no subjects; that is the decoder's to say.
            guard options.hostFirewall else { return nil }
            if !inventory.nodes.contains(where: { spec.subject.matches($0) }) {
                findings.warning(
                    .unmatchedSubject, "the policy selects no node: none has \(selector.text)", at: place)
                return nil
            }
            return []
        case .endpoints(let selector):
            let subjects = population.endpoints(matching: selector)
            guard subjects.isEmpty else { return subjects }
            let why = SelectorDoubt(selector, population)
            findings.append(
                Diagnostic(
                    .warning, why.id(otherwise: .unmatchedSubject),
                    "the policy selects no endpoint (\(selector.text)): \(why.text)", at: place))
            return nil
        }
    }

    // MARK: Empty lists

    /// `ingress: [{}]` alone is how one writes a default deny, and `none` says what it is.
    private func isEmptyOnPurpose(_ rule: Rule) -> Bool {
        switch rule.peers {
        case .list([]):
            rule.ports == .any && spec.enforces.contains(rule.direction)
                && spec.rules.count { $0.direction == rule.direction && $0.action == rule.action } == 1
        case .list([.entity(.none)]): true
        default: false
        }
    }

    private func reportEmpty(_ rule: Rule, _ findings: inout DiagnosticsCollector) {
        if rule.peers == .list([]), !isEmptyOnPurpose(rule) {
            findings.warning(
                .emptyRule, "the rule names no peer, so it matches nothing; for every peer leave the list out",
                at: rule.origin.location)
        }
        if rule.ports == .list([]) {
            findings.warning(
                .emptyRule, "the rule's lists of ports name none, so it matches nothing", at: rule.origin.location)
        }
    }

    // MARK: Effect

    /// - Parameter isExplained: it is said already why the rule matches nothing, or needs no saying.
    private func reportEffect(_ rule: Rule, isExplained: Bool, _ findings: inout DiagnosticsCollector) {
        guard options.enforcementMode != .never, let effect = analysis.effects[rule.origin] else { return }
        let place = rule.origin.location
        switch effect {
        case .decides, .selectsNobody: break
        // A policy in audit mode is there to change nothing.
        case .shadowed where spec.isAudited, .redundant where spec.isAudited: break
        case .matchesNothing:
            if isExplained { break }
            findings.warning(.unmatchedRule, "the rule matches nothing that its endpoints could meet", at: place)
        case .shadowed(let others):
            findings.warning(
                .shadowedRule,
                "the rule never decides anything: \(instead(others)) always \(others.count == 1 ? "decides" : "decide") "
                    + "instead", at: place, notes: note(others, "this \(word(others.first)) decides instead"))
        case .redundant(let others):
            let message =
                others.isEmpty
                ? "the rule changes nothing: without it the same is allowed"
                : "the rule changes nothing: \(instead(others)) \(others.count == 1 ? "says" : "say") the same"
            findings.append(
                Diagnostic(
                    .note, .redundantRule, message, at: place,
                    notes: note(others, "this \(word(others.first)) says the same")))
        }
    }

    private func instead(_ others: [RuleOrigin]) -> String {
        guard let first = others.first else { return "what is asked earlier" }
        return others.count == 1 ? "\(first)" : "\(first) and \(others.count - 1) more"
    }

    private func word(_ origin: RuleOrigin?) -> String { origin?.section == nil ? "policy" : "rule" }

    private func note(_ others: [RuleOrigin], _ message: String) -> [Diagnostic.Note] {
        others.first.map { [Diagnostic.Note(message, at: $0.location)] } ?? []
    }
}
