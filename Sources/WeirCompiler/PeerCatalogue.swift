internal import OrderedCollections
internal import WeirImage
internal import WeirModel

/// Every candidate that the policies of one node may have to tell apart, and which address is which.
///
/// Candidates are in canonical order: fixed kinds, endpoints by labels, nodes, regions by prefix, Service
/// addresses.
struct PeerCatalogue: Sendable {
    private(set) var candidates: [PeerCandidate] = []
    /// Sorted by address.
    private(set) var addresses: [KnownAddress] = []
    /// Regions of the address space, sorted: a prefix comes before what it contains.
    private(set) var regions: [Region] = []
    /// Names for people: everybody's labels or prefix, in canonical order from 1.
    private(set) var identityNames: OrderedSet<String> = ["unknown"]
    /// The Service addresses among `addresses`.
    private(set) var serviceCandidates: [IPAddress: Int] = [:]
    /// By node, where the catalogue is of none: each as its own endpoints see it.
    private(set) var hosts: [String: Host] = [:]
    /// Likewise, by Service address and node: a Service that the node itself answers, for that node's endpoints.
    private(set) var servicesOnNode: [IPAddress: [String: Int]] = [:]

    private let distinctions: RuleSetResolution.Distinctions
    /// Of all but endpoints.
    private var numbers: [PeerCandidate: Int] = [:]

    struct KnownAddress: Sendable {
        var address: IPAddress
        /// Index into `candidates`.
        var candidate: Int
        /// Index into `identityNames`.
        var identity: Int
    }

    /// A node as its own endpoints see it, as candidates.
    struct Host: Sendable {
        /// What it sends itself, whatever the address.
        var asSource: Int
        /// By its addresses.
        var asDestination: [IPAddress: Int] = [:]
    }

    struct Region: Sendable {
        var prefix: Prefix
        var candidate: Int
        var identity: Int
    }

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

    /// Anybody but an endpoint.
    @discardableResult
    private mutating func add(_ candidate: PeerCandidate) -> (candidate: Int, identity: Int) {
        let number = numbers[candidate] ?? candidates.count
        if number == candidates.count {
            numbers[candidate] = number
            candidates.append(candidate)
        }
        return (number, identityNames.append(candidate.name).index)
    }

    private mutating func add(_ candidate: PeerCandidate, at address: IPAddress) {
        let (candidate, identity) = add(candidate)
        addresses.append(KnownAddress(address: address, candidate: candidate, identity: identity))
    }

    private mutating func addFixedKinds() {
        add(PeerCandidate(kind: .masqueraded))
        add(PeerCandidate(kind: .unknownPod))
        add(Self.multicast)
        add(Self.outside(Prefix(all: .ipv4), servesAPI: false))
        add(Self.outside(Prefix(all: .ipv6), servesAPI: false))
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

    /// Endpoints by labels, then by name. Those that no rule tells apart are one candidate.
    private mutating func addEndpoints(_ inventory: Inventory) {
        struct View: Hashable {
            var labels: [Int32]
            var ports: [NamedPort]
            var networks: [Prefix]
        }
        let endpoints = inventory.endpoints
        let labels = NumberedLabels(endpoints.lazy.map(\.labels))
        let isAskedFor = labels.labels.map { distinctions.labelKeys.contains($0.key) }
        let texts = labels.labels.map(\.description)
        var known: [View: Int] = [:]
        for index in labels.order(ties: { endpoints[$0].qualifiedName < endpoints[$1].qualifiedName }) {
            let numbers = labels[index]
            var name = ""
            for number in numbers {
                if !name.isEmpty { name += "," }
                name += texts[Int(number)]
            }
            let identity = identityNames.append(name).index
            for address in endpoints[index].addresses {
                let view = View(
                    labels: numbers.filter { isAskedFor[Int($0)] },
                    ports: distinctions.portNames ? endpoints[index].ports : [], networks: network(around: address))
                let candidate = known[view] ?? candidates.count
                if candidate == candidates.count {
                    known[view] = candidate
                    candidates.append(
                        PeerCandidate(
                            kind: .endpoint, labels: LabelSet(view.labels.map { labels.labels[Int($0)] }),
                            ports: view.ports, networks: view.networks))
                }
                addresses.append(KnownAddress(address: address, candidate: candidate, identity: identity))
            }
        }
    }

    private mutating func addNodes(_ inventory: Inventory, node: String?, options: PolicyOptions) {
        let servers = Set(inventory.kubeAPIServerAddresses)
        add(host(node.flatMap { inventory.node(named: $0) }, servers, options))
        for other in inventory.nodes {
            let host = host(other, servers, options)
            if node == nil { hosts[other.name] = Host(asSource: add(host).candidate) }
            for address in other.addresses {
                let own = distinctions.networks.isEmpty ? host : host.at(network(around: address))
                if node == nil {
                    let candidate = add(own).candidate
                    hosts[other.name]?.asDestination[address] = candidate
                }
                if other.name == node {
                    add(own, at: address)
                    continue
                }
                var labels = [Label.reserved(.remoteNode)]
                if other.isKubeAPIServer || servers.contains(address) { labels.append(.reserved(.kubeAPIServer)) }
                add(
                    PeerCandidate(
                        kind: .remoteNode, labels: LabelSet(labels),
                        prefixes: options.cidrMatchesNodes ? [Prefix(host: address)] : [],
                        nodeLabels: distinctions.nodeLabels ? other.labelSet : nil,
                        networks: network(around: address)), at: address)
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
        let servers = Set(
            Set(inventory.kubeAPIServerAddresses).subtracting(addresses.lazy.map(\.address)).map { Prefix(host: $0) })
        let cuts = distinctions.cidrs.union(distinctions.networks).union(podNetworks).union(servers)
            .union([Prefix(all: .ipv4), Prefix(all: .ipv6)])
        for prefix in cuts.sorted() {
            let isPodNetwork = prefix.length > 0 && Self.isCovered(prefix, by: podNetworks)
            let (candidate, identity) = add(
                isPodNetwork
                    ? PeerCandidate(kind: .unknownPod) : Self.outside(prefix, servesAPI: servers.contains(prefix)))
            regions.append(Region(prefix: prefix, candidate: candidate, identity: identity))
        }
    }

    private static func isCovered(_ prefix: Prefix, by networks: Set<Prefix>) -> Bool {
        (0...prefix.length).contains { networks.contains(Prefix(prefix.address, length: $0)) }
    }

    /// Service addresses that are not a workload's or a node's own. Several Services may share one.
    private mutating func addServices(_ inventory: Inventory) {
        guard !inventory.services.isEmpty else { return }
        let known = Dictionary(addresses.map { ($0.address, $0.candidate) }) { first, _ in first }
        let regionCandidates = Dictionary(regions.map { ($0.prefix, $0.candidate) }) { first, _ in first }
        func peer(_ address: IPAddress) -> Int? {
            if let candidate = known[address] { return candidate }
            for length in stride(from: address.family.bitWidth, through: 0, by: -1) {
                if let candidate = regionCandidates[Prefix(address, length: length)] { return candidate }
            }
            return nil
        }
        var backends: [IPAddress: [PortKey: Set<Service.Backend>]] = [:]
        for service in inventory.services {
            for address in service.addresses where known[address] == nil {
                if backends[address] == nil { backends[address] = [:] }
                for port in service.ports {
                    backends[address, default: [:]][PortKey(port), default: []].formUnion(
                        port.backends.filter { $0.address.family == address.family })
                }
            }
        }
        for (address, ports) in backends.sorted(by: { $0.key < $1.key }) {
            let (candidate, identity) = add(
                Self.service(at: address, ports) { peer($0.address) })
            addresses.append(KnownAddress(address: address, candidate: candidate, identity: identity))
            serviceCandidates[address] = candidate
            let answering = Set(ports.values.joined().map(\.address))
            for (node, host) in hosts.sorted(by: { $0.key < $1.key })
            where !answering.isDisjoint(with: host.asDestination.keys) {
                servicesOnNode[address, default: [:]][node] =
                    add(
                        Self.service(at: address, ports) { host.asDestination[$0.address] ?? peer($0.address) }
                    ).candidate
            }
        }
    }

    private static func service(
        at address: IPAddress, _ ports: [PortKey: Set<Service.Backend>], peer: (Service.Backend) -> Int?
    ) -> PeerCandidate {
        let frontends = ports.sorted { $0.key < $1.key }.map { key, backends in
            Frontend(
                protocol: key.protocol, port: key.port,
                backends: backends.compactMap { backend in
                    peer(backend).map { Frontend.Backend(peer: $0, port: backend.port) }
                })
        }
        return PeerCandidate(kind: .service, prefixes: [Prefix(host: address)], frontends: frontends)
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
    /// For people. An endpoint's name is all of its labels, not only those of its candidate.
    fileprivate var name: String {
        switch kind {
        case .endpoint, .host, .hostAddress, .remoteNode: labels.description
        case .outside: prefixes.first { $0.length > 0 }.map { "cidr:\($0)" } ?? labels.description
        case .unknownPod: "unknown-pod"
        case .masqueraded: "masqueraded"
        case .service: prefixes.first.map { "service:\($0.address)" } ?? "service"
        case .multicast: "multicast"
        }
    }

    /// One address of this host.
    fileprivate func at(_ networks: [Prefix]) -> PeerCandidate {
        var address = self
        address.kind = .hostAddress
        address.networks = networks
        return address
    }
}
