internal import WeirABI
package import WeirCompiler
package import WeirImage
internal import WeirMaps
internal import WeirModel

extension VerdictMatrix {
    /// The verdicts of one node: its endpoints and its host are judged, everybody else is an address.
    package init(image: Image) {
        self.init()
        attributions = image.attributions
        let words = image.entries(.peers).compactMap { UInt32(abiBytes: $0.value) }
        let contents = TableContents(image)
        var rowOfStart: [UInt32: Int] = [:]
        var known: [RowTable: Int] = [:]
        func row(_ start: UInt32) -> Int {
            if let number = rowOfStart[start] { return number }
            let actions = words.dropFirst(Int(start)).prefix(image.groupCount).map(Action.init(rawValue:))
            let fallback = actions.first ?? .decided(Decision(.defaultDeny))
            rowOfStart[start] = cells.count
            cells.append(
                actions.map { action in
                    let key = RowTable(action: action, fallback: fallback)
                    if let number = known[key] { return number }
                    known[key] = tables.count
                    tables.append(contents.table(action, fallback: fallback))
                    return tables.count - 1
                })
            return cells.count - 1
        }
        func subject(_ record: Image.EndpointRecord) -> Subject? {
            weir_endpoint(abiBytes: record.value).map {
                Subject(
                    egressRow: row($0.egress_row), ingressRow: row($0.ingress_row), isAudited: record.isAudited)
            }
        }

        masqueraded = Int(WEIR_GROUP_MASQUERADED.rawValue)
        multicast = Int(WEIR_GROUP_MULTICAST.rawValue)
        let peers = PeerEntries(image)
        for record in image.endpoints where !record.isHost {
            guard let subject = subject(record) else { continue }
            namedAddresses.formUnion(record.addresses)
            endpoints[record.name] = EndpointParty(
                node: image.node, subject: subject,
                classes: Dictionary(
                    record.addresses.compactMap { address in
                        peers.addresses[address].map { (address.family, Int($0.group)) }
                    }
                ) { first, _ in first })
        }
        var host = HostParty(
            subject: image.endpoint(named: Image.hostName).flatMap(subject), asSource: Int(WEIR_GROUP_HOST.rawValue),
            addresses: [:])
        for (address, peer) in peers.addresses where !namedAddresses.contains(address) {
            if peer.flags & WEIR_PEER_OWN_NODE.rawValue != 0 {
                host.addresses[address] = HostParty.Address(asDestination: Int(peer.group), elsewhere: nil)
            } else {
                addresses[address] = AddressParty(
                    peerClass: Int(peer.group), label: image.identityName(peer.identity))
            }
        }
        namedAddresses.formUnion(host.addresses.keys)
        hosts[image.node] = host
        for (prefix, peer) in peers.regions {
            regions[prefix] = RegionParty(peerClass: Int(peer.group), label: image.identityName(peer.identity))
        }
    }

    private struct RowTable: Hashable {
        var action: Action
        var fallback: Action
    }
}

/// What the image knows of addresses, decoded.
private struct PeerEntries {
    var addresses: [IPAddress: weir_peer] = [:]
    var regions: [Prefix: weir_peer] = [:]

    init(_ image: Image) {
        for entry in image.entries(.ipcache4) + image.entries(.ipcache6) {
            guard let address = IPAddress(bytes: entry.key), let peer = weir_peer(abiBytes: entry.value) else {
                continue
            }
            addresses[address] = peer
        }
        for entry in image.entries(.cidrs4) + image.entries(.cidrs6) {
            guard let prefix = Prefix(cidrKey: entry.key), let peer = weir_peer(abiBytes: entry.value) else { continue }
            regions[prefix] = peer
        }
    }
}

/// Verdict tables, prefixes turned into ranges again.
private struct TableContents {
    private struct Content {
        var everything: Action?
        var entries: [VerdictMatrix.Table.Entry] = []
    }

    private var contents: [TableID: Content] = [:]

    init(_ image: Image) {
        for entry in image.entries(.verdicts) {
            guard let key = weir_verdict_key(abiBytes: entry.key), let word = UInt32(abiBytes: entry.value) else {
                continue
            }
            let action = Action(rawValue: word)
            let scope = VerdictScope(key)
            guard let proto = scope.protocol else {
                contents[scope.table, default: Content()].everything = action
                continue
            }
            contents[scope.table, default: Content()].entries.append(
                VerdictMatrix.Table.Entry(
                    protocol: proto, ports: scope.ports ?? 0...UInt16.max, ruling: Self.ruling(action)))
        }
        for table in contents.keys {
            contents[table]?.entries.sort { ($0.protocol, $0.ports.lowerBound) < ($1.protocol, $1.ports.lowerBound) }
        }
    }

    func table(_ action: Action, fallback: Action) -> VerdictMatrix.Table {
        guard case .table(let number) = action else {
            return VerdictMatrix.Table(rest: Self.ruling(action), entries: [])
        }
        let content = contents[number] ?? Content()
        return VerdictMatrix.Table(
            rest: Self.ruling(content.everything ?? fallback), entries: content.entries)
    }

    private static func ruling(_ action: Action) -> VerdictMatrix.Ruling {
        switch action {
        case .decided(let decision):
            VerdictMatrix.Ruling(
                decision.kind, isAudited: decision.isAudited, attribution: Int(decision.rule.rawValue))
        // A table where there must be a decision: the programs drop.
        case .table: VerdictMatrix.Ruling(.defaultDeny, isAudited: false, attribution: 0)
        }
    }
}
