import Testing
import WeirABI
import WeirEmulator
import WeirFlow
import WeirImage
import WeirMaps
import WeirModel

/// What node and loader set beside the policy: audit mode, deadlines, readers of events, DHCP.
@Suite("Modes of the datapath")
struct ModeScenarioTests {
    private func stranger() throws -> PacketSpec {
        try packet("10.0.1.3", "10.0.1.1", .tcp) { $0.destinationPort = 80 }
    }

    // MARK: Audit

    @Test("in audit mode of the node what policy refuses passes and is reported; malformed packets do not pass")
    func auditNode() throws {
        let wire = try Wire(.webServer, watching: [WEIR_EVENT_DROPS, WEIR_EVENT_ALLOWS])
        try wire.control(word: wire.node.revision | 1 << UInt64(WEIR_CONTROL_AUDIT_BIT))
        #expect(wire.receive(try stranger()) == .none)
        let events = wire.events()
        #expect(events.map(\.flags) == [WEIR_EVENT_AUDIT.rawValue])
        #expect(events.map { UInt32($0.reason) } == [WEIR_REASON_POLICY_DEFAULT_DENY.rawValue])
        #expect(try wire.drops(.policyDefaultDeny, .ingress) == 0)
        // Its flow is known, so it is reported once.
        #expect(wire.send(try stranger().reversed.flags(PacketSpec.synAck)) == .none)
        #expect(wire.events().isEmpty)
        #expect(wire.send(try packet("10.0.1.9", "10.0.1.2", .udp)) == .sourceAddress)
    }

    @Test("after audit mode, under another revision, a flow that it let pass is cut")
    func auditEnds() throws {
        let wire = try Wire(.webServer)
        try wire.control(word: wire.node.revision | 1 << UInt64(WEIR_CONTROL_AUDIT_BIT))
        wire.receive(try stranger())
        try wire.control(word: wire.node.revision + 2)
        #expect(wire.receive(try stranger().flags(PacketSpec.ack)) == .policyDefaultDeny)
    }

    @Test("a decision of a policy in audit mode passes, one of another does not")
    func auditPolicy() throws {
        let wire = try Wire(.webServer)
        var image = ImageFixture.webServer.image
        let index = ImageFixture.groupCount + ImageFixture.database
        let word = ImageFixture.deny(6).rawValue | UInt32(WEIR_ACTION_AUDIT)
        image.maps[.peers]?[Int(index)].value = word.abiBytes
        try wire.node.commit(image, interfaces: [1: Wire.interface])
        #expect(wire.receive(try stranger()) == .none)
        #expect(wire.events().first?.flags == WEIR_EVENT_AUDIT.rawValue)
        #expect(try wire.count(rule: 6) == 1)
        #expect(wire.receive(try packet("10.0.9.9", "10.0.1.1", .tcp)) == .policyDefaultDeny)
    }

    @Test("an endpoint in audit mode is reported, its neighbours are judged")
    func auditEndpoint() throws {
        let wire = try Wire(.webServer)
        var image = ImageFixture.webServer.image
        image.endpoints[0].value[12] |= UInt8(WEIR_ENDPOINT_AUDIT.rawValue)
        try wire.node.commit(image, interfaces: [1: Wire.interface])
        #expect(wire.receive(try stranger()) == .none)
        #expect(wire.events().first?.flags == WEIR_EVENT_AUDIT.rawValue)
    }

    // MARK: Deadline

    @Test("past its deadline an unconfirmed revision is read as the next one, in the other slot")
    func deadline() throws {
        let wire = try Wire(.webServer)
        try wire.commit(ImageFixture())
        let revision = wire.node.revision
        try wire.control(word: revision, confirm: revision << 32 | 1010)
        wire.ticks = 1010
        #expect(wire.receive(try stranger()) == .none)
        wire.ticks = 1011
        #expect(wire.receive(try stranger().flags(PacketSpec.ack)) == .policyDefaultDeny)
        #expect(wire.node.revisionInForce(at: 1011) == revision + 1)
    }

    @Test("a deadline of another revision changes nothing")
    func foreignDeadline() throws {
        let wire = try Wire(.webServer)
        try wire.commit(ImageFixture())
        let revision = wire.node.revision
        try wire.control(word: revision, confirm: (revision - 1) << 32 | 1)
        #expect(wire.receive(try stranger()) == .none)
    }

    // MARK: Events

    @Test("without a reader, after its time and for other kinds no event is made")
    func nobodyWatches() throws {
        let wire = try Wire(.webServer, watching: [])
        wire.receive(try stranger())
        try wire.watch([WEIR_EVENT_DROPS], until: 999)
        wire.receive(try stranger())
        try wire.watch([WEIR_EVENT_ALLOWS])
        wire.receive(try stranger())
        #expect(wire.events().isEmpty)
        try wire.watch([WEIR_EVENT_DROPS], until: 1000)
        wire.receive(try stranger())
        #expect(wire.events().count == 1)
    }

    @Test("a sample and a rate leave events out, and the next one says how many")
    func sampled() throws {
        let wire = try Wire(.webServer)
        try wire.watch([WEIR_EVENT_DROPS], oneIn: 4)
        for _ in 0..<12 { wire.receive(try stranger()) }
        #expect(wire.events().map(\.suppressed) == [3, 3, 3])
        try wire.watch([WEIR_EVENT_DROPS], perTick: 5)
        wire.ticks += 1
        for _ in 0..<12 { wire.receive(try stranger()) }
        #expect(wire.events().count == 5)
        wire.ticks += 1
        wire.receive(try stranger())
        #expect(wire.events().map(\.suppressed) == [7])
    }

    // MARK: DHCP

    @Test("DHCP passes where endpoints may ask for their address, and nothing that only looks like it")
    func dhcp() throws {
        let ask = try packet("0.0.0.0", "255.255.255.255", .udp) {
            $0.sourcePort = 68
            $0.destinationPort = 67
        }
        let answer = try packet("10.0.1.3", "10.0.1.1", .udp) {
            $0.sourcePort = 67
            $0.destinationPort = 68
        }
        let strict = try Wire(.webServer)
        #expect(strict.send(ask) == .sourceAddress)
        #expect(strict.receive(answer) == .policyDefaultDeny)
        let wire = try Wire(.webServer, options: DatapathOptions.defaults.union(.dhcp))
        #expect(wire.send(ask) == .none)
        #expect(wire.receive(answer) == .none)
        var other = ask
        other.destinationPort = 68
        #expect(wire.send(other) == .sourceAddress)
        other = ask
        other.destination = try #require(IPAddress("10.0.1.3"))
        #expect(wire.send(other) == .sourceAddress)
    }
}
