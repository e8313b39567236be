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
    var options: PolicyDecodingOptions

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
        checkRemarks(&fields, &diagnostics)
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
                    groups: groups, unsupported: options.unsupported)
                if let rule = decoder.decode(item, &diagnostics) { rules.append(rule) }
            }
        }
        fields.reportUnknown(&diagnostics)
        if selects.isEmpty {
            diagnostics.error(
                .emptyPolicy, "the policy has no rule: it needs ingress, ingressDeny, egress or egressDeny, not empty",
                at: location)
        }
        guard let subject else { return nil }
        return PolicySpec(
            origin: origin(section: nil, index: 0, at: location), subject: subject, selects: selects,
            enforces: selects.filter { defaultDeny[$0] != false }, rules: rules)
    }

    private func origin(section: String?, index: Int, at location: SourceLocation) -> RuleOrigin {
        RuleOrigin(
            kind: kind, namespace: namespace, name: name, spec: self.index, section: section, index: index,
            location: location)
    }

    private func decodeSubject(_ fields: inout Fields, _ diagnostics: inout DiagnosticsCollector) -> Subject? {
        let endpoints = fields.optional("endpointSelector")
        let nodes = fields.optional("nodeSelector")
        let place = fields.keyLocation(of: "nodeSelector") ?? location
        switch (endpoints, nodes) {
        case (nil, nil):
            var message = "the policy needs an endpointSelector ({} is every pod in its scope)"
            if namespace == nil { message += " or a nodeSelector" }
            diagnostics.error(.missingField, message, at: location)
            return nil
        case (let endpoints?, nil):
            let written = WrittenSelector(endpoints, keys: .cilium, &diagnostics)
            return .endpoints(Scope(namespace: namespace).subject(written, at: endpoints.location, &diagnostics))
        case (nil, let nodes?):
            guard namespace == nil else {
                diagnostics.error(
                    .unknownField,
                    "a CiliumNetworkPolicy has no nodeSelector; nodes need a CiliumClusterwideNetworkPolicy",
                    at: place)
                return nil
            }
            if !options.hostFirewall {
                diagnostics.warning(
                    .hostFirewallOff, "the policy selects nodes, and is not enforced without --host-firewall", at: place
                )
            }
            return .nodes(WrittenSelector(nodes, keys: .cilium, &diagnostics).selector)
        case (_?, _?):
            let notes = fields.keyLocation(of: "endpointSelector").map {
                [Diagnostic.Note("the endpointSelector is here", at: $0)]
            }
            diagnostics.error(
                .conflictingFields, "a policy has either an endpointSelector or a nodeSelector", at: place,
                notes: notes ?? [])
            return nil
        }
    }

    /// `description`, `labels` and `log` decide nothing, but must be well formed.
    private func checkRemarks(_ fields: inout Fields, _ diagnostics: inout DiagnosticsCollector) {
        _ = fields.optional("description")?.string(&diagnostics)
        for label in fields.optional("labels")?.list(&diagnostics) ?? [] {
            guard var parts = label.fields(&diagnostics) else { continue }
            _ = parts.required("key", &diagnostics)?.string(&diagnostics)
            _ = parts.optional("value")?.string(&diagnostics)
            _ = parts.optional("source")?.string(&diagnostics)
            parts.reportUnknown(&diagnostics)
        }
        guard var log = fields.optional("log")?.fields(&diagnostics) else { return }
        let value = log.optional("value")
        log.reportUnknown(&diagnostics)
        guard let value, let text = value.string(&diagnostics) else { return }
        let isPrintable = text.unicodeScalars.allSatisfy { scalar in
            ![.control, .format, .surrogate, .privateUse, .unassigned].contains(scalar.properties.generalCategory)
        }
        if !isPrintable || text.unicodeScalars.count > Self.maximumLogLength {
            diagnostics.error(
                .invalidValue, "the value of a log is at most \(Self.maximumLogLength) printable characters",
                at: value.location)
        }
    }

    /// Of the text that Cilium adds to the flows of a policy.
    private static let maximumLogLength = 32

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
