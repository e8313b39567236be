internal import WeirModel

/// What IP says about a packet, and where its payload lies. Known in part once the fixed header is read.
struct IPHeaders {
    var family: AddressFamily
    var source: IPAddress
    var destination: IPAddress
    /// Behind IPv6 extension headers; the first one's as long as they have not been walked.
    var `protocol`: UInt8
    /// IPv4: time to live.
    var hopLimit: UInt8
    /// Where the payload begins; it ends at the end of the bytes (IP's own length, not the frame's).
    var payload: Int
    /// nil for a whole datagram.
    var fragment: Fragment?
    /// Neither options nor extension headers.
    var isBare = true

    struct Fragment {
        /// As it lies in the packet; IPv4 has two bytes.
        var id: [UInt8]
        /// Of its payload in the datagram.
        var offset: Int
        /// Of its payload in the frame: extension headers behind the fragment header count.
        var payload: Int

        var isFirst: Bool { offset == 0 }
    }

    var isLaterFragment: Bool { fragment?.isFirst == false }
}

/// A protocol number in the family where it means what its name says: ICMP in IPv6 is just protocol 1.
enum L4Protocol: Equatable {
    case tcp, udp, sctp, icmp, icmpv6, other

    init(_ number: UInt8, _ family: AddressFamily) {
        self =
            switch (IPProtocol(rawValue: number), family) {
            case (.tcp, _): .tcp
            case (.udp, _): .udp
            case (.sctp, _): .sctp
            case (.icmp, .ipv4): .icmp
            case (.icmpv6, .ipv6): .icmpv6
            default: .other
            }
    }
}

/// What the transport header says. Ports are zero for protocols without.
struct L4Header {
    var `protocol`: L4Protocol
    var sourcePort: UInt16 = 0
    var destinationPort: UInt16 = 0
    var tcpFlags: UInt8 = 0
    /// Bytes.
    var tcpHeaderLength = 0
    var icmpType: UInt8 = 0
    /// The identifier of an echo request or reply.
    var icmpIdentifier: UInt16 = 0

    /// What policy asks for: destination port or ICMP type.
    var port: UInt16 { isICMP ? UInt16(icmpType) : destinationPort }

    var isICMP: Bool { `protocol` == .icmp || `protocol` == .icmpv6 }
    var isEchoRequest: Bool { isICMP && icmpType == Self.echoRequest(`protocol`) }
    var isEchoReply: Bool { isICMP && icmpType == (`protocol` == .icmp ? 0 : 129) }
    var isEcho: Bool { isEchoRequest || isEchoReply }
    /// A TCP SYN without ACK or an echo request: never a reply.
    var opens: Bool { isSYN || isEchoRequest }
    var isICMPError: Bool {
        switch `protocol` {
        case .icmp: [3, 11, 12].contains(icmpType)
        case .icmpv6: (1...4).contains(icmpType)
        default: false
        }
    }
    /// The first packet of a TCP connection.
    var isSYN: Bool { `protocol` == .tcp && tcpFlags & 0x12 == 0x02 }
    var isEndOfTCP: Bool { `protocol` == .tcp && tcpFlags & 0x05 != 0 }

    static func echoRequest(_ protocol: L4Protocol) -> UInt8 { `protocol` == .icmp ? 8 : 128 }
}

// MARK: IP

extension IPHeaders {
    /// The fixed header at `offset`, whatever it says; nil where it is cut off.
    init?(fixed bytes: FrameBytes, at offset: Int, _ family: AddressFamily) {
        guard bytes.has(family == .ipv4 ? 20 : 40, at: offset) else { return nil }
        self.family = family
        switch family {
        case .ipv4:
            source = bytes.address(offset + 12, .ipv4)
            destination = bytes.address(offset + 16, .ipv4)
            `protocol` = bytes.byte(offset + 9)
            hopLimit = bytes.byte(offset + 8)
            payload = offset + 20
        case .ipv6:
            source = bytes.address(offset + 8, .ipv6)
            destination = bytes.address(offset + 24, .ipv6)
            `protocol` = bytes.byte(offset + 6)
            hopLimit = bytes.byte(offset + 7)
            payload = offset + 40
        }
    }

    /// The rest of step 5 of the packet walk. Narrows `bytes` to what IP's length says.
    mutating func check(_ bytes: inout FrameBytes, at offset: Int) throws(DropReason) {
        switch family {
        case .ipv4: try checkIPv4(&bytes, at: offset)
        case .ipv6: try checkIPv6(&bytes, at: offset)
        }
    }

    private mutating func checkIPv4(_ bytes: inout FrameBytes, at offset: Int) throws(DropReason) {
        let headerLength = Int(bytes.byte(offset) & 0xf) * 4
        guard bytes.byte(offset) >> 4 == 4, headerLength >= 20 else { throw .ipHeader }
        guard bytes.has(headerLength, at: offset) else { throw .truncated }
        var totalLength = Int(bytes.word16(offset + 2))
        // More than the field can say: only segmentation offload makes it.
        if totalLength == 0, bytes.end - offset > Self.maxDatagram { totalLength = bytes.end - offset }
        guard totalLength >= headerLength, bytes.has(totalLength, at: offset) else { throw .ipHeader }
        bytes.end = offset + totalLength
        payload = offset + headerLength
        isBare = headerLength == 20
        let place = bytes.word16(offset + 6)
        if place & 0x3fff != 0 {
            try setFragment(
                bytes, id: [bytes.byte(offset + 4), bytes.byte(offset + 5)], at: Int(place & 0x1fff) * 8,
                hasMore: place & 0x2000 != 0)
        }
        try Self.checkOptions(bytes, from: offset + 20, to: offset + headerLength)
    }

    private static let maxDatagram = 65535

    /// A fragment that no datagram can have is refused. The payload begins at `payload`.
    private mutating func setFragment(
        _ bytes: FrameBytes, id: [UInt8], at offset: Int, hasMore: Bool
    ) throws(DropReason) {
        let length = bytes.end - payload
        guard length > 0, offset + length <= Self.maxDatagram, !hasMore || length % 8 == 0 else { throw .fragment }
        fragment = Fragment(id: id, offset: offset, payload: payload)
    }

    /// A source route is named before its length is looked at.
    private static func checkOptions(_ bytes: FrameBytes, from start: Int, to end: Int) throws(DropReason) {
        var offset = start
        while offset < end {
            switch bytes.byte(offset) {
            case 0: return
            case 1: offset += 1
            case 131, 137: throw .ipv4SourceRoute
            default:
                guard offset + 1 < end else { throw .ipHeader }
                let length = Int(bytes.byte(offset + 1))
                guard length >= 2, offset + length <= end else { throw .ipHeader }
                offset += length
            }
        }
    }

    private mutating func checkIPv6(_ bytes: inout FrameBytes, at offset: Int) throws(DropReason) {
        var length = Int(bytes.word16(offset + 4))
        if length == 0, bytes.end - payload > Self.maxDatagram { length = bytes.end - payload }
        guard bytes.byte(offset) >> 4 == 6, bytes.has(40 + length, at: offset) else { throw .ipHeader }
        bytes.end = payload + length
        (`protocol`, payload) = try Self.walkExtensions(bytes, from: payload, first: `protocol`)
        isBare = payload == offset + 40
        if `protocol` == Self.fragmentHeader { try readFragmentHeader(bytes) }
    }

    static let fragmentHeader: UInt8 = 44

    /// Where the walk of the extension headers has ended at one.
    private mutating func readFragmentHeader(_ bytes: FrameBytes) throws(DropReason) {
        guard bytes.has(8, at: payload) else { throw .ipv6Extension }
        let place = bytes.word16(payload + 2)
        let id = (4..<8).map { bytes.byte(payload + $0) }
        `protocol` = bytes.byte(payload)
        payload += 8
        isBare = false
        // All of it in one fragment is no fragment.
        if place & ~6 != 0 {
            try setFragment(bytes, id: id, at: Int(place & ~7), hasMore: place & 1 != 0)
            if isLaterFragment { return }
        }
        (`protocol`, payload) = try Self.walkExtensions(bytes, from: payload, first: `protocol`)
        guard `protocol` != Self.fragmentHeader else { throw .fragment }
    }

    /// At most eight headers, each inside. The walk ends at a fragment header.
    static func walkExtensions(
        _ bytes: FrameBytes, from start: Int, first: UInt8
    ) throws(DropReason) -> (protocol: UInt8, offset: Int) {
        var next = first
        var offset = start
        var count = 0
        while true {
            guard [0, 43, 51, 60, 135].contains(next) else { return (next, offset) }
            guard count < 8, bytes.has(8, at: offset) else { throw .ipv6Extension }
            let units = Int(bytes.byte(offset + 1))
            // AH counts in words of four bytes, less two; the others in eights, less one.
            let length = next == 51 ? (units + 2) * 4 : (units + 1) * 8
            guard bytes.has(length, at: offset) else { throw .ipv6Extension }
            if next == 43, bytes.byte(offset + 3) != 0 { throw .ipv6Routing }
            next = bytes.byte(offset)
            offset += length
            count += 1
        }
    }
}

// MARK: L4

extension L4Header {
    /// The protocol and, where its byte is there, the ICMP type.
    init(_ bytes: FrameBytes, _ ip: IPHeaders) {
        `protocol` = ip.isLaterFragment ? .other : L4Protocol(ip.protocol, ip.family)
        if isICMP, bytes.has(1, at: ip.payload) { icmpType = bytes.byte(ip.payload) }
    }

    /// Step 6.
    mutating func read(_ bytes: FrameBytes, at start: Int) throws(DropReason) {
        let needed =
            switch `protocol` {
            case .tcp: 20
            case .udp, .icmp: 8
            case .sctp: 12
            case .icmpv6: isEcho ? 8 : 4
            case .other: 0
            }
        guard bytes.has(needed, at: start) else { throw .l4Header }
        readPorts(bytes, start)
        guard `protocol` == .tcp else { return }
        let length = Int(bytes.byte(start + 12) >> 4) * 4
        guard length >= 20, bytes.has(length, at: start) else { throw .l4Header }
        tcpFlags = bytes.byte(start + 13)
        tcpHeaderLength = length
    }

    /// Ports, or the identifier of an echo. The caller has seen that they are there.
    mutating func readPorts(_ bytes: FrameBytes, _ start: Int) {
        switch `protocol` {
        case .tcp, .udp, .sctp:
            sourcePort = bytes.word16(start)
            destinationPort = bytes.word16(start + 2)
        case .icmp, .icmpv6: if isEcho { icmpIdentifier = bytes.word16(start + 4) }
        case .other: break
        }
    }
}
