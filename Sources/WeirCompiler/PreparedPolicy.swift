internal import WeirABI
package import WeirImage
internal import WeirMaps
package import WeirModel

/// What one pod changes in a compiled image, in the image's numbers.
package struct Placement: Hashable, Sendable {
    package struct Peer: Hashable, Sendable {
        package var address: IPAddress
        /// The bytes of a `weir_peer`; nil takes the address away.
        package var value: [UInt8]?
    }

    /// Sorted by address.
    package var peers: [Peer] = []
    /// Names of identities that the image does not have, in the order of their numbers: to be added at its end.
    package var names: [String] = []
    /// Of a pod of this node.
    package var record: Image.EndpointRecord?
    /// The pod of this node that goes.
    package var removed: String?
}

/// A compiled node that places single pods without compiling everything again.
///
/// A pod whose labels every rule sees as it sees those of a pod that was compiled, is in that pod's group; and it has
/// that pod's rows, if the same specs select both. Only the selectors that ask for one of its labels are evaluated.
/// What cannot be known in this way is nil: a group or rows that nobody has, and whatever the pod changes for others,
/// by its port names or as a backend.
package struct PreparedPolicy: Sendable {
    package let image: Image
    private let node: String
    private let peers: TouchedPeers
    private let networks: Set<Prefix>
    private let encrypted: EncryptedPeers?
    private let subjects: SubjectIndex
    private let asksForNames: [Bool]
    private let rows: [SubjectKey: Rows]
    private var groupOfSignature: [Signature: UInt32] = [:]
    private var ports: PortNames
    private var addresses: AddressGroups
    private var identities: [String: UInt32]
    private var records: [String: UInt32]
    private var nextRecord: UInt32

    private struct Signature: Hashable {
        var matches: [TouchedPeers.Match]
        var ports: [NamedPort]
    }

    private struct SubjectKey: Hashable {
        var specs: [Int]
        /// Where an ingress rule asks for one.
        var ports: [NamedPort]
    }

    private struct Rows {
        var egress: UInt32
        var ingress: UInt32
    }

    package init(policies: PolicySet, inventory: Inventory, node: String, options: PolicyOptions = PolicyOptions()) {
        self.node = node
        image = Compiler.compile(policies: policies, inventory: inventory, node: node, options: options)
        encrypted = EncryptedPeers(inventory, node: node, options: options)
        let policies = policies.resolvingServices(inventory)
        let local = inventory.endpoints.filter { $0.node == node }
        let resolution = RuleSetResolution(
            policies: policies, endpoints: local,
            hosts: options.hostFirewall ? inventory.node(named: node).map { [$0] } ?? [] : [], options: options)
        peers = TouchedPeers(resolution.rules.map(\.rule.peers), inventory)
        networks = resolution.distinctions.networks
        ports = PortNames(
            inventory,
            matter: resolution.rules.contains { $0.rule.direction == .egress && $0.rule.ports.hasNames })
        addresses = AddressGroups(image, inventory)
        identities = Dictionary(image.identities.enumerated().map { ($1, UInt32($0)) }) { first, _ in first }
        records = Dictionary(image.endpoints.map { ($0.name, $0.id) }) { first, _ in first }
        nextRecord = (image.endpoints.map(\.id).max() ?? 0) + 1

        subjects = SubjectIndex(policies.specs)
        asksForNames = policies.specs.map { spec in
            spec.rules.contains { $0.direction == .ingress && $0.ports.hasNames }
        }
        var rows: [SubjectKey: Rows] = [:]
        for endpoint in local {
            guard
                let value = image.endpoint(named: endpoint.qualifiedName).flatMap({ weir_endpoint(abiBytes: $0.value) })
            else { continue }
            rows[Self.key(of: endpoint, subjects, asksForNames)] = Rows(
                egress: value.egress_row, ingress: value.ingress_row)
        }
        self.rows = rows
        var known: [PeerCandidate: Signature] = [:]
        for endpoint in inventory.endpoints {
            for address in endpoint.addresses {
                let candidate = candidate(endpoint, address)
                let signature = known[candidate] ?? signature(of: candidate)
                known[candidate] = signature
                groupOfSignature[signature] = addresses.group(of: address)
            }
        }
    }

    /// What changes when a pod comes, in place of another or of itself as it was before. nil: compile again.
    package mutating func place(_ endpoint: Endpoint, insteadOf former: Endpoint? = nil) -> Placement? {
        change(from: former, to: endpoint)
    }

    /// What changes when a pod goes. nil: compile again.
    package mutating func remove(_ endpoint: Endpoint) -> Placement? { change(from: endpoint, to: nil) }

    private mutating func change(from former: Endpoint?, to endpoint: Endpoint?) -> Placement? {
        guard ports.allow(from: former?.ports ?? [], to: endpoint?.ports ?? []) else { return nil }
        var groups: [IPAddress: UInt32?] = [:]
        for address in former?.addresses ?? [] { groups[address] = .some(nil) }
        for address in endpoint?.addresses ?? [] {
            guard let endpoint, let group = groupOfSignature[signature(of: candidate(endpoint, address))] else {
                return nil
            }
            groups[address] = group
        }
        guard addresses.allow(groups) else { return nil }
        var placement = Placement()
        if let endpoint, endpoint.node == node {
            guard let record = record(of: endpoint) else { return nil }
            placement.record = record
        }
        if let former, former.node == node, placement.record?.name != former.qualifiedName {
            placement.removed = former.qualifiedName
        }

        var identity: UInt32 = 0
        if let endpoint {
            let name = endpoint.labels.description
            identity = identities[name] ?? UInt32(identities.count)
            if identities[name] == nil { placement.names = [name] }
            identities[name] = identity
        }
        for (address, group) in groups.sorted(by: { $0.key < $1.key }) {
            var peer = weir_peer()
            peer.group = group ?? 0
            peer.identity = identity
            if let endpoint, encrypted?.contains(endpoint) == true { peer.flags = WEIR_PEER_ENCRYPTED.rawValue }
            placement.peers.append(Placement.Peer(address: address, value: group == nil ? nil : peer.abiBytes))
        }
        ports.change(from: former?.ports ?? [], to: endpoint?.ports ?? [])
        addresses.change(groups)
        if let removed = placement.removed { records[removed] = nil }
        if let record = placement.record, records[record.name] == nil {
            records[record.name] = record.id
            nextRecord = record.id + 1
        }
        return placement
    }

    private func candidate(_ endpoint: Endpoint, _ address: IPAddress) -> PeerCandidate {
        var candidate = PeerCandidate(
            kind: .endpoint, labels: endpoint.labels, ports: ports.matter ? endpoint.ports : [])
        guard !networks.isEmpty else { return candidate }
        let lengths = stride(from: address.family.bitWidth, through: 0, by: -1)
        candidate.networks =
            lengths.lazy.map { Prefix(address, length: $0) }.first(where: networks.contains).map { [$0] } ?? []
        return candidate
    }

    private func signature(of candidate: PeerCandidate) -> Signature {
        Signature(matches: peers.matches(of: candidate), ports: candidate.ports)
    }

    private static func key(of endpoint: Endpoint, _ subjects: SubjectIndex, _ asksForNames: [Bool]) -> SubjectKey {
        let specs = subjects.matching(endpoint)
        return SubjectKey(specs: specs, ports: specs.contains { asksForNames[$0] } ? endpoint.ports : [])
    }

    /// nil where no compiled pod has its rows.
    private func record(of endpoint: Endpoint) -> Image.EndpointRecord? {
        guard let rows = rows[Self.key(of: endpoint, subjects, asksForNames)] else { return nil }
        var value = weir_endpoint()
        value.id = records[endpoint.qualifiedName] ?? nextRecord
        value.egress_row = rows.egress
        value.ingress_row = rows.ingress
        if endpoint.isAudited { value.flags |= WEIR_ENDPOINT_AUDIT.rawValue }
        value.setAddresses(of: endpoint)
        return Image.EndpointRecord(
            name: endpoint.qualifiedName, id: value.id, addresses: endpoint.addresses, value: value.abiBytes,
            attachment: endpoint.attachment)
    }
}
