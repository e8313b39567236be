internal import WeirDiagnostics
internal import WeirModel
internal import WeirSyntax

/// The spec of a `networking.k8s.io/v1 NetworkPolicy`.
///
/// Where it differs from Cilium's kinds: missing or empty peers are everybody, missing or empty ports
/// are all, `{}` as a rule allows everything, and the API's own validation refuses more.
struct NetworkPolicyDecoder {
    var name: String
    var namespace: String
    var location: SourceLocation

    func decode(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> PolicySpec? {
        guard var fields = cursor.fields(&diagnostics) else { return nil }
        let podSelector = fields.required("podSelector", &diagnostics)
        let ingress = fields.optional("ingress")?.list(&diagnostics) ?? []
        let egress = fields.optional("egress")?.list(&diagnostics) ?? []
        let types = fields.optional("policyTypes")
        fields.reportUnknown(&diagnostics)

        let directions = decodeTypes(types, hasEgressRules: !egress.isEmpty, &diagnostics)
        let rules = decodeRules(ingress, .ingress, &diagnostics) + decodeRules(egress, .egress, &diagnostics)
        guard let podSelector else { return nil }
        let subject = WrittenSelector(podSelector, keys: .kubernetes, &diagnostics).selector
        return PolicySpec(
            origin: origin(section: nil, index: 0, at: location),
            subject: .endpoints(subject.adding(Scope.inNamespace(namespace))), selects: directions,
            enforces: directions,
            // Rules of a direction that policyTypes leaves out have no effect.
            rules: rules.filter { directions.contains($0.direction) })
    }

    private func origin(section: String?, index: Int, at location: SourceLocation) -> RuleOrigin {
        RuleOrigin(
            kind: .networkPolicy, namespace: namespace, name: name, spec: 0, section: section, index: index,
            location: location)
    }

    /// Without `policyTypes`: ingress always, egress if there are egress rules.
    private func decodeTypes(
        _ cursor: Cursor?, hasEgressRules: Bool, _ diagnostics: inout DiagnosticsCollector
    ) -> Set<Direction> {
        let items = cursor?.list(&diagnostics) ?? []
        guard !items.isEmpty else { return hasEgressRules ? [.ingress, .egress] : [.ingress] }
        var directions: Set<Direction> = []
        for item in items {
            guard let text = item.string(&diagnostics) else { continue }
            switch text {
            case "Ingress": directions.insert(.ingress)
            case "Egress": directions.insert(.egress)
            default:
                var message = "\"\(text)\" is neither Ingress nor Egress"
                if let nearest = nearestName(to: text, among: ["Ingress", "Egress"]) {
                    message += "; did you mean \(nearest)?"
                }
                diagnostics.error(.invalidValue, message, at: item.location)
            }
        }
        return directions
    }

    private func decodeRules(
        _ items: [Cursor], _ direction: Direction, _ diagnostics: inout DiagnosticsCollector
    ) -> [Rule] {
        items.enumerated().compactMap { index, item in
            guard var fields = item.fields(&diagnostics) else { return nil }
            let peers = fields.optional(direction == .ingress ? "from" : "to")?.list(&diagnostics) ?? []
            let ports = fields.optional("ports")?.list(&diagnostics) ?? []
            fields.reportUnknown(&diagnostics)
            return Rule(
                origin: origin(section: direction.rawValue, index: index, at: item.location), direction: direction,
                action: .allow,
                peers: peers.isEmpty ? .any : .list(peers.compactMap { decodePeer($0, &diagnostics) }),
                ports: ports.isEmpty ? .any : .list(ports.compactMap { decodePort($0, &diagnostics) }))
        }
    }

    // MARK: Peers

    private func decodePeer(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> Peer? {
        guard var fields = cursor.fields(&diagnostics) else { return nil }
        let pods = fields.optional("podSelector")
        let namespaces = fields.optional("namespaceSelector")
        let block = fields.optional("ipBlock")
        fields.reportUnknown(&diagnostics)
        if let block {
            if pods != nil || namespaces != nil {
                diagnostics.error(
                    .conflictingFields, "a peer is an ipBlock or selectors, not both",
                    at: fields.keyLocation(of: "ipBlock") ?? cursor.location)
            }
            return decodeBlock(block, &diagnostics)
        }
        guard pods != nil || namespaces != nil else {
            diagnostics.error(
                .missingField, "a peer needs a podSelector, a namespaceSelector or an ipBlock", at: cursor.location)
            return nil
        }
        var selector = LabelSelector.everything
        if let pods { selector = WrittenSelector(pods, keys: .kubernetes, &diagnostics).selector }
        guard let namespaces else { return .selector(selector.adding(Scope.inNamespace(namespace))) }
        let written = WrittenSelector(namespaces, keys: .kubernetesNamespace, &diagnostics)
        return .selector(
            LabelSelector(selector.requirements + written.requirements).adding(Scope.anyNamespace))
    }

    private func decodeBlock(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> Peer? {
        guard var fields = cursor.fields(&diagnostics) else { return nil }
        let cidr = fields.required("cidr", &diagnostics)
        let list = fields.optional("except")
        fields.reportUnknown(&diagnostics)
        guard let cidr, let prefix = decodePrefix(cidr, &diagnostics) else { return nil }
        var except: [Prefix] = []
        for item in list?.list(&diagnostics) ?? [] {
            guard let inner = decodePrefix(item, &diagnostics) else { continue }
            if !prefix.contains(inner) || prefix == inner {
                diagnostics.error(
                    .exceptOutsideCIDR, "\(inner) does not lie strictly inside \(prefix)", at: item.location)
            }
            except.append(inner)
        }
        return .cidr(CIDRBlock(prefix, except: except))
    }

    // MARK: Ports

    private func decodePort(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> PortMatch? {
        guard var fields = cursor.fields(&diagnostics) else { return nil }
        let port = fields.optional("port")
        let endPort = fields.optional("endPort")
        let protocolName = fields.optional("protocol")
        fields.reportUnknown(&diagnostics)
        guard let `protocol` = decodeTransportProtocol(protocolName, &diagnostics) else { return nil }
        guard let port else {
            if let endPort {
                diagnostics.error(.invalidPort, "endPort needs a port to start from", at: endPort.location)
            }
            return .range(`protocol`, 0...UInt16.max)
        }
        if case .scalar(let scalar) = port.node.content, scalar.value == .string {
            return decodeName(scalar.text, `protocol`, port: port, endPort: endPort, &diagnostics)
        }
        guard let first = decodeNonZeroPort(port, &diagnostics) else { return nil }
        guard let endPort else { return .range(`protocol`, first...first) }
        guard let last = decodeNonZeroPort(endPort, &diagnostics) else { return nil }
        guard first <= last else {
            diagnostics.error(
                .emptyPortRange, "the range \(first)–\(last) is empty", at: endPort.location)
            return nil
        }
        return .range(`protocol`, first...last)
    }

    private func decodeName(
        _ text: String, _ protocol: IPProtocol, port: Cursor, endPort: Cursor?,
        _ diagnostics: inout DiagnosticsCollector
    ) -> PortMatch? {
        guard isServiceName(text) else {
            var message = "\"\(text)\" is not a port name"
            if UInt16(text) != nil { message += "; a number goes without quotes" }
            diagnostics.error(.invalidPort, message, at: port.location)
            return nil
        }
        if let endPort {
            diagnostics.error(.invalidPort, "endPort needs a port number, not a name", at: endPort.location)
        }
        return .named(text.lowercased(), [`protocol`])
    }
}
