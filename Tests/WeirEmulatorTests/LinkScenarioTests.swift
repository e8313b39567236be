import Testing
import WeirABI
import WeirEmulator
import WeirMaps
import WeirFlow
import WeirImage
import WeirModel

@Suite("What may be on the link")
struct LinkScenarioTests {
    // MARK: Link layer

    @Test("frames shorter than an Ethernet header, of other protocols or with a vlan tag are dropped")
    func linkLayer() throws {
        let wire = try Wire()
        let syn = try clientSYN()
        let frame = PacketBuilder.frame(syn)
        #expect(wire.frame(Array(frame.prefix(13)), .ingress).reason == .truncated)
        #expect(
            wire.frame(Array(frame.prefix(12)) + [0x88, 0x47] + frame.dropFirst(14), .ingress).reason
                == .unknownEthertype)
        #expect(wire.frame(frame, .ingress, vlan: 5).reason == .vlan)
        #expect(wire.frame(frame, .ingress, vlan: 0xe000).reason == .none)
        var tagged = syn
        tagged.vlan = 5
        #expect(wire.receive(tagged) == .vlan)
        tagged.vlan = 0xe000
        #expect(wire.receive(tagged) == .none)
        let forged = PacketBuilder.frame(try packet("10.0.1.9", "10.0.1.2", .udp) { $0.vlan = 0 })
        #expect(wire.frame(forged, .egress).reason == .sourceAddress)
        #expect(
            wire.frame(Array(frame.prefix(12)) + [0x88, 0xa8, 0, 5] + frame.dropFirst(12), .ingress).reason == .vlan)
    }

    @Test("arp from the endpoint must be its own; to the endpoint it always passes")
    func arp() throws {
        let wire = try Wire()
        let own = try #require(IPAddress("10.0.1.1"))
        let other = try #require(IPAddress("10.0.1.2"))
        let frame = PacketBuilder.arp(operation: 2, sender: own, target: other)
        #expect(wire.frame(frame, .egress).reason == .none)
        let probe = PacketBuilder.arp(operation: 1, sender: IPAddress(family: .ipv4, value: 0), target: own)
        #expect(wire.frame(probe, .egress).reason == .none)
        let forged = PacketBuilder.arp(operation: 2, sender: other, target: own)
        #expect(wire.frame(forged, .egress).reason == .arp)
        #expect(wire.frame(forged, .ingress).reason == .none)
        #expect(wire.frame(Array(frame.dropLast()), .egress).reason == .arp)
        #expect(wire.frame(Array(frame.prefix(15)), .ingress).reason == .none)
        for offset in 14..<20 {
            var bent = frame
            bent[offset] ^= 0x10
            #expect(wire.frame(bent, .egress).reason == .arp)
        }
        var fixture = ImageFixture()
        fixture.endpointIPv4 = nil
        #expect(try Wire(fixture).frame(frame, .egress).reason == .arp)
    }

    // MARK: IP

    @Test("ip options move the ports; source routes and malformed options are dropped")
    func ipOptions() throws {
        let wire = try Wire(.webServer)
        func reason(_ options: [UInt8]) throws -> DropReason {
            var spec = try clientSYN()
            spec.ipv4Options = options
            return wire.receive(spec)
        }
        #expect(try reason([1, 1, 1, 0]) == .none)
        #expect(try reason([148, 4, 0, 0]) == .none)
        #expect(try reason([0, 131, 99, 99]) == .none)
        #expect(try reason([1, 131, 3, 4]) == .ipv4SourceRoute)
        #expect(try reason([137, 3, 4]) == .ipv4SourceRoute)
        #expect(try reason([148, 1, 0, 0]) == .ipHeader)
        #expect(try reason([148, 5, 0, 0]) == .ipHeader)
        #expect(try reason([1, 1, 1, 148]) == .ipHeader)
    }

    @Test("lengths and versions that do not fit are dropped")
    func ipHeader() throws {
        let wire = try Wire()
        let four = PacketBuilder.frame(try clientSYN())
        let six = PacketBuilder.frame(try packet("fd00:1::2", "fd00:1::1", .udp))
        func bent(_ frame: [UInt8], _ offset: Int, _ value: UInt8) -> DropReason {
            var copy = frame
            copy[14 + offset] = value
            return wire.frame(copy, .ingress).reason
        }
        #expect(bent(four, 0, 0x65) == .ipHeader)
        #expect(bent(four, 0, 0x44) == .ipHeader)
        #expect(bent(four, 0, 0x4f) == .truncated)
        #expect(bent(four, 3, 19) == .ipHeader)
        #expect(bent(four, 3, 41) == .ipHeader)
        // IP says where the packet ends, not the frame: half a TCP header.
        #expect(bent(four, 3, 30) == .l4Header)
        #expect(bent(six, 0, 0x40) == .ipHeader)
        #expect(bent(six, 5, 9) == .ipHeader)
        #expect(bent(six, 5, 7) == .l4Header)
        #expect(wire.frame(Array(four.prefix(33)), .ingress).reason == .truncated)
        #expect(wire.frame(Array(six.prefix(53)), .ingress).reason == .truncated)
    }

    @Test("extension headers are walked, eight at most, without source routing")
    func extensionHeaders() throws {
        let wire = try Wire()
        func reason(_ headers: [PacketSpec.ExtensionHeader]) throws -> DropReason {
            wire.receive(try packet("fd00:1::2", "fd00:1::1", .tcp) { $0.ipv6Extensions = headers })
        }
        let padding = PacketSpec.ExtensionHeader.padding(type: 60)
        #expect(try reason([.padding(type: 0), padding, .padding(type: 135)]) == .none)
        #expect(try reason(Array(repeating: padding, count: 8)) == .none)
        #expect(try reason(Array(repeating: padding, count: 9)) == .ipv6Extension)
        #expect(try reason([.init(type: 51, body: [4] + Array(repeating: 0, count: 22))]) == .none)
        #expect(try reason([.init(type: 60, body: [40, 0, 0, 0, 0, 0, 0])]) == .ipv6Extension)
        #expect(try reason([.init(type: 43, body: [0, 0, 1, 0, 0, 0, 0])]) == .ipv6Routing)
        #expect(try reason([.init(type: 43, body: [0, 0, 0, 0, 0, 0, 0])]) == .none)
    }

    @Test("transport headers must be complete")
    func transportHeaders() throws {
        let wire = try Wire()
        func reason(_ number: UInt8, _ bytes: [UInt8], isIPv6: Bool = false) throws -> DropReason {
            // Another protocol's builder gives the IP header; the number is set afterwards.
            let spec = try packet(
                isIPv6 ? "fd00:1::2" : "10.0.1.2", isIPv6 ? "fd00:1::1" : "10.0.1.1", .init(rawValue: 99)
            ) {
                $0.payload = bytes
            }
            var frame = PacketBuilder.frame(spec)
            frame[14 + (isIPv6 ? 6 : 9)] = number
            return wire.frame(frame, .ingress).reason
        }
        let zeros = [UInt8](repeating: 0, count: 40)
        #expect(try reason(6, Array(zeros.prefix(19))) == .l4Header)
        #expect(try reason(6, zeros) == .l4Header)
        #expect(try reason(6, Array(zeros.prefix(12)) + [0xf0] + Array(zeros.prefix(20))) == .l4Header)
        #expect(try reason(6, Array(zeros.prefix(12)) + [0x50] + Array(zeros.prefix(20))) == .none)
        #expect(try reason(17, Array(zeros.prefix(7))) == .l4Header)
        #expect(try reason(132, Array(zeros.prefix(11))) == .l4Header)
        #expect(try reason(1, Array(zeros.prefix(7))) == .l4Header)
        #expect(try reason(58, [128, 0, 0, 0, 0, 0, 0], isIPv6: true) == .l4Header)
        #expect(try reason(58, [1, 0, 0, 0], isIPv6: true) == .none)
        #expect(try reason(58, [1, 0, 0], isIPv6: true) == .l4Header)
        #expect(try reason(99, []) == .none)
    }

    // MARK: Addresses

    @Test(
        "from the endpoint only its own source passes",
        arguments: [
            ("10.0.1.2", "10.0.1.3", DropReason.sourceAddress), ("0.0.0.0", "255.255.255.255", .sourceAddress),
            ("127.0.0.1", "10.0.1.3", .martianSource), ("224.0.0.1", "10.0.1.3", .martianSource),
            ("255.255.255.255", "10.0.1.3", .martianSource), ("10.0.1.1", "169.254.169.254", .linkLocal),
            ("10.0.1.1", "10.0.1.3", .none), ("fd00:1::2", "fd00:1::3", .sourceAddress),
            ("fe80::1", "fd00:1::3", .sourceAddress), ("::", "ff02::1", .sourceAddress),
            ("::1", "fd00:1::3", .martianSource), ("ff02::1", "fd00:1::3", .martianSource),
            ("fd00:1::1", "fe80::2", .linkLocal), ("fd00:1::1", "::ffff:10.0.1.3", .v4Mapped),
            ("::ffff:10.0.1.1", "fd00:1::3", .v4Mapped), ("fd00:1::1", "fd00:1::3", .none),
        ])
    func sources(source: String, destination: String, reason: DropReason) throws {
        #expect(try Wire().send(try packet(source, destination, .udp)) == reason)
    }

    @Test(
        "to the endpoint only its own destination passes",
        arguments: [
            ("10.0.1.2", "10.0.1.3", DropReason.notForEndpoint), ("10.0.1.2", "224.0.0.1", .none),
            ("10.0.1.2", "255.255.255.255", .none), ("169.254.1.1", "10.0.1.1", .linkLocal),
            ("127.0.0.1", "10.0.1.1", .martianSource), ("fd00:1::2", "fd00:1::3", .notForEndpoint),
            ("fd00:1::2", "fe80::9", .notForEndpoint), ("fe80::2", "fd00:1::1", .linkLocal),
            ("fe80::2", "ff02::fb", .linkLocal), ("::ffff:1.2.3.4", "fd00:1::1", .v4Mapped),
            ("fd00:1::2", "fd00:1::1", .none),
        ])
    func destinations(source: String, destination: String, reason: DropReason) throws {
        #expect(try Wire().receive(try packet(source, destination, .udp)) == reason)
    }

    private func event(_ spec: PacketSpec, _ length: Int? = nil, on wire: Wire) throws -> weir_event {
        let frame = PacketBuilder.frame(spec)
        wire.frame(Array(frame.prefix(length ?? frame.count)), .egress)
        return try #require(wire.events().first)
    }

    @Test("a drop is reported with what was read until then")
    func halfRead() throws {
        let wire = try Wire()
        let udp = try packet("10.0.1.9", "10.0.1.2", .udp) { $0.destinationPort = 53 }
        // The address is wrong; everything was read.
        var seen = try event(udp, on: wire)
        #expect(seen.family == 4 && seen.protocol == 17 && seen.destination_port_be == UInt16(53).bigEndian)
        #expect(abiBytes(of: seen.source) == udp.source.mappedBytes)
        seen = try event(try packet("10.0.1.9", "10.0.1.2", .icmp) { $0.icmpType = 8 }, on: wire)
        #expect(seen.destination_port_be == UInt16(8).bigEndian && seen.source_port_be == 0)
        // Not even the whole IP header.
        seen = try event(udp, 33, on: wire)
        #expect(seen.family == 0 && seen.protocol == 0)
        // The header, but no more of the packet.
        seen = try event(udp, 34, on: wire)
        #expect(seen.family == 4 && UInt32(seen.reason) == WEIR_REASON_IP_HEADER.rawValue)
        // Extension headers that end nowhere.
        seen = try event(
            try packet("fd00:1::1", "fd00:1::2", .tcp) {
                $0.ipv6Extensions = [.init(type: 60, body: [9, 0, 0, 0, 0, 0, 0])]
            }, on: wire)
        #expect(seen.family == 6 && seen.protocol == 60 && seen.destination_port_be == 0)
    }

    @Test("what is not for the endpoint is counted and not reported")
    func silent() throws {
        let wire = try Wire()
        wire.receive(try packet("10.0.1.2", "10.0.1.3", .udp))
        #expect(try wire.drops(.notForEndpoint, .ingress) == 1)
        #expect(wire.events().isEmpty)
    }

    @Test("an endpoint without a family has no business in it")
    func missingFamily() throws {
        var fixture = ImageFixture()
        fixture.endpointIPv6 = nil
        let wire = try Wire(fixture)
        #expect(wire.send(try packet("fd00:1::1", "fd00:1::3", .udp)) == .sourceAddress)
        #expect(wire.receive(try packet("fd00:1::2", "fd00:1::1", .udp)) == .notForEndpoint)
        #expect(wire.receive(try packet("fd00:1::2", "::", .udp)) == .notForEndpoint)
    }

    // MARK: Link control

    /// Neighbour discovery or MLD; the target of an advertisement is given.
    private func control(
        _ type: UInt8, _ source: String, _ destination: String, hopLimit: UInt8 = 255, target: String = "fd00:1::1",
        size: Int = 40
    ) throws -> PacketSpec {
        let target = try #require(IPAddress(target))
        return try packet(source, destination, .icmpv6) {
            $0.icmpType = type
            $0.hopLimit = hopLimit
            $0.payload = Array((target.bytes + Array(repeating: 0, count: 16)).prefix(size - 8))
        }
    }

    /// Denies everything, so that what passes has passed below policy.
    private var closed: ImageFixture {
        var fixture = ImageFixture()
        fixture.egressDefault = Decision(.defaultDeny)
        fixture.ingressDefault = Decision(.defaultDeny)
        return fixture
    }

    @Test("neighbour discovery passes below policy, with the hop limit and the fixed length it must have")
    func neighbourDiscovery() throws {
        let wire = try Wire(closed)
        #expect(wire.send(try control(135, "fd00:1::1", "ff02::1:ff00:2")) == .none)
        #expect(wire.send(try control(135, "::", "ff02::1:ff00:1")) == .none)
        #expect(wire.send(try control(133, "fe80::1", "ff02::2", size: 8)) == .none)
        #expect(wire.send(try control(136, "fe80::1", "ff02::1")) == .none)
        #expect(wire.send(try control(136, "fd00:1::1", "fe80::9", target: "fe80::1")) == .none)
        #expect(wire.receive(try control(134, "fe80::1", "ff02::1")) == .none)
        #expect(wire.receive(try control(135, "fe80::1", "fe80::9")) == .none)
        #expect(wire.receive(try control(137, "fe80::1", "fd00:1::1")) == .none)
        for (type, size) in [(133, 8), (134, 16), (135, 24), (136, 24), (137, 40)] as [(UInt8, Int)] {
            #expect(wire.receive(try control(type, "fe80::1", "fd00:1::1", size: size)) == .none)
            if size > 8 {
                #expect(wire.receive(try control(type, "fe80::1", "fd00:1::1", size: size - 1)) == .neighbourDiscovery)
            }
            #expect(wire.receive(try control(type, "fe80::1", "fd00:1::1", hopLimit: 254)) == .neighbourDiscovery)
        }
    }

    @Test("a pod neither routes nor answers for others")
    func forgedControl() throws {
        let wire = try Wire()
        #expect(wire.send(try control(134, "fe80::1", "ff02::1")) == .routerControl)
        #expect(wire.send(try control(137, "fe80::1", "ff02::1")) == .routerControl)
        #expect(wire.send(try control(136, "fd00:1::1", "ff02::1", target: "fd00:1::2")) == .neighbourDiscovery)
        #expect(wire.send(try control(136, "::", "ff02::1")) == .sourceAddress)
        #expect(wire.send(try control(135, "fd00:1::2", "ff02::1")) == .sourceAddress)
    }

    @Test("multicast listener reports pass below policy with hop limit 1")
    func multicastListener() throws {
        let wire = try Wire(closed)
        for type in [130, 131, 132, 143] as [UInt8] {
            #expect(wire.send(try control(type, "::", "ff02::16", hopLimit: 1)) == .none)
            #expect(wire.send(try control(type, "fe80::1", "ff02::16", hopLimit: 1)) == .none)
            #expect(wire.receive(try control(type, "fe80::1", "ff02::16", hopLimit: 1)) == .none)
            #expect(wire.send(try control(type, "::", "ff02::16", hopLimit: 2)) == .neighbourDiscovery)
            #expect(wire.send(try control(type, "fd00:1::9", "ff02::16", hopLimit: 1)) == .sourceAddress)
        }
        #expect(wire.receive(try control(130, "fe80::1", "fe80::9", hopLimit: 1)) == .notForEndpoint)
    }

    @Test("without link control, neighbour discovery is icmp like any other")
    func judgedControl() throws {
        let options = DatapathOptions.defaults.subtracting(.linkControl)
        #expect(try Wire(options: options).send(try control(135, "fe80::1", "ff02::1")) == .sourceAddress)
        #expect(try Wire(closed, options: options).send(try control(135, "fd00:1::1", "ff02::1")) == .policyDefaultDeny)
        #expect(try Wire(options: options).send(try control(135, "fd00:1::1", "ff02::1", hopLimit: 1)) == .none)
    }
}
