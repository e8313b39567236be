internal import WeirDiagnostics
internal import WeirModel
internal import WeirSyntax

/// One item of `ingress` or `egress` of the admin kinds.
struct AdminRuleDecoder {
    var dialect: AdminDialect
    var origin: RuleOrigin
    var direction: Direction
    var unsupported: UnsupportedRules

    func decode(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> Rule? {
        guard var fields = cursor.fields(&diagnostics) else { return nil }
        let name = fields.optional("name")
        let actionName = fields.required("action", &diagnostics)
        let peerList = fields.required(direction == .ingress ? "from" : "to", &diagnostics)
        fields.warnOfEmptyValue(
            dialect.portField.rawValue, meaning: "it counts as missing: every protocol", &diagnostics)
        let portList = fields.optional(dialect.portField.rawValue)
        fields.reportUnknown(&diagnostics)

        checkName(name, &diagnostics)
        let action = actionName.flatMap { decodeAction($0, &diagnostics) }
        var peers = PeerReading()
        if let peerList {
            for item in items(of: peerList, "peers", atMost: dialect.maximumItems, &diagnostics) {
                // Without an action the rule is refused, whatever the peers would make of it.
                decodePeer(item, action ?? .deny, &peers, &diagnostics)
            }
        }
        let ports = portList.map { decodePorts($0, nameless: peers.nameless, &diagnostics) }
        guard let action, peerList != nil else { return nil }
        let draft = RuleDraft(peers: .list(peers.peers), ports: ports.map(Ports.list) ?? .any, gaps: peers.gaps)
        return draft.rule(origin, direction, action)
    }

    /// These lists may be missing, if at all, but not empty.
    private func items(
        of list: Cursor, _ what: String, atMost maximum: Int, _ diagnostics: inout DiagnosticsCollector
    ) -> [Cursor] {
        guard let items = list.list(&diagnostics) else { return [] }
        if items.isEmpty {
            diagnostics.error(.missingField, "\(list.name) is empty; it needs at least one item", at: list.location)
        }
        checkCount(of: items, what, atMost: maximum, at: list, &diagnostics)
        return items
    }

    private func checkName(_ cursor: Cursor?, _ diagnostics: inout DiagnosticsCollector) {
        guard let cursor, let text = cursor.string(&diagnostics) else { return }
        guard text.unicodeScalars.count > AdminDialect.maximumNameLength else { return }
        diagnostics.error(
            .invalidValue,
            "the name of a rule has at most \(AdminDialect.maximumNameLength) characters, not \(text.unicodeScalars.count)",
            at: cursor.location)
    }

    private func decodeAction(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> RuleAction? {
        guard let text = cursor.string(&diagnostics) else { return nil }
        if let action = dialect.actions[text] { return action }
        let names = dialect.actions.keys.sorted()
        var message = "\"\(text)\" is not an action"
        message +=
            nearestName(to: text, among: names).map { "; did you mean \($0)?" }
            ?? ": use \(names.joined(separator: ", "))"
        diagnostics.error(.invalidValue, message, at: cursor.location)
        return nil
    }

    // MARK: Peers

    private struct PeerReading {
        var peers: [Peer] = []
        var gaps: Set<RuleDraft.Gap> = []
        /// The first peer that has no named ports, being no pod.
        var nameless: Cursor?
    }

    private func decodePeer(
        _ cursor: Cursor, _ action: RuleAction, _ reading: inout PeerReading,
        _ diagnostics: inout DiagnosticsCollector
    ) {
        guard var fields = cursor.fields(&diagnostics) else { return }
        let pods = AdminPodSelection(dialect: dialect)
        var written = pods.written(&fields)
        var choices = ["namespaces", "pods"]
        if direction == .egress {
            let others = ["nodes", "networks"] + (dialect.hasDomainNames ? ["domainNames"] : [])
            choices += others
            written += others.compactMap { fields.optional($0) }
        }
        let domainNamesKey = fields.keyLocation(of: "domainNames")
        fields.reportUnknown(&diagnostics)
        guard let only = written.first, written.count == 1 else {
            reportChoice(of: written, "a peer", among: choices, at: cursor.location, &diagnostics)
            return
        }
        if only.name != "namespaces", only.name != "pods", reading.nameless == nil { reading.nameless = only }
        switch only.name {
        case "nodes":
            let selector = WrittenSelector(only, keys: .kubernetes, &diagnostics).selector
            reading.peers.append(.nodes(selector, .any))
        case "networks":
            let items = networkItems(of: only, &diagnostics)
            reading.peers += items.compactMap { decodePrefix($0, &diagnostics) }.map { .network(CIDRBlock($0)) }
        case "domainNames":
            for item in networkItems(of: only, &diagnostics) { _ = item.string(&diagnostics) }
            let field = UnsupportedField("domainNames", needs: "a DNS proxy", gap: .peers)
            field.report(unsupported, in: action, at: domainNamesKey ?? only.location, &diagnostics)
            reading.gaps.insert(field.gap)
        default:
            if let selector = pods.decode(only, &diagnostics) { reading.peers.append(.selector(selector)) }
        }
    }

    private func networkItems(of list: Cursor, _ diagnostics: inout DiagnosticsCollector) -> [Cursor] {
        items(of: list, list.name, atMost: AdminDialect.maximumNetworks, &diagnostics)
    }

    // MARK: Ports

    private func decodePorts(
        _ list: Cursor, nameless: Cursor?, _ diagnostics: inout DiagnosticsCollector
    ) -> [PortMatch] {
        let decoder = AdminPortDecoder(portField: dialect.portField)
        let items = items(of: list, dialect.portField.rawValue, atMost: dialect.maximumItems, &diagnostics)
        return items.compactMap { item in
            guard let match = decoder.decode(item, &diagnostics) else { return nil }
            if case .named(let name, _) = match, let nameless {
                diagnostics.error(
                    .conflictingFields, "\(nameless.name) have no port \"\(name)\", nor any other by name",
                    at: item.location, notes: [Diagnostic.Note("\(nameless.name) are here", at: nameless.location)])
            }
            return match
        }
    }
}
