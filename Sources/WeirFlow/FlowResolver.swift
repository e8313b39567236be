internal import WeirImage
package import WeirModel
internal import WeirSyntax

/// Turns the names of a flow into what each endpoint's datapath sees.
package struct FlowResolver: Sendable {
    /// One end that is a managed endpoint, and what it is asked.
    package struct Side: Hashable, Sendable {
        package var node: String
        /// `namespace/name`, or `Image.hostName`.
        package var endpoint: String
        package var direction: Direction
        package var localAddress: IPAddress
        package var peerAddress: IPAddress
        package var path: FlowQuery.Path
    }

    /// nil: that end is not managed. The host is under a host firewall.
    package struct Sides: Hashable, Sendable {
        package var egress: Side?
        package var ingress: Side?
    }

    private let inventory: Inventory
    private let hostFirewall: Bool
    private let endpointsByName: [String: Endpoint]
    private let endpointsByAddress: [IPAddress: Endpoint]
    private let nodesByAddress: [IPAddress: Node]

    package init(_ inventory: Inventory, hostFirewall: Bool = false) {
        self.inventory = inventory
        self.hostFirewall = hostFirewall
        endpointsByName = Dictionary(
            inventory.endpoints.map { ($0.qualifiedName, $0) }, uniquingKeysWith: { first, _ in first })
        endpointsByAddress = Dictionary(
            inventory.endpoints.flatMap { endpoint in endpoint.addresses.map { ($0, endpoint) } },
            uniquingKeysWith: { first, _ in first })
        nodesByAddress = Dictionary(
            inventory.nodes.flatMap { node in node.addresses.map { ($0, node) } },
            uniquingKeysWith: { first, _ in first })
    }

    package func resolve(_ flow: Flow) throws(FlowError) -> Sides {
        var from = try end(flow.from)
        var to = try end(flow.to)
        let hasHost = from.isHost || to.isHost
        guard from.endpoint != nil || to.endpoint != nil || hostFirewall && hasHost else {
            let hint = hasHost ? "; the host is judged under --host-firewall" : ""
            throw FlowError("neither end is a pod of the inventory" + hint)
        }
        if from.isHost { from.node = try node(ofHost: from, opposite: to) }
        if to.isHost { to.node = try node(ofHost: to, opposite: from) }
        let family = try family(of: flow, from, to)
        let source = try address(of: from, family, opposite: to)
        let destination = try address(of: to, family, opposite: from)
        guard !source.isMulticast, !source.isBroadcast else { throw FlowError("\(source) cannot be a source") }
        return Sides(
            egress: subject(from).map {
                Side(
                    node: $0.node, endpoint: $0.name, direction: .egress, localAddress: source,
                    peerAddress: destination, path: .forwarded)
            },
            ingress: subject(to).map {
                Side(
                    node: $0.node, endpoint: $0.name, direction: .ingress, localAddress: destination,
                    peerAddress: source, path: from.isHost ? .host : .forwarded)
            })
    }

    /// Who is judged at an end, and where.
    private func subject(_ end: End) -> (node: String, name: String)? {
        if let endpoint = end.endpoint { return (endpoint.node, endpoint.qualifiedName) }
        guard hostFirewall, end.isHost, let node = end.node else { return nil }
        return (node.name, Image.hostName)
    }

    private struct End {
        var name: String
        var endpoint: Endpoint?
        var isHost = false
        /// Which node a host is; nil where the inventory does not have it.
        var node: Node?
        /// Empty: the addresses of the other end's node.
        var addresses: [IPAddress]
    }

    private func end(_ peer: Flow.Peer) throws(FlowError) -> End {
        switch peer {
        case .endpoint(let name):
            guard let endpoint = endpointsByName[name] else {
                let nearest = nearestName(to: name, among: endpointsByName.keys).map { "; did you mean '\($0)'?" } ?? ""
                throw FlowError("no pod '\(name)' in the inventory\(nearest)")
            }
            return End(name: name, endpoint: endpoint, addresses: endpoint.addresses)
        case .address(let address):
            return End(name: "\(address)", endpoint: endpointsByAddress[address], addresses: [address])
        case .host(let address):
            return End(name: "host", isHost: true, addresses: address.map { [$0] } ?? [])
        case .remoteNode(let address):
            guard nodesByAddress[address] != nil else {
                throw FlowError("no node of the inventory has the address \(address)")
            }
            return End(name: "remote-node:\(address)", addresses: [address])
        }
    }

    /// The other end's own node; else the one with the address; else the only one, or the only one with pods.
    private func node(ofHost host: End, opposite: End) throws(FlowError) -> Node? {
        if let pod = opposite.endpoint { return inventory.node(named: pod.node) }
        if let address = host.addresses.first {
            guard let node = nodesByAddress[address] else {
                throw FlowError("no node of the inventory has the address \(address)")
            }
            return node
        }
        if let address = opposite.isHost ? opposite.addresses.first : nil { return nodesByAddress[address] }
        let withPods = Set(inventory.endpoints.map(\.node))
        for nodes in [inventory.nodes, inventory.nodes.filter({ withPods.contains($0.name) })] where nodes.count == 1 {
            return nodes.first
        }
        throw FlowError("the inventory has \(inventory.nodes.count) nodes: write host:ADDR")
    }

    private func family(of flow: Flow, _ from: End, _ to: End) throws(FlowError) -> AddressFamily {
        func has(_ family: AddressFamily) -> Bool {
            [from, to].allSatisfy { end in
                end.addresses.isEmpty || end.addresses.contains { $0.family == family }
            }
        }
        let bound: AddressFamily? =
            switch flow.protocol {
            case .icmp: .ipv4
            case .icmpv6: .ipv6
            default: nil
            }
        if let family = flow.family ?? bound {
            if let bound, bound != family {
                throw FlowError("\(flow.protocol) does not travel over \(family.rawValue)")
            }
            guard has(family) else {
                throw FlowError("\(from.name) and \(to.name) have no \(family.rawValue) address in common")
            }
            return family
        }
        for family in AddressFamily.allCases where has(family) { return family }
        throw FlowError("\(from.name) and \(to.name) have no address family in common")
    }

    private func address(of end: End, _ family: AddressFamily, opposite: End) throws(FlowError) -> IPAddress {
        if let address = end.addresses.first(where: { $0.family == family }) {
            guard let node = end.node, !node.addresses.contains(address) else { return address }
            throw FlowError(
                "\(address) is no address of \(node.name), the node of \(opposite.name); "
                    + "another node is remote-node:\(address)")
        }
        if let address = end.node?.addresses.first(where: { $0.family == family }) { return address }
        throw FlowError("the node of \(opposite.name) has no \(family.rawValue) address in the inventory")
    }
}
