internal import WeirABI
package import WeirImage
package import WeirMaps
internal import WeirModel

/// What the numbers in maps stand for: pods, interfaces, identities, groups, rules.
///
/// Everything is optional: without an image numbers stay numbers.
package struct EntryNames: Sendable {
    /// The image of the slot that is looked at.
    package let image: Image?
    /// The image in force; rules that conntrack names are its rules.
    let imageInForce: Image?
    /// Interface names by index.
    package let interfaces: [UInt32: String]
    /// By the slot's `endpoints`.
    let endpointOfInterface: [UInt32: String]
    let interfaceOfEndpoint: [String: UInt32]
    private let endpointOfAddress: [IPAddress: String]
    private let endpointOfID: [UInt32: String]
    /// Who has the row of `peers` that begins there: `shop/api ingress`.
    private let rowUsers: [UInt32: [String]]
    private let rowEndpoints: [UInt32: [String]]
    private let membersOfGroup: [UInt32: [String]]
    /// Counters of the other slot have its image's names.
    let imagesOfSlots: [Int: Image]

    /// - Parameters:
    ///   - endpoints: the entries of the slot's `endpoints`, for interfaces.
    ///   - peers: the entries of the slot's `ipcache` and `cidrs`, for the members of groups; the image's where it has none.
    package init(
        image: Image?, inForce: Image? = nil, slots: [Int: Image] = [:], interfaces: [UInt32: String] = [:],
        endpoints: [MapEntry] = [], peers: [MapEntry] = []
    ) {
        self.image = image
        imageInForce = inForce ?? image
        imagesOfSlots = slots
        self.interfaces = interfaces
        let records = image?.endpoints ?? []
        endpointOfID = Dictionary(records.map { ($0.id, $0.name) }) { $1 }
        endpointOfAddress = Dictionary(
            records.filter { !$0.isHost }.flatMap { record in record.addresses.map { ($0, record.name) } }
        ) { first, _ in first }
        var byInterface: [UInt32: String] = [:]
        var users: [UInt32: Set<String>] = [:]
        var rowEndpoints: [UInt32: Set<String>] = [:]
        let values = endpoints.isEmpty ? records.map { MapEntry(key: [], value: $0.value) } : endpoints
        for entry in values {
            guard let value = weir_endpoint(abiBytes: entry.value) else { continue }
            let name = endpointOfID[value.id] ?? "endpoint \(value.id)"
            if let index = UInt32(abiBytes: entry.key) { byInterface[index] = name }
            for (row, direction) in [(value.egress_row, Direction.egress), (value.ingress_row, .ingress)] {
                users[row, default: []].insert("\(name) \(direction.rawValue)")
                rowEndpoints[row, default: []].insert(name)
            }
        }
        endpointOfInterface = byInterface
        interfaceOfEndpoint = Dictionary(
            byInterface.filter { $0.key != 0 }.sorted { $0.key < $1.key }.map { ($0.value, $0.key) }
        ) { first, _ in first }
        rowUsers = users.mapValues { $0.sorted() }
        self.rowEndpoints = rowEndpoints.mapValues { $0.sorted() }
        var members: [UInt32: Set<UInt32>] = [:]
        for entry in peers {
            guard let peer = weir_peer(abiBytes: entry.value) else { continue }
            members[peer.group, default: []].insert(peer.identity)
        }
        let identities = image?.identities ?? []
        membersOfGroup = members.mapValues { numbers in
            numbers.map { Int($0) < identities.count ? identities[Int($0)] : "identity \($0)" }.sorted()
        }
    }

    /// The pod of this node that has the address.
    func endpoint(_ address: IPAddress) -> String? { endpointOfAddress[address] }

    func endpoint(id: UInt32) -> String? { endpointOfID[id] }

    /// The labels of an identity, or what else it is; nil where the number means nothing.
    func identity(_ number: UInt32) -> String? {
        guard let names = image?.identities, Int(number) < names.count else { return nil }
        return names[Int(number)]
    }

    /// Of `enum weir_group`, for the groups that every image has.
    static func fixedGroup(_ group: UInt32) -> String? {
        switch weir_group(rawValue: group) {
        case WEIR_GROUP_DEFAULT: "default"
        case WEIR_GROUP_HOST: "host"
        case WEIR_GROUP_MASQUERADED: "masqueraded"
        case WEIR_GROUP_UNKNOWN_POD: "unknown-pod"
        case WEIR_GROUP_MULTICAST: "multicast"
        case WEIR_GROUP_WORLD_IPV4: "world-ipv4"
        case WEIR_GROUP_WORLD_IPV6: "world-ipv6"
        default: nil
        }
    }

    /// Who is in a group; the first few where they are many.
    func members(_ group: UInt32) -> String? {
        let members = membersOfGroup[group] ?? []
        if let fixed = Self.fixedGroup(group) { return fixed }
        guard !members.isEmpty else { return nil }
        return members.prefix(2).joined(separator: "; ") + (members.count > 2 ? "; \(members.count - 2) more" : "")
    }

    func users(row: UInt32) -> [String] { rowUsers[row] ?? [] }
    func endpoints(row: UInt32) -> [String] { rowEndpoints[row] ?? [] }

    /// `veth-3`, or the index where the interface is gone.
    func interface(_ index: UInt32) -> String { interfaces[index] ?? "\(index)" }
}
