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
    private static let racks = ["r1", "r2"]
    private static let prefixes = [
        "0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.128/25", "10.1.2.3/32", "192.0.2.0/24",
        "172.16.0.0/12", "10.7.0.0/16", "10.7.0.128/25", "10.7.0.96/27", "224.0.0.0/4", "::/0", "2001:db8::/32",
        "2001:db8:1::/48",
        "fd07::/64", "fd07::/96",
    ].compactMap { Prefix($0) }
    package static let addresses = [
        "10.1.2.3", "10.1.2.200", "10.1.9.9", "10.9.9.9", "192.0.2.77", "192.0.2.1", "192.0.2.2", "192.0.2.3",
        "8.8.8.8", "172.16.1.1", "10.7.0.200", "10.7.0.99", "203.0.113.10", "10.96.0.10", "10.96.0.11", "10.96.0.12",
        "fd96::10", "224.0.0.251",
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
        if chance(2) { options.hostFirewall = true }
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
                    attachment: .byAddress, isAudited: chance(8),
                    location: SourceLocation(path: "inventory", line: index, column: 1)))
        }
        let location = SourceLocation(path: "inventory", line: 90, column: 1)
        let nodes = [
            Node(
                name: "node-a", labels: ["rack": pick(Self.racks)],
                addresses: ["192.0.2.1", "fd00::1"].compactMap { IPAddress($0) },
                podCIDRs: ["10.7.0.0/25", "fd07::/64"].compactMap { Prefix($0) }, isKubeAPIServer: chance(4),
                location: location),
            Node(
                name: "node-b", labels: ["rack": pick(Self.racks)],
                addresses: ["192.0.2.2"].compactMap { IPAddress($0) },
                podCIDRs: chance(2) ? [] : ["10.7.0.128/25"].compactMap { Prefix($0) }, isKubeAPIServer: false,
                location: location),
            Node(
                name: "node-c", labels: chance(2) ? [:] : ["rack": pick(Self.racks)],
                addresses: ["192.0.2.3"].compactMap { IPAddress($0) }, podCIDRs: [],
                isKubeAPIServer: chance(2), location: location),
        ]
        inventory = Inventory(
            endpoints: endpoints, nodes: nodes,
            kubeAPIServerAddresses: ["203.0.113.10", "192.0.2.3"].filter { _ in chance(2) }.compactMap {
                IPAddress($0)
            }, services: services(endpoints, at: location))
    }

    /// With a selector, without one, and two that share an address. Backends are pods, strangers and nobody.
    private mutating func services(_ endpoints: [Endpoint], at location: SourceLocation) -> [Service] {
        let strangers = ["8.8.8.8", "192.0.2.77", "10.7.0.99", "192.0.2.2", "192.0.2.1", "2001:db8::9"]
            .compactMap { IPAddress($0) }
        let frontends: [(name: String, selector: [String: String]?, addresses: [String])] = [
            ("api", ["app": pick(Self.apps)], ["10.96.0.10", "fd96::10"]), ("outside", nil, ["10.96.0.11"]),
            ("shared", ["tier": "back"], ["10.96.0.11", "10.96.0.12"]),
        ]
        return frontends.map { name, selector, addresses in
            var ports: [Service.Port] = []
            for port in [UInt16(80), 443, 53] where !chance(3) {
                let isEmpty = chance(4)
                let pods = endpoints.filter { _ in !isEmpty && chance(4) }.flatMap(\.addresses)
                let others = strangers.filter { _ in !isEmpty && chance(selector == nil ? 3 : 12) }
                ports.append(
                    Service.Port(
                        name: "p\(port)", protocol: port == 53 ? .udp : .tcp, port: port,
                        backends: (pods + others).map { Service.Backend(address: $0, port: pick([port, 80, 8080])) }))
            }
            return Service(
                namespace: pick(Self.namespaces), name: name, labels: ["tier": pick(Self.tiers)], selector: selector,
                addresses: addresses.compactMap { IPAddress($0) }, ports: ports, location: location)
        }
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

    private mutating func nodeSelector() -> LabelSelector {
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: .everything
        case 1: LabelSelector([.init(LabelKey(source: nil, name: "rack"), .exists)])
        case 2: LabelSelector([.init(LabelKey(source: nil, name: "rack"), .notIn, [pick(Self.racks)])])
        default: LabelSelector([.init(LabelKey(source: "k8s", name: "rack"), .in, [pick(Self.racks)])])
        }
    }

    private mutating func block() -> CIDRBlock {
        let prefix = pick(Self.prefixes)
        let inside = Self.prefixes.filter { prefix.contains($0) && $0 != prefix }
        var except: [Prefix] = []
        for candidate in inside where chance(4) { except.append(candidate) }
        return CIDRBlock(prefix, except: except)
    }

    private mutating func peers() -> Peers {
        switch Int.random(in: 0..<14, using: &generator) {
        case 10:
            return .list([.nodes(nodeSelector(), chance(2) ? .remote : .any)])
        case 11: return .list([.network(block()), .network(block())])
        case 12:
            let namespace = chance(2) ? nil : pick(Self.namespaces)
            return .list([
                .service(
                    chance(3)
                        ? .selected(
                            LabelSelector([.init(LabelKey(source: nil, name: "tier"), .in, [pick(Self.tiers)])]),
                            namespace: namespace)
                        : .named(namespace: namespace, name: pick(["api", "outside", "shared", "missing"])))
            ])
        case 13: return .list([.network(block()), .selector(selector(scoped: true))])
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
        for index in 0..<Int.random(in: 0...8, using: &generator) {
            func origin(_ section: String?, _ item: Int) -> RuleOrigin {
                RuleOrigin(
                    kind: .ciliumNetworkPolicy, namespace: "shop", name: "p\(index)", spec: 0, section: section,
                    index: item, location: SourceLocation(path: "p.yaml", line: index * 100 + item, column: 1))
            }
            let tier: Tier =
                switch Int.random(in: 0..<10, using: &generator) {
                case 0...1: .admin(priority: Int.random(in: 0...2, using: &generator))
                case 2...3: .baseline(priority: Int.random(in: 0...2, using: &generator))
                default: .network
                }
            var rules: [Rule] = []
            for item in 0..<Int.random(in: 0...5, using: &generator) {
                let direction: Direction = pick([.egress, .ingress])
                let action: RuleAction =
                    tier == .network ? pick([.allow, .allow, .allow, .deny]) : pick([.allow, .deny, .pass])
                rules.append(
                    Rule(
                        origin: origin(direction.rawValue + (action == .deny ? "Deny" : ""), item),
                        direction: direction, action: action, peers: peers(), ports: rulePorts()))
            }
            let selects = Set(rules.map(\.direction)).union(chance(3) ? [pick([.egress, .ingress])] : [])
            var enforces = tier == .network ? selects : []
            if chance(4) { enforces.remove(.egress) }
            if chance(4) { enforces.remove(.ingress) }
            let subject: Subject =
                tier == .network && chance(5) ? .nodes(nodeSelector()) : .endpoints(selector(scoped: true))
            specs.append(
                PolicySpec(
                    origin: origin(nil, 0), tier: tier, subject: subject, selects: selects, enforces: enforces,
                    rules: rules, isAudited: chance(4)))
        }
        policies = PolicySet(specs: specs)
    }

    /// A question about an endpoint of `node-a`.
    package mutating func question() -> PolicyOracle.Question {
        let local = inventory.endpoints.filter { $0.node == "node-a" }
        let endpoint = options.hostFirewall && chance(4) ? "host" : pick(local).qualifiedName
        let direction: Direction = pick([.egress, .ingress])
        // Multicast and broadcast are destinations only.
        let outside = Self.addresses.filter { direction == .egress || !$0.isMulticast && !$0.isBroadcast }
        var peer = chance(2) ? pick(outside) : pick(inventory.endpoints.flatMap(\.addresses))
        var fromHost = false
        if direction == .ingress, chance(6), let address = inventory.nodes.first?.addresses.first {
            fromHost = true
            peer = address
        }
        let isService = inventory.services.contains { $0.addresses.contains(peer) }
        let proto = pick([IPProtocol.tcp, .udp, .sctp, .icmp, .icmpv6, IPProtocol(rawValue: 89)])
        let port: UInt16 =
            switch proto {
            case .icmp, .icmpv6: pick([0, 3, 8, 128])
            case .tcp where isService && chance(2): pick([80, 443])
            case .udp where isService && chance(2): 53
            case .tcp, .udp, .sctp: chance(3) ? UInt16.random(in: 0...65535, using: &generator) : pick(Self.ports)
            default: 0
            }
        return PolicyOracle.Question(
            endpoint: endpoint, direction: direction, peer: peer, fromHost: fromHost, protocol: proto,
            port: port)
    }
}
