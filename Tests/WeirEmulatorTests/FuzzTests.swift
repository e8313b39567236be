import Testing
import WeirEmulator
import WeirFlow
import WeirModel
import WeirTestSupport

@Suite("Random frames")
struct FuzzTests {
    private static func samples() throws -> [(frame: [UInt8], direction: Direction)] {
        let quoted = PacketBuilder.packet(try clientSYN().reversed)
        let quoted6 = PacketBuilder.packet(try packet("fd00:1::1", "fd00:1::2", .udp))
        let specs: [PacketSpec] = [
            try clientSYN(),
            try packet("10.0.1.2", "10.0.1.1", .udp) { $0.ipv4Options = [148, 4, 0, 0, 1, 1, 68, 2] },
            try packet("10.0.1.2", "10.0.1.1", .icmp) { $0.icmpType = 8 },
            try packet("198.51.100.1", "10.0.1.1", .icmp) {
                $0.icmpType = 3
                $0.payload = quoted
            },
            try packet("fd00:1::2", "fd00:1::1", .tcp) {
                $0.ipv6Extensions = [
                    .padding(type: 0), .padding(type: 60), .init(type: 43, body: [0, 0, 0, 0, 0, 0, 0]),
                ]
            },
            try packet("fd00:1::2", "fd00:1::1", .icmpv6) {
                $0.icmpType = 136
                $0.hopLimit = 255
            },
            try packet("fd00:1::2", "fd00:1::1", .sctp),
            try packet("fd00:1::2", "fd00:1::1", .icmpv6) {
                $0.icmpType = 1
                $0.payload = quoted6
            },
        ]
        let arp = PacketBuilder.arp(
            operation: 1, sender: try #require(IPAddress("10.0.1.1")), target: try #require(IPAddress("10.0.1.2")))
        return specs.flatMap { spec in
            [(PacketBuilder.frame(spec), .ingress), (PacketBuilder.frame(spec.reversed), .egress)]
        } + [(arp, .egress)]
    }

    @Test("no proper prefix of a packet passes")
    func prefixes() throws {
        let wire = try Wire()
        for sample in try Self.samples() {
            #expect(wire.frame(sample.frame, sample.direction).verdict == .pass || sample.frame[20] != 64)
            for length in 0..<sample.frame.count {
                #expect(wire.frame(Array(sample.frame.prefix(length)), sample.direction).verdict == .drop)
            }
        }
    }

    @Test(
        "mutated frames never crash the walk, and what passes is whole and the endpoint's own",
        arguments: 1...8 as ClosedRange<UInt64>)
    func mutated(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let samples = try Self.samples()
        let wire = try Wire(options: generator.below(2) == 0 ? .defaults : .conntrack)
        var passed = 0
        for _ in 0..<3000 {
            let sample = samples[generator.below(samples.count)]
            let frame = Self.mutate(sample.frame, &generator)
            wire.ticks += UInt64(generator.below(3))
            if generator.below(200) == 0 { try wire.commit(JudgeTests.randomFixture(&generator)) }
            let direction = generator.below(10) == 0 ? Direction.egress : sample.direction
            let outcome = wire.frame(frame, direction, from: UInt32(generator.below(3)))
            #expect((outcome.verdict == .pass) == (outcome.reason == .none))
            guard outcome.verdict == .pass else { continue }
            passed += 1
            #expect(Self.problem(frame, direction) == nil, "seed \(seed): \(direction) \(frame)")
        }
        #expect(passed > 100)
        #expect(try wire.entries(.conntrack4_new).allSatisfy { $0.packets.0 + $0.packets.1 > 0 })
    }

    @Test("random bytes never pass", arguments: 1...4 as ClosedRange<UInt64>)
    func noise(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let wire = try Wire()
        for _ in 0..<2000 {
            let noise = generator.bytes(generator.below(120))
            #expect(wire.frame(noise, generator.below(2) == 0 ? .egress : .ingress).verdict == .drop)
        }
    }

    private static func mutate(_ frame: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
        var copy = frame
        for _ in 0..<generator.below(4) {
            switch generator.below(6) {
            case 0: copy = Array(copy.prefix(generator.below(copy.count + 1)))
            case 1: copy += generator.bytes(generator.below(20))
            case 2 where copy.count > 14:
                copy[14 + generator.below(copy.count - 14)] = [0, 1, 4, 5, 6, 17, 43, 44, 60, 255][generator.below(10)]
            default:
                if !copy.isEmpty { copy[generator.below(copy.count)] ^= UInt8(1 << generator.below(8)) }
            }
        }
        return copy
    }

    /// What is wrong with a frame that passed; written without the walk's parser.
    private static func problem(_ frame: [UInt8], _ direction: Direction) -> String? {
        guard frame.count >= 14 else { return "no Ethernet header" }
        let packet = Array(frame[14...])
        func word(_ offset: Int) -> Int { Int(packet[offset]) << 8 | Int(packet[offset + 1]) }
        let own4: [UInt8] = [10, 0, 1, 1]
        let own6: [UInt8] = [0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
        switch Int(frame[12]) << 8 | Int(frame[13]) {
        case 0x0806:
            if direction == .ingress { return nil }
            guard packet.count >= 28 else { return "short ARP" }
            let sender = Array(packet[14..<18])
            return sender == own4 || sender == [0, 0, 0, 0] ? nil : "foreign ARP"
        case 0x0800:
            guard packet.count >= 20, packet[0] >> 4 == 4, packet[0] & 15 >= 5 else { return "no IPv4 header" }
            guard word(2) <= packet.count, word(2) >= Int(packet[0] & 15) * 4 else { return "cut off" }
            guard word(6) & 0x1fff == 0 else { return "a later fragment" }
            if direction == .egress { return Array(packet[12..<16]) == own4 ? nil : "a foreign source" }
            let destination = Array(packet[16..<20])
            return destination == own4 || destination[0] >> 4 == 14 || destination == [255, 255, 255, 255]
                ? nil : "a foreign destination"
        case 0x86dd:
            guard packet.count >= 40, packet[0] >> 4 == 6 else { return "no IPv6 header" }
            guard 40 + word(4) <= packet.count else { return "cut off" }
            guard packet[6] != 44 || packet[42] == 0 && packet[43] >> 3 == 0 else { return "a later fragment" }
            if direction == .ingress { return nil }
            let source = Array(packet[8..<24])
            let isLinkSource = source[0] == 0xfe && source[1] >> 6 == 2 || source.allSatisfy { $0 == 0 }
            return source == own6 || isLinkSource ? nil : "a foreign source"
        default: return "no ethertype of ours"
        }
    }
}
