internal import WeirABI
internal import WeirImage
internal import WeirMaps
internal import WeirModel

/// A flow's key: one for both directions, with the endpoint's side as `local`.
struct FlowKey {
    let family: AddressFamily
    let bytes: [UInt8]

    /// `interfaceIndex` is 0 for the node itself.
    init(
        interfaceIndex: UInt32, local: IPAddress, remote: IPAddress, localPort: UInt16, remotePort: UInt16,
        protocol: UInt8
    ) {
        family = remote.family
        let owner = interfaceIndex << UInt32(WEIR_OWNER_INTERFACE_SHIFT) | UInt32(`protocol`)
        switch family {
        case .ipv4:
            var key = weir_flow4()
            key.owner = owner
            setABIBytes(&key.remote, remote.bytes)
            setABIBytes(&key.local, local.bytes)
            key.remote_port_be = remotePort.bigEndian
            key.local_port_be = localPort.bigEndian
            bytes = key.abiBytes
        case .ipv6:
            var key = weir_flow6()
            key.owner = owner
            setABIBytes(&key.remote, remote.bytes)
            setABIBytes(&key.local, local.bytes)
            key.remote_port_be = remotePort.bigEndian
            key.local_port_be = localPort.bigEndian
            bytes = key.abiBytes
        }
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

    var check: UInt32 { keyCheck(bytes) }
}

/// NH of RFC 4418 over native words, its halves folded; what the programs store beside a key.
func keyCheck(_ key: [UInt8]) -> UInt32 {
    let secret: [UInt32] = [
        0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344, 0xa409_3822, 0x299f_31d0, 0x082e_fa98, 0xec4e_6c89,
        0x4528_21e6, 0x38d0_1377, 0xbe54_66cf, 0x34e9_0c6c,
    ]
    func word(_ index: Int) -> UInt32 {
        let start = index * 4
        guard start < key.count else { return 0 }
        return (0..<4).reduce(UInt32(0)) { $0 | UInt32(key[start + $1]) << (UInt32($1) * 8) }
    }
    let sum = stride(from: 0, to: key.count / 4, by: 2).reduce(UInt64(0)) { sum, index in
        sum &+ UInt64(word(index) &+ secret[index]) &* UInt64(word(index + 1) &+ secret[index + 1])
    }
    return UInt32(truncatingIfNeeded: sum ^ sum >> 32)
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

    mutating func count(_ direction: Direction, length: Int) { entry.count(direction, length: length) }

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
    /// Ticks.
    let now: UInt32

    init(_ tables: (established: EmulatedMap, new: EmulatedMap), now: UInt32) {
        established = tables.established
        new = tables.new
        self.now = now
    }

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

extension weir_conntrack {
    /// One more packet in that direction.
    mutating func count(_ direction: Direction, length: Int) {
        switch direction {
        case .egress:
            packets.0 &+= 1
            bytes.0 &+= weir_u64(length)
        case .ingress:
            packets.1 &+= 1
            bytes.1 &+= weir_u64(length)
        }
    }
}
