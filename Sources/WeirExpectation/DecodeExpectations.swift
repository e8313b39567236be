package import WeirDiagnostics
internal import WeirFlow
package import WeirModel
package import WeirSyntax

/// The expectations in `documents`; other kinds are passed over. Every problem is reported at its place, and a
/// document with one contributes nothing.
///
/// - Parameter population: selectors choose among its endpoints.
package func decodeExpectations(
    _ documents: [Document], inventory population: Inventory, diagnostics: inout DiagnosticsCollector
) -> [Expectations] {
    let ends = EndDecoder(population)
    var names = NameRegister()
    var found: [Expectations] = []
    for document in documents {
        switch ObjectKind(of: document) {
        case .expectations: break
        case .unknown(let reason):
            diagnostics.error(.unknownKind, reason, at: document.kindLocation)
            continue
        case .policy, .inventory, .foreign: continue
        }
        var findings = DiagnosticsCollector()
        let decoded = decode(document, ends, &names, &findings)
        if !findings.hasErrors, let decoded { found.append(decoded) }
        diagnostics.append(contentsOf: findings.all)
    }
    return found
}

private func decode(
    _ document: Document, _ ends: EndDecoder, _ names: inout NameRegister, _ diagnostics: inout DiagnosticsCollector
) -> Expectations? {
    guard var fields = document.cursor.fields(&diagnostics) else { return nil }
    fields.ignore("apiVersion", "kind")
    let metadata = Metadata(&fields, defaultNamespace: nil, diagnostics: &diagnostics)
    let spec = fields.required("spec", &diagnostics)
    fields.reportUnknown(&diagnostics)
    if let metadata { names.add(document.kind, metadata, &diagnostics) }
    guard var specFields = spec?.fields(&diagnostics) else { return nil }
    let flows = specFields.optional("flows")
    let closed = specFields.optional("noOtherFlows")
    specFields.reportUnknown(&diagnostics)
    if flows == nil, closed == nil, let spec {
        diagnostics.error(.missingField, "spec needs flows, noOtherFlows or both", at: spec.location)
    }
    let flowList = (flows?.list(&diagnostics) ?? []).compactMap { decodeFlow($0, ends, &diagnostics) }
    let closedList = items(of: closed).compactMap { decodeClosed($0, ends, &diagnostics) }
    return metadata.map { Expectations(name: $0.name, flows: flowList, closed: closedList) }
}

/// One thing, or a list of them.
func items(of cursor: Cursor?) -> [Cursor] {
    guard let cursor else { return [] }
    guard case .sequence(let nodes) = cursor.node.content else { return [cursor] }
    return nodes.map { Cursor(path: cursor.path, name: "an item of \(cursor.name)", node: $0) }
}

private func decodeFlow(
    _ cursor: Cursor, _ ends: EndDecoder, _ diagnostics: inout DiagnosticsCollector
) -> FlowExpectation? {
    guard var fields = cursor.fields(&diagnostics) else { return nil }
    let name = fields.optional("name")?.string(&diagnostics)
    let from = fields.required("from", &diagnostics)
    let to = fields.required("to", &diagnostics)
    let ports = fields.required("ports", &diagnostics)
    let family = fields.optional("family")
    let expect = fields.required("expect", &diagnostics)
    let egress = fields.optional("egress")
    let ingress = fields.optional("ingress")
    let rule = fields.optional("rule")
    fields.reportUnknown(&diagnostics)
    let fromEnds = from.flatMap { ends.decode($0, &diagnostics) }
    let toEnds = to.flatMap { ends.decode($0, &diagnostics) }
    let choices = ports.map { decodePorts($0, &diagnostics) }
    let choice = family.flatMap { word($0, AddressFamily.allCases, &diagnostics) }
    let verdict = expect.flatMap { word($0, FlowExpectation.Verdict.allCases, &diagnostics) }
    let sides: [SideVerdict.Kind] = [.allow, .deny, .defaultDeny, .none]
    let egressKind = egress.flatMap { word($0, sides, &diagnostics) }
    let ingressKind = ingress.flatMap { word($0, sides, &diagnostics) }
    let ruleName = rule.flatMap { decodeRule($0, &diagnostics) }
    guard let fromEnds, let toEnds, let choices, let verdict else { return nil }
    if let egress, egressKind == .deny || egressKind == .defaultDeny, verdict == .allow {
        diagnostics.error(
            .conflictingFields, "a flow that egress refuses is not allowed", at: egress.location,
            notes: [Diagnostic.Note("it is expected to be allowed here", at: (expect ?? cursor).location)])
    }
    if let ingress, ingressKind == .deny || ingressKind == .defaultDeny, verdict == .allow {
        diagnostics.error(
            .conflictingFields, "a flow that ingress refuses is not allowed", at: ingress.location,
            notes: [Diagnostic.Note("it is expected to be allowed here", at: (expect ?? cursor).location)])
    }
    let portList = choices.map(\.description).joined(separator: ", ")
    return FlowExpectation(
        name: name ?? "\(fromEnds.text) → \(toEnds.text) \(portList)", from: fromEnds, to: toEnds, ports: choices,
        family: choice, verdict: verdict, egress: egressKind, ingress: ingressKind, rule: ruleName,
        location: cursor.location)
}

private func decodeClosed(
    _ cursor: Cursor, _ ends: EndDecoder, _ diagnostics: inout DiagnosticsCollector
) -> ClosedExpectation? {
    guard var fields = cursor.fields(&diagnostics) else { return nil }
    let name = fields.optional("name")?.string(&diagnostics)
    let between = fields.optional("between")
    let from = fields.optional("from")
    let to = fields.optional("to")
    fields.reportUnknown(&diagnostics)
    switch (between, from, to) {
    case (let both?, nil, nil):
        guard let decoded = ends.decode(both, &diagnostics) else { return nil }
        return ClosedExpectation(
            name: name ?? "no other flows between \(decoded.text)", from: decoded, to: decoded,
            location: cursor.location)
    case (nil, let from?, let to?):
        guard let from = ends.decode(from, &diagnostics), let to = ends.decode(to, &diagnostics) else { return nil }
        return ClosedExpectation(
            name: name ?? "no other flows from \(from.text) to \(to.text)", from: from, to: to,
            location: cursor.location)
    default:
        diagnostics.error(.missingField, "noOtherFlows needs either between, or from and to", at: cursor.location)
        return nil
    }
}

/// A word of a few, in any case.
private func word<Choice: RawRepresentable<String>>(
    _ cursor: Cursor, _ choices: [Choice], _ diagnostics: inout DiagnosticsCollector
) -> Choice? {
    guard let text = cursor.string(&diagnostics) else { return nil }
    if let choice = choices.first(where: { $0.rawValue.lowercased() == text.lowercased() }) { return choice }
    let names = choices.map(\.rawValue)
    var message = "\(cursor.name) is one of \(names.joined(separator: ", ")), not \"\(text)\""
    if let nearest = nearestName(to: text, among: names) { message += "; did you mean \(nearest)?" }
    diagnostics.error(.invalidValue, message, at: cursor.location)
    return nil
}

/// `PATH:LINE`, or `KIND/NAMESPACE/NAME` (without the namespace for clusterwide kinds).
private func decodeRule(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> RuleName? {
    guard let text = cursor.string(&diagnostics) else { return nil }
    let place = text.split(separator: ":", omittingEmptySubsequences: false)
    if place.count >= 2, let line = place.last.flatMap({ Int($0) }), line > 0 {
        return .place(path: place.dropLast().joined(separator: ":"), line: line)
    }
    let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    guard let kind = parts.first, parts.count > 1 else {
        diagnostics.error(
            .invalidValue, "rule is PATH:LINE or KIND/NAMESPACE/NAME, not \"\(text)\"", at: cursor.location)
        return nil
    }
    guard let known = PolicyKind(rawValue: kind) else {
        var message = "\"\(kind)\" is no kind of policy"
        let nearest = nearestName(to: kind, among: PolicyKind.allCases.map(\.rawValue))
        message += nearest.map { "; did you mean \($0)?" } ?? ""
        diagnostics.error(.invalidValue, message, at: cursor.location)
        return nil
    }
    let isNamespaced = known == .networkPolicy || known == .ciliumNetworkPolicy
    guard parts.count == (isNamespaced ? 3 : 2) else {
        diagnostics.error(
            .invalidValue, "a \(kind) is named \(kind)/\(isNamespaced ? "NAMESPACE/" : "")NAME", at: cursor.location)
        return nil
    }
    return .policy(kind: known, namespace: isNamespaced ? parts[1] : nil, name: parts[parts.count - 1])
}
