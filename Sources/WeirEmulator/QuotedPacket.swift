internal import WeirModel

/// The packet inside an ICMP error.
struct QuotedPacket {
    var ip: IPHeaders
    var l4: L4Header

    /// nil for a fragment, for what is cut off before its ports, and for anything malformed.
    /// IP's own lengths are not looked at: a quote is usually cut.
    init?(_ bytes: FrameBytes, at offset: Int, _ family: AddressFamily) {
        guard var ip = IPHeaders(fixed: bytes, at: offset, family) else { return nil }
        switch family {
        case .ipv4:
            guard bytes.byte(offset) >> 4 == 4 else { return nil }
            let headerLength = Int(bytes.byte(offset) & 0xf) * 4
            guard headerLength >= 20, bytes.has(headerLength, at: offset), bytes.word16(offset + 6) & 0x3fff == 0
            else { return nil }
            ip.payload = offset + headerLength
        case .ipv6:
            guard bytes.byte(offset) >> 4 == 6,
                let last = try? IPHeaders.walkExtensions(bytes, from: ip.payload, first: ip.protocol),
                last.protocol != IPHeaders.fragmentHeader
            else { return nil }
            (ip.protocol, ip.payload) = last
        }
        self.ip = ip
        l4 = L4Header(bytes, ip)
        let needed =
            switch l4.protocol {
            case .tcp, .udp, .sctp: 4
            case .icmp, .icmpv6: 8
            case .other: 0
            }
        guard bytes.has(needed, at: ip.payload) else { return nil }
        l4.readPorts(bytes, ip.payload)
    }
}
