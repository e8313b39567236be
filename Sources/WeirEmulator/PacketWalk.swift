internal import WeirABI
internal import WeirImage
internal import WeirMaps
internal import WeirModel

/// One packet on its way through the list in ARCHITECTURE.md. `run` returns for a packet that passes.
struct PacketWalk {
    private let node: EmulatedNode
    private let options: DatapathOptions
    private let packet: DatapathPacket
    private(set) var report = PacketReport()

    init(node: EmulatedNode, options: DatapathOptions, packet: DatapathPacket) {
        self.node = node
        self.options = options
        self.packet = packet
    }

    /// Steps 1 to 7; 8 and 9 for what they leave.
    mutating func run() throws(DropReason) {
        let revision = node.revisionInForce(at: packet.tick)
        guard revision != 0 else { return }
        let slotIndex = Int(revision & 1)
        let plain = plainHeaders()
        if let plain, options.contains(.conntrack),
            ridesShort(plain, UInt32(truncatingIfNeeded: revision), slotIndex)
        {
            return
        }
        let slot = Slot(node: node, index: slotIndex)
        guard let endpoints = slot.endpoints else { throw .noSlot }
        guard let value = endpoints.find(wordBytes(packet.interfaceIndex)), let endpoint = LocalEndpoint(value) else {
            return
        }
        let policy = PolicyWalk(slot: slot)
        var bytes = FrameBytes(packet.frame)
        guard let link = try readLink(bytes, isHost: endpoint.isHost) else { return }
        let checks = LinkChecks(endpoint: endpoint, direction: packet.direction)
        guard let family = link.family else { return try checks.checkARP(bytes, at: link.l3) }
        // A drop is reported with what was read until then.
        guard var ip = IPHeaders(fixed: bytes, at: link.l3, family) else { throw .truncated }
        report.ip = ip
        do throws(DropReason) { try ip.check(&bytes, at: link.l3) } catch {
            report.ip = ip
            throw error
        }
        report.ip = ip
        report.l4 = plain?.l4
        var isForwarded = false
        if endpoint.isHost {
            switch try concern(ip, policy) {
            case .own: break
            case .borrowed: isForwarded = true
            case .none: return
            }
        }
        var flow = FlowContext(
            endpoint: endpoint, policy: policy, slotIndex: slotIndex,
            revision: UInt32(truncatingIfNeeded: revision), isForwarded: isForwarded, ip: ip,
            l4: L4Header(bytes, ip))
        if ip.isLaterFragment {
            try checks.checkAddresses(ip, nil)
            flow.isEncrypted = try checkTunnel(flow)
            return try followFirst(flow)
        }
        try readL4(flow, bytes, checks)
    }

    // MARK: Step 2: the short way

    private struct PlainHeaders {
        var ip: IPHeaders
        var l4: L4Header
    }

    /// TCP or UDP behind nothing but bare IP headers; nil for any other packet, and for one that is malformed.
    private func plainHeaders() -> PlainHeaders? {
        var bytes = FrameBytes(packet.frame)
        guard packet.vlanTag == nil, let link = try? readLink(bytes, isHost: false),
            link.l3 == (packet.hasEthernet ? 14 : 0), let family = link.family,
            var ip = IPHeaders(fixed: bytes, at: link.l3, family), (try? ip.check(&bytes, at: link.l3)) != nil,
            ip.isBare,
            ip.fragment == nil
        else { return nil }
        var l4 = L4Header(bytes, ip)
        guard l4.protocol == .tcp || l4.protocol == .udp, (try? l4.read(bytes, at: ip.payload)) != nil else {
            return nil
        }
        return PlainHeaders(ip: ip, l4: l4)
    }

    /// A packet that needs no more than its flow's entry: no SYN, FIN or RST, and in a young flow neither the first reply
    /// nor the originator's answer to one. It counts for entry and rule, and moves the entry's end.
    private mutating func ridesShort(_ plain: PlainHeaders, _ revision: UInt32, _ slotIndex: Int) -> Bool {
        guard !plain.l4.isEndOfTCP, plain.l4.tcpFlags & 0x02 == 0,
            let key = FlowKey(interfaceIndex: packet.interfaceIndex, packet.direction, plain.ip, plain.l4),
            var flow = Conntrack(node.conntrack(plain.ip.family), now: packet.tick)
                .find(key, for: plain.l4, packet.direction),
            flow.entry.revision == revision,
            flow.has(WEIR_CT_REPLY_SEEN) == (!flow.isNew || flow.direction != packet.direction)
        else { return false }
        if flow.has(WEIR_CT_ENCRYPTED) {
            // Routes can change between two packets: what leaves is looked after on the long way.
            guard packet.direction == .ingress,
                node.tunnels()?.contain(packet.ingressInterfaceIndex) == true
            else { return false }
        }
        flow.count(packet.direction, length: packet.frame.count)
        flow.entry.expires = packet.tick &+ TrackedFlow.timeout(flow.entry, protocol: plain.ip.protocol)
        flow.table.overwrite(key.bytes, flow.entry.abiBytes)
        if case .decided(let decision) = Action(rawValue: flow.entry.action) {
            report.decision = decision
            countRule(decision.rule, slotIndex)
        }
        return true
    }

    // MARK: Step 3

    private struct LinkHeader {
        /// Where the network header begins.
        var l3: Int
        /// nil: ARP.
        var family: AddressFamily?
    }

    /// nil: a VLAN's frame on a device of the node's, which passes.
    private func readLink(_ bytes: FrameBytes, isHost: Bool) throws(DropReason) -> LinkHeader? {
        var l3 = 0
        var etherType: UInt16
        if packet.hasEthernet {
            guard bytes.has(14, at: 0) else { throw .truncated }
            etherType = bytes.word16(12)
            l3 = 14
        } else {
            etherType = bytes.has(1, at: 0) && bytes.byte(0) >> 4 == 6 ? 0x86dd : 0x0800
        }
        var isTagged = packet.vlanTag.map { $0 & 0xfff != 0 } ?? false
        if !isTagged, etherType == 0x8100 {
            guard bytes.has(4, at: l3) else { throw .truncated }
            isTagged = bytes.word16(l3) & 0xfff != 0
            if !isTagged {
                // A priority tag.
                etherType = bytes.word16(l3 + 2)
                l3 += 4
            }
        } else if etherType == 0x88a8 {
            isTagged = true
        }
        if isTagged {
            if isHost { return nil }
            throw .vlan
        }
        switch etherType {
        case 0x0806: return LinkHeader(l3: l3, family: nil)
        case 0x0800: return LinkHeader(l3: l3, family: .ipv4)
        case 0x86dd: return LinkHeader(l3: l3, family: .ipv6)
        default: throw .unknownEthertype
        }
    }

    // MARK: Step 6: a device of the node's

    private enum Concern {
        /// To or from the node itself.
        case own
        /// Forwarded, under the node's address.
        case borrowed
        /// Forwarded: the endpoints' own programs judge it.
        case none
    }

    private func concern(_ ip: IPHeaders, _ policy: PolicyWalk) throws(DropReason) -> Concern {
        let isEgress = packet.direction == .egress
        if isEgress, packet.ingressInterfaceIndex == 0 { return .own }
        let local = isEgress ? ip.source : ip.destination
        if !isEgress, local.isMulticast || local.isBroadcast || (local.family == .ipv6 && local.isLinkLocal) {
            return .own
        }
        let isOwn = try orNoVerdict { () throws(BrokenInvariant) in try policy.isOwnNode(local) }
        return isOwn ? (isEgress ? .borrowed : .own) : .none
    }

    // MARK: Step 7

    private mutating func readL4(
        _ context: FlowContext, _ bytes: FrameBytes, _ checks: LinkChecks
    ) throws(DropReason) {
        var flow = context
        report.l4 = flow.l4
        do throws(DropReason) { try flow.l4.read(bytes, at: flow.ip.payload) } catch {
            report.l4 = flow.l4
            throw error
        }
        report.l4 = flow.l4
        if options.contains(.dhcp) || flow.endpoint.isHost, checks.isDHCP(flow.ip, flow.l4) { return }
        let link = options.contains(.linkControl) ? LinkControl(flow.l4) : nil
        try checks.checkAddresses(flow.ip, link)
        if let link { return try checks.check(link, bytes, flow.ip) }
        flow.isEncrypted = try checkTunnel(flow)
        var walk = FlowWalk(node: node, options: options, packet: packet, context: flow, report: report)
        defer { report = walk.report }
        try walk.run(bytes)
    }

    /// Whether the peer's traffic is to be encrypted; throws where this packet is not.
    private func checkTunnel(_ flow: FlowContext) throws(DropReason) -> Bool {
        let isEgress = packet.direction == .egress
        guard let tunnels = node.tunnels(), isEgress || !flow.endpoint.isHost else { return false }
        let isEncrypted = try orNoVerdict { () throws(BrokenInvariant) in
            try flow.policy.isEncrypted(isEgress ? flow.ip.destination : flow.ip.source)
        }
        guard isEncrypted else { return false }
        let interface =
            if flow.endpoint.isHost { packet.interfaceIndex } else {
                isEgress ? packet.routedInterfaceIndex : packet.ingressInterfaceIndex
            }
        guard tunnels.contain(interface) else { throw .unencrypted }
        return true
    }

    // MARK: Fragments

    /// A later fragment passes with its first, under the policy that let that one pass.
    private mutating func followFirst(_ flow: FlowContext) throws(DropReason) {
        guard let fragment = flow.ip.fragment else { return }
        let key = FragmentKey(packet, flow.endpoint, flow.ip, fragment)
        guard let bytes = node.fragments.find(key.bytes), let first = weir_fragment(abiBytes: bytes),
            first.revision == flow.revision, packet.tick <= first.expires, fragment.offset >= Int(first.header_end),
            first.key_check == key.check
        else { throw .fragment }
        if case .decided(let decision) = Action(rawValue: first.action) {
            report.decision = decision
            countRule(decision.rule, flow.slotIndex)
        }
    }

    private func countRule(_ rule: RuleID, _ slotIndex: Int) {
        WeirEmulator.countRule(rule, slotIndex, node, packet)
    }
}

/// What the steps from the flow on know of a packet and of the policy in force.
struct FlowContext {
    var endpoint: LocalEndpoint
    var policy: PolicyWalk
    var slotIndex: Int
    /// Low 32 bits.
    var revision: UInt32
    /// Leaves a device of the node's under the node's address, but is not the node's.
    var isForwarded: Bool
    /// The peer's traffic is, and this packet took a tunnel.
    var isEncrypted = false
    var ip: IPHeaders
    var l4: L4Header
}

/// The key of a datagram in `fragments`.
struct FragmentKey {
    let bytes: [UInt8]

    init(_ packet: DatapathPacket, _ endpoint: LocalEndpoint, _ ip: IPHeaders, _ fragment: IPHeaders.Fragment) {
        var key = weir_fragment_key()
        key.ifindex = endpoint.flowInterface(packet.interfaceIndex)
        setABIBytes(&key.source, ip.source.mappedBytes)
        setABIBytes(&key.destination, ip.destination.mappedBytes)
        setABIBytes(&key.id_be, fragment.id + [UInt8](repeating: 0, count: 4 - fragment.id.count))
        key.protocol = ip.family == .ipv4 ? ip.protocol : 0
        key.direction = UInt8(packet.direction == .egress ? WEIR_EGRESS.rawValue : WEIR_INGRESS.rawValue)
        bytes = key.abiBytes
    }

    var check: UInt32 { keyCheck(bytes) }
}

/// A promise of the compiler's that does not hold is no verdict.
func orNoVerdict<Value>(_ body: () throws(BrokenInvariant) -> Value) throws(DropReason) -> Value {
    do { return try body() } catch { throw .noVerdict }
}

/// One packet for a rule of a slot; nothing past the slot's half.
func countRule(_ rule: RuleID, _ slotIndex: Int, _ node: EmulatedNode, _ packet: DatapathPacket) {
    guard rule.rawValue < UInt32(WEIR_RULES_MAX) else { return }
    count(
        node.ruleCounters, slotIndex * Int(WEIR_RULES_MAX) + Int(rule.rawValue), cpu: packet.cpu,
        length: packet.frame.count)
}

extension MapError {
    var errno: Int32 {
        switch self {
        case .noEntry: 2
        case .tooBig: 7
        case .noMemory: 12
        case .busy: 16
        case .exists: 17
        case .invalid: 22
        case .noSpace: 28
        case .other(let errno): errno
        }
    }
}
