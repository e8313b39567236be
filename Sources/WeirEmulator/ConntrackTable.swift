internal import WeirABI
internal import WeirImage
internal import WeirMaps
internal import WeirModel

/// A flow's key: one for both directions, with the endpoint's side as `local`.
struct FlowKey {
    let bytes: [UInt8]

    init(
        interfaceIndex: UInt32, local: IPAddress, remote: IPAddress, localPort: UInt16, remotePort: UInt16,
        protocol: UInt8
    ) {
        var key = weir_conntrack_key()
        key.ifindex = interfaceIndex
        setABIBytes(&key.remote, remote.mappedBytes)
        setABIBytes(&key.local, local.mappedBytes)
        key.remote_port_be = remotePort.bigEndian
        key.local_port_be = localPort.bigEndian
        key.protocol = `protocol`
        bytes = key.abiBytes
    }

    /// nil for what is not tracked: ICMP other than echo.
    init?(interfaceIndex: UInt32, _ direction: Direction, _ ip: IPHeaders, _ l4: L4Header) {
        if l4.isICMP, !l4.isEcho { return nil }
        let source = l4.isEcho ? l4.icmpIdentifier : l4.sourcePort
        let destination = l4.isEcho ? l4.icmpIdentifier : l4.destinationPort
        let isEgress = direction == .egress
        self.init(
            interfaceIndex: interfaceIndex, local: isEgress ? ip.source : ip.destination,
            remote: isEgress ? ip.destination : ip.source, localPort: isEgress ? source : destination,
            remotePort: isEgress ? destination : source, protocol: ip.protocol)
    }

    /// FNV-1a over native words, 32 bits.
    var check: UInt32 {
        stride(from: 0, to: bytes.count, by: 4).reduce(0x811c_9dc5) { hash, start in
            let word = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[start + $1]) << (UInt32($1) * 8) }
            return (hash ^ word) &* 0x0100_0193
        }
    }
}

/// An entry and the table that holds it.
struct TrackedFlow {
    var entry: weir_conntrack
    let table: EmulatedMap
    /// True in `conntrack_new`.
    let isNew: Bool

    func has(_ flag: weir_conntrack_flag) -> Bool { UInt32(entry.flags) & flag.rawValue != 0 }
    mutating func set(_ flag: weir_conntrack_flag) { entry.flags |= UInt8(flag.rawValue) }
    mutating func clear(_ flag: weir_conntrack_flag) { entry.flags &= ~UInt8(flag.rawValue) }

    var direction: Direction { UInt32(entry.direction) == WEIR_EGRESS.rawValue ? .egress : .ingress }

    /// Ticks from now until the entry ends.
    static func timeout(_ entry: weir_conntrack, protocol: UInt8) -> UInt32 {
        let flags = UInt32(entry.flags)
        if flags & WEIR_CT_CLOSING.rawValue != 0 { return UInt32(WEIR_TIMEOUT_TCP_CLOSING) }
        let isReplied = flags & WEIR_CT_REPLY_SEEN.rawValue != 0
        if `protocol` == IPProtocol.tcp.rawValue {
            return UInt32(isReplied ? WEIR_TIMEOUT_TCP : WEIR_TIMEOUT_TCP_NEW)
        }
        return UInt32(isReplied ? WEIR_TIMEOUT : WEIR_TIMEOUT_NEW)
    }
}

/// The two tables of step 8, with the clock of one packet.
struct Conntrack {
    let established: EmulatedMap
    let new: EmulatedMap
    /// Ticks of 2^30 ns.
    let now: UInt32

    /// The first live entry that counts for the packet: `conntrack`, then `conntrack_new`.
    func find(_ key: FlowKey, for l4: L4Header, _ direction: Direction) -> TrackedFlow? {
        for table in [established, new] {
            if let flow = live(key, in: table), counts(flow, for: l4, direction) { return flow }
        }
        return nil
    }

    /// How a new flow is inserted. A dead entry makes room, and so does any entry for a packet that opens a flow;
    /// otherwise what is there stands.
    func insertMode(_ key: FlowKey, for l4: L4Header) -> UpdateMode {
        l4.opens || new.find(key.bytes) != nil && live(key, in: new) == nil ? .any : .noExist
    }

    /// Whether either table has a live entry of this revision (low 32 bits).
    func hasEntry(_ key: FlowKey, revision: UInt32) -> Bool {
        live(key, in: established)?.entry.revision == revision || live(key, in: new)?.entry.revision == revision
    }

    private func live(_ key: FlowKey, in table: EmulatedMap) -> TrackedFlow? {
        guard let bytes = table.find(key.bytes), let entry = weir_conntrack(abiBytes: bytes),
            entry.key_check == key.check, now <= entry.expires
        else { return nil }
        return TrackedFlow(entry: entry, table: table, isNew: table === new)
    }

    /// Whether a live entry speaks for this packet.
    private func counts(_ flow: TrackedFlow, for l4: L4Header, _ direction: Direction) -> Bool {
        if flow.direction == direction { return !l4.isEchoReply }
        return !l4.opens && !flow.has(WEIR_CT_MIDSTREAM)
    }
}
