internal import WeirDiagnostics
internal import WeirFlow
internal import WeirModel
internal import WeirPolicy
internal import WeirSyntax

/// Reads who stands on a side: a name as in a flow, a selector over endpoints, or a list of either.
struct EndDecoder {
    private let endpoints: [Endpoint]
    private let names: Set<String>
    private let namespaces: Set<String>

    init(_ inventory: Inventory) {
        endpoints = inventory.endpoints
        names = Set(endpoints.map(\.qualifiedName))
        namespaces = Set(endpoints.map(\.namespace))
    }

    /// nil where nothing could be read; everything that is wrong is reported.
    func decode(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> Ends? {
        let items = items(of: cursor)
        if items.isEmpty {
            diagnostics.error(.missingField, "\(cursor.name) needs at least one end", at: cursor.location)
        }
        var ends = Ends(peers: [], endpoints: [], text: "")
        var chosen: Set<String> = []
        var texts: [String] = []
        for item in items {
            if case .mapping = item.node.content {
                guard let (found, text) = decodeSelector(item, &diagnostics) else { continue }
                chosen.formUnion(found)
                texts.append(text)
            } else if let text = item.string(&diagnostics) {
                texts.append(text)
                do throws(FlowError) {
                    switch try Flow.Peer(text) {
                    case .endpoint(let name):
                        try check(name)
                        chosen.insert(name)
                    case let peer: if !ends.peers.contains(peer) { ends.peers.append(peer) }
                    }
                } catch {
                    diagnostics.error(.invalidFlow, error.description, at: item.location)
                }
            }
        }
        ends.endpoints = chosen.sorted()
        ends.text = texts.joined(separator: ", ")
        return ends
    }

    private func check(_ name: String) throws(FlowError) {
        guard !names.contains(name) else { return }
        var message = "no pod '\(name)' in the inventory"
        if let nearest = nearestName(to: name, among: names) { message += "; did you mean \(nearest)?" }
        throw FlowError(message)
    }

    private func decodeSelector(
        _ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector
    ) -> (found: [String], text: String)? {
        guard var fields = cursor.fields(&diagnostics) else { return nil }
        let namespaceFields = items(of: fields.optional("namespace"))
        let labels = fields.optional("labels")
        let expressions = fields.optional("matchExpressions")
        let mayBeEmpty = fields.optional("mayBeEmpty")?.boolean(&diagnostics) ?? false
        fields.reportUnknown(&diagnostics)
        let before = diagnostics.all.count
        let selector = WrittenSelector.ofPods(labels: labels, expressions: expressions, &diagnostics)
        let wanted = namespaceFields.compactMap { field in field.string(&diagnostics).map { ($0, field.location) } }
        guard diagnostics.all.count == before else { return nil }
        if !mayBeEmpty {
            for (namespace, location) in wanted where !namespaces.contains(namespace) {
                var message = "no endpoint is in namespace \(namespace)"
                if let nearest = nearestName(to: namespace, among: namespaces) {
                    message += "; did you mean \(nearest)?"
                }
                diagnostics.error(.emptyExpectation, message, at: location)
                return nil
            }
        }
        let allowed = Set(wanted.map(\.0))
        let found = endpoints.filter {
            (namespaceFields.isEmpty || allowed.contains($0.namespace)) && selector.matches($0.labels)
        }
        if found.isEmpty, !mayBeEmpty {
            diagnostics.error(
                .emptyExpectation, "no endpoint has these labels; if that may be so, say mayBeEmpty: true",
                at: cursor.location)
            return nil
        }
        return (found.map(\.qualifiedName), text(wanted.map(\.0), selector))
    }

    /// `shop:app=api`, `{}` for everybody.
    private func text(_ namespaces: [String], _ selector: LabelSelector) -> String {
        let requirements = selector.requirements.map { requirement in
            let values = requirement.values.joined(separator: "|")
            return switch requirement.operator {
            case .in: "\(requirement.key.name)=\(values)"
            case .notIn: "\(requirement.key.name)!=\(values)"
            case .exists: requirement.key.name
            case .doesNotExist: "!\(requirement.key.name)"
            }
        }.joined(separator: ",")
        if namespaces.isEmpty { return "{\(requirements)}" }
        return "\(namespaces.joined(separator: "|")):{\(requirements)}"
    }
}
