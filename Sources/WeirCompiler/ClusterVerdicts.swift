internal import OrderedCollections
internal import WeirImage
package import WeirModel

extension VerdictMatrix {
    /// The verdicts of all nodes at once, each endpoint judged on its own.
    package init(policies: PolicySet, inventory: Inventory, options: PolicyOptions) {
        self.init()
        let resolution = RuleSetResolution(
            policies: policies.resolvingServices(inventory), endpoints: inventory.endpoints,
            hosts: options.hostFirewall ? inventory.nodes : [], options: options)
        let catalogue = PeerCatalogue(
            inventory: inventory, node: nil, distinctions: resolution.distinctions, options: options)
        let matrix = DecisionMatrix(resolution: resolution, catalogue: catalogue, everyPort: inventory.everyPort)
        setCells(matrix, resolution)

        func peerClass(_ candidate: Int) -> Int { matrix.classOfCandidate[candidate] }
        func subject(_ ruleSets: RuleSetResolution.Directions, isAudited: Bool = false) -> Subject {
            Subject(egressRow: ruleSets.egress, ingressRow: ruleSets.ingress, isAudited: isAudited)
        }
        let known = Dictionary(catalogue.addresses.map { ($0.address, $0) }) { first, _ in first }
        for (endpoint, ruleSets) in zip(inventory.endpoints, resolution.endpointRuleSets) {
            namedAddresses.formUnion(endpoint.addresses)
            endpoints[endpoint.qualifiedName] = EndpointParty(
                node: endpoint.node, subject: subject(ruleSets, isAudited: endpoint.isAudited),
                classes: Dictionary(
                    endpoint.addresses.compactMap { address in
                        known[address].map { (address.family, peerClass($0.candidate)) }
                    }
                ) { first, _ in first })
        }
        for (index, node) in inventory.nodes.enumerated() {
            guard let host = catalogue.hosts[node.name] else { continue }
            namedAddresses.formUnion(node.addresses)
            hosts[node.name] = HostParty(
                subject: options.hostFirewall ? subject(resolution.hostRuleSets[index]) : nil,
                asSource: peerClass(host.asSource),
                addresses: host.asDestination.reduce(into: [:]) { addresses, own in
                    addresses[own.key] = HostParty.Address(
                        asDestination: peerClass(own.value), elsewhere: known[own.key].map { peerClass($0.candidate) })
                })
        }
        for address in catalogue.addresses where !namedAddresses.contains(address.address) {
            addresses[address.address] = AddressParty(
                peerClass: peerClass(address.candidate),
                onNode: (catalogue.servicesOnNode[address.address] ?? [:]).mapValues(peerClass),
                label: inventory.services.filter { $0.addresses.contains(address.address) }.map(\.qualifiedName)
                    .sorted().joined(separator: ", "))
        }
        for region in catalogue.regions {
            regions[region.prefix] = RegionParty(
                peerClass: peerClass(region.candidate), label: catalogue.identityNames[region.identity])
        }
        for (index, candidate) in catalogue.candidates.enumerated() {
            if candidate.kind == .masqueraded { masqueraded = peerClass(index) }
            if candidate.kind == .multicast { multicast = peerClass(index) }
        }
    }

    private mutating func setCells(_ matrix: DecisionMatrix, _ resolution: RuleSetResolution) {
        var numbers: [[Int]: Int] = [[]: 0]
        func attribution(_ origins: [Int]) -> Int {
            if let known = numbers[origins] { return known }
            numbers[origins] = attributions.count
            attributions.append(origins.map { resolution.origins[$0] })
            return attributions.count - 1
        }
        func ruling(_ ruling: WeirCompiler.Ruling) -> Ruling {
            let kind: Decision.Kind =
                switch ruling.kind {
                case .allow: .allow
                case .deny: .deny
                case .defaultDeny: .defaultDeny
                }
            return Ruling(kind, isAudited: ruling.isAudited, attribution: attribution(ruling.origins))
        }
        struct Key: Hashable {
            var table: Int
            var fallback: WeirCompiler.Ruling
        }
        var known: [Key: Int] = [:]
        for (row, ruleSet) in zip(matrix.cells, resolution.ruleSets) {
            cells.append(
                row.map { table in
                    let key = Key(table: table, fallback: ruleSet.fallback)
                    if let number = known[key] { return number }
                    let content = matrix.tables[table]
                    known[key] = tables.count
                    tables.append(
                        Table(
                            rest: ruling(content.everything ?? ruleSet.fallback),
                            entries: content.ranges.map {
                                Table.Entry(protocol: $0.protocol, ports: $0.ports, ruling: ruling($0.ruling))
                            }))
                    return tables.count - 1
                })
        }
    }
}
