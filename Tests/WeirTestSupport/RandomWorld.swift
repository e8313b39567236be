internal import WeirDiagnostics
package import WeirModel

/// A small cluster and random policies over few labels, prefixes and ports, so that rules meet.
package struct RandomWorld {
    package var inventory: Inventory
    package var policies: PolicySet
    package var options: PolicyOptions
    package var generator: SeededGenerator

    private static let apps = ["web", "api", "db", "dns"]
    private static let tiers = ["front", "back"]
    private static let namespaces = ["shop", "ops"]
    private static let prefixes = [
        "0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.128/25", "10.1.2.3/32", "192.0.2.0/24",
        "172.16.0.0/12", "10.7.0.0/16", "10.7.0.128/25", "10.7.0.96/27", "224.0.0.0/4", "::/0", "2001:db8::/32",
        "2001:db8:1::/48",
        "fd07::/64", "fd07::/96",
    ].compactMap { Prefix($0) }
    package static let addresses = [
        "10.1.2.3", "10.1.2.200", "10.1.9.9", "10.9.9.9", "192.0.2.77", "192.0.2.1", "192.0.2.2", "192.0.2.3",
        "8.8.8.8", "172.16.1.1", "10.7.0.200", "10.7.0.99", "203.0.113.10", "10.96.0.10", "224.0.0.251",
        "255.255.255.255", "2001:db8::9", "2001:db8:1::9", "2606:4700::1", "fd07::99", "fd00::1", "ff02::fb",
    ].compactMap { IPAddress($0) }
    package static let ports: [UInt16] = [0, 22, 53, 79, 80, 81, 443, 1023, 1024, 8080, 65534, 65535]
    private static let portNames = ["http", "dns", "metrics"]

    package init(seed: UInt64) {
        generator = SeededGenerator(seed: seed)
        inventory = Inventory()
        policies = PolicySet(specs: [])
        options = PolicyOptions()
        makeInventory()
        makePolicies()
        if chance(4) { options.allowLocalhost = .policy }
        if chance(4) { options.cidrMatchesNodes = true }
        if chance(8) { options.enforcementMode = .always }
        if chance(20) { options.enforcementMode = .never }
    }

    package mutating func chance(_ oneIn: Int) -> Bool { Int.random(in: 0..<oneIn, using: &generator) == 0 }
    package mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[Int.random(in: 0..<elements.count, using: &generator)]
    }

    private mutating func makeInventory() {
        var endpoints: [Endpoint] = []
        for index in 0..<8 {
            let namespace = pick(Self.namespaces)
            var labels = [
                Label(source: "k8s", key: WellKnownLabel.namespace, value: namespace),
                Label(source: "k8s", key: WellKnownLabel.cluster, value: "default"),
            ]
            if !chance(6) { labels.append(Label(source: "k8s", key: "app", value: pick(Self.apps))) }
            if !chance(3) { labels.append(Label(source: "k8s", key: "tier", value: pick(Self.tiers))) }
            var addresses = ["10.7.0.\(index + 1)"]
            if chance(2) { addresses.append("fd07::\(index + 1)") }
            var ports: [NamedPort] = []
            for name in Self.portNames where chance(2) {
                ports.append(NamedPort(name: name, protocol: pick([.tcp, .udp]), port: pick([53, 80, 8080])))
            }
            endpoints.append(
                Endpoint(
                    namespace: namespace, name: "pod-\(index)", node: index < 5 ? "node-a" : "node-b",
                    addresses: addresses.compactMap { IPAddress($0) }, labels: LabelSet(labels), ports: ports,
                    attachment: .byAddress, location: SourceLocation(path: "inventory", line: index, column: 1)))
        }
        let location = SourceLocation(path: "inventory", line: 90, column: 1)
        let nodes = [
            Node(
                name: "node-a", labels: [:], addresses: ["192.0.2.1", "fd00::1"].compactMap { IPAddress($0) },
                podCIDRs: ["10.7.0.0/25", "fd07::/64"].compactMap { Prefix($0) }, isKubeAPIServer: chance(4),
                location: location),
            Node(
                name: "node-b", labels: [:], addresses: ["192.0.2.2"].compactMap { IPAddress($0) },
                podCIDRs: chance(2) ? [] : ["10.7.0.128/25"].compactMap { Prefix($0) }, isKubeAPIServer: false,
                location: location),
            Node(
                name: "node-c", labels: [:], addresses: ["192.0.2.3"].compactMap { IPAddress($0) }, podCIDRs: [],
                isKubeAPIServer: chance(2), location: location),
        ]
        inventory = Inventory(
            endpoints: endpoints, nodes: nodes,
            kubeAPIServerAddresses: ["203.0.113.10", "192.0.2.3"].filter { _ in chance(2) }.compactMap {
                IPAddress($0)
            },
            services: [
                Service(
                    namespace: "shop", name: "api", labels: [:], selector: nil,
                    addresses: ["10.96.0.10"].compactMap { IPAddress($0) }, ports: [], location: location)
            ])
    }

    private mutating func selector(scoped: Bool) -> LabelSelector {
        var requirements: [LabelSelector.Requirement] = []
        if scoped {
            requirements.append(
                chance(2)
                    ? .init(LabelKey(source: "k8s", name: WellKnownLabel.namespace), .in, [pick(Self.namespaces)])
                    : .init(LabelKey(source: "k8s", name: WellKnownLabel.namespace), .exists))
        }
        if chance(2) {
            requirements.append(
                .init(
                    LabelKey(source: pick([nil, "k8s"]), name: "app"), pick([.in, .in, .notIn]),
                    [pick(Self.apps), pick(Self.apps)]))
        }
        if chance(3) {
            requirements.append(.init(LabelKey(source: nil, name: "tier"), pick([.exists, .doesNotExist])))
        }
        return LabelSelector(requirements)
    }

    private mutating func block() -> CIDRBlock {
        let prefix = pick(Self.prefixes)
        let inside = Self.prefixes.filter { prefix.contains($0) && $0 != prefix }
        var except: [Prefix] = []
        for candidate in inside where chance(4) { except.append(candidate) }
        return CIDRBlock(prefix, except: except)
    }

    private mutating func peers() -> Peers {
        switch Int.random(in: 0..<10, using: &generator) {
        case 0: return .any
        case 1: return .list([])
        case 2...5:
            return .list(
                (0..<Int.random(in: 1...2, using: &generator)).map { _ in .selector(selector(scoped: !chance(8))) })
        case 6...7: return .list((0..<Int.random(in: 1...2, using: &generator)).map { _ in .cidr(block()) })
        case 8:
            let key = pick(["host", "world", "remote-node", "kube-apiserver"])
            return .list([.selector(LabelSelector([.init(LabelKey(source: "reserved", name: key), .in, [""])]))])
        default:
            return .list((0..<Int.random(in: 1...2, using: &generator)).map { _ in .entity(pick(Entity.allCases)) })
        }
    }

    private mutating func rulePorts() -> Ports {
        if chance(3) { return .any }
        if chance(12) { return .list([]) }
        return .list(
            (0..<Int.random(in: 1...3, using: &generator)).map { _ in
                switch Int.random(in: 0..<8, using: &generator) {
                case 0: return .named(pick(Self.portNames), pick([[.tcp], [.udp], IPProtocol.withPorts]))
                case 1: return .range(pick([.icmp, .icmpv6]), pick([0...0, 3...3, 8...8, 128...128]))
                case 2: return .range(pick(IPProtocol.withPorts), 0...65535)
                default:
                    let low = pick(Self.ports)
                    let high = pick(Self.ports.filter { $0 >= low })
                    return .range(pick(IPProtocol.withPorts), low...high)
                }
            })
    }

    /// The same cluster under other policies.
    package mutating func changePolicies() { makePolicies() }

    private mutating func makePolicies() {
        var specs: [PolicySpec] = []
        for index in 0..<Int.random(in: 0...6, using: &generator) {
            func origin(_ section: String?, _ item: Int) -> RuleOrigin {
                RuleOrigin(
                    kind: .ciliumNetworkPolicy, namespace: "shop", name: "p\(index)", spec: 0, section: section,
                    index: item, location: SourceLocation(path: "p.yaml", line: index * 100 + item, column: 1))
            }
            var rules: [Rule] = []
            for item in 0..<Int.random(in: 0...5, using: &generator) {
                let direction: Direction = pick([.egress, .ingress])
                let action: RuleAction = pick([.allow, .allow, .allow, .deny])
                rules.append(
                    Rule(
                        origin: origin(direction.rawValue + (action == .deny ? "Deny" : ""), item),
                        direction: direction, action: action, peers: peers(), ports: rulePorts()))
            }
            let selects = Set(rules.map(\.direction)).union(chance(3) ? [pick([.egress, .ingress])] : [])
            var enforces = selects
            if chance(4) { enforces.remove(.egress) }
            if chance(4) { enforces.remove(.ingress) }
            specs.append(
                PolicySpec(
                    origin: origin(nil, 0), subject: .endpoints(selector(scoped: true)), selects: selects, enforces: enforces,
                    rules: rules))
        }
        policies = PolicySet(specs: specs)
    }

    /// A question about an endpoint of `node-a`.
    package mutating func question() -> PolicyOracle.Question {
        let local = inventory.endpoints.filter { $0.node == "node-a" }
        let endpoint = pick(local)
        let direction: Direction = pick([.egress, .ingress])
        // Multicast and broadcast are destinations only.
        let outside = Self.addresses.filter { direction == .egress || !$0.isMulticast && !$0.isBroadcast }
        var peer = chance(2) ? pick(outside) : pick(inventory.endpoints.flatMap(\.addresses))
        var fromHost = false
        if direction == .ingress, chance(6), let address = inventory.nodes.first?.addresses.first {
            fromHost = true
            peer = address
        }
        let proto = pick([IPProtocol.tcp, .udp, .sctp, .icmp, .icmpv6, IPProtocol(rawValue: 89)])
        let port: UInt16 =
            switch proto {
            case .icmp, .icmpv6: pick([0, 3, 8, 128])
            case .tcp, .udp, .sctp: chance(3) ? UInt16.random(in: 0...65535, using: &generator) : pick(Self.ports)
            default: 0
            }
        return PolicyOracle.Question(
            endpoint: endpoint.qualifiedName, direction: direction, peer: peer, fromHost: fromHost, protocol: proto,
            port: port)
    }
}
