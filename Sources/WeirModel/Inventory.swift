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
    /// Audit mode: what policy refuses it is reported and passes.
    package var isAudited: Bool
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
        attachment: Attachment, isAudited: Bool = false, location: SourceLocation
    ) {
        self.namespace = namespace
        self.name = name
        self.node = node
        self.addresses = addresses.sorted()
        self.labels = labels
        self.ports = ports.sorted()
        self.attachment = attachment
        self.isAudited = isAudited
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
    /// Those of `addresses` by which other nodes reach it, sorted; empty where no document tells them apart.
    package var internalAddresses: [IPAddress]
    package var wireGuard: WireGuardPeer?
    package var location: SourceLocation

    /// What other nodes need for a tunnel to it, as written; `weir wireguard` reads the values.
    package struct WireGuardPeer: Hashable, Sendable {
        package var publicKey: String
        /// The key that it is about to use, published ahead.
        package var nextPublicKey: String?
        /// `ADDRESS:PORT`; nil where its address and the common port are meant.
        package var endpoint: String?
        /// A path on whichever node reads this, never the key itself.
        package var presharedKeyFile: String?
        /// Seconds.
        package var persistentKeepalive: Int?
        /// Of its network device, not of the tunnel.
        package var mtu: Int?
        package var location: SourceLocation

        package init(
            publicKey: String, nextPublicKey: String? = nil, endpoint: String? = nil, presharedKeyFile: String? = nil,
            persistentKeepalive: Int? = nil, mtu: Int? = nil, location: SourceLocation
        ) {
            self.publicKey = publicKey
            self.nextPublicKey = nextPublicKey
            self.endpoint = endpoint
            self.presharedKeyFile = presharedKeyFile
            self.persistentKeepalive = persistentKeepalive
            self.mtu = mtu
            self.location = location
        }
    }

    package init(
        name: String, labels: [String: String], addresses: [IPAddress], podCIDRs: [Prefix], isKubeAPIServer: Bool,
        internalAddresses: [IPAddress] = [], wireGuard: WireGuardPeer? = nil, location: SourceLocation
    ) {
        self.name = name
        self.labels = labels
        self.addresses = addresses.sorted()
        self.podCIDRs = podCIDRs.sorted()
        self.isKubeAPIServer = isKubeAPIServer
        self.internalAddresses = internalAddresses.sorted()
        self.wireGuard = wireGuard
        self.location = location
    }

    /// Its labels as selectors see them: source `k8s`, and `reserved:host`.
    package var labelSet: LabelSet {
        LabelSet(
            labels.map { Label(source: WellKnownLabel.kubernetesSource, key: $0.key, value: $0.value) }
                + [Label(source: WellKnownLabel.reservedSource, key: Entity.host.rawValue, value: "")])
    }
}

/// A Service: frontends that stand for backends until kube-proxy, or what replaces it, translates them.
package struct Service: Hashable, Sendable {
    package struct Backend: Hashable, Sendable, Comparable, CustomStringConvertible {
        package var address: IPAddress
        package var port: UInt16

        package init(address: IPAddress, port: UInt16) {
            self.address = address
            self.port = port
        }

        package static func < (left: Self, right: Self) -> Bool {
            (left.address, left.port) < (right.address, right.port)
        }

        /// `10.0.0.5:8080` or `[fd00::5]:8080`.
        package var description: String { address.family == .ipv6 ? "[\(address)]:\(port)" : "\(address):\(port)" }
    }

    package struct Port: Hashable, Sendable {
        /// Empty where a Service's only port has no name.
        package var name: String
        package var `protocol`: IPProtocol
        package var port: UInt16
        /// Sorted, distinct, of both families. Empty: nothing answers here.
        package var backends: [Backend]

        package init(name: String, protocol: IPProtocol, port: UInt16, backends: [Backend]) {
            self.name = name
            self.protocol = `protocol`
            self.port = port
            self.backends = Set(backends).sorted()
        }
    }

    package var namespace: String
    package var name: String
    package var labels: [String: String]
    /// What its backends are chosen by; nil where somebody else lists them.
    package var selector: [String: String]?
    /// Cluster IPs, external IPs and load balancer addresses, sorted; empty for a headless Service.
    package var addresses: [IPAddress]
    /// Sorted by protocol and port.
    package var ports: [Port]
    package var location: SourceLocation

    package init(
        namespace: String, name: String, labels: [String: String], selector: [String: String]?,
        addresses: [IPAddress], ports: [Port], location: SourceLocation
    ) {
        self.namespace = namespace
        self.name = name
        self.labels = labels
        self.selector = selector
        self.addresses = Set(addresses).sorted()
        self.ports = ports.sorted { ($0.protocol, $0.port, $0.name) < ($1.protocol, $1.port, $1.name) }
        self.location = location
    }

    /// `namespace/name`, unique in an inventory.
    package var qualifiedName: String { "\(namespace)/\(name)" }
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
    /// Sorted by name. Every node that an endpoint names is there, without addresses where no document has it.
    package let nodes: [Node]
    /// Addresses behind Service `default/kubernetes`, sorted. Nodes marked so are not repeated here.
    package let kubeAPIServerAddresses: [IPAddress]
    /// Sorted by qualified name.
    package let services: [Service]
    /// Labels by namespace, without the one that names it: of those that a document describes, and of those that an
    /// endpoint is in.
    package let namespaces: [String: [String: String]]
    package let skipped: Skipped

    package init(
        endpoints: [Endpoint] = [], nodes: [Node] = [], kubeAPIServerAddresses: [IPAddress] = [],
        services: [Service] = [], namespaces: [String: [String: String]] = [:], skipped: Skipped = Skipped()
    ) {
        self.endpoints = endpoints.sorted { ($0.namespace, $0.name) < ($1.namespace, $1.name) }
        self.nodes = nodes.sorted { $0.name < $1.name }
        self.kubeAPIServerAddresses = Set(kubeAPIServerAddresses).sorted()
        self.services = services.sorted { ($0.namespace, $0.name) < ($1.namespace, $1.name) }
        self.namespaces = Self.namespaces(of: endpoints).merging(namespaces) { $1 }
        self.skipped = skipped
    }

    /// What namespaces give their endpoints as labels.
    private static func namespaces(of endpoints: [Endpoint]) -> [String: [String: String]] {
        var found: [String: [String: String]] = [:]
        for endpoint in endpoints where found[endpoint.namespace] == nil {
            var labels: [String: String] = [:]
            for label in endpoint.labels.labels where label.key.hasPrefix(WellKnownLabel.namespaceLabelsPrefix) {
                labels[String(label.key.dropFirst(WellKnownLabel.namespaceLabelsPrefix.count))] = label.value
            }
            labels[WellKnownLabel.namespaceName] = nil
            found[endpoint.namespace] = labels
        }
        return found
    }

    /// The same with other endpoints.
    package func with(endpoints: [Endpoint]) -> Inventory {
        Inventory(
            endpoints: endpoints, nodes: nodes, kubeAPIServerAddresses: kubeAPIServerAddresses, services: services,
            namespaces: namespaces, skipped: skipped)
    }

    package func endpoint(namespace: String, name: String) -> Endpoint? {
        endpoints.first { $0.namespace == namespace && $0.name == name }
    }

    package func node(named name: String) -> Node? { nodes.first { $0.name == name } }
}
