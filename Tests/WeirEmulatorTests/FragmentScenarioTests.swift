import Testing
import WeirABI
import WeirEmulator
import WeirFlow
import WeirModel

/// Datagrams in pieces: the first is judged, the others follow it or are dropped.
@Suite("Fragments")
struct FragmentScenarioTests {
    private let wire: Wire

    init() throws {
        var fixture = ImageFixture.webServer
        fixture.ingress[ImageFixture.client] = ImageFixture.table(1)
        fixture.tables[1]?.append(
            .init(protocol: .udp, port: 53, portBits: 16, decision: .init(.allow, rule: .init(rawValue: 4))))
        fixture.tables[1]?.append(
            .init(protocol: .icmp, port: 8, portBits: 16, decision: .init(.allow, rule: .init(rawValue: 5))))
        wire = try Wire(fixture)
    }

    /// `payload` counts what lies behind the eight bytes of UDP, or anything in a later piece.
    private func piece(
        _ offset: UInt16, more: Bool, id: UInt16 = 1, port: UInt16 = 53, protocol: IPProtocol = .udp, payload: Int = 24
    ) throws -> PacketSpec {
        try packet("10.0.1.2", "10.0.1.1", `protocol`) {
            $0.destinationPort = port
            $0.icmpType = 8
            $0.ipv4Identification = id
            $0.ipv4Fragment = offset / 8 | (more ? 0x2000 : 0)
            $0.payload = Array(repeating: 0, count: payload)
        }
    }

    private func piece6(_ offset: UInt16, more: Bool, id: UInt8 = 1) throws -> PacketSpec {
        try packet("fd00:1::2", "fd00:1::1", .udp) {
            $0.destinationPort = 53
            let place = offset | (more ? 1 : 0)
            let body = [0, UInt8(place >> 8), UInt8(truncatingIfNeeded: place), 0, 0, 0, id]
            $0.ipv6Extensions = [.init(type: 44, body: body)]
            $0.payload = Array(repeating: 0, count: 24)
        }
    }

    @Test("later fragments pass with their first, and are counted for its rule")
    func followers() throws {
        #expect(wire.receive(try piece(32, more: false)) == .fragment)
        #expect(wire.receive(try piece(0, more: true)) == .none)
        #expect(wire.receive(try piece(64, more: true)) == .none)
        #expect(wire.receive(try piece(32, more: true)) == .none)
        #expect(wire.receive(try piece(96, more: false, payload: 5)) == .none)
        #expect(try wire.count(rule: 4) == 4)
        #expect(try wire.drops(.fragment, .ingress) == 1)
    }

    @Test("a fragment of another datagram, protocol, direction or policy, or a late one, has no first")
    func strangers() throws {
        wire.receive(try piece(0, more: true))
        #expect(wire.receive(try piece(32, more: false, id: 2)) == .fragment)
        #expect(wire.receive(try piece(32, more: false, protocol: .tcp)) == .fragment)
        #expect(wire.send(try piece(32, more: false).reversed) == .fragment)
        wire.ticks += UInt64(WEIR_TIMEOUT_FRAGMENT)
        #expect(wire.receive(try piece(32, more: false)) == .none)
        wire.ticks += 1
        #expect(wire.receive(try piece(32, more: false)) == .fragment)
        wire.receive(try piece(0, more: true))
        try wire.commit(.webServer)
        #expect(wire.receive(try piece(32, more: false)) == .fragment)
    }

    @Test("a first fragment is judged by its port; what follows a denied one is dropped")
    func denied() throws {
        #expect(wire.receive(try piece(0, more: true, port: 54)) == .policyDefaultDeny)
        #expect(wire.receive(try piece(32, more: false)) == .fragment)
    }

    @Test("nobody's header is written over: a later fragment begins behind the first one's")
    func overlap() throws {
        let first = try piece(0, more: true, port: 80, protocol: .tcp, payload: 4)
        #expect(wire.receive(first) == .none)
        #expect(wire.receive(try piece(8, more: true, protocol: .tcp, payload: 4)) == .fragment)
        #expect(wire.receive(try piece(16, more: true, protocol: .tcp, payload: 4)) == .fragment)
        #expect(wire.receive(try piece(24, more: true, protocol: .tcp, payload: 4)) == .none)
    }

    @Test("a first fragment that is too short for its header, and one that no datagram can have, are dropped")
    func malformed() throws {
        var frame = PacketBuilder.frame(try piece(0, more: true, port: 80, protocol: .tcp, payload: 4))
        frame.removeLast(8)
        frame[17] = 36
        #expect(wire.frame(frame, .ingress).reason == .l4Header)
        #expect(wire.receive(try piece(0, more: true, payload: 23)) == .fragment)
        wire.receive(try piece(0, more: true))
        #expect(wire.receive(try piece(65528, more: false)) == .fragment)
    }

    @Test("ping in pieces passes as one")
    func echo() throws {
        #expect(wire.receive(try piece(0, more: true, protocol: .icmp)) == .none)
        #expect(wire.receive(try piece(32, more: false, protocol: .icmp)) == .none)
    }

    @Test("IPv6: by the fragment header's number; all of it in one fragment is no fragment")
    func ipv6() throws {
        #expect(wire.receive(try piece6(32, more: false)) == .fragment)
        #expect(wire.receive(try piece6(0, more: false)) == .none)
        #expect(wire.receive(try piece6(32, more: false)) == .fragment)
        #expect(wire.receive(try piece6(0, more: true)) == .none)
        #expect(wire.receive(try piece6(32, more: false)) == .none)
        #expect(wire.receive(try piece6(32, more: false, id: 2)) == .fragment)
    }

    @Test("neighbour discovery comes whole")
    func neighbourDiscovery() throws {
        var spec = try piece6(0, more: true)
        spec.protocol = .icmpv6
        spec.icmpType = 135
        spec.hopLimit = 255
        #expect(wire.receive(spec) == .neighbourDiscovery)
    }
}
