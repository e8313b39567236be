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
    /// Ticks of 2^30 ns, as conntrack counts.
    var ticks: UInt64 = 1000

    init(
        _ fixture: ImageFixture = ImageFixture(), options: DatapathOptions = .defaults,
        faults: FaultPlan? = nil
    ) throws {
        node = try EmulatedNode(
            image: fixture.image, interfaces: [1: Self.interface],
            factory: EmulatedMapFactory(cpuCount: 2, faults: faults))
        datapath = EmulatedDatapath(node: node, options: options)
    }

    func commit(_ fixture: ImageFixture) throws { try node.commit(fixture.image, interfaces: [1: Self.interface]) }

    /// A frame at a hook. `from` is the interface it came in by; 0 is the node itself.
    @discardableResult
    func frame(
        _ frame: [UInt8], _ direction: Direction, from: UInt32 = 3, vlan: Bool = false, interface: UInt32 = interface
    ) -> DatapathOutcome {
        datapath.process(
            DatapathPacket(
                frame: frame, interfaceIndex: interface, direction: direction, ingressInterfaceIndex: from,
                hasVLANMetadata: vlan, timeNanoseconds: ticks << UInt64(WEIR_TICK_SHIFT), cpu: 1))
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
        let counters = try #require(node.map(.rule_counters, slot: Int(node.revision & 1)))
        let value = try #require(try counters.lookup((8 + rule).abiBytes))
        return UInt64(try #require(weir_counter(abiBytes: value)).packets)
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
