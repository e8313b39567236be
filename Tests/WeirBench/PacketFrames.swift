import CBench
import WeirABI
import WeirFlow
import WeirModel

/// The packets between pod 0 of the workload and the others, and what changes from one to the next.
///
/// Whatever the number of pods and policies, pod 0 takes TCP to port 80 from the pods of one application in its
/// namespace, of which pod 10 is the first, and nothing to port 81 from anybody. What it says itself is not restricted.
enum PacketFrames {
    static let endpoint = "ns-0/pod-0"
    /// The loopback, which exists in every namespace.
    static let interface: UInt32 = 1
    private static let firstAddress: UInt32 = 0x0a40_0000
    private static let caller: UInt32 = 10
    private static let sourceAddressOffset: UInt32 = 26
    private static let portsOffset: UInt32 = 34
    private static let establishedPort: UInt32 = 10_000
    /// A prime above every divisor in use.
    private static let step: UInt32 = 7919

    static let opening = frame(toPort: 80, flags: PacketSpec.TCPFlags.syn)
    static let following = frame(toPort: 80, flags: PacketSpec.TCPFlags.ack)
    static let refused = frame(toPort: 81, flags: PacketSpec.TCPFlags.syn)
    /// From outside every pod network and prefix of a rule.
    static let refusedFromWorld = PacketBuilder.frame(
        spec(from: 0xcb00_7107, toPort: 80, flags: PacketSpec.TCPFlags.syn))

    /// What makes flows established: each of them asked, answered and asked again.
    ///
    /// In the order of their ports, which is not the order in which rows come to them: entries made one after the other lie
    /// beside each other in the kernel, and would be fetched before they are wanted.
    static func handshake(_ flows: UInt32) -> [(direction: Direction, frame: [UInt8], rotation: cbench_rotation)] {
        let answer = spec(
            from: firstAddress + caller, toPort: 80, flags: PacketSpec.TCPFlags.syn | PacketSpec.TCPFlags.ack
        ).reversed
        return [
            (.ingress, opening, sourcePorts(establishedPort, flows, step: 1)),
            (.egress, PacketBuilder.frame(answer), answeredPorts(flows)),
            (.ingress, following, sourcePorts(establishedPort, flows, step: 1)),
        ]
    }

    private static func frame(toPort port: UInt16, flags: UInt8) -> [UInt8] {
        PacketBuilder.frame(spec(from: firstAddress + caller, toPort: port, flags: flags))
    }

    private static func spec(from source: UInt32, toPort port: UInt16, flags: UInt8) -> PacketSpec {
        var spec = PacketSpec(
            from: IPAddress(family: .ipv4, value: UInt128(source)),
            to: IPAddress(family: .ipv4, value: UInt128(firstAddress)), protocol: .tcp)
        spec.sourcePort = UInt16(establishedPort)
        spec.destinationPort = port
        spec.tcpFlags = flags
        return spec
    }

    // MARK: What changes

    /// The caller's port, one for each established flow, as it sends.
    static func establishedPorts(_ flows: UInt32) -> cbench_rotation { sourcePorts(establishedPort, flows) }

    /// Ports of the caller's that no established flow has.
    static func freshPorts(_ count: UInt32) -> cbench_rotation {
        precondition(count < establishedPort)
        return sourcePorts(1, count)
    }

    /// Both ports in one word; the destination's is 80.
    private static func sourcePorts(_ first: UInt32, _ count: UInt32, step: UInt32 = step) -> cbench_rotation {
        cbench_rotation(offset: portsOffset, width: 4, first: first << 16 | 80, count: count, shift: 16, step: step)
    }

    /// The caller's port, as it is answered.
    private static func answeredPorts(_ flows: UInt32) -> cbench_rotation {
        cbench_rotation(offset: portsOffset + 2, width: 2, first: establishedPort, count: flows, shift: 0, step: 1)
    }

    /// Every pod but the endpoint itself.
    static func sources(pods: Int) -> cbench_rotation {
        cbench_rotation(
            offset: sourceAddressOffset, width: 4, first: firstAddress + 1, count: UInt32(pods) - 1, shift: 0,
            step: step)
    }
}

/// What must become of every packet of a row.
enum PacketOutcome {
    case passes, defaultDenied

    var code: Int32 {
        switch self {
        case .passes: -1
        case .defaultDenied: 2
        }
    }

    /// Every packet was counted with the rules that decided, and with the drops of this outcome and direction alone.
    func verify(from before: PacketBed.Tally, to after: PacketBed.Tally, packets: UInt64) throws {
        var expected = before
        expected.rules += packets
        if self == .defaultDenied {
            expected.drops[Int(WEIR_REASON_POLICY_DEFAULT_DENY.rawValue * 2 + WEIR_INGRESS.rawValue)] += packets
        }
        guard after.rules == expected.rules, after.drops == expected.drops else {
            throw NotAsMeant(
                "of \(packets) packets \(after.rules - before.rules) were decided by rules, and "
                    + "\(after.drops.reduce(0, +) - before.drops.reduce(0, +)) dropped, for "
                    + "\(zip(before.drops, after.drops).filter { $0 != $1 }.count) reasons")
        }
    }
}
