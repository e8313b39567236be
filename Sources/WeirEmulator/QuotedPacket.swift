internal import WeirModel

/// The packet inside an ICMP error.
struct QuotedPacket {
    var ip: IPHeaders
    var l4: L4Header

    /// nil for a fragment, for what is cut off before its ports, and for anything malformed.
    /// IP's own lengths are not looked at: a quote is usually cut.
    init?(_ bytes: FrameBytes, at offset: Int, _ family: AddressFamily) {
        switch family {
        case .ipv4:
            guard bytes.has(20, at: offset), bytes.byte(offset) >> 4 == 4 else { return nil }
            let headerLength = Int(bytes.byte(offset) & 0xf) * 4
            guard headerLength >= 20, bytes.has(headerLength, at: offset), bytes.word16(offset + 6) & 0x3fff == 0
            else { return nil }
            ip = IPHeaders(
                family: .ipv4, source: bytes.address(offset + 12, .ipv4),
                destination: bytes.address(offset + 16, .ipv4), protocol: bytes.byte(offset + 9),
                hopLimit: bytes.byte(offset + 8), payload: offset + headerLength)
        case .ipv6:
            guard bytes.has(40, at: offset), bytes.byte(offset) >> 4 == 6,
                let last = try? IPHeaders.walkExtensions(bytes, from: offset + 40, first: bytes.byte(offset + 6))
            else { return nil }
            ip = IPHeaders(
                family: .ipv6, source: bytes.address(offset + 8, .ipv6),
                destination: bytes.address(offset + 24, .ipv6), protocol: last.protocol,
                hopLimit: bytes.byte(offset + 7), payload: last.offset)
        }
        l4 = L4Header(protocol: L4Protocol(ip.protocol, family))
        let needed =
            switch l4.protocol {
            case .tcp, .udp, .sctp: 4
            case .icmp, .icmpv6: 8
            case .other: 0
            }
        guard bytes.has(needed, at: ip.payload), (try? l4.readPorts(bytes, ip.payload)) != nil else { return nil }
    }
}
