internal import WeirDiagnostics
internal import WeirModel
internal import WeirSyntax

/// The spec of an AdminNetworkPolicy, a BaselineAdminNetworkPolicy or a ClusterNetworkPolicy.
///
/// It enforces no direction: what none of its rules matches goes on to the next policy.
struct AdminPolicyDecoder {
    var dialect: AdminDialect
    var name: String
    var location: SourceLocation
    var unsupported: UnsupportedRules

    /// A spec, and where its priority is written.
    struct Decoded {
        var spec: PolicySpec
        var priorityLocation: SourceLocation
    }

    func decode(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> Decoded? {
        guard var fields = cursor.fields(&diagnostics) else { return nil }
        let tier = decodeTier(&fields, &diagnostics)
        let subject = fields.required("subject", &diagnostics).flatMap { decodeSubject($0, &diagnostics) }
        var rules: [Rule] = []
        for direction in Direction.allCases { rules += decodeRules(&fields, direction, &diagnostics) }
        let priorityLocation = fields.keyLocation(of: "priority") ?? location
        fields.reportUnknown(&diagnostics)
        guard let tier, let subject else { return nil }
        let spec = PolicySpec(
            origin: origin(section: nil, index: 0, at: location), tier: tier, subject: .endpoints(subject),
            selects: Set(rules.map(\.direction)), enforces: [], rules: rules)
        return Decoded(spec: spec, priorityLocation: priorityLocation)
    }

    private func origin(section: String?, index: Int, at location: SourceLocation) -> RuleOrigin {
        RuleOrigin(
            kind: dialect.kind, namespace: nil, name: name, spec: 0, section: section, index: index,
            location: location)
    }

    // MARK: Tier

    private func decodeTier(_ fields: inout Fields, _ diagnostics: inout DiagnosticsCollector) -> Tier? {
        guard dialect.kind != .baselineAdminNetworkPolicy else {
            return .baseline(priority: AdminDialect.baselinePriority)
        }
        let tier = dialect.kind == .clusterNetworkPolicy ? fields.required("tier", &diagnostics) : nil
        let priority = fields.required("priority", &diagnostics).flatMap { decodePriority($0, &diagnostics) }
        guard dialect.kind == .clusterNetworkPolicy else { return priority.map { .admin(priority: $0) } }
        guard let tier, let text = tier.string(&diagnostics) else { return nil }
        switch text {
        case "Admin": return priority.map { .admin(priority: $0) }
        case "Baseline": return priority.map { .baseline(priority: $0) }
        default:
            var message = "\"\(text)\" is neither Admin nor Baseline"
            if let nearest = nearestName(to: text, among: ["Admin", "Baseline"]) {
                message += "; did you mean \(nearest)?"
            }
            diagnostics.error(.invalidValue, message, at: tier.location)
            return nil
        }
    }

    private func decodePriority(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> Int? {
        guard let value = cursor.integer(&diagnostics) else { return nil }
        guard AdminDialect.priorities.contains(value) else {
            diagnostics.error(.invalidValue, "\(value) is not a priority: 0 to 1000", at: cursor.location)
            return nil
        }
        return value
    }

    // MARK: Subject and rules

    private func decodeSubject(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> LabelSelector? {
        guard var fields = cursor.fields(&diagnostics) else { return nil }
        let pods = AdminPodSelection(dialect: dialect)
        let written = pods.written(&fields)
        fields.reportUnknown(&diagnostics)
        guard let only = written.first, written.count == 1 else {
            reportChoice(
                of: written, "the subject", among: ["namespaces", "pods"], at: cursor.location, &diagnostics)
            return nil
        }
        return pods.decode(only, &diagnostics)
    }

    private func decodeRules(
        _ fields: inout Fields, _ direction: Direction, _ diagnostics: inout DiagnosticsCollector
    ) -> [Rule] {
        guard let list = fields.optional(direction.rawValue), let items = list.list(&diagnostics) else { return [] }
        checkCount(of: items, "rules", atMost: dialect.maximumRules, at: list, &diagnostics)
        return items.enumerated().compactMap { index, item in
            let decoder = AdminRuleDecoder(
                dialect: dialect, origin: origin(section: direction.rawValue, index: index, at: item.location),
                direction: direction, unsupported: unsupported)
            return decoder.decode(item, &diagnostics)
        }
    }
}

/// `namespaces` and `pods`, in a subject or a peer: always pods, whatever their namespace.
struct AdminPodSelection {
    var dialect: AdminDialect

    /// Those of the two that are there.
    func written(_ fields: inout Fields) -> [Cursor] {
        ["namespaces", "pods"].compactMap { fields.optional($0) }
    }

    func decode(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> LabelSelector? {
        guard cursor.name == "pods" else {
            return WrittenSelector(cursor, keys: .kubernetesNamespace, &diagnostics).selector
                .adding(Scope.anyNamespace)
        }
        guard var fields = cursor.fields(&diagnostics) else { return nil }
        let namespaces =
            dialect.needsNamespaceSelector
            ? fields.required("namespaceSelector", &diagnostics) : fields.optional("namespaceSelector")
        let pods = fields.required("podSelector", &diagnostics)
        fields.reportUnknown(&diagnostics)
        let requirements =
            (namespaces.map { WrittenSelector($0, keys: .kubernetesNamespace, &diagnostics).requirements } ?? [])
            + (pods.map { WrittenSelector($0, keys: .kubernetes, &diagnostics).requirements } ?? [])
        return LabelSelector(requirements).adding(Scope.anyNamespace)
    }
}

/// Reports a list that is longer than the API takes.
func checkCount(
    of items: [Cursor], _ what: String, atMost maximum: Int, at list: Cursor,
    _ diagnostics: inout DiagnosticsCollector
) {
    guard items.count > maximum else { return }
    diagnostics.error(
        .tooManyItems, "\(items.count) \(what) in one list; at most \(maximum)", at: list.location)
}

/// Reports that of several fields none is there, or more than one.
func reportChoice(
    of written: [Cursor], _ owner: String, among choices: [String], at location: SourceLocation,
    _ diagnostics: inout DiagnosticsCollector
) {
    let names = choices.dropLast().joined(separator: ", ") + " and " + choices.suffix(1).joined()
    diagnostics.error(
        written.isEmpty ? .missingField : .conflictingFields, "\(owner) has one of \(names)", at: location)
}
