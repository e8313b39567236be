internal import WeirABI
internal import WeirImage
package import WeirMaps
internal import WeirModel

/// The compiler's promise about a map does not hold.
package struct BrokenInvariant: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Problem: String, Hashable, Sendable {
        case missingMap = "is missing"
        case missing = "has no element"
        case table = "names a table where it must decide, at"
    }

    package var map: SlotMap
    package var problem: Problem
    package var key: [UInt8]

    package var description: String {
        let hex = key.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
        return problem == .missingMap ? "map \(map) is missing" : "map \(map) \(problem.rawValue) [\(hex)]"
    }
}

/// The inner maps of one slot; nil where the slot has none. Looked up when asked for.
struct Slot {
    let node: EmulatedNode
    let index: Int

    var endpoints: EmulatedMap? { node.element(.endpoints, index) }
    var peers: EmulatedMap? { node.element(.peers, index) }
    var verdicts: EmulatedMap? { node.element(.verdicts, index) }

    func addresses(_ family: AddressFamily) -> EmulatedMap? {
        node.element(family == .ipv4 ? .ipcache4 : .ipcache6, index)
    }

    func cidrs(_ family: AddressFamily) -> EmulatedMap? { node.element(family == .ipv4 ? .cidrs4 : .cidrs6, index) }
}

/// A peer as policy sees it.
struct PolicyPeer {
    var group: UInt32
    var identity: UInt32 = 0
    var isNode = false
    /// Of this node: its own side may have a policy, too.
    var isOwnNode = false
    /// How a later judgement finds the same peer.
    var peerClass: weir_peer_class = WEIR_PEER_BY_ADDRESS

    static let host = PolicyPeer(group: WEIR_GROUP_HOST.rawValue, isOwnNode: true, peerClass: WEIR_PEER_HOST)
}

/// Step 9 of the packet walk, over the bytes of one slot.
struct PolicyWalk {
    let slot: Slot

    /// `destination` is the packet's; `remote` is the address of the side that is not the endpoint.
    func peer(
        of endpoint: LocalEndpoint, _ direction: Direction, remote: IPAddress, destination: IPAddress, isFromHost: Bool
    ) throws(BrokenInvariant) -> PolicyPeer {
        if direction == .ingress, isFromHost, !endpoint.isHost {
            return .host
        }
        if destination.isMulticast || destination.isBroadcast {
            return PolicyPeer(group: WEIR_GROUP_MULTICAST.rawValue)
        }
        let entry = try address(remote)
        var peer = PolicyPeer(
            group: entry.group, identity: entry.identity, isNode: entry.flags & WEIR_PEER_NODE.rawValue != 0,
            isOwnNode: entry.flags & WEIR_PEER_OWN_NODE.rawValue != 0)
        if direction == .ingress, !endpoint.isHost, peer.isOwnNode {
            // Forwarded, so the node has only lent its address.
            peer.group = WEIR_GROUP_MASQUERADED.rawValue
            peer.peerClass = WEIR_PEER_MASQUERADED
            peer.isOwnNode = false
        }
        return peer
    }

    /// The word by which the node's own policy refuses what an endpoint and the node say to each other; nil where it
    /// allows, or where the node has none.
    func hostRefusal(_ direction: Direction, local: IPAddress, protocol: UInt8, port: UInt16) -> UInt32? {
        guard let value = slot.endpoints?.find(wordBytes(0)), let host = LocalEndpoint(value) else { return nil }
        let row = host.row(direction == .egress ? .ingress : .egress)
        guard let group = try? address(local).group,
            let word = try? decidingWord(row: row, group: group, protocol: `protocol`, port: port)
        else { return WEIR_ACTION_DEFAULT_DENY.rawValue << UInt32(WEIR_ACTION_KIND_SHIFT) }
        guard case .decided(let decision) = Action(rawValue: word), decision.kind == .allow else { return word }
        return nil
    }

    /// Whether an address is this node's.
    func isOwnNode(_ address: IPAddress) throws(BrokenInvariant) -> Bool {
        try self.address(address).flags & WEIR_PEER_OWN_NODE.rawValue != 0
    }

    /// Whether what an address says and hears is to be encrypted.
    func isEncrypted(_ address: IPAddress) throws(BrokenInvariant) -> Bool {
        try self.address(address).flags & WEIR_PEER_ENCRYPTED.rawValue != 0
    }

    /// The full address, then the longest prefix.
    private func address(_ address: IPAddress) throws(BrokenInvariant) -> weir_peer {
        let bytes = address.bytes
        guard let addresses = slot.addresses(address.family) else {
            let map: SlotMap = address.family == .ipv4 ? .ipcache4 : .ipcache6
            throw BrokenInvariant(map: map, problem: .missingMap, key: [])
        }
        if let value = addresses.find(bytes), let peer = weir_peer(abiBytes: value) { return peer }
        let cidrs: SlotMap = address.family == .ipv4 ? .cidrs4 : .cidrs6
        guard let map = slot.cidrs(address.family) else {
            throw BrokenInvariant(map: cidrs, problem: .missingMap, key: [])
        }
        let key = wordBytes(UInt32(address.family.bitWidth)) + bytes
        guard let value = map.find(key), let peer = weir_peer(abiBytes: value) else {
            throw BrokenInvariant(map: cidrs, problem: .missing, key: key)
        }
        return peer
    }

    func decide(
        row: UInt32, group: UInt32, protocol: UInt8, port: UInt16
    ) throws(BrokenInvariant) -> Decision {
        let word = try decidingWord(row: row, group: group, protocol: `protocol`, port: port)
        guard case .decided(let decision) = Action(rawValue: word) else {
            throw BrokenInvariant(map: .peers, problem: .table, key: wordBytes(row &+ group))
        }
        return decision
    }

    /// The action that decides, never a table.
    func decidingWord(
        row: UInt32, group: UInt32, protocol: UInt8, port: UInt16
    ) throws(BrokenInvariant) -> UInt32 {
        let word = try element(row &+ group)
        guard case .table(let table) = Action(rawValue: word) else { return word }
        if let found = try verdict(table, `protocol`, port) { return found }
        let index = row &+ WEIR_GROUP_DEFAULT.rawValue
        let fallback = try element(index)
        guard case .decided = Action(rawValue: fallback) else {
            throw BrokenInvariant(map: .peers, problem: .table, key: wordBytes(index))
        }
        return fallback
    }

    private func element(_ index: UInt32) throws(BrokenInvariant) -> UInt32 {
        guard let map = slot.peers as? EmulatedArray else {
            throw BrokenInvariant(map: .peers, problem: .missingMap, key: [])
        }
        // Table 0 is no table: nobody wrote this word.
        guard let word = map.word(at: Int(index)), word != 0 else {
            throw BrokenInvariant(map: .peers, problem: .missing, key: wordBytes(index))
        }
        return word
    }

    /// nil where the table leaves the question open.
    private func verdict(_ table: TableID, _ protocol: UInt8, _ port: UInt16) throws(BrokenInvariant) -> UInt32? {
        guard let map = slot.verdicts else {
            throw BrokenInvariant(map: .verdicts, problem: .missingMap, key: [])
        }
        var key = wordBytes(UInt32(WEIR_VERDICT_PREFIX_PORT))
        key.reserveCapacity(map.schema.keySize)
        key += wordBytes(table.rawValue)
        key += [`protocol`, UInt8(port >> 8), UInt8(truncatingIfNeeded: port), 0]
        guard let bytes = map.find(key), let word = UInt32(abiBytes: bytes) else { return nil }
        guard case .decided = Action(rawValue: word) else {
            throw BrokenInvariant(map: .verdicts, problem: .table, key: key)
        }
        return word
    }
}
