import Testing
import WeirFlow
import WeirModel

@Suite("Packet builder")
struct PacketBuilderTests {
    @Test("a tcp syn over ipv4, byte by byte")
    func goldenSYN() throws {
        let frame = PacketBuilder.frame(try packet("10.0.1.2", "10.0.1.1", .tcp) { $0.destinationPort = 80 })
        #expect(Array(frame.prefix(14)) == [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00])
        #expect(
            Array(frame[14..<34]) == [
                0x45, 0, 0, 40,  // version and header length, service, total length
                0, 0, 0, 0,  // identification, flags and offset
                64, 6, 0x64, 0xce,  // time to live, TCP, checksum
                10, 0, 1, 2, 10, 0, 1, 1,
            ])
        #expect(
            Array(frame[34...].prefix(14)) == [
                0xc0, 0, 0, 80,  // ports 49152 and 80
                0, 0, 0, 1, 0, 0, 0, 0,  // sequence, acknowledgement
                0x50, 0x02,  // five words, SYN
            ])
        #expect(frame.count == 54)
    }

    @Test(
        "checksums are right, with payloads of odd and even length",
        arguments: [0, 1, 7, 8], [("10.0.1.2", "10.0.1.1"), ("fd00:1::2", "2001:db8::1")])
    func checksums(size: Int, addresses: (String, String)) throws {
        let isIPv6 = addresses.0.contains(":")
        for kind in [IPProtocol.tcp, .udp, isIPv6 ? .icmpv6 : .icmp] {
            let spec = try packet(addresses.0, addresses.1, kind) {
                $0.payload = (0..<size).map { UInt8(truncatingIfNeeded: $0 * 37 + 1) }
                $0.ipv4Options = [1, 1, 1]
                $0.icmpType = 8
            }
            let bytes = PacketBuilder.packet(spec)
            let header = isIPv6 ? 40 : 24
            if !isIPv6 { #expect(PacketBuilder.checksum(Array(bytes.prefix(header))) == 0) }
            let segment = Array(bytes[header...])
            let pseudo =
                kind == .icmp
                ? [] : spec.source.bytes + spec.destination.bytes + [0, UInt8(segment.count), 0, kind.rawValue]
            #expect(PacketBuilder.checksum(pseudo + segment) == 0)
        }
    }

    @Test("an sctp packet carries its crc32c, low byte first")
    func sctp() throws {
        // RFC 9260's CRC over "123456789" is 0xE3069283; here over a header with a zero checksum.
        var spec = try packet("10.0.1.2", "10.0.1.1", .sctp)
        spec.sourcePort = 0x3132
        spec.destinationPort = 0x3334
        let bytes = Array(PacketBuilder.packet(spec)[20...])
        var zeroed = bytes
        zeroed.replaceSubrange(8..<12, with: [0, 0, 0, 0])
        var crc: UInt32 = 0xffff_ffff
        for bit in zeroed.flatMap({ byte in (0..<8).map { UInt32(byte >> UInt8($0) & 1) } }) {
            crc = (crc ^ bit) & 1 == 1 ? (crc >> 1) ^ 0x82f6_3b78 : crc >> 1
        }
        crc = ~crc
        #expect(bytes[8] == UInt8(truncatingIfNeeded: crc) && bytes[11] == UInt8(crc >> 24))
    }

    @Test("the endpoint is the source of its egress and the destination of its ingress")
    func directions() throws {
        let own = try #require(IPAddress("fd00:1::1"))
        let peer = try #require(IPAddress("fd00:1::2"))
        for direction in Direction.allCases {
            let frame = PacketBuilder.frame(
                for: FlowQuery(
                    endpoint: 1, direction: direction, localAddress: own, peerAddress: peer, path: .forwarded,
                    protocol: .udp, port: 53))
            let source = direction == .egress ? own : peer
            #expect(Array(frame[22..<38]) == source.bytes)
            #expect(Array(frame[56..<58]) == [0, 53])
        }
    }
}
