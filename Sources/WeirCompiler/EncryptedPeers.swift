internal import WeirABI
internal import WeirModel

/// Which addresses lie on other nodes, so that their traffic is encrypted: every pod there, and every prefix of a pod
/// network of theirs, be the node's key known or not.
struct EncryptedPeers: Sendable {
    private let node: String
    private let addresses: Set<IPAddress>
    /// To the node that has it.
    private let podNetworks: [Prefix: String]

    /// nil where nothing is to be encrypted.
    init?(_ inventory: Inventory, node: String, options: PolicyOptions) {
        guard options.encryption == .wireguard else { return nil }
        self.node = node
        addresses = Set(inventory.endpoints.lazy.filter { $0.node != node }.flatMap(\.addresses))
        podNetworks = Dictionary(
            inventory.nodes.flatMap { other in other.podCIDRs.map { ($0, other.name) } },
            // Of one that two nodes claim, nothing may leave in clear.
            uniquingKeysWith: { first, second in first == node ? second : first })
    }

    func contains(_ endpoint: Endpoint) -> Bool { endpoint.node != node }

    func contains(_ address: IPAddress) -> Bool { addresses.contains(address) }

    /// By the longest pod network around it.
    func contains(_ prefix: Prefix) -> Bool {
        for length in stride(from: prefix.length, through: 0, by: -1) {
            if let owner = podNetworks[Prefix(prefix.address, length: length)] { return owner != node }
        }
        return false
    }
}
