internal import WeirABI
internal import WeirModel

/// ICMPv6 that a link cannot live without.
enum LinkControl {
    case neighbourDiscovery(type: UInt8)
    case multicastListener

    /// nil for anything else. Only the type has been read.
    init?(_ l4: L4Header) {
        guard l4.protocol == .icmpv6 else { return nil }
        switch l4.icmpType {
        case let type where (133...137).contains(type): self = .neighbourDiscovery(type: type)
        case 130...132, 143: self = .multicastListener
        default: return nil
        }
    }

    var isNeighbourDiscovery: Bool { if case .neighbourDiscovery = self { true } else { false } }
}

/// Steps 4 and 7: whether a packet may be on this link at all.
struct LinkChecks {
    let endpoint: LocalEndpoint
    let direction: Direction

    /// UDP by which an endpoint gets its address, from or to addresses that only such a packet may have.
    func isDHCP(_ ip: IPHeaders, _ l4: L4Header) -> Bool {
        guard l4.protocol == .udp else { return false }
        let isEgress = direction == .egress
        let client: UInt16 = ip.family == .ipv4 ? 68 : 546
        let server: UInt16 = ip.family == .ipv4 ? 67 : 547
        guard (isEgress ? l4.sourcePort : l4.destinationPort) == client,
            (isEgress ? l4.destinationPort : l4.sourcePort) == server
        else { return false }
        switch (ip.family, isEgress) {
        case (.ipv4, true):
            return ip.destination.isBroadcast && (ip.source.isUnspecified || endpoint.owns(ip.source))
        case (.ipv4, false): return ip.destination.isBroadcast || endpoint.owns(ip.destination)
        case (.ipv6, true): return ip.source.isLinkLocal && ip.destination == Self.allDHCPAgents
        case (.ipv6, false): return ip.source.isLinkLocal && ip.destination.isLinkLocal
        }
    }

    private static let allDHCPAgents = IPAddress("ff02::1:2")

    /// Step 4.
    func checkARP(_ bytes: FrameBytes, at offset: Int) throws(DropReason) {
        guard direction == .egress, !endpoint.isHost else { return }
        guard let own = endpoint.ipv4, bytes.has(28, at: offset), bytes.word16(offset) == 1,
            bytes.word16(offset + 2) == 0x0800, bytes.byte(offset + 4) == 6, bytes.byte(offset + 5) == 4
        else { throw .arp }
        let sender = bytes.address(offset + 14, .ipv4)
        guard sender == own || sender.isUnspecified else { throw .arp }
    }

    /// `link` is nil unless the packet passes below policy.
    func checkAddresses(_ ip: IPHeaders, _ link: LinkControl?) throws(DropReason) {
        let source = ip.source
        let destination = ip.destination
        if source.isMulticast || source.isLoopback || source.isBroadcast { throw .martianSource }
        if source.isV4Mapped || destination.isV4Mapped { throw .v4Mapped }
        switch direction {
        case .egress:
            let mayBeLinkSource = link != nil && (source.isLinkLocal || source.isUnspecified)
            guard endpoint.owns(source) || mayBeLinkSource else { throw .sourceAddress }
            if link == nil, destination.isLinkLocal, !endpoint.isHost { throw .linkLocal }
        case .ingress:
            let isLinkDestination = link?.isNeighbourDiscovery == true && destination.isLinkLocal
            guard endpoint.owns(destination) || destination.isMulticast || destination.isBroadcast || isLinkDestination
            else { throw .notForEndpoint }
            if link == nil, source.isLinkLocal, !endpoint.isHost { throw .linkLocal }
        }
    }

    /// What passes below policy.
    func check(_ link: LinkControl, _ bytes: FrameBytes, _ ip: IPHeaders) throws(DropReason) {
        // RFC 6980.
        guard ip.fragment == nil else { throw .neighbourDiscovery }
        switch link {
        case .multicastListener:
            guard ip.hopLimit == 1 else { throw .neighbourDiscovery }
        case .neighbourDiscovery(let type):
            let size = [133: 8, 134: 16, 135: 24, 136: 24][type] ?? 40
            guard ip.hopLimit == 255, bytes.has(size, at: ip.payload) else { throw .neighbourDiscovery }
            guard direction == .egress, !endpoint.isHost else { return }
            if type == 134 || type == 137 { throw .routerControl }
            if type == 136 {
                let target = bytes.address(ip.payload + 8, .ipv6)
                guard endpoint.owns(target) || target.isLinkLocal else { throw .neighbourDiscovery }
                if ip.source.isUnspecified { throw .sourceAddress }
            }
        }
    }
}
