package import WeirDiagnostics

/// A pod or a `weir.dev/v1 Endpoint` that has an address of its own.
package struct Endpoint: Hashable, Sendable {
    package var namespace: String
    package var name: String
    /// The node it runs on.
    package var node: String
    /// Sorted, IPv4 before IPv6; at least one, at most one of each family.
    package var addresses: [IPAddress]
    /// With the derived labels: namespace, namespace labels, service account, cluster.
    package var labels: LabelSet
    /// Sorted.
    package var ports: [NamedPort]
    /// How its host-side interface is found on the node.
    package var attachment: Attachment
    package var location: SourceLocation

    package enum Attachment: Hashable, Sendable {
        /// The host-side interface by name.
        case interface(String)
        /// A named network namespace in which its address lives.
        case networkNamespace(String)
        /// By address: a route to it, or the veth peer of the interface that owns it.
        case byAddress
    }

    package init(
        namespace: String, name: String, node: String, addresses: [IPAddress], labels: LabelSet, ports: [NamedPort],
        attachment: Attachment, location: SourceLocation
    ) {
        self.namespace = namespace
        self.name = name
        self.node = node
        self.addresses = addresses.sorted()
        self.labels = labels
        self.ports = ports.sorted()
        self.attachment = attachment
        self.location = location
    }

    /// `namespace/name`, unique in an inventory.
    package var qualifiedName: String { "\(namespace)/\(name)" }

    package func address(_ family: AddressFamily) -> IPAddress? { addresses.first { $0.family == family } }
}

package struct Node: Hashable, Sendable {
    package var name: String
    package var labels: [String: String]
    /// Sorted.
    package var addresses: [IPAddress]
    /// Sorted.
    package var podCIDRs: [Prefix]
    /// Marked as serving the Kubernetes API.
    package var isKubeAPIServer: Bool
    package var location: SourceLocation

    package init(
        name: String, labels: [String: String], addresses: [IPAddress], podCIDRs: [Prefix], isKubeAPIServer: Bool,
        location: SourceLocation
    ) {
        self.name = name
        self.labels = labels
        self.addresses = addresses.sorted()
        self.podCIDRs = podCIDRs.sorted()
        self.isKubeAPIServer = isKubeAPIServer
        self.location = location
    }
}

/// Everything weir knows about the cluster. Canonical: sorted, whatever the order of the files.
package struct Inventory: Hashable, Sendable {
    /// What was read and not used, and why; for `weir compile` to print.
    package struct Skipped: Hashable, Sendable {
        package var finishedPods = 0
        package var podsWithoutAddress = 0
        package var hostNetworkPods = 0
        package var otherDocuments = 0

        package init() {}
    }

    /// Sorted by qualified name.
    package let endpoints: [Endpoint]
    /// Sorted by name.
    package let nodes: [Node]
    /// Addresses behind Service `default/kubernetes`, sorted. Nodes marked so are not repeated here.
    package let kubeAPIServerAddresses: [IPAddress]
    /// Cluster IPs of Services, sorted: frontends, never backends.
    package let serviceAddresses: [IPAddress]
    package let skipped: Skipped

    package init(
        endpoints: [Endpoint] = [], nodes: [Node] = [], kubeAPIServerAddresses: [IPAddress] = [],
        serviceAddresses: [IPAddress] = [], skipped: Skipped = Skipped()
    ) {
        self.endpoints = endpoints.sorted { ($0.namespace, $0.name) < ($1.namespace, $1.name) }
        self.nodes = nodes.sorted { $0.name < $1.name }
        self.kubeAPIServerAddresses = Set(kubeAPIServerAddresses).sorted()
        self.serviceAddresses = Set(serviceAddresses).sorted()
        self.skipped = skipped
    }

    package func endpoint(namespace: String, name: String) -> Endpoint? {
        endpoints.first { $0.namespace == namespace && $0.name == name }
    }

    package func node(named name: String) -> Node? { nodes.first { $0.name == name } }
}
