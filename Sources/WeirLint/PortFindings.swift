internal import WeirCompiler
internal import WeirDiagnostics
internal import WeirModel

/// Port names that mean nothing or several things, and ICMP of a family that nobody has.
struct PortFindings {
    let rule: Rule
    /// Indices of the endpoints that the rule's spec selects; not empty.
    let subjects: [Int]
    let inventory: Inventory
    let population: Population

    func report(to findings: inout DiagnosticsCollector) {
        guard case .list(let list) = rule.ports else { return }
        var names: [String: Set<IPProtocol>] = [:]
        for case .named(let name, let protocols) in list { names[name, default: []].formUnion(protocols) }
        if !names.isEmpty {
            let owners = rule.direction == .ingress ? subjects : peers
            if !owners.isEmpty {
                for (name, protocols) in names.sorted(by: { $0.key < $1.key }) {
                    report(name, protocols, of: owners, &findings)
                }
            }
        }
        reportFamilies(list, &findings)
    }

    private var place: SourceLocation { rule.origin.location }

    /// Endpoints that the rule's peers certainly are.
    private var peers: [Int] {
        guard case .list(let list) = rule.peers else { return Array(population.endpoints.indices) }
        var found: Set<Int> = []
        for peer in list {
            switch peer {
            case .selector(let selector): found.formUnion(population.endpoints(matching: selector))
            case .entity(.all), .entity(.cluster), .entity(.clusterMesh): return Array(population.endpoints.indices)
            case .network(let block):
                found.formUnion(
                    population.endpoints.indices.filter { index in
                        population.endpoints[index].addresses.contains(where: block.contains)
                    })
            case .service(let reference):
                for service in inventory.services.filter(reference.covers) {
                    guard let selector = service.podSelector else { continue }
                    found.formUnion(population.endpoints(matching: selector))
                }
            case .entity, .cidr, .nodes: break
            }
        }
        return found.sorted()
    }

    // MARK: Names

    private func report(
        _ name: String, _ protocols: Set<IPProtocol>, of owners: [Int], _ findings: inout DiagnosticsCollector
    ) {
        var meanings: [[NamedPort]: (first: String, count: Int)] = [:]
        for owner in owners {
            let endpoint = population.endpoints[owner]
            let own = endpoint.ports.filter { $0.name == name && protocols.contains($0.protocol) }
            guard !own.isEmpty else { continue }
            meanings[own, default: (endpoint.qualifiedName, 0)].count += 1
        }
        if meanings.isEmpty {
            findings.warning(.unknownPortName, undefined(name, protocols, owners), at: place)
        } else if meanings.count > 1 {
            let said = meanings.sorted { $0.value.first < $1.value.first }.map { ports, who in
                let numbers = ports.map { "\($0.port)/\($0.protocol)" }.joined(separator: " and ")
                return "\(numbers) at \(who.first)" + (who.count > 1 ? " and \(who.count - 1) more" : "")
            }
            findings.append(
                Diagnostic(
                    .note, .namedPortDiffers, "port \"\(name)\" is not the same everywhere: \(list(said, limit: 4))",
                    at: place))
        }
    }

    private func undefined(_ name: String, _ protocols: Set<IPProtocol>, _ owners: [Int]) -> String {
        let ports = owners.lazy.flatMap { population.endpoints[$0].ports }
        let whose = rule.direction == .ingress ? "that the policy selects" : "that the rule's peers are"
        let text = "no endpoint \(whose) has a port \"\(name)\""
        if let other = ports.first(where: { $0.name == name }) {
            let wanted = protocols.sorted().map(\.description).joined(separator: " or ")
            return text + " of \(wanted); there is one of \(other.protocol)"
        }
        return text + suggestion(name, among: Set(ports.map(\.name)))
    }

    // MARK: ICMP

    private func reportFamilies(_ list: [PortMatch], _ findings: inout DiagnosticsCollector) {
        let families: [(family: AddressFamily, proto: IPProtocol)] = [(.ipv4, .icmp), (.ipv6, .icmpv6)]
        let absent = families.filter { entry in
            list.contains { if case .range(entry.proto, _) = $0 { true } else { false } }
                && !subjects.contains { population.endpoints[$0].address(entry.family) != nil }
        }
        let protocols = Set(absent.map(\.proto))
        let isIdle = list.allSatisfy { if case .range(let proto, _) = $0 { protocols.contains(proto) } else { false } }
        for entry in absent {
            findings.append(
                Diagnostic(
                    isIdle ? .warning : .note, .icmpFamily,
                    "\(entry.proto) matches nothing: no endpoint that the policy selects has an \(entry.family.rawValue) "
                        + "address", at: place))
        }
        for entry in families where !absent.contains(where: { $0.family == entry.family }) {
            guard list.contains(where: { if case .range(entry.proto, _) = $0 { true } else { false } }),
                let known = peerFamilies, !known.isEmpty, !known.contains(entry.family)
            else { continue }
            let alone = list.allSatisfy { if case .range(entry.proto, _) = $0 { true } else { false } }
            findings.append(
                Diagnostic(
                    alone ? .warning : .note, .icmpFamily,
                    "\(entry.proto) matches nothing: no peer of the rule has an \(entry.family.rawValue) address",
                    at: place))
        }
    }

    /// Families that the peers have; nil where they may be anybody.
    private var peerFamilies: Set<AddressFamily>? {
        guard case .list(let list) = rule.peers else { return nil }
        var families: Set<AddressFamily> = []
        for peer in list {
            switch peer {
            case .cidr(let block), .network(let block): families.insert(block.prefix.family)
            case .entity(.worldIPv4): families.insert(.ipv4)
            case .entity(.worldIPv6): families.insert(.ipv6)
            case .entity(.none): break
            case .selector(let selector):
                if Population.choosesOutsiders(selector) { return nil }
                for index in population.endpoints(matching: selector) {
                    families.formUnion(population.endpoints[index].addresses.map(\.family))
                }
            case .entity, .nodes, .service: return nil
            }
        }
        return families
    }
}
