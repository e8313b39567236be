package import WeirModel
internal import WeirSyntax

/// An inventory as documents of our own: only what weir reads, so that it can be kept, sent and compared.
///
/// Equal inventories give equal bytes. Read again, with the same options, it gives the same inventory apart from
/// places and from what was skipped.
package struct ReducedInventory {
    package enum Format { case yaml, json }

    private let inventory: Inventory

    package init(_ inventory: Inventory) { self.inventory = inventory }

    /// YAML: a document of four lines for each object. JSON: one `List`, each item on a line.
    package func encoded(as format: Format) -> [UInt8] {
        var bytes: [UInt8] = []
        let documents = documents
        switch format {
        case .yaml:
            for document in documents {
                bytes += "---\n".utf8
                for (key, value) in document {
                    bytes += "\(key): ".utf8
                    value.append(to: &bytes, asYAML: true)
                    bytes.append(UInt8(ascii: "\n"))
                }
            }
        case .json:
            bytes += "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [".utf8
            for (index, document) in documents.enumerated() {
                bytes += (index == 0 ? "\n" : ",\n").utf8
                WrittenValue.object(document).append(to: &bytes, asYAML: false)
            }
            bytes += "\n]}\n".utf8
        }
        return bytes
    }

    private typealias Members = [(key: String, value: WrittenValue)]

    private var documents: [Members] {
        var documents: [Members] = []
        if !inventory.kubeAPIServerAddresses.isEmpty {
            documents.append(
                Self.document(
                    "KubeAPIServer", metadata: [("name", .text("kubernetes"))],
                    spec: [("addresses", Self.list(inventory.kubeAPIServerAddresses))]))
        }
        // Of a namespace without labels its endpoints say enough.
        let inhabited = Set(inventory.endpoints.map(\.namespace))
        documents += inventory.namespaces.filter { !$0.value.isEmpty || !inhabited.contains($0.key) }
            .sorted { $0.key < $1.key }
            .map { Self.document("Namespace", metadata: Self.metadata($0.key, $0.value), spec: nil) }
        documents += inventory.nodes.map(Self.document)
        documents += inventory.services.map(Self.document)
        documents += inventory.endpoints.map(Self.document)
        return documents
    }

    private static func document(_ kind: String, metadata: Members, spec: Members?) -> Members {
        [
            ("apiVersion", .text("weir.dev/v1")), ("kind", .text(kind)), ("metadata", .object(metadata)),
        ] + (spec.map { [("spec", .object($0))] } ?? [])
    }

    private static func document(_ node: Node) -> Members {
        var spec: Members = []
        if !node.addresses.isEmpty { spec.append(("addresses", list(node.addresses))) }
        if !node.internalAddresses.isEmpty { spec.append(("internalAddresses", list(node.internalAddresses))) }
        if !node.podCIDRs.isEmpty { spec.append(("podCIDRs", list(node.podCIDRs))) }
        if node.isKubeAPIServer { spec.append(("kubeAPIServer", .boolean(true))) }
        if let peer = node.wireGuard { spec.append(("wireguard", .object(members(peer)))) }
        return document("Node", metadata: metadata(node.name, node.labels), spec: spec)
    }

    private static func members(_ peer: Node.WireGuardPeer) -> Members {
        let members: [(key: String, value: WrittenValue?)] = [
            ("publicKey", .text(peer.publicKey)), ("nextPublicKey", peer.nextPublicKey.map(WrittenValue.text)),
            ("endpoint", peer.endpoint.map(WrittenValue.text)),
            ("presharedKeyFile", peer.presharedKeyFile.map(WrittenValue.text)),
            ("persistentKeepalive", peer.persistentKeepalive.map(WrittenValue.number)),
            ("mtu", peer.mtu.map(WrittenValue.number)),
        ]
        return members.compactMap { key, value in value.map { (key, $0) } }
    }

    private static func document(_ service: Service) -> Members {
        var spec: Members = []
        if !service.addresses.isEmpty { spec.append(("addresses", list(service.addresses))) }
        if let selector = service.selector { spec.append(("selector", labels(selector))) }
        let ports = service.ports.map { port -> WrittenValue in
            var members: Members = port.name.isEmpty ? [] : [("name", .text(port.name))]
            members += [("port", .number(Int(port.port))), ("protocol", .text("\(port.protocol)"))]
            if !port.backends.isEmpty { members.append(("backends", list(port.backends))) }
            return .object(members)
        }
        if !ports.isEmpty { spec.append(("ports", .list(ports))) }
        return document(
            "Service", metadata: metadata(service.name, service.labels, namespace: service.namespace), spec: spec)
    }

    private static func document(_ endpoint: Endpoint) -> Members {
        var labels: [String: String] = [:]
        var serviceAccount = "default"
        for label in endpoint.labels.labels {
            if label.key == WellKnownLabel.serviceAccount { serviceAccount = label.value }
            if !isDerivedLabel(label.key) { labels[label.key] = label.value }
        }
        var spec: Members = [("node", .text(endpoint.node)), ("addresses", list(endpoint.addresses))]
        switch endpoint.attachment {
        case .interface(let name): spec.append(("interface", .text(name)))
        case .networkNamespace(let name): spec.append(("netns", .text(name)))
        case .byAddress: break
        }
        if serviceAccount != "default" { spec.append(("serviceAccount", .text(serviceAccount))) }
        let ports = endpoint.ports.map { port in
            WrittenValue.object([
                ("name", .text(port.name)), ("port", .number(Int(port.port))), ("protocol", .text("\(port.protocol)")),
            ])
        }
        if !ports.isEmpty { spec.append(("ports", .list(ports))) }
        var metadata = metadata(endpoint.name, labels, namespace: endpoint.namespace)
        if endpoint.isAudited {
            metadata.append(("annotations", Self.labels([Metadata.auditAnnotation: "true"])))
        }
        return document("Endpoint", metadata: metadata, spec: spec)
    }

    private static func metadata(_ name: String, _ labels: [String: String], namespace: String? = nil) -> Members {
        var members: Members = [("name", .text(name))]
        if let namespace { members.append(("namespace", .text(namespace))) }
        if !labels.isEmpty { members.append(("labels", Self.labels(labels))) }
        return members
    }

    private static func labels(_ labels: [String: String]) -> WrittenValue {
        .object(labels.sorted { $0.key < $1.key }.map { ($0.key, .text($0.value)) })
    }

    private static func list(_ values: [some CustomStringConvertible]) -> WrittenValue {
        .list(values.map { .text($0.description) })
    }
}
