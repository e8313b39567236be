import Testing
import WeirDiagnostics
import WeirLint
import WeirModel

/// What only typed policies can say as long as no text is given: Services, nodes and ordered tiers.
@Suite("lint looks at Services, nodes and tiers") struct TypedTests {
    private static func place(_ line: Int) -> Place { Place(path: "p.yaml", line: line, column: 5) }

    private static let namespaceKey = LabelKey(source: "k8s", name: WellKnownLabel.namespace)

    private static func spec(
        _ name: String = "p", _ tier: Tier = .network, subject: Subject? = nil, line: Int = 1,
        rules: [(RuleAction, Peers, Ports)]
    ) -> PolicySpec {
        func origin(_ section: String?, _ index: Int) -> RuleOrigin {
            RuleOrigin(
                kind: tier == .network ? .ciliumNetworkPolicy : .clusterNetworkPolicy, namespace: "shop", name: name,
                spec: 0, section: section, index: index, location: place(line + index + (section == nil ? 0 : 1)))
        }
        return PolicySpec(
            origin: origin(nil, 0), tier: tier,
            subject: subject ?? .endpoints(LabelSelector([.init(namespaceKey, .in, ["shop"])])), selects: [.egress],
            enforces: tier == .network ? [.egress] : [],
            rules: rules.enumerated().map { index, rule in
                Rule(
                    origin: origin("egress", index), direction: .egress, action: rule.0, peers: rule.1, ports: rule.2)
            })
    }

    private static func endpoint(_ name: String, _ address: String, app: String) throws -> Endpoint {
        let labels = ["app": app, WellKnownLabel.namespace: "shop"]
        return Endpoint(
            namespace: "shop", name: name, node: "node-a", addresses: [try #require(IPAddress(address))],
            labels: LabelSet(labels.map { Label(source: "k8s", key: $0.key, value: $0.value) }), ports: [],
            attachment: .byAddress, location: Place(path: "i.yaml", line: 1, column: 1))
    }

    private static func inventory(backends: [String]) throws -> Inventory {
        let service = Service(
            namespace: "shop", name: "db", labels: ["tier": "data"], selector: ["app": "db"],
            addresses: [try #require(IPAddress("10.96.0.1"))],
            ports: [
                Service.Port(
                    name: "", protocol: .tcp, port: 5432,
                    backends: try backends.map {
                        Service.Backend(address: try #require(IPAddress($0)), port: 5432)
                    })
            ], location: Place(path: "i.yaml", line: 20, column: 3))
        let node = Node(
            name: "node-a", labels: ["rack": "r1"], addresses: [try #require(IPAddress("192.0.2.1"))], podCIDRs: [],
            isKubeAPIServer: false, location: Place(path: "i.yaml", line: 9, column: 1))
        return Inventory(
            endpoints: [
                try endpoint("api", "10.7.0.1", app: "api"), try endpoint("db-1", "10.7.0.2", app: "db"),
                try endpoint("db-2", "10.7.0.3", app: "other"),
            ], nodes: [node], services: [service])
    }

    private static func services(_ reference: ServiceReference) -> PolicySet {
        PolicySet(specs: [spec(rules: [(.allow, .list([.service(reference)]), .any)])])
    }

    @Test("a Service that does not exist is reported with the nearest name") func unknownService() throws {
        let inventory = try Self.inventory(backends: ["10.7.0.2"])
        let found = Linted(Self.services(.named(namespace: "shop", name: "dbb")), inventory).of(.unknownService)
        #expect(found.map(\.message) == ["there is no Service \"shop/dbb\"; did you mean \"db\"?"])
        #expect(found.map(\.location) == [Self.place(2)])
        #expect(Linted(Self.services(.named(namespace: "shop", name: "db")), inventory).of(.unknownService) == [])
    }

    @Test("and so are labels that no Service has") func unknownServiceLabels() throws {
        let inventory = try Self.inventory(backends: ["10.7.0.2"])
        func reference(_ value: String) -> ServiceReference {
            .selected(LabelSelector([.init(LabelKey(source: nil, name: "tier"), .in, [value])]), namespace: nil)
        }
        let found = Linted(Self.services(reference("date")), inventory).of(.unknownService)
        #expect(found.map(\.message) == ["no Service has the labels tier=date"])
        #expect(Linted(Self.services(reference("data")), inventory).of(.unknownService) == [])
    }

    @Test("a Service without backends is noted where egress is enforced, at the Service") func silentService() throws {
        let policies = Self.services(.named(namespace: nil, name: "db"))
        let found = Linted(policies, try Self.inventory(backends: [])).of(.serviceWithoutBackends)
        #expect(found.map(\.location.line) == [20])
        #expect(found.map(\.severity) == [.note])
        #expect(found.first?.message.contains("no backend on 5432/TCP") == true)
        #expect(Linted(policies, try Self.inventory(backends: ["10.7.0.2"])).of(.serviceWithoutBackends) == [])
        let nothing = PolicySet(specs: [])
        #expect(Linted(nothing, try Self.inventory(backends: [])).of(.serviceWithoutBackends) == [])
    }

    @Test("a Service of whose backends some are allowed is the compiler's warning, for every node")
    func disagreement() throws {
        let policies = Self.services(.named(namespace: nil, name: "db"))
        let found = Linted(policies, try Self.inventory(backends: ["10.7.0.2", "10.7.0.3"]))
            .of(.serviceBackendsDisagree)
        #expect(found.map(\.location.line) == [20])
        #expect(found.map(\.severity) == [.warning])
        #expect(Linted(policies, try Self.inventory(backends: ["10.7.0.2"])).of(.serviceBackendsDisagree) == [])
    }

    @Test("a node selector that no node has, as a peer and as a subject") func nodes() throws {
        let inventory = try Self.inventory(backends: ["10.7.0.2"])
        func selector(_ key: String) -> LabelSelector {
            LabelSelector([.init(LabelKey(source: nil, name: key), .exists)])
        }
        func peer(_ key: String) -> PolicySet {
            PolicySet(specs: [Self.spec(rules: [(.allow, .list([.nodes(selector(key), .any)]), .any)])])
        }
        let found = Linted(peer("rakc"), inventory).of(.unmatchedSelector)
        #expect(found.map(\.message) == ["the peer rakc is no node; did you mean \"rack\"?"])
        #expect(Linted(peer("rack"), inventory).of(.unmatchedSelector) == [])
        let subject = PolicySet(specs: [Self.spec(subject: .nodes(selector("rakc")), rules: [(.allow, .any, .any)])])
        let firewall = PolicyOptions(hostFirewall: true)
        #expect(Linted(subject, inventory, options: firewall).of(.unmatchedSubject).map(\.location) == [Self.place(1)])
        #expect(Linted(subject, inventory).of(.unmatchedSubject) == [])
    }

    private static let web = Peers.list([.cidr(CIDRBlock(Prefix(all: .ipv4)))])
    private static let port = Ports.list([.range(.tcp, 80...80)])

    struct Order: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var specs: [PolicySpec]
        var line: Int
        var noteLine: Int
    }

    static let orders = [
        Order(
            testDescription: "behind an earlier rule of its list",
            specs: [spec("a", .admin(priority: 1), rules: [(.deny, .any, .any), (.allow, web, port)])], line: 3,
            noteLine: 2),
        Order(
            testDescription: "behind a pass, which nothing names",
            specs: [spec("a", .admin(priority: 1), rules: [(.pass, .any, .any), (.deny, web, port)])], line: 3,
            noteLine: 2),
        Order(
            testDescription: "in a higher number of priority",
            specs: [
                spec("a", .admin(priority: 2), line: 1, rules: [(.allow, web, port)]),
                spec("b", .admin(priority: 1), line: 11, rules: [(.deny, web, .any)]),
            ], line: 2, noteLine: 12),
        Order(
            testDescription: "in the network tier below an admin deny",
            specs: [
                spec("a", .network, line: 1, rules: [(.allow, web, port)]),
                spec("b", .admin(priority: 1), line: 11, rules: [(.deny, web, .any)]),
            ], line: 2, noteLine: 12),
        Order(
            testDescription: "in the baseline tier where the network tier enforces",
            specs: [
                spec("a", .baseline(priority: 1), line: 1, rules: [(.allow, web, port)]),
                spec("b", .network, line: 11, rules: []),
            ], line: 2, noteLine: 11),
    ]

    @Test("a rule of which another takes every decision is shadowed", arguments: orders)
    func shadowed(_ order: Order) throws {
        let inventory = try Self.inventory(backends: ["10.7.0.2"])
        let found = Linted(PolicySet(specs: order.specs), inventory).of(.shadowedRule)
        #expect(found.map(\.location) == [Self.place(order.line)])
        #expect(found.flatMap(\.notes).map(\.location) == [Self.place(order.noteLine)])
    }

    @Test("rules in the order in which each has its say are not") func ordered() throws {
        let inventory = try Self.inventory(backends: ["10.7.0.2"])
        let policies = PolicySet(specs: [
            Self.spec("a", .admin(priority: 1), rules: [(.allow, Self.web, Self.port), (.deny, .any, .any)])
        ])
        #expect(Linted(policies, inventory).of(.shadowedRule) == [])
    }
}
