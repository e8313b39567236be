import Testing
import WeirABI
import WeirEmulator
import WeirFlow
import WeirImage
import WeirMaps
import WeirModel

@Suite("Policy on packets")
struct PolicyScenarioTests {
    @Test("an allowed tcp connection passes with its replies and is counted for its rule")
    func allowedConnection() throws {
        let wire = try Wire(.webServer)
        let syn = try clientSYN()
        let outcome = wire.frame(PacketBuilder.frame(syn), .ingress)
        #expect(outcome.verdict == .pass)
        #expect(outcome.decision == Decision(.allow, rule: RuleID(rawValue: 3)))
        #expect(outcome.group.rawValue == ImageFixture.client && outcome.identity == 2)
        #expect(wire.send(syn.reversed.flags(PacketSpec.synAck)) == .none)
        #expect(wire.receive(syn.flags(PacketSpec.ack)) == .none)
        #expect(try wire.count(rule: 3) == 3)
        #expect(wire.events().isEmpty)
    }

    @Test("what no rule allows is dropped by default deny and reported with its peer")
    func defaultDeny() throws {
        let wire = try Wire(.webServer)
        let syn = try packet("10.0.1.3", "10.0.1.1", .tcp) { $0.destinationPort = 80 }
        #expect(wire.receive(syn) == .policyDefaultDeny)
        #expect(try wire.drops(.policyDefaultDeny, .ingress) == 1)
        #expect(try wire.entries(.conntrack4_new).isEmpty)
        let event = try #require(wire.events().first)
        #expect(event.ifindex == Wire.interface && event.group == ImageFixture.database && event.identity == 3)
        #expect(UInt32(event.reason) == WEIR_REASON_POLICY_DEFAULT_DENY.rawValue && event.direction == 1)
        #expect(event.destination_port_be == UInt16(80).bigEndian && event.family == 4 && event.protocol == 6)
        #expect(abiBytes(of: event.source) == syn.source.mappedBytes)
        #expect(event.action == WEIR_ACTION_DEFAULT_DENY.rawValue << 30)
    }

    @Test("an explicit deny names its rule")
    func explicitDeny() throws {
        var fixture = ImageFixture()
        fixture.egress[ImageFixture.database] = ImageFixture.deny(5)
        let wire = try Wire(fixture)
        let outcome = wire.frame(
            PacketBuilder.frame(try packet("10.0.1.1", "10.0.1.3", .udp) { $0.destinationPort = 53 }), .egress)
        #expect(outcome.reason == .policyDeny)
        #expect(outcome.decision == Decision(.deny, rule: RuleID(rawValue: 5)))
        #expect(try wire.count(rule: 5) == 1)
    }

    @Test(
        "a port prefix covers exactly its ports",
        arguments: [(8079, false), (8080, true), (8087, true), (8088, false)] as [(UInt16, Bool)])
    func portPrefix(port: UInt16, isAllowed: Bool) throws {
        var fixture = ImageFixture.webServer
        fixture.tables[1] = [.init(protocol: .tcp, port: 8080, portBits: 13, decision: Decision(.allow))]
        let wire = try Wire(fixture)
        let spec = try packet("10.0.1.2", "10.0.1.1", .tcp) { $0.destinationPort = port }
        #expect(wire.receive(spec) == (isAllowed ? .none : .policyDefaultDeny))
    }

    @Test("the longest match of a table decides, from any protocol to one port")
    func longestVerdict() throws {
        var fixture = ImageFixture.webServer
        fixture.tables[1] = [
            .init(protocol: nil, decision: Decision(.allow)),
            .init(protocol: .tcp, decision: Decision(.deny)),
            .init(protocol: .tcp, port: 80, portBits: 16, decision: Decision(.allow)),
        ]
        let wire = try Wire(fixture)
        #expect(wire.receive(try packet("10.0.1.2", "10.0.1.1", .udp)) == .none)
        #expect(wire.receive(try packet("10.0.1.2", "10.0.1.1", .tcp) { $0.destinationPort = 81 }) == .policyDeny)
        #expect(wire.receive(try clientSYN()) == .none)
        #expect(wire.receive(try packet("10.0.1.2", "10.0.1.1", IPProtocol(rawValue: 47))) == .none)
    }

    @Test("what a table leaves open falls to the row's default")
    func rowDefault() throws {
        var fixture = ImageFixture.webServer
        fixture.ingress[0] = ImageFixture.deny(6)
        let outcome = try Wire(fixture).frame(
            PacketBuilder.frame(try packet("10.0.1.2", "10.0.1.1", .tcp) { $0.destinationPort = 81 }), .ingress)
        #expect(outcome.decision == Decision(.deny, rule: RuleID(rawValue: 6)))
    }

    @Test("the node itself is the host by its path; its address on a forwarded packet is masqueraded")
    func hostAndMasqueraded() throws {
        var fixture = ImageFixture()
        fixture.ingressDefault = Decision(.defaultDeny)
        fixture.ingress[WEIR_GROUP_HOST.rawValue] = ImageFixture.allow()
        let wire = try Wire(fixture)
        let fromNode = try packet("192.0.2.10", "10.0.1.1", .udp)
        #expect(wire.receive(fromNode, from: 3) == .policyDefaultDeny)
        #expect(wire.frame(PacketBuilder.frame(fromNode), .ingress).group == PeerGroup(WEIR_GROUP_MASQUERADED))
        #expect(wire.receive(fromNode, from: 0) == .none)
        // Any address: what the node's own stack sends is the host's.
        #expect(wire.receive(try packet("198.51.100.1", "10.0.1.1", .udp), from: 0) == .none)
        #expect(wire.receive(try packet("198.51.100.1", "10.0.1.1", .udp) { $0.sourcePort = 9 }) == .policyDefaultDeny)
    }

    @Test("a more specific prefix decides the peer's group", arguments: ["10.0.9.9", "fd00:1::99"])
    func unknownPod(address: String) throws {
        var fixture = ImageFixture()
        fixture.egressDefault = Decision(.defaultDeny)
        fixture.egress[WEIR_GROUP_WORLD_IPV4.rawValue] = ImageFixture.allow()
        fixture.egress[WEIR_GROUP_WORLD_IPV6.rawValue] = ImageFixture.allow()
        let own = address.contains(":") ? "fd00:1::1" : "10.0.1.1"
        let wire = try Wire(fixture)
        #expect(wire.send(try packet(own, address, .udp)) == .policyDefaultDeny)
        #expect(wire.send(try packet(own, address.contains(":") ? "2001:db8::1" : "192.0.2.99", .udp)) == .none)
    }

    @Test("multicast and broadcast are a peer of their own, in both directions")
    func multicast() throws {
        var fixture = ImageFixture()
        fixture.egress[WEIR_GROUP_MULTICAST.rawValue] = ImageFixture.deny()
        fixture.ingress[WEIR_GROUP_MULTICAST.rawValue] = ImageFixture.deny()
        let wire = try Wire(fixture)
        #expect(wire.send(try packet("10.0.1.1", "224.0.0.251", .udp)) == .policyDeny)
        #expect(wire.send(try packet("10.0.1.1", "255.255.255.255", .udp)) == .policyDeny)
        #expect(wire.receive(try packet("10.0.1.2", "224.0.0.251", .udp)) == .policyDeny)
        #expect(wire.receive(try packet("fd00:1::2", "ff02::fb", .udp)) == .policyDeny)
        #expect(wire.receive(try packet("10.0.1.2", "224.0.0.251", .udp), from: 0) == .none)
    }

    @Test(
        "overlay traffic from a pod to a node is dropped unless the guard is off",
        arguments: [(17, 4789), (17, 8472), (17, 6081), (4, 0), (41, 0), (47, 0)] as [(UInt8, UInt16)])
    func overlayGuard(number: UInt8, port: UInt16) throws {
        let spec = try packet("10.0.1.1", "192.0.2.11", IPProtocol(rawValue: number)) { $0.destinationPort = port }
        #expect(try Wire().send(spec) == .overlay)
        #expect(try Wire(options: DatapathOptions.defaults.subtracting(.overlayGuard)).send(spec) == .none)
        #expect(
            try Wire().send(try packet("10.0.1.1", "10.0.1.3", spec.protocol) { $0.destinationPort = port }) == .none)
    }

    @Test("a peer that no map knows is no verdict")
    func noPeer() throws {
        var fixture = ImageFixture()
        fixture.cidrs = []
        #expect(try Wire(fixture).send(try packet("10.0.1.1", "192.0.2.99", .udp)) == .noVerdict)
    }

    @Test(
        "a slot without one of its maps is no verdict, not a wider one",
        arguments: [SlotMap.ipcache4, .cidrs4, .peers, .verdicts])
    func missingMap(map: SlotMap) throws {
        let wire = try Wire(.webServer)
        try wire.node.slots(of: map).delete(UInt32(wire.node.revision & 1).abiBytes)
        var spec = try clientSYN()
        if map == .cidrs4 { spec = try packet("192.0.2.99", "10.0.1.1", .tcp) }
        #expect(wire.receive(spec) == .noVerdict)
        let event = try #require(wire.events().first)
        #expect(event.action == 0)
    }

    @Test("a group past the last row, or a table as a row's default, is no verdict")
    func brokenRows() throws {
        var fixture = ImageFixture()
        fixture.addresses = [("10.0.1.2", 99, 0, 0)]
        #expect(try Wire(fixture).receive(try clientSYN()) == .noVerdict)
        var other = ImageFixture.webServer
        other.ingress[0] = ImageFixture.table(1)
        let spec = try packet("10.0.1.2", "10.0.1.1", .udp)
        #expect(try Wire(other).receive(spec) == .noVerdict)
    }

    @Test("an interface that the policy does not know is not judged")
    func unknownInterface() throws {
        let wire = try Wire(.webServer)
        let spec = try packet("10.0.1.3", "10.0.1.1", .tcp)
        #expect(wire.frame(PacketBuilder.frame(spec), .ingress, interface: 8).verdict == .pass)
        #expect(wire.frame([1, 2, 3], .ingress, interface: 8).verdict == .pass)
    }

    @Test("before the first commit everything passes, and without the slot's maps nothing does")
    func noPolicy() throws {
        let node = try EmulatedNode()
        let datapath = EmulatedDatapath(node: node)
        let packet = DatapathPacket(frame: [0], interfaceIndex: 1, direction: .egress)
        #expect(datapath.process(packet).verdict == .pass)
        // A revision without a slot behind it, and flags that are none of the revision's business.
        var control = weir_control()
        control.word = 0xff << 56
        try node.map(.control).update(UInt32(0).abiBytes, control.abiBytes, mode: .any)
        #expect(datapath.process(packet).verdict == .pass)
        control.word = 3
        try node.map(.control).update(UInt32(0).abiBytes, control.abiBytes, mode: .any)
        #expect(datapath.process(packet).reason == .noSlot)
    }

    @Test("an allow is reported once for each new flow where allows are watched")
    func allowEvents() throws {
        let wire = try Wire(.webServer, options: .conntrack, watching: [WEIR_EVENT_ALLOWS])
        let syn = try clientSYN()
        wire.receive(syn)
        wire.receive(syn.flags(PacketSpec.ack))
        #expect(wire.receive(try packet("10.0.1.3", "10.0.1.1", .tcp)) == .policyDefaultDeny)
        let events = wire.events()
        #expect(events.count == 1)
        #expect(events.first?.reason == 0)
    }

    @Test("events stop at the ring buffer's bound, drops go on being counted")
    func eventsAreBounded() throws {
        let wire = try Wire(.webServer)
        let spec = try packet("10.0.1.3", "10.0.1.1", .tcp)
        for _ in 0..<4000 { wire.receive(spec) }
        // 80 bytes and the ring buffer's header of 8; one byte must stay free.
        let held = (Int(WEIR_EVENTS_BYTES) - 1) / 88
        #expect(wire.events().count == held)
        #expect(try wire.drops(.policyDefaultDeny, .ingress) == 4000)
        wire.receive(spec)
        #expect(wire.events().map(\.suppressed) == [UInt32(4000 - held)])
    }
}
