// Documents of our own, for nodes without Kubernetes: unknown keys are errors.
internal import WeirDiagnostics
internal import WeirModel
internal import WeirSyntax

func decodeWeirEndpoint(
    _ document: Document, _ options: InventoryOptions, _ names: inout NameRegister,
    _ diagnostics: inout DiagnosticsCollector
) -> EndpointDraft? {
    let parts = decodeParts(document, defaultNamespace: options.defaultNamespace, &names, &diagnostics)
    guard let metadata = parts.metadata else { return nil }
    for (key, _) in metadata.labels where isDerivedLabel(key.text) {
        diagnostics.error(
            .invalidLabel, "\(key.text) is derived from the namespace and the service account; it cannot be given",
            at: key.location)
    }
    guard var specFields = parts.spec else { return nil }
    let node = specFields.optional("node")
    let addresses = specFields.required("addresses", &diagnostics)
    let interface = specFields.optional("interface")
    let networkNamespace = specFields.optional("netns")
    let serviceAccount = specFields.optional("serviceAccount")
    let ports = specFields.optional("ports")
    if let interface, networkNamespace != nil {
        diagnostics.error(
            .conflictingFields, "an endpoint is found by its interface or by its netns, not both",
            at: specFields.keyLocation(of: "netns") ?? interface.location,
            notes: [Diagnostic.Note("interface is here", at: interface.location)])
    }
    specFields.reportUnknown(&diagnostics)

    let found = addresses?.list(&diagnostics)
    if let addresses, found?.isEmpty == true {
        diagnostics.error(.missingField, "an endpoint needs an address", at: addresses.location)
    }
    var attachment = Endpoint.Attachment.byAddress
    if let name = decodeName(interface, &diagnostics, isValid: isInterfaceName) { attachment = .interface(name) }
    if let name = decodeName(networkNamespace, &diagnostics, isValid: isFileName) {
        attachment = .networkNamespace(name)
    }
    return EndpointDraft(
        namespace: metadata.namespace ?? options.defaultNamespace, name: metadata.name,
        node: node.flatMap { cursor in
            cursor.string(&diagnostics).map { Cursor.Text(text: $0, location: cursor.location) }
        },
        addresses: checkOnePerFamily((found ?? []).compactMap { decodeAddress($0, &diagnostics) }, &diagnostics),
        labels: metadata.labelDictionary,
        serviceAccount: decodeName(serviceAccount, &diagnostics) { !$0.isEmpty } ?? "default",
        ports: decodePorts(ports, &diagnostics), attachment: attachment, isAudited: metadata.isAudited(&diagnostics),
        location: metadata.location, isOurs: true)
}

private func decodePorts(_ list: Cursor?, _ diagnostics: inout DiagnosticsCollector) -> [NamedPort] {
    var ports: [NamedPort] = []
    for item in list?.list(&diagnostics) ?? [] {
        guard var fields = item.fields(&diagnostics) else { continue }
        let name = fields.required("name", &diagnostics)
        let number = fields.required("port", &diagnostics)
        let protocolName = fields.optional("protocol")
        fields.reportUnknown(&diagnostics)
        guard let name, let text = decodeName(name, &diagnostics, isValid: { !$0.isEmpty }),
            let number, let port = decodePortNumber(number, &diagnostics),
            let `protocol` = decodePortProtocol(protocolName, &diagnostics)
        else { continue }
        let named = NamedPort(name: text.lowercased(), protocol: `protocol`, port: port)
        if ports.contains(where: { $0.name == named.name && $0.protocol == named.protocol }) {
            diagnostics.error(
                .duplicateName, "the port \(named.name)/\(named.protocol) is here twice", at: name.location)
        }
        ports.append(named)
    }
    return ports
}

func decodeWeirNode(
    _ document: Document, _ names: inout NameRegister, _ diagnostics: inout DiagnosticsCollector
) -> NodeDraft? {
    let parts = decodeParts(document, defaultNamespace: nil, &names, &diagnostics)
    guard let metadata = parts.metadata, var specFields = parts.spec else { return nil }
    let addresses = specFields.optional("addresses")
    let internalAddresses = specFields.optional("internalAddresses")
    let podCIDRs = specFields.optional("podCIDRs")
    let isKubeAPIServer = specFields.optional("kubeAPIServer")
    let wireguard = specFields.optional("wireguard")
    specFields.reportUnknown(&diagnostics)
    let all = (addresses?.list(&diagnostics) ?? []).compactMap { decodeAddress($0, &diagnostics) }
    let reached = (internalAddresses?.list(&diagnostics) ?? []).compactMap { decodeAddress($0, &diagnostics) }
    for inner in reached where !all.contains(where: { $0.address == inner.address }) {
        diagnostics.error(
            .invalidAddress, "\(inner.address) is not among the node's addresses; add it there", at: inner.location)
    }
    return NodeDraft(
        name: metadata.name, labels: metadata.labelDictionary, addresses: all,
        podCIDRs: decodePodCIDRs(podCIDRs, &diagnostics),
        isKubeAPIServer: isKubeAPIServer?.boolean(&diagnostics) ?? false,
        internalAddresses: reached.map(\.address), wireGuard: decodeWireGuard(wireguard, &diagnostics),
        location: metadata.location, isSupplement: false)
}

/// Shape only; `weir wireguard` reads the values.
private func decodeWireGuard(_ cursor: Cursor?, _ diagnostics: inout DiagnosticsCollector) -> WireGuardDraft {
    guard var fields = cursor?.fields(&diagnostics) else { return WireGuardDraft() }
    let publicKey = fields.required("publicKey", &diagnostics)
    let nextPublicKey = fields.optional("nextPublicKey")
    let endpoint = fields.optional("endpoint")
    let presharedKeyFile = fields.optional("presharedKeyFile")
    let persistentKeepalive = fields.optional("persistentKeepalive")
    let mtu = fields.optional("mtu")
    fields.reportUnknown(&diagnostics)
    func text(_ cursor: Cursor?) -> Cursor.Text? {
        decodeName(cursor, &diagnostics) { !$0.isEmpty }.flatMap { text in
            cursor.map { Cursor.Text(text: text, location: $0.location) }
        }
    }
    return WireGuardDraft(
        publicKey: text(publicKey), nextPublicKey: text(nextPublicKey), endpoint: text(endpoint)?.text,
        presharedKeyFile: text(presharedKeyFile)?.text,
        persistentKeepalive: persistentKeepalive?.integer(&diagnostics), mtu: mtu?.integer(&diagnostics))
}

/// Labels only.
func decodeWeirNamespace(
    _ document: Document, _ names: inout NameRegister, _ diagnostics: inout DiagnosticsCollector
) -> Finding? {
    guard var fields = document.cursor.fields(&diagnostics) else { return nil }
    fields.ignore("apiVersion", "kind", "status")
    let metadata = Metadata(&fields, defaultNamespace: nil, diagnostics: &diagnostics)
    fields.reportUnknown(&diagnostics)
    guard let metadata else { return nil }
    names.add("Namespace", metadata, &diagnostics)
    return .namespace(name: metadata.name, labels: metadata.labelDictionary)
}

/// Where the Kubernetes API is served, beside the nodes that are marked so.
func decodeWeirKubeAPIServer(
    _ document: Document, _ names: inout NameRegister, _ diagnostics: inout DiagnosticsCollector
) -> [LocatedAddress]? {
    guard var spec = decodeParts(document, defaultNamespace: nil, &names, &diagnostics).spec else { return nil }
    let addresses = spec.required("addresses", &diagnostics)
    spec.reportUnknown(&diagnostics)
    return addresses?.list(&diagnostics)?.compactMap { decodeAddress($0, &diagnostics) }
}

/// `metadata`, and `spec` as an object with its keys to be accounted for.
func decodeParts(
    _ document: Document, defaultNamespace: String?, _ names: inout NameRegister,
    _ diagnostics: inout DiagnosticsCollector
) -> (metadata: Metadata?, spec: Fields?) {
    guard var fields = document.cursor.fields(&diagnostics) else { return (nil, nil) }
    fields.ignore("apiVersion", "kind", "status")
    let metadata = Metadata(&fields, defaultNamespace: defaultNamespace, diagnostics: &diagnostics)
    let spec = fields.required("spec", &diagnostics)
    fields.reportUnknown(&diagnostics)
    if let metadata { names.add(document.kind, metadata, &diagnostics) }
    return (metadata, spec?.fields(&diagnostics))
}

/// A string that fulfils a condition.
func decodeName(
    _ cursor: Cursor?, _ diagnostics: inout DiagnosticsCollector, isValid: (String) -> Bool
) -> String? {
    guard let cursor, let text = cursor.string(&diagnostics) else { return nil }
    guard isValid(text) else {
        diagnostics.error(.invalidValue, "\"\(text)\" is no valid \(cursor.name)", at: cursor.location)
        return nil
    }
    return text
}

/// Linux' `dev_valid_name`: 1 to 15 bytes, no `/`, `:` or white space, neither `.` nor `..`.
private func isInterfaceName(_ text: String) -> Bool {
    text.utf8.count <= 15 && isFileName(text) && !text.contains { $0 == ":" || $0.isWhitespace }
}

/// A name in `/run/netns`.
private func isFileName(_ text: String) -> Bool {
    (1...255).contains(text.utf8.count) && text != "." && text != ".." && !text.contains("/")
        && !text.utf8.contains(0)
}
