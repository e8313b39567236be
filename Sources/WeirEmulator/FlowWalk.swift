internal import WeirABI
internal import WeirImage
internal import WeirMaps
internal import WeirModel

/// Steps 8 and 9 of the packet walk: the flow, and where it is new or stale the policy.
struct FlowWalk {
    let node: EmulatedNode
    let options: DatapathOptions
    let packet: DatapathPacket
    let context: FlowContext
    var report: PacketReport

    mutating func run(_ bytes: FrameBytes) throws(DropReason) {
        guard options.contains(.conntrack) else {
            _ = try judge()
            report.isNewlyAllowed = report.audited == nil
            recordFirstFragment()
            return
        }
        let conntrack = Conntrack(node.conntrack(context.ip.family), now: packet.tick)
        if context.l4.isICMPError, follows(conntrack, bytes) { return }
        let interface = context.endpoint.flowInterface(packet.interfaceIndex)
        let key = FlowKey(interfaceIndex: interface, packet.direction, context.ip, context.l4)
        // What opens a flow is judged before anybody looks for its entry.
        if let key, !context.l4.opens, let flow = conntrack.find(key, for: context.l4, packet.direction) {
            try follow(flow, key, conntrack)
        } else {
            let peer = try judge()
            if let key, context.l4.opens, var flow = conntrack.find(key, for: context.l4, packet.direction) {
                flow.entry.peer_class = UInt8(peer.peerClass.rawValue)
                renew(&flow)
                ride(flow, key, conntrack)
            } else if let key, !context.l4.isEchoReply {
                try insert(key, peer, conntrack)
            }
            report.isNewlyAllowed = report.audited == nil
        }
        recordFirstFragment()
    }

    // MARK: Step 8

    /// Whether an ICMP error belongs to a flow that the current policy has allowed.
    private func follows(_ conntrack: Conntrack, _ bytes: FrameBytes) -> Bool {
        guard let quoted = QuotedPacket(bytes, at: context.ip.payload + 8, context.ip.family) else { return false }
        // An error to the endpoint quotes what the endpoint sent, one from it what it received.
        let quotedDirection: Direction = packet.direction == .ingress ? .egress : .ingress
        let own = quotedDirection == .egress ? quoted.ip.source : quoted.ip.destination
        // An endpoint routes for nobody: its error goes to whoever sent the quoted packet.
        guard context.endpoint.owns(own),
            packet.direction == .ingress || context.ip.destination == quoted.ip.source,
            let key = FlowKey(
                interfaceIndex: context.endpoint.flowInterface(packet.interfaceIndex), quotedDirection, quoted.ip,
                quoted.l4)
        else { return false }
        return conntrack.hasEntry(key, revision: context.revision)
    }

    /// A live entry speaks for the packet: renewed if it is of another policy, then used.
    private mutating func follow(_ found: TrackedFlow, _ key: FlowKey, _ conntrack: Conntrack) throws(DropReason) {
        var flow = found
        let isCurrent = flow.entry.revision == context.revision
        if !isCurrent {
            do throws(DropReason) {
                try judgeAgain(flow)
                renew(&flow)
                report.isNewlyAllowed = report.audited == nil
            } catch {
                try? flow.table.erase(key.bytes)
                throw error
            }
        }
        ride(flow, key, conntrack)
        if isCurrent, case .decided(let decision) = Action(rawValue: flow.entry.action) {
            report.decision = decision
            report.action = flow.entry.action
            countRule(decision.rule, context.slotIndex, node, packet)
        }
    }

    /// The policy in force has allowed it.
    private func renew(_ flow: inout TrackedFlow) {
        flow.entry.action = report.action
        flow.entry.revision = context.revision
    }

    /// The packet passes with the flow: counted, and the entry lives on, maybe in the other table.
    private func ride(_ found: TrackedFlow, _ key: FlowKey, _ conntrack: Conntrack) {
        var flow = found
        flow.count(packet.direction, length: packet.frame.count)
        let isReply = flow.direction != packet.direction
        let wasReplied = flow.has(WEIR_CT_REPLY_SEEN)
        if context.isEncrypted { flow.set(WEIR_CT_ENCRYPTED) } else { flow.clear(WEIR_CT_ENCRYPTED) }
        if context.l4.isEndOfTCP { flow.set(WEIR_CT_CLOSING) }
        if isReply {
            flow.set(WEIR_CT_REPLY_SEEN)
        } else if context.l4.isSYN, !context.l4.isEndOfTCP {
            // The same ports, a new connection.
            flow.clear(WEIR_CT_CLOSING)
            flow.clear(WEIR_CT_MIDSTREAM)
        }
        flow.entry.expires = conntrack.now &+ TrackedFlow.timeout(flow.entry, protocol: context.ip.protocol)
        flow.table.overwrite(key.bytes, flow.entry.abiBytes)
        if flow.isNew, !isReply, wasReplied,
            (try? conntrack.established.insert(key.bytes, flow.entry.abiBytes, mode: .any)) != nil
        {
            try? conntrack.new.erase(key.bytes)
        }
    }

    /// The originator's first packet once more, under today's policy.
    private mutating func judgeAgain(_ flow: TrackedFlow) throws(DropReason) {
        let ip = context.ip
        let l4 = context.l4
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
        case WEIR_PEER_FORWARDED.rawValue: peer = PolicyPeer(group: 0, peerClass: WEIR_PEER_FORWARDED)
        case WEIR_PEER_HOST.rawValue: peer = .host
        case WEIR_PEER_MASQUERADED.rawValue:
            peer = PolicyPeer(group: WEIR_GROUP_MASQUERADED.rawValue, peerClass: WEIR_PEER_MASQUERADED)
        default:
            peer = try orNoVerdict { () throws(BrokenInvariant) in
                try context.policy.peer(
                    of: context.endpoint, flow.direction, remote: remote, destination: destination,
                    isFromHost: false)
            }
        }
        try decide(peer, flow.direction, port)
    }

    private mutating func insert(_ key: FlowKey, _ peer: PolicyPeer, _ conntrack: Conntrack) throws(DropReason) {
        var entry = weir_conntrack()
        entry.count(packet.direction, length: packet.frame.count)
        entry.key_check = key.check
        entry.revision = context.revision
        entry.action = report.action
        entry.created = conntrack.now
        entry.direction = UInt8(packet.direction == .egress ? WEIR_EGRESS.rawValue : WEIR_INGRESS.rawValue)
        entry.peer_class = UInt8(peer.peerClass.rawValue)
        if context.l4.protocol == .tcp, !context.l4.isSYN { entry.flags |= UInt8(WEIR_CT_MIDSTREAM.rawValue) }
        if context.l4.isEndOfTCP { entry.flags |= UInt8(WEIR_CT_CLOSING.rawValue) }
        if context.isEncrypted { entry.flags |= UInt8(WEIR_CT_ENCRYPTED.rawValue) }
        entry.expires = conntrack.now &+ TrackedFlow.timeout(entry, protocol: context.ip.protocol)
        do throws(MapError) {
            try conntrack.new.insert(
                key.bytes, entry.abiBytes, mode: conntrack.insertMode(key, for: context.l4))
        } catch .exists {
            // Whoever recorded it was allowed too.
        } catch {
            countErrno(error)
            report.error = -error.errno
            throw .conntrackInsert
        }
    }

    /// Failed inserts, behind the reasons' counters.
    private func countErrno(_ error: MapError) {
        let index = Int(WEIR_DROPS_ERRNO) + min(Int(error.errno), Int(WEIR_ERRNO_COUNT) - 1)
        count(node.drops, index, cpu: packet.cpu, length: packet.frame.count)
    }

    /// A first fragment has passed: so may the others.
    private func recordFirstFragment() {
        guard let fragment = context.ip.fragment, fragment.isFirst else { return }
        let key = FragmentKey(packet, context.endpoint, context.ip, fragment)
        let header =
            switch context.l4.protocol {
            case .tcp: context.l4.tcpHeaderLength
            case .sctp: 12
            default: 8
            }
        var value = weir_fragment()
        value.key_check = key.check
        value.revision = context.revision
        value.action = report.action
        value.expires = packet.tick &+ UInt32(WEIR_TIMEOUT_FRAGMENT)
        value.header_end = UInt32(context.ip.payload - fragment.payload + header)
        do throws(MapError) { try node.fragments.insert(key.bytes, value.abiBytes, mode: .any) } catch {
            countErrno(error)
        }
    }

    // MARK: Step 9

    /// Returns the peer of a packet that policy allows.
    private mutating func judge() throws(DropReason) -> PolicyPeer {
        let ip = context.ip
        let isEgress = packet.direction == .egress
        let peer: PolicyPeer
        if context.isForwarded {
            peer = PolicyPeer(group: 0, peerClass: WEIR_PEER_FORWARDED)
        } else {
            peer = try orNoVerdict { () throws(BrokenInvariant) in
                try context.policy.peer(
                    of: context.endpoint, packet.direction, remote: isEgress ? ip.destination : ip.source,
                    destination: ip.destination, isFromHost: packet.ingressInterfaceIndex == 0)
            }
        }
        try decide(peer, packet.direction, context.l4.port)
        return peer
    }

    private mutating func decide(_ peer: PolicyPeer, _ direction: Direction, _ port: UInt16) throws(DropReason) {
        let ip = context.ip
        report.group = peer.group
        report.identity = peer.identity
        var isByHost = false
        report.action = WEIR_ACTION_ALLOW.rawValue << UInt32(WEIR_ACTION_KIND_SHIFT)
        if peer.peerClass != WEIR_PEER_FORWARDED {
            report.action = 0
            if direction == .egress, !context.endpoint.isHost, peer.isNode, options.contains(.overlayGuard),
                isOverlay(ip.protocol, context.l4.protocol, port)
            {
                throw .overlay
            }
            var word = try orNoVerdict { () throws(BrokenInvariant) in
                try context.policy.decidingWord(
                    row: context.endpoint.row(direction), group: peer.group, protocol: ip.protocol, port: port)
            }
            if peer.isOwnNode, !context.endpoint.isHost, passes(word, of: context.endpoint) {
                let local = packet.direction == .egress ? ip.source : ip.destination
                let refusal = context.policy.hostRefusal(
                    direction, local: local, protocol: ip.protocol, port: port)
                isByHost = refusal != nil
                word = refusal ?? word
            }
            report.action = word
        }
        guard case .decided(let decision) = Action(rawValue: report.action) else { throw .noVerdict }
        report.decision = decision
        countRule(decision.rule, context.slotIndex, node, packet)
        guard decision.kind != .allow else { return }
        let reason: DropReason = decision.kind == .deny ? .policyDeny : .policyDefaultDeny
        // The endpoint's audit mode does not speak for the node.
        guard passes(report.action, of: isByHost ? nil : context.endpoint) else { throw reason }
        report.audited = reason
    }

    /// Whether an action lets the packet pass, be it for audit mode of node, endpoint or policy.
    private func passes(_ word: UInt32, of endpoint: LocalEndpoint?) -> Bool {
        guard case .decided(let decision) = Action(rawValue: word) else { return false }
        return decision.passes || node.isAudited || endpoint?.isAudited == true
    }

    private func isOverlay(_ number: UInt8, _ protocol: L4Protocol, _ port: UInt16) -> Bool {
        `protocol` == .udp && [4789, 8472, 6081].contains(port) || [4, 41, 47].contains(number)
    }
}
