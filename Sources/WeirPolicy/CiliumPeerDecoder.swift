internal import WeirDiagnostics
internal import WeirModel
internal import WeirSyntax

/// The L3 side of a rule of Cilium's kinds: one list of one kind of peer.
struct CiliumPeerDecoder {
    var direction: Direction
    var action: RuleAction
    var scope: Scope
    var groups: CIDRGroups
    var unsupported: UnsupportedRules

    private typealias Decode = (Cursor, inout DiagnosticsCollector) -> [Peer]

    private enum Kind {
        case peers(String, Decode)
        case unsupported(UnsupportedField)

        var name: String {
            switch self {
            case .peers(let name, _): name
            case .unsupported(let field): field.name
            }
        }
    }

    private var kinds: [Kind] {
        let prefix = direction == .ingress ? "from" : "to"
        let both: [Kind] = [
            .peers("\(prefix)Endpoints", decodeEndpoint), .peers("\(prefix)Entities", decodeEntity),
            .peers("\(prefix)CIDR", decodeCIDR), .peers("\(prefix)CIDRSet", decodeCIDRSetEntry),
            .peers("\(prefix)Nodes", decodeNodes),
            .unsupported(UnsupportedField("\(prefix)Groups", needs: "a cloud provider's API", gap: .peers)),
        ]
        guard direction == .egress else { return both }
        return both + [
            .peers("toServices", decodeService),
            .unsupported(UnsupportedField("toFQDNs", needs: "a DNS proxy", gap: .peers)),
        ]
    }

    /// Nil where the rule has no list of peers at all; an empty list is nobody.
    func decode(
        _ fields: inout Fields, _ gaps: inout Set<RuleDraft.Gap>, _ diagnostics: inout DiagnosticsCollector
    ) -> [Peer]? {
        var peers: [Peer]?
        var first: String?
        for kind in kinds {
            fields.warnOfEmptyValue(kind.name, meaning: "it counts as missing", &diagnostics)
            guard let list = fields.optional(kind.name), let items = list.list(&diagnostics) else { continue }
            let place = fields.keyLocation(of: kind.name) ?? list.location
            if let first, !items.isEmpty {
                let notes = fields.keyLocation(of: first).map { [Diagnostic.Note("\(first) is here", at: $0)] }
                diagnostics.error(
                    .conflictingFields, "\(first) and \(kind.name) cannot stand in one rule; write two", at: place,
                    notes: notes ?? [])
            }
            if !items.isEmpty { first = kind.name }
            if peers == nil { peers = [] }
            switch kind {
            case .peers(_, let decode):
                for item in items { peers = (peers ?? []) + decode(item, &diagnostics) }
            case .unsupported(let field) where !items.isEmpty:
                field.report(unsupported, in: action, at: place, &diagnostics)
                gaps.insert(field.gap)
            case .unsupported: break
            }
        }
        return peers
    }

    // MARK: Endpoints, nodes, entities

    private func decodeEndpoint(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> [Peer] {
        [.selector(scope.peer(WrittenSelector(cursor, keys: .cilium, &diagnostics)))]
    }

    /// Cilium adds `reserved:remote-node` to the selector, so the endpoint's own node is never meant.
    private func decodeNodes(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> [Peer] {
        [.nodes(WrittenSelector(cursor, keys: .ciliumNode, &diagnostics).selector, .remote)]
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

    // MARK: CIDRs

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

    // MARK: Services

    /// Without a namespace a Service is meant wherever it is, in both forms and both kinds of policy, as in
    /// Cilium's `pkg/policy/k8s/service.go`.
    private func decodeService(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> [Peer] {
        guard var fields = cursor.fields(&diagnostics) else { return [] }
        let named = fields.optional("k8sService")
        let selected = fields.optional("k8sServiceSelector")
        fields.reportUnknown(&diagnostics)
        switch (named, selected) {
        case (let named?, nil): return decodeNamedService(named, &diagnostics)
        case (nil, let selected?): return decodeSelectedServices(selected, &diagnostics)
        case (nil, nil), (_?, _?):
            diagnostics.error(
                named == nil ? .missingField : .conflictingFields,
                "a service has one of k8sService and k8sServiceSelector", at: cursor.location)
            return []
        }
    }

    private func decodeNamedService(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> [Peer] {
        guard var fields = cursor.fields(&diagnostics) else { return [] }
        let name = fields.required("serviceName", &diagnostics)
        let namespace = fields.optional("namespace")
        fields.reportUnknown(&diagnostics)
        guard let name, let text = name.string(&diagnostics) else { return [] }
        if text.isEmpty { diagnostics.error(.invalidValue, "the name of the service is empty", at: name.location) }
        return [.service(.named(namespace: decodeNamespace(namespace, &diagnostics), name: text))]
    }

    /// The selector is one of Kubernetes', over the Service's own labels: its keys have no source.
    private func decodeSelectedServices(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> [Peer] {
        guard var fields = cursor.fields(&diagnostics) else { return [] }
        let selector = fields.required("selector", &diagnostics)
        let namespace = fields.optional("namespace")
        fields.reportUnknown(&diagnostics)
        guard let selector else { return [] }
        let written = WrittenSelector(selector, keys: .kubernetes, &diagnostics)
        return [.service(.selected(written.selector, namespace: decodeNamespace(namespace, &diagnostics)))]
    }

    private func decodeNamespace(_ cursor: Cursor?, _ diagnostics: inout DiagnosticsCollector) -> String? {
        guard let text = cursor?.string(&diagnostics), !text.isEmpty else { return nil }
        return text
    }
}
