internal import WeirDiagnostics
internal import WeirModel
internal import WeirSyntax

/// One `spec` of a CiliumNetworkPolicy or CiliumClusterwideNetworkPolicy.
struct CiliumSpecDecoder {
    var kind: PolicyKind
    /// Nil for the clusterwide kind.
    var namespace: String?
    var name: String
    /// 0 for `spec`, then on through `specs`.
    var index: Int
    var location: SourceLocation
    var groups: CIDRGroups

    private struct Section {
        var name: String
        var direction: Direction
        var action: RuleAction
    }

    private static let sections = [
        Section(name: "ingress", direction: .ingress, action: .allow),
        Section(name: "ingressDeny", direction: .ingress, action: .deny),
        Section(name: "egress", direction: .egress, action: .allow),
        Section(name: "egressDeny", direction: .egress, action: .deny),
    ]

    func decode(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> PolicySpec? {
        guard var fields = cursor.fields(&diagnostics) else { return nil }
        fields.ignore("description", "labels")
        let subject = decodeSubject(&fields, &diagnostics)
        let defaultDeny = decodeDefaultDeny(fields.optional("enableDefaultDeny"), &diagnostics)

        var rules: [Rule] = []
        var selects: Set<Direction> = []
        for section in Self.sections {
            guard let list = fields.optional(section.name) else { continue }
            let items = list.list(&diagnostics)
            // An empty list is no section; what is no list is reported, and once is enough.
            if items?.isEmpty != true { selects.insert(section.direction) }
            for (index, item) in (items ?? []).enumerated() {
                let decoder = CiliumRuleDecoder(
                    origin: origin(section: section.name, index: index, at: item.location),
                    direction: section.direction, action: section.action, scope: Scope(namespace: namespace),
                    groups: groups)
                if let rule = decoder.decode(item, &diagnostics) { rules.append(rule) }
            }
        }
        if fields.optional("log") != nil {
            diagnostics.error(
                .unsupportedField, "log: policy logs are not supported",
                at: fields.keyLocation(of: "log") ?? location)
        }
        fields.reportUnknown(&diagnostics)
        if selects.isEmpty {
            diagnostics.error(
                .emptyPolicy, "the policy has no rule: it needs ingress, ingressDeny, egress or egressDeny, not empty",
                at: location)
        }
        guard let subject else { return nil }
        return PolicySpec(
            origin: origin(section: nil, index: 0, at: location), subject: .endpoints(subject), selects: selects,
            enforces: selects.filter { defaultDeny[$0] != false }, rules: rules)
    }

    private func origin(section: String?, index: Int, at location: SourceLocation) -> RuleOrigin {
        RuleOrigin(
            kind: kind, namespace: namespace, name: name, spec: self.index, section: section, index: index,
            location: location)
    }

    private func decodeSubject(
        _ fields: inout Fields, _ diagnostics: inout DiagnosticsCollector
    ) -> LabelSelector? {
        let endpoints = fields.optional("endpointSelector")
        let nodes = fields.optional("nodeSelector")
        switch (endpoints, nodes) {
        case (nil, nil):
            diagnostics.error(
                .missingField, "the policy needs an endpointSelector ({} is every pod in its scope)", at: location)
            return nil
        case (let endpoints?, nil):
            let written = WrittenSelector(endpoints, keys: .cilium, &diagnostics)
            return Scope(namespace: namespace).subject(written, at: endpoints.location, &diagnostics)
        case (nil, _?):
            diagnostics.error(
                .unsupportedField, "nodeSelector: host policies are not supported yet",
                at: fields.keyLocation(of: "nodeSelector") ?? location)
            return nil
        case (_?, _?):
            let notes = fields.keyLocation(of: "endpointSelector").map {
                [Diagnostic.Note("the endpointSelector is here", at: $0)]
            }
            diagnostics.error(
                .conflictingFields, "a policy has either an endpointSelector or a nodeSelector",
                at: fields.keyLocation(of: "nodeSelector") ?? location, notes: notes ?? [])
            return nil
        }
    }

    private func decodeDefaultDeny(
        _ cursor: Cursor?, _ diagnostics: inout DiagnosticsCollector
    ) -> [Direction: Bool] {
        guard var fields = cursor?.fields(&diagnostics) else { return [:] }
        var result: [Direction: Bool] = [:]
        for direction in Direction.allCases {
            result[direction] = fields.optional(direction.rawValue)?.boolean(&diagnostics)
        }
        fields.reportUnknown(&diagnostics)
        return result
    }
}
