internal import OrderedCollections
internal import WeirImage
internal import WeirModel

/// Every candidate that the policies of one node may have to tell apart, and which address is which.
///
/// Candidates are in canonical order: fixed kinds, endpoints by labels, nodes, regions by prefix, Service
/// addresses.
struct PeerCatalogue: Sendable {
    private(set) var candidates: OrderedSet<PeerCandidate> = []
    /// Known addresses, each with its candidate, sorted.
    private(set) var addresses: [(address: IPAddress, candidate: Int)] = []
    /// Regions of the address space, sorted: a prefix comes before what it contains.
    private(set) var regions: [(prefix: Prefix, candidate: Int)] = []
    /// The Service addresses among `addresses`.
    private(set) var serviceCandidates: [IPAddress: Int] = [:]

    private let distinctions: RuleSetResolution.Distinctions

    /// - Parameter node: nil is none of them: every node is a remote one, and each is a host beside.
    init(
        inventory: Inventory, node: String?, distinctions: RuleSetResolution.Distinctions, options: PolicyOptions
    ) {
        self.distinctions = distinctions
        addFixedKinds()
        addEndpoints(inventory)
        addNodes(inventory, node: node, options: options)
        addRegions(inventory)
        addServices(inventory)
        addresses.sort { $0.address < $1.address }
    }

    private mutating func index(of candidate: PeerCandidate) -> Int { candidates.append(candidate).index }

    private mutating func addFixedKinds() {
        _ = index(of: PeerCandidate(kind: .masqueraded))
        _ = index(of: PeerCandidate(kind: .unknownPod))
        _ = index(of: Self.multicast)
        _ = index(of: Self.outside(Prefix(all: .ipv4), servesAPI: false))
        _ = index(of: Self.outside(Prefix(all: .ipv6), servesAPI: false))
    }

    private static let multicast = PeerCandidate(
        kind: .multicast,
        prefixes: ["224.0.0.0/4", "255.255.255.255/32", "ff00::/8"].compactMap { Prefix($0) })

    private static func outside(_ prefix: Prefix, servesAPI: Bool) -> PeerCandidate {
        let family: Entity = prefix.family == .ipv4 ? .worldIPv4 : .worldIPv6
        var labels = [Label.reserved(.world), .reserved(family)]
        if servesAPI { labels.append(.reserved(.kubeAPIServer)) }
        return PeerCandidate(kind: .outside(prefix.family), labels: LabelSet(labels), prefixes: [prefix])
    }

    /// The longest prefix of a network rule around an address: every such rule holds for all of it or for nothing.
    private func network(around address: IPAddress) -> [Prefix] {
        guard !distinctions.networks.isEmpty else { return [] }
        for length in stride(from: address.family.bitWidth, through: 0, by: -1) {
            let prefix = Prefix(address, length: length)
            if distinctions.networks.contains(prefix) { return [prefix] }
        }
        return []
    }

    private mutating func addEndpoints(_ inventory: Inventory) {
        let order = inventory.endpoints.sorted { ($0.labels, $0.qualifiedName) < ($1.labels, $1.qualifiedName) }
        for endpoint in order {
            for address in endpoint.addresses {
                let candidate = index(
                    of: PeerCandidate(
                        kind: .endpoint, labels: endpoint.labels, ports: endpoint.ports,
                        networks: network(around: address)))
                addresses.append((address, candidate))
            }
        }
    }

    private mutating func addNodes(_ inventory: Inventory, node: String?, options: PolicyOptions) {
        let servers = Set(inventory.kubeAPIServerAddresses)
        _ = index(of: host(node.flatMap { inventory.node(named: $0) }, servers, options))
        for other in inventory.nodes {
            let host = host(other, servers, options)
            if node == nil { _ = index(of: host) }
            for address in other.addresses {
                let own = distinctions.networks.isEmpty ? host : host.at(network(around: address))
                if node == nil { _ = index(of: own) }
                if other.name == node {
                    addresses.append((address, index(of: own)))
                    continue
                }
                var labels = [Label.reserved(.remoteNode)]
                if other.isKubeAPIServer || servers.contains(address) { labels.append(.reserved(.kubeAPIServer)) }
                let candidate = PeerCandidate(
                    kind: .remoteNode, labels: LabelSet(labels),
                    prefixes: options.cidrMatchesNodes ? [Prefix(host: address)] : [],
                    nodeLabels: distinctions.nodeLabels ? other.labelSet : nil, networks: network(around: address))
                addresses.append((address, index(of: candidate)))
            }
        }
    }

    /// The node itself, as its own endpoints see it; nil is a node that the inventory does not have.
    private func host(_ own: Node?, _ servers: Set<IPAddress>, _ options: PolicyOptions) -> PeerCandidate {
        var host = PeerCandidate(kind: .host, labels: LabelSet([.reserved(.host)]))
        guard let own else { return host }
        if own.isKubeAPIServer || own.addresses.contains(where: servers.contains) {
            host.labels = LabelSet([.reserved(.host), .reserved(.kubeAPIServer)])
        }
        if options.cidrMatchesNodes { host.prefixes = own.addresses.map { Prefix(host: $0) } }
        if distinctions.nodeLabels { host.nodeLabels = own.labelSet }
        if !distinctions.networks.isEmpty { host.networks = own.addresses.map { Prefix(host: $0) } }
        return host
    }

    /// Rule prefixes cut the outside into regions in which every CIDR rule is constant. A region inside
    /// a pod network is `unknownPod`, whatever rule prefixes cut it further.
    private mutating func addRegions(_ inventory: Inventory) {
        let podNetworks = Set(inventory.nodes.flatMap(\.podCIDRs))
        let known = Set(addresses.map(\.address))
        let servers = Set(inventory.kubeAPIServerAddresses.filter { !known.contains($0) }.map { Prefix(host: $0) })
        let cuts = distinctions.cidrs.union(distinctions.networks).union(podNetworks).union(servers)
            .union([Prefix(all: .ipv4), Prefix(all: .ipv6)])
        for prefix in cuts.sorted() {
            let isPodNetwork = prefix.length > 0 && Self.isCovered(prefix, by: podNetworks)
            let candidate =
                isPodNetwork
                ? PeerCandidate(kind: .unknownPod) : Self.outside(prefix, servesAPI: servers.contains(prefix))
            regions.append((prefix, index(of: candidate)))
        }
    }

    private static func isCovered(_ prefix: Prefix, by networks: Set<Prefix>) -> Bool {
        (0...prefix.length).contains { networks.contains(Prefix(prefix.address, length: $0)) }
    }

    /// Service addresses that are not a workload's or a node's own. Several Services may share one.
    private mutating func addServices(_ inventory: Inventory) {
        let known = Dictionary(addresses.map { ($0.address, $0.candidate) }) { first, _ in first }
        let regionCandidates = Dictionary(regions.map { ($0.prefix, $0.candidate) }) { first, _ in first }
        func peer(_ address: IPAddress) -> Int? {
            if let candidate = known[address] { return candidate }
            for length in stride(from: address.family.bitWidth, through: 0, by: -1) {
                if let candidate = regionCandidates[Prefix(address, length: length)] { return candidate }
            }
            return nil
        }
        var backends: [IPAddress: [PortKey: Set<Frontend.Backend>]] = [:]
        for service in inventory.services {
            for address in service.addresses where known[address] == nil {
                if backends[address] == nil { backends[address] = [:] }
                for port in service.ports {
                    let own = port.backends.filter { $0.address.family == address.family }
                    backends[address, default: [:]][PortKey(port), default: []].formUnion(
                        own.compactMap { backend in
                            peer(backend.address).map { Frontend.Backend(peer: $0, port: backend.port) }
                        })
                }
            }
        }
        for address in backends.keys.sorted() {
            let frontends = (backends[address] ?? [:]).sorted { $0.key < $1.key }.map { key, backends in
                Frontend(protocol: key.protocol, port: key.port, backends: backends)
            }
            let candidate = index(
                of: PeerCandidate(kind: .service, prefixes: [Prefix(host: address)], frontends: frontends))
            addresses.append((address, candidate))
            serviceCandidates[address] = candidate
        }
    }

    private struct PortKey: Hashable, Comparable {
        var `protocol`: IPProtocol
        var port: UInt16

        init(_ port: Service.Port) {
            self.protocol = port.protocol
            self.port = port.port
        }

        static func < (left: Self, right: Self) -> Bool {
            (left.protocol, left.port) < (right.protocol, right.port)
        }
    }
}

extension PeerCandidate {
    /// One address of this host.
    fileprivate func at(_ networks: [Prefix]) -> PeerCandidate {
        var address = self
        address.kind = .hostAddress
        address.networks = networks
        return address
    }
}
