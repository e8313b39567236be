import Testing
import WeirABI
import WeirEmulator
import WeirFlow
import WeirImage
import WeirMaps
import WeirModel

/// The link of `shop/web`, interface 7, with a clock that the test moves.
final class Wire {
    static let interface: UInt32 = 7

    let node: EmulatedNode
    let datapath: EmulatedDatapath
    /// As conntrack counts.
    var ticks: UInt64 = 1000

    init(
        _ fixture: ImageFixture = ImageFixture(), options: DatapathOptions = .defaults,
        watching kinds: [weir_event_kind] = [WEIR_EVENT_DROPS], faults: FaultPlan? = nil
    ) throws {
        node = try EmulatedNode(
            image: fixture.image, interfaces: [1: Self.interface],
            factory: EmulatedMapFactory(cpuCount: 2, faults: faults))
        datapath = EmulatedDatapath(node: node, options: options)
        try watch(kinds)
    }

    /// Reads events from now on, for ever unless said otherwise.
    func watch(
        _ kinds: [weir_event_kind], oneIn: UInt32 = 0, perTick: UInt32 = 0, until: UInt32 = .max
    ) throws {
        var reader = weir_monitor()
        reader.until = until
        reader.kinds = kinds.reduce(0) { $0 | $1.rawValue }
        reader.one_in = oneIn
        reader.per_tick = perTick
        try node.map(.monitor).update(UInt32(0).abiBytes, reader.abiBytes, mode: .any)
    }

    /// Stores `control` as the loader would: the deadline, then the word.
    func control(word: UInt64, confirm: UInt64 = 0) throws {
        var control = weir_control()
        control.word = weir_u64(word)
        control.confirm = weir_u64(confirm)
        try node.map(.control).update(UInt32(0).abiBytes, control.abiBytes, mode: .any)
    }

    func commit(_ fixture: ImageFixture) throws { try node.commit(fixture.image, interfaces: [1: Self.interface]) }

    /// A frame at a hook. `from` is the interface it came in by; 0 is the node itself.
    @discardableResult
    func frame(
        _ frame: [UInt8], _ direction: Direction, from: UInt32 = 3, routedTo route: UInt32 = 0, vlan: UInt16? = nil,
        interface: UInt32 = interface
    ) -> DatapathOutcome {
        var packet = DatapathPacket(
            frame: frame, interfaceIndex: interface, direction: direction, ingressInterfaceIndex: from,
            vlanTag: vlan, timeNanoseconds: ticks << 30, tick: UInt32(ticks), cpu: 1)
        packet.routedInterfaceIndex = route
        return datapath.process(packet)
    }

    /// From the endpoint; the reason, or `.none` for a packet that passes.
    @discardableResult
    func send(_ spec: PacketSpec) -> DropReason { frame(PacketBuilder.frame(spec), .egress).reason }

    /// To the endpoint, forwarded unless said otherwise.
    @discardableResult
    func receive(_ spec: PacketSpec, from interface: UInt32 = 3) -> DropReason {
        frame(PacketBuilder.frame(spec), .ingress, from: interface).reason
    }

    // MARK: What is in the maps

    func entries(_ map: NodeMap) throws -> [weir_conntrack] {
        try node.map(map).entries().compactMap { weir_conntrack(abiBytes: $0.value) }
    }

    func drops(_ reason: DropReason, _ direction: Direction) throws -> UInt64 {
        let index = reason.rawValue * 2 + (direction == .egress ? 0 : 1)
        let value = try #require(try node.map(.drops).lookup(index.abiBytes))
        // The second CPU's counter.
        let counter = try #require(weir_counter(abiBytes: Array(value[16..<32])))
        return UInt64(counter.packets)
    }

    /// Packets counted for a rule on the second CPU.
    func count(rule: UInt32) throws -> UInt64 {
        let index = UInt32(node.revision & 1) * UInt32(WEIR_RULES_MAX) + rule
        let value = try #require(try node.map(.rule_counters).lookup(index.abiBytes))
        return UInt64(try #require(weir_counter(abiBytes: Array(value[16..<32]))).packets)
    }

    func events() -> [weir_event] { node.drainEvents().compactMap { weir_event(abiBytes: $0) } }
}

/// A packet between two addresses given as text.
func packet(
    _ source: String, _ destination: String, _ protocol: IPProtocol, _ change: (inout PacketSpec) -> Void = { _ in }
) throws -> PacketSpec {
    var spec = PacketSpec(
        from: try #require(IPAddress(source)), to: try #require(IPAddress(destination)), protocol: `protocol`)
    change(&spec)
    return spec
}

/// TCP from the client to port 80 of the endpoint: the first packet.
func clientSYN() throws -> PacketSpec { try packet("10.0.1.2", "10.0.1.1", .tcp) { $0.destinationPort = 80 } }

extension PacketSpec {
    func flags(_ flags: UInt8) -> PacketSpec {
        var copy = self
        copy.tcpFlags = flags
        return copy
    }

    static let ack: UInt8 = TCPFlags.ack
    static let synAck: UInt8 = TCPFlags.syn | TCPFlags.ack
}
