package import WeirModel

/// Turns the names of a flow into what each endpoint's datapath sees.
package struct FlowResolver: Sendable {
    /// One end that is a managed endpoint, and what it is asked.
    package struct Side: Hashable, Sendable {
        package var node: String
        /// `namespace/name`.
        package var endpoint: String
        package var direction: Direction
        package var localAddress: IPAddress
        package var peerAddress: IPAddress
        package var path: FlowQuery.Path
    }

    /// nil: that end is no managed endpoint.
    package struct Sides: Hashable, Sendable {
        package var egress: Side?
        package var ingress: Side?
    }

    private let inventory: Inventory
    private let endpointsByName: [String: Endpoint]
    private let endpointsByAddress: [IPAddress: Endpoint]
    private let nodesByAddress: [IPAddress: Node]

    package init(_ inventory: Inventory) {
        self.inventory = inventory
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
        let from = try end(flow.from)
        let to = try end(flow.to)
        guard from.endpoint != nil || to.endpoint != nil else {
            throw FlowError("neither end is a pod of the inventory")
        }
        let family = try family(of: flow, from, to)
        let source = try address(of: from, family, opposite: to)
        let destination = try address(of: to, family, opposite: from)
        guard !source.isMulticast, !source.isBroadcast else { throw FlowError("\(source) cannot be a source") }
        return Sides(
            egress: from.endpoint.map {
                Side(
                    node: $0.node, endpoint: $0.qualifiedName, direction: .egress, localAddress: source,
                    peerAddress: destination, path: .forwarded)
            },
            ingress: to.endpoint.map {
                Side(
                    node: $0.node, endpoint: $0.qualifiedName, direction: .ingress, localAddress: destination,
                    peerAddress: source, path: from.isHost ? .host : .forwarded)
            })
    }

    private struct End {
        var name: String
        var endpoint: Endpoint?
        var isHost = false
        /// Empty: the addresses of the other end's node.
        var addresses: [IPAddress]
    }

    private func end(_ peer: Flow.Peer) throws(FlowError) -> End {
        switch peer {
        case .endpoint(let name):
            guard let endpoint = endpointsByName[name] else { throw FlowError("no pod '\(name)' in the inventory") }
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
            guard end.isHost, let pod = opposite.endpoint, let node = inventory.node(named: pod.node) else {
                return address
            }
            guard node.addresses.contains(address) else {
                throw FlowError(
                    "\(address) is no address of \(node.name), the node of \(pod.qualifiedName); "
                        + "another node is remote-node:\(address)")
            }
            return address
        }
        // `host` without an address.
        if let pod = opposite.endpoint, let node = inventory.node(named: pod.node),
            let address = node.addresses.first(where: { $0.family == family })
        {
            return address
        }
        throw FlowError("the node of \(opposite.name) has no \(family.rawValue) address in the inventory")
    }
}
