internal import OrderedCollections
internal import WeirABI
internal import WeirImage
internal import WeirMaps
internal import WeirModel

/// Numbers groups, tables, rows and attributions canonically and writes the map entries.
struct Lowering {
    let node: String
    let inventory: Inventory
    let local: [Endpoint]
    let resolution: RuleSetResolution
    let catalogue: PeerCatalogue
    let matrix: DecisionMatrix
    let encrypted: EncryptedPeers?

    func image() -> Image {
        let groups = PeerGroups(catalogue: catalogue, matrix: matrix)
        let attributions = AttributionNumbers(matrix: matrix, resolution: resolution)
        let tables = TableNumbers(matrix: matrix, attributions: attributions)
        let rows = rows(groups: groups, attributions: attributions, tables: tables)

        var maps: [SlotMap: [MapEntry]] = [:]
        maps[.peers] = rows.elements.enumerated().map { index, action in
            MapEntry(key: UInt32(index).abiBytes, value: action.rawValue.abiBytes)
        }
        maps[.verdicts] = tables.entries.sorted()
        for known in catalogue.addresses {
            var value = peer(known.candidate, identity: known.identity, groups: groups)
            if encrypted?.contains(known.address) == true { value.flags |= WEIR_PEER_ENCRYPTED.rawValue }
            maps[known.address.family == .ipv4 ? .ipcache4 : .ipcache6, default: []].append(
                MapEntry(key: known.address.bytes, value: value.abiBytes))
        }
        for region in distinguishableRegions(groups) {
            var value = peer(region.candidate, identity: region.identity, groups: groups)
            if encrypted?.contains(region.prefix) == true { value.flags |= WEIR_PEER_ENCRYPTED.rawValue }
            maps[region.prefix.family == .ipv4 ? .cidrs4 : .cidrs6, default: []].append(
                MapEntry(key: Self.key(of: region.prefix), value: value.abiBytes))
        }
        for map in [SlotMap.ipcache4, .ipcache6, .cidrs4, .cidrs6] { maps[map]?.sort() }

        return Image(
            node: node, nodeAddresses: inventory.node(named: node)?.addresses ?? [],
            endpoints: endpointRecords(rowBase: rows.base), maps: maps, attributions: attributions.origins,
            identities: Array(catalogue.identityNames), groupCount: groups.count)
    }

    // MARK: Rows

    /// One row for each distinct content, in order of first use; element 0 of a row is its fallback.
    private func rows(
        groups: PeerGroups, attributions: AttributionNumbers, tables: TableNumbers
    ) -> (elements: [Action], base: [UInt32]) {
        var elements: [Action] = []
        var known: [[Action]: UInt32] = [:]
        let base = resolution.ruleSets.indices.map { index -> UInt32 in
            let fallback = Action.decided(attributions.decision(resolution.ruleSets[index].fallback))
            let row = (0..<groups.count).map { group -> Action in
                guard let representative = groups.classOfGroup[group] else { return fallback }
                return tables.action(matrix.cells[index][representative], fallback: fallback)
            }
            if let start = known[row] { return start }
            let start = UInt32(elements.count)
            known[row] = start
            elements += row
            return start
        }
        return (elements, base)
    }

    /// Pods in the order of their names, then the host if it is a subject.
    private func endpointRecords(rowBase: [UInt32]) -> [Image.EndpointRecord] {
        var records = zip(local, resolution.endpointRuleSets).enumerated().map { index, pair in
            let (endpoint, ruleSets) = pair
            var value = record(id: index + 1, ruleSets, rowBase)
            if endpoint.isAudited { value.flags |= WEIR_ENDPOINT_AUDIT.rawValue }
            value.setAddresses(of: endpoint)
            return Image.EndpointRecord(
                name: endpoint.qualifiedName, id: value.id, addresses: endpoint.addresses, value: value.abiBytes,
                attachment: endpoint.attachment)
        }
        if let ruleSets = resolution.hostRuleSets.first {
            var value = record(id: records.count + 1, ruleSets, rowBase)
            value.flags = WEIR_ENDPOINT_HOST.rawValue
            records.append(
                Image.EndpointRecord(
                    name: Image.hostName, id: value.id, addresses: inventory.node(named: node)?.addresses ?? [],
                    value: value.abiBytes, attachment: nil))
        }
        return records
    }

    private func record(id: Int, _ ruleSets: RuleSetResolution.Directions, _ rowBase: [UInt32]) -> weir_endpoint {
        var value = weir_endpoint()
        value.id = UInt32(id)
        value.egress_row = rowBase[ruleSets.egress]
        value.ingress_row = rowBase[ruleSets.ingress]
        return value
    }

    // MARK: Peers

    private func peer(_ candidate: Int, identity: Int, groups: PeerGroups) -> weir_peer {
        var value = weir_peer()
        value.group = groups.group(ofCandidate: candidate).rawValue
        value.identity = UInt32(identity)
        switch catalogue.candidates[candidate].kind {
        case .host, .hostAddress: value.flags = WEIR_PEER_NODE.rawValue | WEIR_PEER_OWN_NODE.rawValue
        case .remoteNode: value.flags = WEIR_PEER_NODE.rawValue
        default: break
        }
        return value
    }

    /// Regions that differ from the region around them; the others add nothing.
    private func distinguishableRegions(_ groups: PeerGroups) -> [PeerCatalogue.Region] {
        var enclosing: [(prefix: Prefix, group: PeerGroup, isEncrypted: Bool)] = []
        return catalogue.regions.filter { region in
            while let last = enclosing.last, !last.prefix.contains(region.prefix) { enclosing.removeLast() }
            let group = groups.group(ofCandidate: region.candidate)
            let isEncrypted = encrypted?.contains(region.prefix) == true
            defer { enclosing.append((region.prefix, group, isEncrypted)) }
            return enclosing.last.map { ($0.group, $0.isEncrypted) != (group, isEncrypted) } ?? true
        }
    }

    private static func key(of prefix: Prefix) -> [UInt8] {
        UInt32(prefix.length).abiBytes + prefix.address.bytes
    }
}

extension weir_endpoint {
    mutating func setAddresses(of endpoint: Endpoint) {
        if let address = endpoint.address(.ipv4) {
            flags |= WEIR_ENDPOINT_HAS_IPV4.rawValue
            setABIBytes(&ipv4, address.bytes)
        }
        if let address = endpoint.address(.ipv6) {
            flags |= WEIR_ENDPOINT_HAS_IPV6.rawValue
            setABIBytes(&ipv6, address.bytes)
        }
    }
}

/// Classes with an equal column are one group. Groups are numbered by their first member, after those with a fixed
/// number. A region that nothing tells apart from the rest of its family's world is that world.
private struct PeerGroups {
    /// A class that stands for the group; nil for numbers that no candidate has.
    private(set) var classOfGroup: [Int?]
    private var groupOfCandidate: [PeerGroup] = []

    init(catalogue: PeerCatalogue, matrix: DecisionMatrix) {
        classOfGroup = Array(repeating: nil, count: Int(WEIR_GROUP_FIRST_COMPILED.rawValue))
        var groupOfColumn: [[Int]: PeerGroup] = [:]
        for (index, candidate) in catalogue.candidates.enumerated() {
            let representative = matrix.classOfCandidate[index]
            let column = matrix.cells.map { $0[representative] }
            let group: PeerGroup
            if let fixed = candidate.fixedGroup {
                group = fixed
                classOfGroup[Int(fixed.rawValue)] = representative
            } else if let world = candidate.kind.world, let root = classOfGroup[Int(world.rawValue)],
                matrix.cells.allSatisfy({ $0[root] == $0[representative] })
            {
                group = world
            } else if let known = groupOfColumn[column] {
                group = known
            } else {
                group = PeerGroup(rawValue: UInt32(classOfGroup.count))
                groupOfColumn[column] = group
                classOfGroup.append(representative)
            }
            groupOfCandidate.append(group)
        }
    }

    var count: Int { classOfGroup.count }

    func group(ofCandidate candidate: Int) -> PeerGroup { groupOfCandidate[candidate] }
}

/// Sets of origins that decide together, numbered in lexicographic order from 1.
private struct AttributionNumbers {
    private(set) var origins: [Image.Attribution] = [[]]
    private var numbers: [[Int]: RuleID] = [[]: .none]

    init(matrix: DecisionMatrix, resolution: RuleSetResolution) {
        var used: Set<[Int]> = []
        for ruleSet in resolution.ruleSets { used.insert(ruleSet.fallback.origins) }
        for table in matrix.tables {
            if let everything = table.everything { used.insert(everything.origins) }
            for entry in table.ranges { used.insert(entry.ruling.origins) }
        }
        used.remove([])
        for set in used.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            numbers[set] = RuleID(rawValue: UInt32(origins.count))
            origins.append(set.map { resolution.origins[$0] })
        }
    }

    func decision(_ ruling: Ruling) -> Decision {
        let kind: Decision.Kind =
            switch ruling.kind {
            case .allow: .allow
            case .deny: .deny
            case .defaultDeny: .defaultDeny
            }
        return Decision(kind, rule: numbers[ruling.origins] ?? .none, isAudited: ruling.isAudited)
    }
}

/// Tables that need entries, numbered by content from 1. A table that says one thing is that decision instead.
private struct TableNumbers {
    private(set) var entries: [MapEntry] = []
    private var actions: [Action?] = []

    init(matrix: DecisionMatrix, attributions: AttributionNumbers) {
        var contents: OrderedSet<[MapEntry]> = []
        var contentOfTable: [Int?] = []
        for table in matrix.tables {
            guard !table.ranges.isEmpty else {
                actions.append(table.everything.map { .decided(attributions.decision($0)) })
                contentOfTable.append(nil)
                continue
            }
            actions.append(nil)
            contentOfTable.append(contents.append(Self.content(table, attributions)).index)
        }
        let order = contents.indices.sorted { contents[$0].lexicographicallyPrecedes(contents[$1]) }
        var numberOfContent = [TableID](repeating: TableID(rawValue: 0), count: contents.count)
        for (position, index) in order.enumerated() {
            let number = TableID(rawValue: UInt32(position + 1))
            numberOfContent[index] = number
            entries += contents[index].map { entry in
                // The table number is the second word of the key.
                var entry = entry
                entry.key.replaceSubrange(4..<8, with: number.rawValue.abiBytes)
                return entry
            }
        }
        for (table, content) in contentOfTable.enumerated() {
            if let content { actions[table] = .table(numberOfContent[content]) }
        }
    }

    /// What an element of `peers` says for this table; the rule set's fallback where the table is empty.
    func action(_ table: Int, fallback: Action) -> Action { actions[table] ?? fallback }

    /// Entries with table number 0, sorted.
    private static func content(_ table: PortTable, _ attributions: AttributionNumbers) -> [MapEntry] {
        var entries: [MapEntry] = []
        func add(_ prefixLength: Int, _ proto: IPProtocol, _ port: UInt16, _ ruling: Ruling) {
            var key = weir_verdict_key()
            key.prefix_length = UInt32(prefixLength)
            key.protocol = proto.rawValue
            key.port_be = (UInt8(port >> 8), UInt8(truncatingIfNeeded: port))
            let action = Action.decided(attributions.decision(ruling))
            entries.append(MapEntry(key: key.abiBytes, value: action.rawValue.abiBytes))
        }
        if let everything = table.everything {
            add(Int(WEIR_VERDICT_PREFIX_ANY), IPProtocol(rawValue: 0), 0, everything)
        }
        for entry in table.ranges {
            for prefix in portPrefixes(entry.ports) {
                add(Int(WEIR_VERDICT_PREFIX_PROTOCOL) + prefix.length, entry.protocol, prefix.value, entry.ruling)
            }
        }
        return entries.sorted()
    }
}
