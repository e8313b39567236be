import TestNetwork
import Testing
import WeirModel
import WeirNetlink

@Suite("Links, addresses, routes and rules", .serialized, .enabled(if: kernelTestsAreWanted))
struct RoutingTests {
    private let namespace: OwnNamespace
    private static let table: UInt32 = 51871

    init() throws {
        namespace = try OwnNamespace()
    }

    /// What netlink says in the namespace.
    private func inside<Value>(_ body: (Netlink) throws -> Value) throws -> Value {
        try namespace.inside { try body(Netlink()) }
    }

    private func prefix(_ text: String) throws -> Prefix { try #require(Prefix(text)) }

    @Test("an interface is set up, down and to an MTU, and only what differs is a change")
    func links() throws {
        let index = try namespace.veth("d0")
        #expect(try !inside({ try $0.setInterface(index, isUp: true) }))
        #expect(try inside({ try $0.setInterface(index, isUp: false, mtu: 1420) }))
        #expect(try !inside({ try $0.setInterface(index, isUp: false, mtu: 1420) }))
        let link = try #require(try namespace.json("link", "show", "d0").first)
        #expect(link["mtu"] as? Int == 1420)
        #expect((link["flags"] as? [String])?.contains("UP") == false)
        #expect(try inside({ try $0.setInterface(index, isUp: true) }))
        #expect(try inside({ try $0.interface(named: "d0") })?.isUp == true)
        #expect(try inside({ try $0.interface(named: "d0") })?.mtu == 1420)
        #expect(try inside({ try $0.deleteInterface(index) }))
        #expect(try !inside({ try $0.deleteInterface(index) }))
        #expect(try inside({ try $0.interface(named: "d0") }) == nil)
    }

    @Test("setting up what is gone says so")
    func goneInterface() throws {
        #expect(throws: NetlinkError("set up interface", "4711", errno: .noSuchDevice)) {
            try inside({ try $0.setInterface(4711, isUp: true) })
        }
    }

    @Test("a name that no interface can have is refused", arguments: ["", "sixteen-letters-"])
    func names(name: String) throws {
        let error = try #require(
            throws: NetlinkError.self, performing: { try inside({ try $0.createWireGuardInterface(name) }) })
        #expect(error.errno == .invalidArgument)
    }

    @Test("addresses of both families come and go once", arguments: [("10.7.1.1", 24), ("fd07::1:1", 112)])
    func addresses(text: String, length: Int) throws {
        let index = try namespace.veth("d0")
        let address = InterfaceAddress(
            interface: index, address: try #require(IPAddress(text)), prefixLength: length)
        #expect(try inside({ try $0.add(address) }))
        #expect(try !inside({ try $0.add(address) }))
        #expect(try inside({ try $0.addresses() }).contains(address))
        #expect(try namespace.ip("address", "show", "dev", "d0").contains("\(text)/\(length)"))
        #expect(try inside({ try $0.remove(address) }))
        #expect(try !inside({ try $0.remove(address) }))
        #expect(try !namespace.ip("address", "show", "dev", "d0").contains(text))
    }

    private func wanted(_ through: UInt32, mtu: UInt32) throws -> [TableRoute] {
        try ["10.7.2.0/24", "fd07:2::/64"].flatMap { text in
            [
                TableRoute(to: try prefix(text), table: Self.table, target: .interface(through, mtu: mtu)),
                TableRoute(to: try prefix(text), table: Self.table, metric: .max, target: .unreachable),
            ]
        }
    }

    @Test("routes are put once, and what is read is what was put and what ip shows")
    func routes() throws {
        let index = try namespace.veth("d0")
        let routes = try wanted(index, mtu: 1400)
        #expect(try inside({ try $0.routes(inTable: Self.table) }) == [])
        #expect(try inside({ try $0.put(routes) }) == routes)
        #expect(try inside({ try $0.put(routes) }) == [])
        #expect(try inside({ try $0.routes(inTable: Self.table) }) == routes.sorted())
        for (family, text, metric) in [("-4", "10.7.2.0/24", nil as Int?), ("-6", "fd07:2::/64", 1024)] {
            let shown = try namespace.json(family, "route", "show", "table", "51871")
            try #require(shown.count == 2)
            let through = try #require(shown.first { $0["type"] as? String != "unreachable" })
            let refused = try #require(shown.first { $0["type"] as? String == "unreachable" })
            #expect(through["dst"] as? String == text)
            #expect(through["dev"] as? String == "d0")
            #expect(through["protocol"] as? String == "static")
            #expect(through["metric"] as? Int == metric)
            #expect((through["metrics"] as? [[String: any Sendable]])?.first?["mtu"] as? Int == 1400)
            #expect(refused["dst"] as? String == text)
            #expect(refused["metric"] as? Int == 4_294_967_295)
        }
    }

    @Test("a route moves to another interface in one step, and the unreachable one stays behind it")
    func moves() throws {
        let first = try namespace.veth("d0")
        let second = try namespace.veth("d1")
        _ = try inside({ try $0.put(try wanted(first, mtu: 1400)) })
        let monitor = try wanted(second, mtu: 1380)
        #expect(try inside({ try $0.put(monitor) }).count == 2)
        #expect(try inside({ try $0.routes(inTable: Self.table) }) == monitor.sorted())
        try namespace.ip("link", "delete", "d1")
        #expect(try inside({ try $0.routes(inTable: Self.table) }).map(\.target) == [.unreachable, .unreachable])
    }

    @Test("a route is deleted only if it is exactly so")
    func deletes() throws {
        let index = try namespace.veth("d0")
        let routes = try wanted(index, mtu: 1400)
        _ = try inside({ try $0.put(routes) })
        #expect(
            try inside({ try $0.delete(try wanted(index, mtu: 1380)) }).map(\.target) == [.unreachable, .unreachable])
        #expect(try inside({ try $0.routes(inTable: Self.table) }).count == 2)
        #expect(try inside({ try $0.delete(routes) }).count == 2)
        #expect(try inside({ try $0.delete(routes) }) == [])
        #expect(try inside({ try $0.routes(inTable: Self.table) }) == [])
    }

    @Test("routes that others made are read, and none is taken for one of ours")
    func foreignRoutes() throws {
        let index = try namespace.veth("d0")
        try namespace.ip("address", "add", "10.9.0.1/24", "dev", "d0")
        try namespace.ip("route", "add", "10.7.2.0/24", "via", "10.9.0.2", "table", "51871", "proto", "static")
        try namespace.ip("route", "add", "blackhole", "10.7.3.0/24", "table", "51871", "proto", "static")
        try namespace.ip("route", "add", "10.7.4.0/24", "dev", "d0", "table", "51871")
        let routes = try inside({ try $0.routes(inTable: Self.table) })
        #expect(
            routes == [
                TableRoute(to: try prefix("10.7.2.0/24"), table: Self.table, target: .other(1)),
                TableRoute(to: try prefix("10.7.3.0/24"), table: Self.table, target: .other(6)),
                TableRoute(to: try prefix("10.7.4.0/24"), table: Self.table, target: .interface(index), origin: 3),
            ])
    }

    @Test("a route that the kernel refuses is named")
    func refusedRoute() throws {
        let index = try namespace.veth("d0")
        let good = TableRoute(to: try prefix("10.7.2.0/24"), table: Self.table, target: .interface(index))
        let bad = TableRoute(to: try prefix("10.7.3.0/24"), table: Self.table, target: .interface(4711))
        #expect(throws: NetlinkError("put route", bad.description, errno: .noSuchDevice)) {
            try inside({ try $0.put([good, bad]) })
        }
        #expect(try inside({ try $0.routes(inTable: Self.table) }) == [good])
    }

    @Test("1,000 routes are put, read and left alone")
    func manyRoutes() throws {
        let index = try namespace.veth("d0")
        let routes = try (0..<1000).map {
            TableRoute(
                to: try prefix("10.\($0 / 250).\($0 % 250).0/24"), table: Self.table,
                target: .interface(index, mtu: 1400))
        }
        #expect(try inside({ try $0.put(routes) }).count == 1000)
        #expect(try inside({ try $0.routes(inTable: Self.table) }) == routes.sorted())
        #expect(try inside({ try $0.put(routes) }) == [])
    }

    @Test(
        "rules come and go once, and ip shows them so",
        arguments: [
            RoutingRule(.ipv4, preference: 51, table: 51871), RoutingRule(.ipv6, preference: 51, table: 51871),
            RoutingRule(.ipv4, preference: 52, table: 51871, mark: .init(0x200, mask: 0xf00), isInverted: true),
            RoutingRule(.ipv6, preference: 53, table: 200, mark: .init(0x300)),
        ])
    func rules(rule: RoutingRule) throws {
        #expect(try inside({ try $0.add(rule) }))
        #expect(try !inside({ try $0.add(rule) }))
        #expect(try inside({ try $0.rules() }).filter { $0.preference == rule.preference } == [rule])
        let shown = try namespace.json(rule.family == .ipv4 ? "-4" : "-6", "rule", "show")
            .filter { $0["priority"] as? Int == Int(rule.preference) }
        try #require(shown.count == 1)
        #expect(shown[0]["table"] as? String == "\(rule.table)")
        #expect((shown[0]["not"] != nil) == rule.isInverted)
        #expect(shown[0]["fwmark"] as? String == rule.mark.map { "0x\(String($0.value, radix: 16))" })
        #expect(try inside({ try $0.delete(rule) }))
        #expect(try !inside({ try $0.delete(rule) }))
        #expect(try inside({ try $0.rules() }).filter { $0.preference == rule.preference } == [])
    }

    @Test("a rule of others at our place is neither taken for ours nor deleted, and ours is refused beside it")
    func foreignRule() throws {
        try namespace.ip("rule", "add", "pref", "51", "from", "10.7.0.0/16", "table", "51871", "proto", "static")
        let rule = RoutingRule(.ipv4, preference: 51, table: 51871)
        #expect(try inside({ try $0.rules() }).filter { $0.preference == 51 }.map(\.isPlain) == [false])
        #expect(try !inside({ try $0.delete(rule) }))
        // The kernel takes the narrower one for the same, and refuses ours.
        let error = try #require(throws: NetlinkError.self) { try inside({ try $0.add(rule) }) }
        #expect(error.errno == .fileExists)
        #expect(error.hint?.contains("narrower") == true)
        #expect(try inside({ try $0.rules() }).filter { $0.preference == 51 }.count == 1)
    }

    @Test("the rules that every machine has are read")
    func standardRules() throws {
        let rules = try inside({ try $0.rules() })
        #expect(rules.filter { $0.family == .ipv4 }.map(\.table) == [255, 254, 253])
        #expect(rules.filter { $0.family == .ipv6 }.map(\.table) == [255, 254])
        #expect(rules.allSatisfy { $0.isPlain })
    }
}
