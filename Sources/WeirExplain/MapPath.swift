internal import WeirABI
package import WeirFlow
package import WeirImage
internal import WeirMaps
package import WeirModel

/// How the maps answer one side of a flow: each lookup of a packet's judgement, with what it found.
package struct MapPath: Hashable, Sendable {
    /// One stretch of ports, and what it gets.
    package struct Ports: Hashable, Sendable {
        /// `5432/tcp`, or `any protocol`.
        package var ports: String
        package var decision: Decision
        /// `path:line`, sorted.
        package var rules: [String]
    }

    /// Of the endpoint that is asked.
    package var endpoint: UInt32
    package var row: UInt32
    /// Where the peer was found: `ipcache4 10.7.0.3`, `cidrs4 0.0.0.0/0`, or the kind that is no lookup.
    package var peer: String
    package var group: UInt32
    package var identity: String
    /// The verdict table that is asked; nil where `peers` decides.
    package var table: UInt32?
    /// The entry of that table that decides; nil where the row's default does.
    package var entry: String?
    package var decision: Decision
    /// The rules that decide.
    package var rules: [RuleOrigin]
    /// All that the table says, the row's default last; one line where `peers` decides.
    package var choices: [Ports]

    /// nil where the image has no such endpoint, or a promise about its maps does not hold.
    package init?(_ image: Image, _ side: FlowResolver.Side, protocol proto: IPProtocol, port: UInt16) {
        guard let record = image.endpoint(named: side.endpoint), let value = weir_endpoint(abiBytes: record.value)
        else {
            return nil
        }
        endpoint = record.id
        row = side.direction == .egress ? value.egress_row : value.ingress_row
        guard let found = PeerLookup(image, side, isHost: record.isHost) else { return nil }
        (peer, group, identity) = (found.place, found.group, found.identity)

        let words = image.entries(.peers)
        func word(_ index: UInt32) -> Action? {
            guard Int(index) < words.count else { return nil }
            return UInt32(abiBytes: words[Int(index)].value).map(Action.init(rawValue:))
        }
        guard let action = word(row + group), case .decided(let fallback)? = word(row) else { return nil }
        func ports(_ text: String, _ decision: Decision) -> Ports {
            Ports(ports: text, decision: decision, rules: image.ruleLocations(decision.rule))
        }
        switch action {
        case .decided(let decided):
            decision = decided
            choices = [ports("any protocol", decided)]
        case .table(let number):
            table = number.rawValue
            let entries = TableEntry.all(of: number, in: image)
            let matching = entries.filter { $0.covers(proto, port) }.max { $0.length < $1.length }
            decision = matching?.decision ?? fallback
            entry = matching?.description
            choices = TableEntry.joined(entries).map { ports($0.description, $0.decision) }
            if !entries.contains(where: \.isEveryProtocol) { choices.append(ports("anything else", fallback)) }
        }
        let attribution = Int(decision.rule.rawValue)
        rules = attribution < image.attributions.count ? image.attributions[attribution] : []
    }
}

/// Which group a peer is in, and by which entry.
private struct PeerLookup {
    var place: String
    var group: UInt32
    var identity: String

    init?(_ image: Image, _ side: FlowResolver.Side, isHost: Bool) {
        let destination = side.direction == .egress ? side.peerAddress : side.localAddress
        let fixed: (name: String, group: weir_group)? =
            if side.direction == .ingress, side.path == .host, !isHost {
                ("host", WEIR_GROUP_HOST)
            } else if destination.isMulticast || destination.isBroadcast {
                ("multicast", WEIR_GROUP_MULTICAST)
            } else {
                nil
            }
        if let fixed {
            (place, group, identity) = (fixed.name, fixed.group.rawValue, fixed.name)
            return
        }
        let address = side.peerAddress
        let isIPv4 = address.family == .ipv4
        let known = image.entries(isIPv4 ? .ipcache4 : .ipcache6).first { $0.key == address.bytes }
        let regions = image.entries(isIPv4 ? .cidrs4 : .cidrs6)
        let entry =
            known
            ?? regions.filter { Prefix(cidrKey: $0.key)?.contains(address) == true }
            .max { (Prefix(cidrKey: $0.key)?.length ?? 0) < (Prefix(cidrKey: $1.key)?.length ?? 0) }
        guard let entry, let peer = weir_peer(abiBytes: entry.value) else { return nil }
        let map: SlotMap = known != nil ? (isIPv4 ? .ipcache4 : .ipcache6) : (isIPv4 ? .cidrs4 : .cidrs6)
        place = "\(map.rawValue) \(Image.describe(key: entry.key, of: map))"
        group = peer.group
        identity = image.identityName(peer.identity)
        if side.direction == .ingress, !isHost, peer.flags & WEIR_PEER_OWN_NODE.rawValue != 0 {
            group = WEIR_GROUP_MASQUERADED.rawValue
            place += ", forwarded: masqueraded"
        }
    }
}

/// One entry of a verdict table.
private struct TableEntry: CustomStringConvertible {
    /// nil is every protocol.
    var ports: (protocol: IPProtocol, range: ClosedRange<UInt16>)?
    var length: Int
    var decision: Decision

    var isEveryProtocol: Bool { ports == nil }

    var description: String {
        guard let (proto, range) = ports else { return "any protocol" }
        let name = proto.description.lowercased()
        if range == 0...UInt16.max { return name }
        return range.count == 1 ? "\(range.lowerBound)/\(name)" : "\(range.lowerBound)-\(range.upperBound)/\(name)"
    }

    func covers(_ proto: IPProtocol, _ port: UInt16) -> Bool {
        ports.map { $0.protocol == proto && $0.range.contains(port) } ?? true
    }

    /// In the order of protocols and ports, every protocol last.
    static func all(of table: TableID, in image: Image) -> [TableEntry] {
        image.entries(.verdicts).compactMap { entry -> TableEntry? in
            guard let key = weir_verdict_key(abiBytes: entry.key), key.table == table.rawValue,
                let word = UInt32(abiBytes: entry.value), case .decided(let decision) = Action(rawValue: word)
            else { return nil }
            let scope = VerdictScope(key)
            return TableEntry(
                ports: scope.protocol.map { ($0, scope.ports ?? 0...UInt16.max) }, length: Int(key.prefix_length),
                decision: decision)
        }
        .sorted { left, right in
            guard let left = left.ports else { return false }
            guard let right = right.ports else { return true }
            return (left.protocol, left.range.lowerBound) < (right.protocol, right.range.lowerBound)
        }
    }

    /// Neighbours with one decision are one.
    static func joined(_ entries: [TableEntry]) -> [TableEntry] {
        entries.reduce(into: []) { joined, entry in
            if let last = joined.last, let lastPorts = last.ports, let ports = entry.ports,
                last.decision == entry.decision,
                lastPorts.protocol == ports.protocol, Int(lastPorts.range.upperBound) + 1 == Int(ports.range.lowerBound)
            {
                joined[joined.count - 1].ports?.range = lastPorts.range.lowerBound...ports.range.upperBound
            } else {
                joined.append(entry)
            }
        }
    }
}
