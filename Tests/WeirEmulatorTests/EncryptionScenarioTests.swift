import Testing
import WeirABI
import WeirEmulator
import WeirFlow
import WeirImage
import WeirModel

/// Peers on other nodes, of which nothing may come or go but through a tunnel.
@Suite("Strict encryption")
struct EncryptionScenarioTests {
    private static let tunnel: UInt32 = 20
    private static let secondLane: UInt32 = 21
    private static let ethernet: UInt32 = 3

    /// `10.0.1.3` and the rest of 10.0.2.0/24 are on another node; policy allows everything.
    private func wire(tunnels: (UInt32, UInt32) = (tunnel, 0)) throws -> Wire {
        var fixture = ImageFixture()
        fixture.addresses[2].flags = WEIR_PEER_ENCRYPTED.rawValue
        fixture.addresses[3].flags = WEIR_PEER_ENCRYPTED.rawValue
        var image = fixture.image
        var unknown = weir_peer()
        unknown.group = WEIR_GROUP_UNKNOWN_POD.rawValue
        unknown.flags = WEIR_PEER_ENCRYPTED.rawValue
        image.maps[.cidrs4]?.append(
            .init(key: UInt32(24).abiBytes + [10, 0, 2, 0], value: unknown.abiBytes))
        image.maps[.cidrs4]?.sort()
        let wire = try Wire(watching: [WEIR_EVENT_DROPS])
        try wire.node.commit(image, interfaces: [1: Wire.interface])
        try wire.node.setTunnels(tunnels.0, tunnels.1)
        return wire
    }

    private func send(_ wire: Wire, _ spec: PacketSpec, routedTo interface: UInt32) -> DropReason {
        wire.frame(PacketBuilder.frame(spec), .egress, routedTo: interface).reason
    }

    @Test("what claims to come from another node's pod comes through the tunnel", arguments: ["10.0.1.3", "10.0.2.77"])
    func arriving(source: String) throws {
        let wire = try wire()
        let call = try packet(source, "10.0.1.1", .tcp) { $0.destinationPort = 80 }
        #expect(wire.receive(call, from: Self.ethernet) == .unencrypted)
        #expect(wire.receive(call, from: 0) == .unencrypted, "nor from the node itself")
        #expect(wire.receive(call, from: Self.secondLane) == .unencrypted)
        #expect(wire.receive(call, from: Self.tunnel) == .none)
        #expect(try wire.drops(.unencrypted, .ingress) == 3)
        #expect(wire.events().map(\.reason) == [24, 24, 24])
    }

    @Test("on an established flow, too, and in later fragments")
    func established() throws {
        let wire = try wire()
        let call = try packet("10.0.1.3", "10.0.1.1", .tcp) { $0.destinationPort = 80 }
        #expect(wire.receive(call, from: Self.tunnel) == .none)
        #expect(send(wire, call.reversed.flags(PacketSpec.synAck), routedTo: Self.tunnel) == .none)
        #expect(wire.receive(call.flags(PacketSpec.ack), from: Self.tunnel) == .none)
        #expect(wire.receive(call.flags(PacketSpec.ack), from: Self.tunnel) == .none)
        #expect(wire.receive(call.flags(PacketSpec.ack), from: Self.ethernet) == .unencrypted)
        #expect(wire.receive(call.flags(PacketSpec.ack), from: Self.tunnel) == .none, "the flow goes on")

        let error = try packet("10.0.1.3", "10.0.1.1", .icmp) { $0.icmpType = 3 }
        #expect(wire.receive(error, from: Self.ethernet) == .unencrypted)
    }

    @Test("to another node's pod it goes where the tunnel is, or nowhere")
    func leaving() throws {
        let wire = try wire()
        let call = try packet("10.0.1.1", "10.0.1.3", .tcp) { $0.destinationPort = 80 }
        #expect(send(wire, call, routedTo: 0) == .unencrypted)
        #expect(send(wire, call, routedTo: Self.ethernet) == .unencrypted)
        #expect(send(wire, call, routedTo: Self.tunnel) == .none)
        // Routes change under an open flow.
        #expect(wire.receive(call.reversed.flags(PacketSpec.synAck), from: Self.tunnel) == .none)
        #expect(send(wire, call.flags(PacketSpec.ack), routedTo: Self.tunnel) == .none)
        #expect(send(wire, call.flags(PacketSpec.ack), routedTo: Self.ethernet) == .unencrypted)
    }

    @Test("pods of this node and the world are reached in clear")
    func others() throws {
        let wire = try wire()
        for peer in ["10.0.1.2", "8.8.8.8", "192.0.2.11"] {
            #expect(send(wire, try packet("10.0.1.1", peer, .tcp), routedTo: Self.ethernet) == .none)
            #expect(wire.receive(try packet(peer, "10.0.1.1", .tcp), from: Self.ethernet) == .none)
        }
    }

    @Test("a missing tunnel stops other nodes' pods, not the others")
    func absent() throws {
        let wire = try wire(tunnels: (WEIR_TUNNEL_ABSENT, 0))
        let call = try packet("10.0.1.3", "10.0.1.1", .udp)
        #expect(wire.receive(call, from: Self.tunnel) == .unencrypted)
        #expect(send(wire, call.reversed, routedTo: Self.tunnel) == .unencrypted)
        #expect(wire.receive(try packet("10.0.1.2", "10.0.1.1", .udp), from: Self.ethernet) == .none)
    }

    @Test("while keys rotate there are two tunnels")
    func lanes() throws {
        let wire = try wire(tunnels: (Self.tunnel, Self.secondLane))
        let call = try packet("10.0.1.3", "10.0.1.1", .udp)
        for lane in [Self.tunnel, Self.secondLane] {
            #expect(wire.receive(call, from: lane) == .none)
            #expect(send(wire, call.reversed, routedTo: lane) == .none)
        }
        #expect(wire.receive(call, from: Self.ethernet) == .unencrypted)
    }

    @Test("without encryption nothing is asked")
    func off() throws {
        let wire = try wire(tunnels: (0, 0))
        #expect(wire.receive(try packet("10.0.1.3", "10.0.1.1", .udp), from: Self.ethernet) == .none)
        #expect(send(wire, try packet("10.0.1.1", "10.0.2.9", .udp), routedTo: Self.ethernet) == .none)
    }

    @Test("a flow that began in clear is stopped when encryption is committed")
    func switchedOn() throws {
        let wire = try Wire()
        let call = try packet("10.0.1.3", "10.0.1.1", .tcp) { $0.destinationPort = 80 }
        #expect(wire.receive(call, from: Self.ethernet) == .none)
        #expect(wire.send(call.reversed.flags(PacketSpec.synAck)) == .none)
        #expect(wire.receive(call.flags(PacketSpec.ack), from: Self.ethernet) == .none)
        var fixture = ImageFixture()
        fixture.addresses[2].flags = WEIR_PEER_ENCRYPTED.rawValue
        try wire.node.setTunnels(Self.tunnel, 0)
        #expect(wire.receive(call.flags(PacketSpec.ack), from: Self.ethernet) == .none, "no policy asks for it yet")
        try wire.commit(fixture)
        #expect(wire.receive(call.flags(PacketSpec.ack), from: Self.ethernet) == .unencrypted)
        #expect(wire.receive(call.flags(PacketSpec.ack), from: Self.tunnel) == .none)
        #expect(wire.receive(call.flags(PacketSpec.ack), from: Self.ethernet) == .unencrypted)
    }
}
