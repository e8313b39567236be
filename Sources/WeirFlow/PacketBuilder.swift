package import WeirModel

/// Builds Ethernet frames with valid lengths and checksums.
package enum PacketBuilder {
    /// The first packet that a flow's originator sends.
    ///
    /// A protocol that IPv6 uses for an extension header cannot be a flow of its own; its frame is one that the
    /// datapath refuses.
    package static func frame(for query: FlowQuery) -> [UInt8] {
        let isEgress = query.direction == .egress
        var spec = PacketSpec(
            from: isEgress ? query.localAddress : query.peerAddress,
            to: isEgress ? query.peerAddress : query.localAddress, protocol: query.protocol)
        spec.destinationPort = query.port
        spec.icmpType = UInt8(truncatingIfNeeded: query.port)
        return frame(spec)
    }

    package static func frame(_ spec: PacketSpec) -> [UInt8] {
        var frame = ethernet(spec.source.family == .ipv4 ? 0x0800 : 0x86dd, vlan: spec.vlan)
        frame += packet(spec)
        return frame
    }

    /// The packet without its Ethernet header: what an ICMP error quotes.
    package static func packet(_ spec: PacketSpec) -> [UInt8] {
        let segment = segment(spec)
        return spec.source.family == .ipv4 ? ipv4(spec, segment) : ipv6(spec, segment)
    }

    /// An ARP frame of Ethernet and IPv4; operation 1 asks, 2 answers.
    package static func arp(operation: UInt16, sender: IPAddress, target: IPAddress) -> [UInt8] {
        ethernet(0x0806, vlan: nil) + [0, 1, 0x08, 0, 6, 4] + big(operation) + sourceMAC + sender.bytes
            + [0, 0, 0, 0, 0, 0] + target.bytes
    }

    private static let sourceMAC: [UInt8] = [2, 0, 0, 0, 0, 1]
    private static let destinationMAC: [UInt8] = [2, 0, 0, 0, 0, 2]

    private static func ethernet(_ type: UInt16, vlan: UInt16?) -> [UInt8] {
        destinationMAC + sourceMAC + (vlan.map { [0x81, 0x00] + big($0) } ?? []) + big(type)
    }

    // MARK: IP

    private static func ipv4(_ spec: PacketSpec, _ segment: [UInt8]) -> [UInt8] {
        let options = spec.ipv4Options + Array(repeating: 0, count: (4 - spec.ipv4Options.count % 4) % 4)
        let headerLength = 20 + options.count
        var header: [UInt8] = [0x40 | UInt8(headerLength / 4), 0]
        header += big(UInt16(headerLength + segment.count))
        header += big(spec.ipv4Identification) + big(spec.ipv4Fragment)
        header += [spec.hopLimit, spec.protocol.rawValue, 0, 0]
        header += spec.source.bytes + spec.destination.bytes + options
        set(&header, 10, checksum(header))
        return header + segment
    }

    private static func ipv6(_ spec: PacketSpec, _ segment: [UInt8]) -> [UInt8] {
        var extensions: [UInt8] = []
        let following = spec.ipv6Extensions.map(\.type).dropFirst() + [spec.protocol.rawValue]
        for (header, next) in zip(spec.ipv6Extensions, following) { extensions += [next] + header.body }
        var header: [UInt8] = [0x60, 0, 0, 0]
        header += big(UInt16(extensions.count + segment.count))
        header += [spec.ipv6Extensions.first?.type ?? spec.protocol.rawValue, spec.hopLimit]
        return header + spec.source.bytes + spec.destination.bytes + extensions + segment
    }

    // MARK: Transport

    private static func segment(_ spec: PacketSpec) -> [UInt8] {
        switch spec.protocol {
        case .tcp: tcp(spec)
        case .udp: udp(spec)
        case .sctp: sctp(spec)
        case .icmp where spec.source.family == .ipv4: icmp(spec)
        case .icmpv6 where spec.source.family == .ipv6: icmp(spec)
        default: spec.payload ?? Array(repeating: 0, count: 8)
        }
    }

    private static func tcp(_ spec: PacketSpec) -> [UInt8] {
        var bytes = big(spec.sourcePort) + big(spec.destinationPort)
        bytes += [0, 0, 0, 1, 0, 0, 0, 0, 0x50, spec.tcpFlags] + big(0xffff) + [0, 0, 0, 0]
        bytes += spec.payload ?? []
        set(&bytes, 16, checksum(pseudoHeader(spec, bytes.count) + bytes))
        return bytes
    }

    private static func udp(_ spec: PacketSpec) -> [UInt8] {
        let payload = spec.payload ?? []
        var bytes = big(spec.sourcePort) + big(spec.destinationPort) + big(UInt16(8 + payload.count)) + [0, 0]
        bytes += payload
        let sum = checksum(pseudoHeader(spec, bytes.count) + bytes)
        // Zero would mean "no checksum".
        set(&bytes, 6, sum == 0 ? 0xffff : sum)
        return bytes
    }

    /// An INIT chunk: tag 1, window 65,535, one stream each way.
    private static func sctp(_ spec: PacketSpec) -> [UInt8] {
        var bytes = big(spec.sourcePort) + big(spec.destinationPort) + Array(repeating: 0, count: 8)
        bytes += spec.payload ?? [1, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0xff, 0xff, 0, 1, 0, 1, 0, 0, 0, 1]
        let crc = crc32c(bytes)
        for index in 0..<4 { bytes[8 + index] = UInt8(truncatingIfNeeded: crc >> (UInt32(index) * 8)) }
        return bytes
    }

    /// Eight bytes of header: an echo has its identifier and sequence 1 there, others zeros. Without a payload,
    /// neighbour discovery and other ICMPv6 get 32 zeros, so that fixed parts are complete.
    private static func icmp(_ spec: PacketSpec) -> [UInt8] {
        let echoTypes: [UInt8] = spec.protocol == .icmp ? [0, 8] : [128, 129]
        var bytes: [UInt8] = [spec.icmpType, spec.icmpCode, 0, 0]
        bytes += echoTypes.contains(spec.icmpType) ? big(spec.icmpIdentifier) + [0, 1] : [0, 0, 0, 0]
        bytes += spec.payload ?? Array(repeating: 0, count: spec.protocol == .icmp ? 8 : 32)
        let pseudo = spec.protocol == .icmpv6 ? pseudoHeader(spec, bytes.count) : []
        set(&bytes, 2, checksum(pseudo + bytes))
        return bytes
    }

    // MARK: Numbers

    private static func pseudoHeader(_ spec: PacketSpec, _ length: Int) -> [UInt8] {
        spec.source.bytes + spec.destination.bytes + big(UInt16(length)) + [0, spec.protocol.rawValue]
    }

    private static func big(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(truncatingIfNeeded: value)] }

    private static func set(_ bytes: inout [UInt8], _ offset: Int, _ value: UInt16) {
        bytes.replaceSubrange(offset..<(offset + 2), with: big(value))
    }

    /// RFC 1071: zero over a packet whose checksum is right.
    package static func checksum(_ bytes: [UInt8]) -> UInt16 {
        var sum: UInt32 = 0
        for index in bytes.indices { sum += index % 2 == 0 ? UInt32(bytes[index]) << 8 : UInt32(bytes[index]) }
        while sum > 0xffff { sum = sum >> 16 + sum & 0xffff }
        return ~UInt16(sum)
    }

    /// RFC 9260: reflected polynomial 0x1EDC6F41.
    private static func crc32c(_ bytes: [UInt8]) -> UInt32 {
        var crc = UInt32.max
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 0 ? crc >> 1 : (crc >> 1) ^ 0x82f6_3b78 }
        }
        return ~crc
    }
}
