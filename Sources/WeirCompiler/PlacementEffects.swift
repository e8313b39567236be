internal import WeirABI
internal import WeirImage
internal import WeirMaps
internal import WeirModel

/// Port names of all pods: what a pod that nobody knows may call its ports.
struct PortNames: Sendable {
    /// Whether a rule asks a peer for one.
    let matter: Bool
    private var counts: [NamedPort: Int] = [:]

    init(_ inventory: Inventory, matter: Bool) {
        self.matter = matter
        for port in matter ? inventory.endpoints.flatMap(\.ports) : [] { counts[port, default: 0] += 1 }
    }

    /// Whether there are the same names afterwards.
    func allow(from former: [NamedPort], to ports: [NamedPort]) -> Bool {
        guard matter else { return true }
        var after = self
        after.change(from: former, to: ports)
        return Set(former + ports).allSatisfy { (counts[$0] ?? 0 > 0) == (after.counts[$0] ?? 0 > 0) }
    }

    mutating func change(from former: [NamedPort], to ports: [NamedPort]) {
        guard matter else { return }
        for port in former { counts[port, default: 0] -= 1 }
        for port in ports { counts[port, default: 0] += 1 }
    }
}

/// The group of every address, and the Service addresses that are judged by those of their backends.
struct AddressGroups: Sendable {
    private struct Frontend: Hashable {
        var address: IPAddress
        var `protocol`: IPProtocol
        var port: UInt16
    }

    private struct Judged: Hashable {
        var group: UInt32
        var port: UInt16
    }

    private var groups: [IPAddress: UInt32] = [:]
    private var regions: [Prefix: UInt32] = [:]
    private var backends: [Frontend: Set<Service.Backend>] = [:]
    private var frontendsOfBackend: [IPAddress: Set<Frontend>] = [:]
    /// Of nodes, Services and API servers: a pod there changes more than itself.
    private var reserved: Set<IPAddress>

    init(_ image: Image, _ inventory: Inventory) {
        for entry in image.entries(.ipcache4) + image.entries(.ipcache6) {
            guard let address = IPAddress(bytes: entry.key), let peer = weir_peer(abiBytes: entry.value) else {
                continue
            }
            groups[address] = peer.group
        }
        for entry in image.entries(.cidrs4) + image.entries(.cidrs6) {
            guard let prefix = Prefix(cidrKey: entry.key), let peer = weir_peer(abiBytes: entry.value) else { continue }
            regions[prefix] = peer.group
        }
        reserved = Set(inventory.kubeAPIServerAddresses + inventory.nodes.flatMap(\.addresses))
        for service in inventory.services {
            reserved.formUnion(service.addresses)
            for (address, port) in service.addresses.flatMap({ address in service.ports.map { (address, $0) } }) {
                let frontend = Frontend(address: address, protocol: port.protocol, port: port.port)
                for backend in port.backends where backend.address.family == address.family {
                    backends[frontend, default: []].insert(backend)
                    frontendsOfBackend[backend.address, default: []].insert(frontend)
                }
            }
        }
    }

    /// After the changes; nil where it is in no region either.
    func group(of address: IPAddress, after changes: [IPAddress: UInt32?] = [:]) -> UInt32? {
        if let group = changes[address] ?? groups[address] { return group }
        for length in stride(from: address.family.bitWidth, through: 0, by: -1) {
            if let group = regions[Prefix(address, length: length)] { return group }
        }
        return nil
    }

    /// Whether nobody but the addresses themselves is judged otherwise afterwards. nil takes an address away.
    func allow(_ changes: [IPAddress: UInt32?]) -> Bool {
        guard reserved.isDisjoint(with: changes.keys) else { return false }
        let frontends = changes.keys.reduce(into: Set<Frontend>()) { $0.formUnion(frontendsOfBackend[$1] ?? []) }
        return frontends.allSatisfy { judged($0, after: [:]) == judged($0, after: changes) }
    }

    mutating func change(_ changes: [IPAddress: UInt32?]) {
        for (address, group) in changes { groups[address] = group }
    }

    private func judged(_ frontend: Frontend, after changes: [IPAddress: UInt32?]) -> Set<Judged?> {
        Set(
            (backends[frontend] ?? []).map { backend in
                group(of: backend.address, after: changes).map { Judged(group: $0, port: backend.port) }
            })
    }
}
