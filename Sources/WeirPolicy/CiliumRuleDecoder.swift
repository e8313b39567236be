internal import WeirDiagnostics
internal import WeirModel
internal import WeirSyntax

/// One item of `ingress`, `ingressDeny`, `egress` or `egressDeny`.
struct CiliumRuleDecoder {
    var origin: RuleOrigin
    var direction: Direction
    var action: RuleAction
    var scope: Scope
    var groups: CIDRGroups
    var unsupported: UnsupportedRules

    func decode(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> Rule? {
        guard var fields = cursor.fields(&diagnostics) else { return nil }
        var gaps = decodeConditions(&fields, &diagnostics)
        let peerDecoder = CiliumPeerDecoder(
            direction: direction, action: action, scope: scope, groups: groups, unsupported: unsupported)
        let peers = peerDecoder.decode(&fields, &gaps, &diagnostics)
        let ports = decodePorts(&fields, &gaps, &diagnostics)
        fields.reportUnknown(&diagnostics)
        // A deny of nobody in particular, under a condition, may have meant anyone.
        if peers == nil, !gaps.isEmpty { gaps.insert(.peers) }
        let draft = RuleDraft(
            // Without peers and ports the rule names nobody; with ports, missing peers are anyone.
            peers: peers.map(Peers.list) ?? (ports == nil ? .list([]) : .any), ports: ports.map(Ports.list) ?? .any,
            gaps: gaps)
        return draft.rule(origin, direction, action)
    }

    // MARK: Conditions

    private func decodeConditions(
        _ fields: inout Fields, _ diagnostics: inout DiagnosticsCollector
    ) -> Set<RuleDraft.Gap> {
        var gaps: Set<RuleDraft.Gap> = []
        if let authentication = fields.optional("authentication"), requiresAuthentication(authentication, &diagnostics)
        {
            let field = UnsupportedField("authentication", needs: "mutual TLS with SPIRE", gap: .condition)
            field.report(
                unsupported, in: action, at: fields.keyLocation(of: field.name) ?? fields.location, &diagnostics)
            gaps.insert(field.gap)
        }
        let requires = UnsupportedField(
            direction == .ingress ? "fromRequires" : "toRequires", needs: "rules that narrow other rules",
            gap: .otherRules)
        if fields.optional(requires.name) != nil {
            requires.report(
                unsupported, in: action, at: fields.keyLocation(of: requires.name) ?? fields.location, &diagnostics)
            gaps.insert(requires.gap)
        }
        return gaps
    }

    /// Mode `disabled` asks for nothing.
    private func requiresAuthentication(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> Bool {
        guard var fields = cursor.fields(&diagnostics) else { return false }
        let mode = fields.required("mode", &diagnostics)
        fields.reportUnknown(&diagnostics)
        guard let mode, let text = mode.string(&diagnostics) else { return false }
        let modes = ["disabled", "required", "test-always-fail"]
        guard modes.contains(text) else {
            var message = "\"\(text)\" is not a mode of authentication"
            message +=
                nearestName(to: text, among: modes).map { "; did you mean \($0)?" }
                ?? ": use \(modes.joined(separator: ", "))"
            diagnostics.error(.invalidValue, message, at: mode.location)
            return false
        }
        return text != "disabled"
    }

    // MARK: L4

    /// Nil where the rule says nothing about ports.
    private func decodePorts(
        _ fields: inout Fields, _ gaps: inout Set<RuleDraft.Gap>, _ diagnostics: inout DiagnosticsCollector
    ) -> [PortMatch]? {
        for name in ["toPorts", "icmps"] {
            fields.warnOfEmptyValue(name, meaning: "it counts as missing: every protocol", &diagnostics)
        }
        let ports = fields.optional("toPorts")?.list(&diagnostics) ?? []
        let icmps = fields.optional("icmps")?.list(&diagnostics) ?? []
        if !ports.isEmpty, !icmps.isEmpty {
            let notes = fields.keyLocation(of: "toPorts").map { [Diagnostic.Note("toPorts is here", at: $0)] }
            diagnostics.error(
                .conflictingFields, "icmps and toPorts cannot stand in one rule; write two",
                at: fields.keyLocation(of: "icmps") ?? origin.location, notes: notes ?? [])
        }
        guard !ports.isEmpty || !icmps.isEmpty else { return nil }
        let decoder = CiliumPortDecoder(action: action, unsupported: unsupported)
        return ports.flatMap { decoder.decodePortRule($0, &gaps, &diagnostics) }
            + icmps.flatMap { decoder.decodeICMPRule($0, &diagnostics) }
    }
}
