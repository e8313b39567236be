package import WeirDiagnostics
package import WeirModel
package import WeirSyntax

/// How the keys of a selector become label keys.
enum SelectorKeys {
    /// Cilium's: `k8s:app`, `any:app`, `reserved:host`; without a source, any source.
    case cilium
    /// Cilium's, over the labels of nodes: none, `any:`, `k8s:` and `node:` all mean these.
    case ciliumNode
    /// Kubernetes': labels of the object itself.
    case kubernetes
    /// Kubernetes', over the labels of a pod's namespace.
    case kubernetesNamespace
}

/// A selector as written, before the scope of its policy is added.
package struct WrittenSelector {
    var matchLabels: [LabelSelector.Requirement] = []
    var matchExpressions: [LabelSelector.Requirement] = []

    var requirements: [LabelSelector.Requirement] { matchLabels + matchExpressions }
    var selector: LabelSelector { LabelSelector(requirements) }

    private init() {}

    init(_ cursor: Cursor, keys: SelectorKeys, _ diagnostics: inout DiagnosticsCollector) {
        guard var fields = cursor.fields(&diagnostics) else { return }
        let labels = fields.optional("matchLabels")
        let expressions = fields.optional("matchExpressions")
        fields.reportUnknown(&diagnostics)
        decode(labels: labels, expressions: expressions, keys, &diagnostics)
    }

    private mutating func decode(
        labels: Cursor?, expressions: Cursor?, _ keys: SelectorKeys, _ diagnostics: inout DiagnosticsCollector
    ) {
        for (key, value) in labels?.members(&diagnostics) ?? [] {
            let label = decodeKey(key, keys, &diagnostics)
            guard let text = value.string(&diagnostics) else { continue }
            checkLabelValue(text, at: value.location, &diagnostics)
            if let label { matchLabels.append(LabelSelector.Requirement(label, .in, [text])) }
        }
        for expression in expressions?.list(&diagnostics) ?? [] {
            if let requirement = decodeExpression(expression, keys, &diagnostics) {
                matchExpressions.append(requirement)
            }
        }
    }

    /// Labels and expressions of pods as Kubernetes writes them, in an object that has other fields, too.
    package static func ofPods(
        labels: Cursor?, expressions: Cursor?, _ diagnostics: inout DiagnosticsCollector
    ) -> LabelSelector {
        var written = WrittenSelector()
        written.decode(labels: labels, expressions: expressions, .kubernetes, &diagnostics)
        return written.selector
    }
}

private func decodeExpression(
    _ cursor: Cursor, _ keys: SelectorKeys, _ diagnostics: inout DiagnosticsCollector
) -> LabelSelector.Requirement? {
    guard var fields = cursor.fields(&diagnostics) else { return nil }
    let key = fields.required("key", &diagnostics)
    let name = fields.required("operator", &diagnostics)
    let list = fields.optional("values")
    fields.reportUnknown(&diagnostics)

    var label: LabelKey?
    if let key, let text = key.string(&diagnostics) {
        label = decodeKey(Cursor.Text(text: text, location: key.location), keys, &diagnostics)
    }
    let values = list?.strings(&diagnostics) ?? []
    for value in values { checkLabelValue(value.text, at: value.location, &diagnostics) }
    guard let name, let text = name.string(&diagnostics) else { return nil }
    let operators: [String: LabelSelector.Operator] = [
        "In": .in, "NotIn": .notIn, "Exists": .exists, "DoesNotExist": .doesNotExist,
    ]
    guard let operation = operators[text] else {
        var message = "\"\(text)\" is not an operator"
        let nearest = nearestName(to: text, among: operators.keys)
        message += nearest.map { "; did you mean \($0)?" } ?? ": use In, NotIn, Exists or DoesNotExist"
        diagnostics.error(.invalidSelector, message, at: name.location)
        return nil
    }
    let takesValues = operation == .in || operation == .notIn
    let hasValues: Bool
    if let list, case .sequence(let items) = list.node.content { hasValues = !items.isEmpty } else { hasValues = false }
    if takesValues, !hasValues {
        diagnostics.error(.invalidSelector, "\(text) needs at least one value", at: (list ?? name).location)
    }
    if !takesValues, hasValues {
        diagnostics.error(.invalidSelector, "\(text) takes no values", at: (list ?? name).location)
    }
    return label.map { LabelSelector.Requirement($0, operation, values.map(\.text)) }
}

private func decodeKey(
    _ key: Cursor.Text, _ keys: SelectorKeys, _ diagnostics: inout DiagnosticsCollector
) -> LabelKey? {
    var source: String?
    var name = key.text
    switch keys {
    case .kubernetes, .kubernetesNamespace:
        source = WellKnownLabel.kubernetesSource
    case .cilium, .ciliumNode:
        if let colon = name.firstIndex(of: ":") {
            source = String(name[..<colon])
            name = String(name[name.index(after: colon)...])
        }
    }
    if case .ciliumNode = keys {
        guard [nil, "any", "node", WellKnownLabel.kubernetesSource].contains(source) else {
            diagnostics.error(
                .invalidLabel,
                "\"\(key.text)\" is not a label of nodes; entities and endpoints have fields of their own",
                at: key.location)
            return nil
        }
        source = WellKnownLabel.kubernetesSource
    }
    // A namespace label keeps its own length; with Cilium's prefix in front it may well exceed 63.
    let ownName =
        name.hasPrefix(WellKnownLabel.namespaceLabelsPrefix)
        ? String(name.dropFirst(WellKnownLabel.namespaceLabelsPrefix.count)) : name
    guard source != "", isLabelKey(ownName) else {
        diagnostics.error(.invalidLabel, "\"\(key.text)\" is not a label key", at: key.location)
        return nil
    }
    if let source, ["cidr", "cidrgroup", "fqdn", "node"].contains(source) {
        diagnostics.error(
            .unsupportedField, "labels of source \(source): cannot be selected here", at: key.location)
        return nil
    }
    if case .kubernetesNamespace = keys { name = WellKnownLabel.namespaceLabelsPrefix + name }
    return LabelKey(source: source, name: name)
}

private func checkLabelValue(
    _ value: String, at location: SourceLocation, _ diagnostics: inout DiagnosticsCollector
) {
    guard isLabelValue(value) else {
        diagnostics.error(.invalidLabel, "\"\(value)\" is not a label value", at: location)
        return
    }
}

private func isUppercase(_ byte: UInt8) -> Bool { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) }

func isAlphanumeric(_ byte: UInt8?) -> Bool {
    guard let byte else { return false }
    return isUppercase(byte) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
        || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
}
