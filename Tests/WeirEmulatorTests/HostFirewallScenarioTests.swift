import Testing
import WeirABI
import WeirEmulator
import WeirFlow
import WeirImage
import WeirModel

/// The node's own record: on a device of the node's, and for what an endpoint and the node say to each other.
@Suite("Host firewall")
struct HostFirewallScenarioTests {
    private static let device: UInt32 = 2

    /// The web server's rows for the node: TCP 80 from the client, and out to the client only.
    private func wire() throws -> Wire {
        let wire = try Wire()
        try wire.node.commit(Self.image, interfaces: [1: Wire.interface], hostDevices: [Self.device])
        return wire
    }

    private static var image: Image {
        var fixture = ImageFixture.webServer
        fixture.egressDefault = .init(.defaultDeny)
        fixture.egress[ImageFixture.client] = ImageFixture.allow(1)
        fixture.egress[WEIR_GROUP_HOST.rawValue] = ImageFixture.allow(1)
        fixture.ingress[WEIR_GROUP_HOST.rawValue] = ImageFixture.allow(1)
        var image = fixture.image
        var host = weir_endpoint()
        host.id = 2
        host.egress_row = 0
        host.ingress_row = ImageFixture.groupCount
        host.flags = WEIR_ENDPOINT_HOST.rawValue
        image.endpoints.append(
            .init(name: Image.hostName, id: 2, addresses: [], value: host.abiBytes, attachment: nil))
        return image
    }

    private func arrive(_ wire: Wire, _ spec: PacketSpec) -> DropReason {
        wire.frame(PacketBuilder.frame(spec), .ingress, interface: Self.device).reason
    }

    private func leave(_ wire: Wire, _ spec: PacketSpec, forwarded: Bool = false) -> DropReason {
        wire.frame(PacketBuilder.frame(spec), .egress, from: forwarded ? 7 : 0, interface: Self.device).reason
    }

    @Test("what arrives for the node is judged, what passes through it is not")
    func arriving() throws {
        let wire = try wire()
        let call = try packet("10.0.1.2", "192.0.2.10", .tcp) { $0.destinationPort = 80 }
        #expect(arrive(wire, call) == .none)
        #expect(
            arrive(wire, try packet("10.0.1.3", "192.0.2.10", .tcp) { $0.destinationPort = 80 }) == .policyDefaultDeny)
        #expect(arrive(wire, try packet("10.0.1.3", "10.0.1.1", .tcp) { $0.destinationPort = 22 }) == .none)
        #expect(leave(wire, call.reversed.flags(PacketSpec.synAck)) == .none)
    }

    @Test("the node's flows are its own on every device")
    func otherDevice() throws {
        let wire = try wire()
        let call = try packet("192.0.2.10", "10.0.1.2", .tcp) { $0.destinationPort = 443 }
        #expect(leave(wire, call) == .none)
        #expect(leave(wire, try packet("192.0.2.10", "10.0.1.3", .tcp)) == .policyDefaultDeny)
        #expect(arrive(wire, call.reversed.flags(PacketSpec.synAck)) == .none)
    }

    @Test("what is forwarded under the node's address passes with its replies, and opens nothing else")
    func masqueraded() throws {
        let wire = try wire()
        let call = try packet("192.0.2.10", "10.0.1.3", .tcp) { $0.destinationPort = 443 }
        #expect(leave(wire, call, forwarded: true) == .none)
        #expect(arrive(wire, call.reversed.flags(PacketSpec.synAck)) == .none)
        #expect(arrive(wire, call.reversed) == .policyDefaultDeny)
    }

    @Test("frames of VLANs, link-local peers and DHCP are the node's own affair")
    func ownAffair() throws {
        let wire = try wire()
        #expect(arrive(wire, try packet("10.0.1.3", "192.0.2.10", .tcp) { $0.vlan = 9 }) == .none)
        #expect(
            leave(
                wire,
                try packet("0.0.0.0", "255.255.255.255", .udp) {
                    $0.sourcePort = 68
                    $0.destinationPort = 67
                }) == .none)
        #expect(arrive(wire, try packet("169.254.169.254", "192.0.2.10", .tcp)) == .policyDefaultDeny)
    }

    @Test("an endpoint and the node meet both policies")
    func localEndpoint() throws {
        let wire = try wire()
        // The pod may speak to the node; the node takes it for the group of its address, which is unknown to it.
        #expect(wire.send(try packet("10.0.1.1", "192.0.2.10", .tcp) { $0.destinationPort = 22 }) == .policyDefaultDeny)
        #expect(wire.receive(try packet("192.0.2.10", "10.0.1.1", .tcp), from: 0) == .policyDefaultDeny)
        let open = try Wire()
        #expect(open.send(try packet("10.0.1.1", "192.0.2.10", .tcp) { $0.destinationPort = 22 }) == .none)
    }

    @Test("audit mode of an endpoint does not open the node")
    func auditedEndpoint() throws {
        let call = try packet("10.0.1.1", "192.0.2.10", .tcp) { $0.destinationPort = 22 }
        let wire = try wire()
        var image = Self.image
        image.endpoints[0].value[12] |= UInt8(WEIR_ENDPOINT_AUDIT.rawValue)
        for open in [true, false] {
            // Whether the endpoint's own policy lets it speak to the node or only its audit mode does.
            if !open {
                image.maps[.peers]?[Int(WEIR_GROUP_HOST.rawValue)].value = ImageFixture.deny(2).rawValue.abiBytes
            }
            try wire.node.commit(image, interfaces: [1: Wire.interface], hostDevices: [Self.device])
            #expect(wire.send(call) == .policyDefaultDeny)
        }
        try wire.node.commit(image, interfaces: [1: Wire.interface])
        #expect(wire.send(call) == .none)
    }

    @Test("a device without a link-layer header begins with IP")
    func withoutEthernet() throws {
        let wire = try wire()
        func arrive(_ spec: PacketSpec) -> DropReason {
            var packet = DatapathPacket(
                frame: PacketBuilder.packet(spec), interfaceIndex: Self.device, direction: .ingress,
                ingressInterfaceIndex: 9)
            packet.hasEthernet = false
            return wire.datapath.process(packet).reason
        }
        #expect(arrive(try packet("10.0.1.2", "192.0.2.10", .tcp) { $0.destinationPort = 80 }) == .none)
        #expect(arrive(try packet("10.0.1.3", "192.0.2.10", .tcp) { $0.destinationPort = 80 }) == .policyDefaultDeny)
    }
}
