/// What a node was told of an endpoint that lives on it, by a container runtime or by a person.
///
/// It holds as long as the interface exists: neither the interface's index nor the endpoint outlives a reboot.
package struct Registration: Hashable, Sendable, Codable {
    /// Who registered it, and as what. Unique on a node.
    package enum Key: Hashable, Sendable, Codable, CustomStringConvertible {
        /// By `weir cni`: an interface of a container in a network, as the CNI specification tells attachments apart.
        case attachment(network: String, container: String, interface: String)
        /// By `weir endpoint add`: `namespace/name`.
        case endpoint(String)

        package var description: String {
            switch self {
            case .attachment(let network, let container, let interface):
                "\(interface) of container \(container) in network \(network)"
            case .endpoint(let name): "endpoint \(name)"
            }
        }
    }

    package var key: Key
    package var namespace: String
    package var name: String
    /// The endpoint's own, without those that weir derives. nil: nobody said; only an inventory can.
    package var labels: [String: String]?
    /// nil: nobody said.
    package var serviceAccount: String?
    /// Sorted; nil: nobody said.
    package var ports: [NamedPort]?
    /// Sorted, at most one of each family.
    package var addresses: [IPAddress]
    /// The host side.
    package var interface: String
    package var interfaceIndex: UInt32

    package init(
        key: Key, namespace: String, name: String, labels: [String: String]? = nil, serviceAccount: String? = nil,
        ports: [NamedPort]? = nil, addresses: [IPAddress], interface: String, interfaceIndex: UInt32
    ) {
        self.key = key
        self.namespace = namespace
        self.name = name
        self.labels = labels
        self.serviceAccount = serviceAccount
        self.ports = ports?.sorted()
        self.addresses = addresses.sorted()
        self.interface = interface
        self.interfaceIndex = interfaceIndex
    }

    /// `namespace/name`.
    package var qualifiedName: String { "\(namespace)/\(name)" }
}

/// Whether a registered endpoint may speak.
package enum Admission: Hashable, Sendable {
    /// Under the policy in force.
    case published
    /// Nothing passes at its interface.
    case denied(reason: String)
    /// Everything does, because somebody opened the node.
    case open(reason: String)
}
