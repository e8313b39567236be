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

    /// Steps 1 to 7.
    mutating func run() throws(DropReason) {
        let revision = node.revision
        guard revision != 0 else { return }
        let slotIndex = Int(revision & 1)
        let slot = Slot(node: node, index: slotIndex)
        guard let endpoints = slot.endpoints else { throw .noSlot }
        guard let value = endpoints.find(wordBytes(packet.interfaceIndex)), let endpoint = LocalEndpoint(value) else {
            return
        }
        var bytes = FrameBytes(packet.frame)
        guard bytes.has(14, at: 0) else { throw .truncated }
        let etherType = bytes.word16(12)
        guard !packet.hasVLANMetadata, etherType != 0x8100, etherType != 0x88a8 else { throw .vlan }
        let checks = LinkChecks(endpoint: endpoint, direction: packet.direction)
        let family: AddressFamily
        switch etherType {
        case 0x0806: return try checks.checkARP(bytes, at: 14)
        case 0x0800: family = .ipv4
        case 0x86dd: family = .ipv6
        default: throw .unknownEthertype
        }
        // A drop is reported with what was read until then.
        guard var ip = IPHeaders(fixed: bytes, at: 14, family) else { throw .truncated }
        report.ip = ip
        try ip.check(&bytes, at: 14)
        report.ip = ip
        var l4 = L4Header(bytes, ip)
        report.l4 = l4
        let link = options.contains(.linkControl) ? LinkControl(l4) : nil
        try checks.checkAddresses(ip, link)
        do throws(DropReason) { try l4.read(bytes, at: ip.payload) } catch {
            report.l4 = l4
            throw error
        }
        report.l4 = l4
        if let link { return try checks.check(link, bytes, ip) }
        try judge(
            FlowJudgement(
                endpoint: endpoint, walk: PolicyWalk(slot: slot), slotIndex: slotIndex,
                revision: UInt32(truncatingIfNeeded: revision), counters: slot.ruleCounters as? EmulatedArray, ip: ip,
                l4: l4),
            bytes)
    }

    /// What steps 8 and 9 work with.
    private struct FlowJudgement {
        var endpoint: LocalEndpoint
        var walk: PolicyWalk
        var slotIndex: Int
        var revision: UInt32
        var counters: EmulatedArray?
        var ip: IPHeaders
        var l4: L4Header
    }

    private mutating func judge(_ judgement: FlowJudgement, _ bytes: FrameBytes) throws(DropReason) {
        guard options.contains(.conntrack) else {
            _ = try decide(judgement)
            report.isNewlyAllowed = true
            return
        }
        let conntrack = Conntrack(
            established: node.conntrack, new: node.conntrackNew,
            now: UInt32(truncatingIfNeeded: packet.timeNanoseconds >> UInt64(WEIR_TICK_SHIFT)))
        if judgement.l4.isICMPError, follows(judgement, conntrack, bytes) { return }
        let key = FlowKey(interfaceIndex: packet.interfaceIndex, packet.direction, judgement.ip, judgement.l4)
        if let key, let flow = conntrack.find(key, for: judgement.l4, packet.direction) {
            return try follow(flow, key, judgement, conntrack)
        }
        let peer = try decide(judgement)
        if let key, !judgement.l4.isEchoReply { try insert(key, peer, judgement, conntrack) }
        report.isNewlyAllowed = true
    }

    // MARK: Step 8

    /// Whether an ICMP error belongs to a flow that the current policy has allowed.
    private func follows(_ judgement: FlowJudgement, _ conntrack: Conntrack, _ bytes: FrameBytes) -> Bool {
        guard let quoted = QuotedPacket(bytes, at: judgement.ip.payload + 8, judgement.ip.family) else { return false }
        // An error to the endpoint quotes what the endpoint sent, one from it what it received.
        let quotedDirection: Direction = packet.direction == .ingress ? .egress : .ingress
        let own = quotedDirection == .egress ? quoted.ip.source : quoted.ip.destination
        // An endpoint routes for nobody: its error goes to whoever sent the quoted packet.
        guard judgement.endpoint.owns(own),
            packet.direction == .ingress || judgement.ip.destination == quoted.ip.source,
            let key = FlowKey(interfaceIndex: packet.interfaceIndex, quotedDirection, quoted.ip, quoted.l4)
        else { return false }
        return conntrack.hasEntry(key, revision: judgement.revision)
    }

    /// A live entry speaks for the packet: renewed if it is of another policy, then used.
    private mutating func follow(
        _ found: TrackedFlow, _ key: FlowKey, _ judgement: FlowJudgement, _ conntrack: Conntrack
    ) throws(DropReason) {
        var flow = found
        if flow.entry.revision != judgement.revision {
            do throws(DropReason) {
                let decision = try judgeAgain(flow, judgement)
                flow.entry.action = Action.decided(decision).rawValue
                flow.entry.revision = judgement.revision
                report.isNewlyAllowed = true
            } catch {
                try? flow.table.erase(key.bytes)
                throw error
            }
        }
        flow.entry.packets &+= 1
        flow.entry.bytes &+= weir_u64(packet.frame.count)
        let isReply = flow.direction != packet.direction
        let wasReplied = flow.has(WEIR_CT_REPLY_SEEN)
        if judgement.l4.isEndOfTCP { flow.set(WEIR_CT_CLOSING) }
        if isReply {
            flow.set(WEIR_CT_REPLY_SEEN)
        } else if judgement.l4.isSYN, !judgement.l4.isEndOfTCP {
            // The same ports, a new connection.
            flow.clear(WEIR_CT_CLOSING)
            flow.clear(WEIR_CT_MIDSTREAM)
        }
        flow.entry.expires = conntrack.now &+ TrackedFlow.timeout(flow.entry, protocol: judgement.ip.protocol)
        flow.table.overwrite(key.bytes, flow.entry.abiBytes)
        if flow.isNew, !isReply, wasReplied,
            (try? conntrack.established.insert(key.bytes, flow.entry.abiBytes, mode: .any)) != nil
        {
            try? conntrack.new.erase(key.bytes)
        }
        if !report.isNewlyAllowed, case .decided(let decision) = Action(rawValue: flow.entry.action) {
            report.decision = decision
            countRule(decision.rule, judgement)
        }
    }

    /// The originator's first packet once more, under today's policy.
    private mutating func judgeAgain(_ flow: TrackedFlow, _ judgement: FlowJudgement) throws(DropReason) -> Decision {
        let ip = judgement.ip
        let l4 = judgement.l4
        let isOriginator = flow.direction == packet.direction
        // Addresses and port as the originator's packets have them.
        let destination = isOriginator ? ip.destination : ip.source
        let remote = packet.direction == .egress ? ip.destination : ip.source
        let port: UInt16 =
            if l4.isEcho { UInt16(L4Header.echoRequest(l4.protocol)) } else {
                isOriginator ? l4.destinationPort : l4.sourcePort
            }
        let peer: PolicyPeer
        switch UInt32(flow.entry.peer_class) {
        case WEIR_PEER_HOST.rawValue: peer = PolicyPeer(group: WEIR_GROUP_HOST.rawValue)
        case WEIR_PEER_MASQUERADED.rawValue: peer = PolicyPeer(group: WEIR_GROUP_MASQUERADED.rawValue)
        default:
            peer = try orNoVerdict { () throws(BrokenInvariant) in
                try judgement.walk.peer(
                    of: judgement.endpoint, flow.direction, remote: remote, destination: destination,
                    isFromHost: false)
            }
        }
        return try decide(judgement, peer, flow.direction, port)
    }

    private mutating func insert(
        _ key: FlowKey, _ peer: PolicyPeer, _ judgement: FlowJudgement, _ conntrack: Conntrack
    ) throws(DropReason) {
        var entry = weir_conntrack()
        entry.packets = 1
        entry.bytes = weir_u64(packet.frame.count)
        entry.key_check = key.check
        entry.revision = judgement.revision
        entry.action = report.decision.map { Action.decided($0).rawValue } ?? 0
        entry.direction = UInt8(packet.direction == .egress ? WEIR_EGRESS.rawValue : WEIR_INGRESS.rawValue)
        entry.peer_class = UInt8(peer.peerClass.rawValue)
        if judgement.l4.protocol == .tcp, !judgement.l4.isSYN { entry.flags |= UInt8(WEIR_CT_MIDSTREAM.rawValue) }
        if judgement.l4.isEndOfTCP { entry.flags |= UInt8(WEIR_CT_CLOSING.rawValue) }
        entry.expires = conntrack.now &+ TrackedFlow.timeout(entry, protocol: judgement.ip.protocol)
        do throws(MapError) {
            try conntrack.new.insert(
                key.bytes, entry.abiBytes, mode: conntrack.insertMode(key, for: judgement.l4))
        } catch .exists {
            // Whoever recorded it was allowed too.
        } catch {
            report.error = -error.errno
            throw .conntrackInsert
        }
    }

    // MARK: Step 9

    /// Returns the peer of a packet that policy allows.
    private mutating func decide(_ judgement: FlowJudgement) throws(DropReason) -> PolicyPeer {
        let ip = judgement.ip
        let isEgress = packet.direction == .egress
        let peer = try orNoVerdict { () throws(BrokenInvariant) in
            try judgement.walk.peer(
                of: judgement.endpoint, packet.direction, remote: isEgress ? ip.destination : ip.source,
                destination: ip.destination,
                isFromHost: packet.ingressInterfaceIndex == 0)
        }
        _ = try decide(judgement, peer, packet.direction, judgement.l4.port)
        return peer
    }

    private func orNoVerdict<Value>(
        _ body: () throws(BrokenInvariant) -> Value
    ) throws(DropReason) -> Value {
        do { return try body() } catch { throw .noVerdict }
    }

    private mutating func decide(
        _ judgement: FlowJudgement, _ peer: PolicyPeer, _ direction: Direction, _ port: UInt16
    ) throws(DropReason) -> Decision {
        report.group = peer.group
        report.identity = peer.identity
        if direction == .egress, !judgement.endpoint.isHost, peer.isNode, options.contains(.overlayGuard),
            isOverlay(judgement.ip.protocol, judgement.l4.protocol, port)
        {
            throw .overlay
        }
        let decision = try orNoVerdict { () throws(BrokenInvariant) in
            try judgement.walk.decide(
                row: judgement.endpoint.row(direction), group: peer.group, protocol: judgement.ip.protocol, port: port)
        }
        report.decision = decision
        countRule(decision.rule, judgement)
        switch decision.kind {
        case .allow: return decision
        case .deny: throw .policyDeny
        case .defaultDeny: throw .policyDefaultDeny
        }
    }

    private func isOverlay(_ number: UInt8, _ protocol: L4Protocol, _ port: UInt16) -> Bool {
        `protocol` == .udp && [4789, 8472, 6081].contains(port) || [4, 41, 47].contains(number)
    }

    private func countRule(_ rule: RuleID, _ judgement: FlowJudgement) {
        guard let counters = judgement.counters, let bytes = node.slotMeta.find(index: judgement.slotIndex),
            let meta = weir_slot_meta(abiBytes: bytes), rule.rawValue < meta.rule_stride
        else { return }
        let index = packet.cpu * Int(meta.rule_stride) + Int(rule.rawValue)
        count(counters, index, cpu: 0, length: packet.frame.count)
    }
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
