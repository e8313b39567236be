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

    func decode(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> Rule? {
        guard var fields = cursor.fields(&diagnostics) else { return nil }
        refuseUnsupported(&fields, &diagnostics)
        let peers = decodePeers(&fields, &diagnostics)
        let ports = decodePorts(&fields, &diagnostics)
        fields.reportUnknown(&diagnostics)
        return Rule(
            origin: origin, direction: direction, action: action,
            // Without peers and ports the rule names nobody; with ports, missing peers are anyone.
            peers: peers.map(Peers.list) ?? (ports == nil ? .list([]) : .any),
            ports: ports.map(Ports.list) ?? .any)
    }

    private func refuseUnsupported(_ fields: inout Fields, _ diagnostics: inout DiagnosticsCollector) {
        var unsupported = [("authentication", "mutual authentication is beyond L3/L4")]
        switch direction {
        case .ingress:
            unsupported += [
                ("fromRequires", "requirements on other rules' peers are refused, as in Cilium"),
                ("fromNodes", "node selectors are not supported yet"),
                ("fromGroups", "cloud provider groups are not supported"),
            ]
        case .egress:
            unsupported += [
                ("toRequires", "requirements on other rules' peers are refused, as in Cilium"),
                ("toFQDNs", "DNS names are beyond L3/L4"),
                ("toServices", "service peers are not supported yet"),
                ("toNodes", "node selectors are not supported yet"),
                ("toGroups", "cloud provider groups are not supported"),
            ]
        }
        reportUnsupported(unsupported, in: &fields, &diagnostics)
    }

    // MARK: L3

    /// Nil where the rule has no list of peers at all; an empty list is nobody.
    private func decodePeers(_ fields: inout Fields, _ diagnostics: inout DiagnosticsCollector) -> [Peer]? {
        let prefix = direction == .ingress ? "from" : "to"
        let kinds: [(name: String, decode: (Cursor, inout DiagnosticsCollector) -> [Peer])] = [
            ("\(prefix)Endpoints", decodeEndpoint), ("\(prefix)Entities", decodeEntity),
            ("\(prefix)CIDR", decodeCIDR), ("\(prefix)CIDRSet", decodeCIDRSetEntry),
        ]
        var peers: [Peer]?
        var first: String?
        for kind in kinds {
            warnOfEmptyValue(kind.name, in: fields, meaning: "it counts as missing", &diagnostics)
            guard let list = fields.optional(kind.name), let items = list.list(&diagnostics) else { continue }
            if let first, !items.isEmpty {
                let notes = fields.keyLocation(of: first).map { [Diagnostic.Note("\(first) is here", at: $0)] }
                diagnostics.error(
                    .conflictingFields, "\(first) and \(kind.name) cannot stand in one rule; write two",
                    at: fields.keyLocation(of: kind.name) ?? list.location, notes: notes ?? [])
            }
            if !items.isEmpty { first = kind.name }
            for item in items { peers = (peers ?? []) + kind.decode(item, &diagnostics) }
            if peers == nil { peers = [] }
        }
        return peers
    }

    private func decodeEndpoint(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> [Peer] {
        [.selector(scope.peer(WrittenSelector(cursor, keys: .cilium, &diagnostics)))]
    }

    private func decodeEntity(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> [Peer] {
        guard let text = cursor.string(&diagnostics) else { return [] }
        if let entity = Entity(rawValue: text) { return [.entity(entity)] }
        var message = "there is no entity \"\(text)\""
        if let nearest = nearestName(to: text, among: Entity.allCases.map(\.rawValue)) {
            message += "; did you mean \(nearest)?"
        }
        diagnostics.error(.unknownEntity, message, at: cursor.location)
        return []
    }

    private func decodeCIDR(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> [Peer] {
        decodePrefix(cursor, &diagnostics).map { [.cidr(CIDRBlock($0))] } ?? []
    }

    private func decodeCIDRSetEntry(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> [Peer] {
        guard var fields = cursor.fields(&diagnostics) else { return [] }
        let cidr = fields.optional("cidr")
        let reference = fields.optional("cidrGroupRef")
        let selector = fields.optional("cidrGroupSelector")
        let exceptList = fields.optional("except")
        fields.reportUnknown(&diagnostics)
        guard [cidr, reference, selector].compactMap(\.self).count == 1 else {
            let id: DiagnosticID =
                cidr == nil && reference == nil && selector == nil ? .missingField : .conflictingFields
            diagnostics.error(
                id, "an entry has one of cidr, cidrGroupRef and cidrGroupSelector", at: cursor.location)
            return []
        }
        var except: [(prefix: Prefix, location: SourceLocation)] = []
        for item in exceptList?.list(&diagnostics) ?? [] {
            if let prefix = decodePrefix(item, &diagnostics) { except.append((prefix, item.location)) }
        }
        if let cidr {
            guard let prefix = decodePrefix(cidr, &diagnostics) else { return [] }
            for (inner, location) in except where !prefix.contains(inner) {
                diagnostics.error(.exceptOutsideCIDR, "\(inner) does not lie inside \(prefix)", at: location)
            }
            return [.cidr(CIDRBlock(prefix, except: except.map(\.prefix)))]
        }
        return blocks(of: groupPrefixes(reference, selector, &diagnostics), except: except.map(\.prefix))
    }

    /// The prefixes of a group, or of those that a selector chooses; a group that is not there has none.
    private func groupPrefixes(
        _ reference: Cursor?, _ selector: Cursor?, _ diagnostics: inout DiagnosticsCollector
    ) -> [Prefix] {
        if let selector {
            return groups.prefixes(chosenBy: WrittenSelector(selector, keys: .cilium, &diagnostics).selector)
        }
        guard let reference, let name = reference.string(&diagnostics) else { return [] }
        if let prefixes = groups.prefixes(of: name) { return prefixes }
        var message = "there is no CiliumCIDRGroup \"\(name)\", so the entry matches nothing"
        if let nearest = nearestName(to: name, among: groups.names) { message += "; did you mean \(nearest)?" }
        diagnostics.warning(.unknownGroup, message, at: reference.location)
        return []
    }

    /// `except` applies to each prefix of a group: what lies outside is no matter, what covers it leaves nothing.
    private func blocks(of prefixes: [Prefix], except: [Prefix]) -> [Peer] {
        prefixes.compactMap { prefix in
            guard !except.contains(where: { $0.contains(prefix) }) else { return nil }
            return .cidr(CIDRBlock(prefix, except: except.filter(prefix.contains)))
        }
    }

    // MARK: L4

    /// Nil where the rule says nothing about ports.
    private func decodePorts(
        _ fields: inout Fields, _ diagnostics: inout DiagnosticsCollector
    ) -> [PortMatch]? {
        for name in ["toPorts", "icmps"] {
            warnOfEmptyValue(name, in: fields, meaning: "it counts as missing: every protocol", &diagnostics)
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
        let decoder = CiliumPortDecoder(action: action)
        return ports.flatMap { decoder.decodePortRule($0, &diagnostics) }
            + icmps.flatMap { decoder.decodeICMPRule($0, &diagnostics) }
    }

    private func warnOfEmptyValue(
        _ name: String, in fields: Fields, meaning: String, _ diagnostics: inout DiagnosticsCollector
    ) {
        guard fields.isNull(name), let place = fields.keyLocation(of: name) else { return }
        diagnostics.warning(.emptyValue, "\(name) has no value: \(meaning)", at: place)
    }
}

/// Refuses each field that is there, at its key.
func reportUnsupported(
    _ unsupported: [(name: String, why: String)], in fields: inout Fields, _ diagnostics: inout DiagnosticsCollector
) {
    for (name, why) in unsupported where fields.optional(name) != nil {
        diagnostics.error(
            .unsupportedField, "\(name): \(why)", at: fields.keyLocation(of: name) ?? fields.location)
    }
}
