internal import WeirDiagnostics
package import WeirModel
internal import WeirSyntax

/// An endpoint's own labels and those that its place gives it.
package func endpointLabels(
    _ own: [String: String], namespace: String, namespaceLabels: [String: String], serviceAccount: String,
    clusterName: String
) -> LabelSet {
    func label(_ key: String, _ value: String) -> Label {
        Label(source: WellKnownLabel.kubernetesSource, key: key, value: value)
    }
    var namespaceLabels = namespaceLabels
    namespaceLabels[WellKnownLabel.namespaceName] = namespace
    return LabelSet(
        own.map { label($0.key, $0.value) }
            + namespaceLabels.map { label(WellKnownLabel.namespaceLabelsPrefix + $0.key, $0.value) }
            + [
                label(WellKnownLabel.namespace, namespace), label(WellKnownLabel.serviceAccount, serviceAccount),
                label(WellKnownLabel.cluster, clusterName),
            ])
}

/// Puts together what the documents say, and checks what only shows over all of them.
struct Assembly {
    private let options: InventoryOptions
    var skipped = Inventory.Skipped()

    private var endpoints: [EndpointDraft] = []
    private var nodes: [String: NodeDraft] = [:]
    private var namespaces: [String: [String: String]] = [:]
    private var services: [ServiceDraft] = []
    private var endpointSlices: [EndpointSliceDraft] = []
    private var kubeAPIServers: [LocatedAddress] = []

    init(options: InventoryOptions) { self.options = options }

    mutating func add(_ finding: Finding) {
        switch finding {
        case .endpoint(let draft): endpoints.append(draft)
        case .node(let draft): merge(draft)
        case .namespace(let name, let labels): namespaces[name] = labels
        case .service(let draft): services.append(draft)
        case .endpointSlice(let draft): endpointSlices.append(draft)
        case .kubeAPIServer(let addresses): kubeAPIServers += addresses
        case .skippedPod(let counter): skipped[keyPath: counter] += 1
        }
    }

    /// The Node's own labels and place win over those of the CiliumNode, whichever comes first.
    private mutating func merge(_ draft: NodeDraft) {
        guard let known = nodes[draft.name] else {
            nodes[draft.name] = draft
            return
        }
        var (main, supplement) = known.isSupplement ? (draft, known) : (known, draft)
        main.labels.merge(supplement.labels) { own, _ in own }
        main.addresses += supplement.addresses
        main.podCIDRs += supplement.podCIDRs
        main.internalAddresses += supplement.internalAddresses
        main.wireGuard = main.wireGuard.filled(from: supplement.wireGuard)
        nodes[draft.name] = main
    }

    /// Missing nodes are reported only where every document is sound, as a broken Node would seem to be missing.
    mutating func finish(documentsAreSound: Bool, _ diagnostics: inout DiagnosticsCollector) -> Inventory {
        if documentsAreSound { resolveNodes(&diagnostics) }
        checkAddresses(&diagnostics)
        checkInterfaces(&diagnostics)
        checkKeys(&diagnostics)
        if documentsAreSound { checkSlices(&diagnostics) }
        return Inventory(
            endpoints: endpoints.map(endpoint), nodes: nodes.values.map(node) + nodesWithoutDocument,
            kubeAPIServerAddresses: kubeAPIServerAddresses, services: joinedServices,
            namespaces: namespaces.mapValues { $0.filter { $0.key != WellKnownLabel.namespaceName } }, skipped: skipped)
    }

    private func endpoint(_ draft: EndpointDraft) -> Endpoint {
        return Endpoint(
            namespace: draft.namespace, name: draft.name, node: draft.node?.text ?? "",
            addresses: draft.addresses.map(\.address),
            labels: endpointLabels(
                draft.labels, namespace: draft.namespace, namespaceLabels: namespaces[draft.namespace] ?? [:],
                serviceAccount: draft.serviceAccount, clusterName: options.clusterName), ports: draft.ports,
            attachment: draft.attachment, isAudited: draft.isAudited, location: draft.location)
    }

    private func node(_ draft: NodeDraft) -> Node {
        let addresses = Set(draft.addresses.map(\.address))
        // Where all are internal, the documents do not tell them apart.
        let internalAddresses = Set(draft.internalAddresses)
        return Node(
            name: draft.name, labels: draft.labels, addresses: Array(addresses),
            podCIDRs: Array(Set(draft.podCIDRs)), isKubeAPIServer: draft.isKubeAPIServer,
            internalAddresses: internalAddresses == addresses ? [] : Array(internalAddresses),
            wireGuard: draft.wireGuard.peer, location: draft.location)
    }

    /// The Service `default/kubernetes` is the API server's own.
    private var kubeAPIServerAddresses: [IPAddress] {
        kubeAPIServers.map(\.address)
            + endpointSlices.filter { $0.namespace == "default" && $0.serviceName == "kubernetes" }
            .flatMap(\.listedAddresses)
    }

    /// Those that only an endpoint names.
    private var nodesWithoutDocument: [Node] {
        var found: [String: Node] = [:]
        for draft in endpoints.sorted(by: { $0.location < $1.location }) {
            guard let name = draft.node?.text, !name.isEmpty, nodes[name] == nil, found[name] == nil else { continue }
            found[name] = Node(
                name: name, labels: [:], addresses: [], podCIDRs: [], isKubeAPIServer: false, location: draft.location)
        }
        return Array(found.values)
    }

    /// Each Service port with the backends that its slices give the port of that name and protocol.
    private var joinedServices: [Service] {
        let slices = Dictionary(grouping: endpointSlices) { [$0.namespace, $0.serviceName] }
        return services.map { draft in
            let own = slices[[draft.namespace, draft.name]] ?? []
            let ports = draft.ports.map { port in
                var backends = port.backends
                for slice in own {
                    for target in slice.ports where target.name == port.name && target.protocol == port.protocol {
                        backends += slice.addresses.map { Service.Backend(address: $0, port: target.port) }
                    }
                }
                return Service.Port(name: port.name, protocol: port.protocol, port: port.port, backends: backends)
            }
            return Service(
                namespace: draft.namespace, name: draft.name, labels: draft.labels, selector: draft.selector,
                addresses: draft.addresses, ports: ports, location: draft.location)
        }
    }

    /// Services that choose pods and not one slice in total: somebody did not ask for the slices.
    private func checkSlices(_ diagnostics: inout DiagnosticsCollector) {
        guard endpointSlices.isEmpty else { return }
        let lacking = services.filter { $0.needsSlices && $0.selector != nil }
        guard let first = lacking.min(by: { $0.location < $1.location }) else { return }
        diagnostics.warning(
            .serviceWithoutEndpoints,
            "\(lacking.count == 1 ? "a Service has" : "\(lacking.count) Services have") a selector and the inventory "
                + "has no EndpointSlice, so nothing reaches their addresses; add endpointslices to what kubectl gets",
            at: first.location)
    }

    /// Fills in the one node of the inventory where an endpoint of ours leaves it out.
    private mutating func resolveNodes(_ diagnostics: inout DiagnosticsCollector) {
        let named = Set(nodes.keys).union(endpoints.compactMap(\.node?.text)).subtracting([""])
        for index in endpoints.indices where endpoints[index].isOurs {
            let draft = endpoints[index]
            guard let node = draft.node else {
                if named.count == 1, let only = named.first {
                    endpoints[index].node = Cursor.Text(text: only, location: draft.location)
                } else {
                    diagnostics.error(
                        .ambiguousNode,
                        "\(draft.namespace)/\(draft.name) needs a node: the inventory has \(named.count)",
                        at: draft.location)
                }
                continue
            }
            if !nodes.isEmpty, nodes[node.text] == nil, !node.text.isEmpty {
                var message = "there is no node \"\(node.text)\""
                if let nearest = nearestName(to: node.text, among: nodes.keys) {
                    message += "; did you mean \(nearest)?"
                }
                diagnostics.error(.unknownNode, message, at: node.location)
            }
        }
    }

    /// One live owner for each address.
    private func checkAddresses(_ diagnostics: inout DiagnosticsCollector) {
        var claims: [(owner: String, claim: LocatedAddress)] = []
        for draft in endpoints {
            claims += draft.addresses.map { ("\(draft.namespace)/\(draft.name)", $0) }
        }
        for node in nodes.values { claims += node.addresses.map { ("node \(node.name)", $0) } }
        claims.sort { ($0.claim.location, $0.owner) < ($1.claim.location, $1.owner) }
        var owners: [IPAddress: (owner: String, claim: LocatedAddress)] = [:]
        for entry in claims {
            let address = entry.claim.address
            guard let first = owners[address] else {
                owners[address] = entry
                continue
            }
            guard first.owner != entry.owner else { continue }
            diagnostics.error(
                .duplicateAddress, "\(address) belongs to \(first.owner) and to \(entry.owner)",
                at: entry.claim.location,
                notes: [Diagnostic.Note("\(first.owner) is here", at: first.claim.location)])
        }
    }

    /// A key that is to come needs one that is there.
    private func checkKeys(_ diagnostics: inout DiagnosticsCollector) {
        for node in nodes.values where node.wireGuard.publicKey == nil {
            guard let next = node.wireGuard.nextPublicKey else { continue }
            diagnostics.warning(
                .missingField, "node \(node.name) publishes its next WireGuard key and not the one in use",
                at: next.location)
        }
    }

    private func checkInterfaces(_ diagnostics: inout DiagnosticsCollector) {
        var owners: [[String]: EndpointDraft] = [:]
        for draft in endpoints.sorted(by: { $0.location < $1.location }) {
            guard case .interface(let name) = draft.attachment, let node = draft.node?.text else { continue }
            if let first = owners[[node, name]] {
                diagnostics.error(
                    .duplicateInterface,
                    "\(first.namespace)/\(first.name) and \(draft.namespace)/\(draft.name) both name interface \(name)",
                    at: draft.location,
                    notes: [Diagnostic.Note("\(first.namespace)/\(first.name) is here", at: first.location)])
            } else {
                owners[[node, name]] = draft
            }
        }
    }
}
