import Foundation
import Testing
import WeirABI
import WeirCompiler
import WeirEmulator
import WeirImage
import WeirMaps
import WeirModel
import WeirTestSupport

/// The programs and the emulator on the same random packets under the same random policies: the same answer to each
/// packet, and the same counters and flows afterwards. A failure prints seed, packet and frame.
@Suite("Kernel and emulator do the same", .serialized, .enabled(if: KernelRequirement.isMet))
struct DatapathDifferentialTests {
    /// `WEIR_DIFFERENTIAL_ROUNDS` times as many worlds as in every run of the tests.
    private static let rounds =
        ProcessInfo.processInfo.environment["WEIR_DIFFERENTIAL_ROUNDS"].flatMap { UInt64($0) } ?? 1
    private static let baseSeed: UInt64 = 20_261_121

    struct Configuration: CustomTestStringConvertible {
        var name: String
        var options: DatapathOptions
        var worlds: UInt64
        var testDescription: String { name }
    }

    private static let everything: DatapathOptions = DatapathOptions.defaults.union(.allowEvents)

    private static let configurations = [
        Configuration(name: "every option", options: everything, worlds: 44),
        Configuration(
            name: "no guards", options: everything.subtracting([.linkControl, .overlayGuard]), worlds: 6),
        Configuration(name: "no conntrack", options: everything.subtracting(.conntrack), worlds: 6),
        Configuration(name: "no events", options: .conntrack, worlds: 4),
    ]

    @Test("every packet meets the same fate", arguments: configurations)
    func packets(configuration: Configuration) throws {
        let kernel = try KernelNode(options: configuration.options)
        var tally = Tally()
        for index in 0..<(configuration.worlds * Self.rounds) {
            let comparison = try Comparison(
                seed: Self.baseSeed + index, options: configuration.options, kernel: kernel)
            try comparison.run()
            tally.add(comparison.tally)
        }
        print("\(configuration.name): \(tally)")
        guard configuration.options == Self.everything else { return }
        // What the packets never meet is not compared.
        let unmet = DropReason.allCases.filter { tally.reasons[$0] == nil && $0 != .conntrackInsert }
        #expect(unmet.isEmpty)
        #expect(tally.flows > 1000 && tally.ridden > 10_000)
    }
}

/// What a run has seen, so that a run which compares nothing is seen too.
struct Tally: CustomStringConvertible {
    var packets = 0
    var refused = 0
    /// By the emulator.
    var reasons: [DropReason: Int] = [:]
    var flows = 0
    /// Packets that policy has allowed, and packets that an entry of the same policy lets pass.
    var allowed = 0
    var ridden = 0

    mutating func add(_ other: Tally) {
        packets += other.packets
        refused += other.refused
        reasons.merge(other.reasons, uniquingKeysWith: +)
        flows += other.flows
        allowed += other.allowed
        ridden += other.ridden
    }

    var description: String {
        let list = DropReason.allCases.map { "\($0) \(reasons[$0] ?? 0)" }.joined(separator: ", ")
        return "\(packets) packets (\(refused) refused by the kernel), \(flows) flows at the end, "
            + "\(allowed) allowed, \(ridden) ridden; \(list)"
    }
}

/// One world: its images, one endpoint's packets, both datapaths.
final class Comparison {
    private let seed: UInt64
    private let options: DatapathOptions
    private let kernel: KernelNode
    private let node: EmulatedNode
    private let datapath: EmulatedDatapath
    private var world: RandomWorld
    private var generator: SeededGenerator
    private var packets: PacketSource
    private let endpoint: Endpoint
    private var interfaces: [UInt32: UInt32] = [:]
    private var clearedAt: UInt64 = 0
    private(set) var tally = Tally()

    private static let packetCount = 4000
    private static let packetsPerCommit = 50
    /// Flows end by `age`, never by a clock that the two sides read one after the other.
    private static let ticksWithoutExpiry: UInt64 = 4

    init(seed: UInt64, options: DatapathOptions, kernel: KernelNode) throws {
        self.seed = seed
        self.options = options
        self.kernel = kernel
        world = RandomWorld(seed: seed)
        generator = SeededGenerator(seed: seed ^ 0x5eed)
        let local = world.inventory.endpoints.filter { $0.node == "node-a" }
        endpoint = local[Int.random(in: 0..<local.count, using: &generator)]
        packets = PacketSource(endpoint: endpoint, inventory: world.inventory, seed: seed)
        node = try EmulatedNode(factory: EmulatedMapFactory(cpuCount: kernel.cpuCount))
        datapath = EmulatedDatapath(node: node, options: options)
        try kernel.reset()
    }

    func run() throws {
        // Before any commit both let everything pass.
        for number in 0..<20 { try compare(packets.next(), number) }
        // Building a slot waits for the kernel eight times, so every later commit only changes the slot.
        try commitImage()
        world.changePolicies()
        try commitImage()
        // One world in five has an incomplete slot, each time another map is missing.
        if seed % 5 == 0 { try removeMap(SlotMap.allCases[Int(seed / 5) % SlotMap.allCases.count]) }
        clearedAt = Self.tick()
        for number in 0..<Self.packetCount {
            if number > 0, number % Self.packetsPerCommit == 0 {
                try node.rollback()
                kernel.commit(revision: node.revision)
                if chance(2) { try age() }
                if Self.tick() - clearedAt > Self.ticksWithoutExpiry { try clear() }
            }
            try compare(packets.next(), number)
        }
        try compareFlows()
        try compareRuleCounters()
        try compareDrops()
    }

    private func chance(_ oneIn: Int) -> Bool { Int.random(in: 0..<oneIn, using: &generator) == 0 }

    private static func tick() -> UInt64 { KernelNode.coarseNanoseconds() >> UInt64(WEIR_TICK_SHIFT) }

    // MARK: Policy

    private func commitImage() throws {
        var image = Compiler.compile(
            policies: world.policies, inventory: world.inventory, node: "node-a", options: world.options)
        if chance(4) { damage(&image) }
        let record = try #require(image.endpoint(named: endpoint.qualifiedName))
        interfaces = [record.id: KernelNode.interface]
        let revision = node.revision + 1
        let slot = Int(revision & 1)
        try kernel.place(image, interfaces: interfaces, slot: slot)
        try node.commit(image, interfaces: interfaces)
        try #require(node.revision == revision)
        kernel.commit(revision: revision)
    }

    /// From the active slot.
    private func removeMap(_ map: SlotMap) throws {
        let slot = Int(node.revision & 1)
        try kernel.remove(map, slot: slot)
        try node.slots(of: map).delete(UInt32(slot).abiBytes)
    }

    /// An image as the compiler never makes one: prefixes are missing, and elements say anything.
    private func damage(_ image: inout Image) {
        for map in [SlotMap.cidrs4, .cidrs6, .ipcache4, .ipcache6] {
            image.maps[map]?.removeAll { _ in chance(4) }
        }
        for map in [SlotMap.peers, .verdicts] {
            for index in image.entries(map).indices where chance(6) {
                // Any kind, rules past the end, tables that are not there.
                let word =
                    UInt32.random(in: 0..<4, using: &generator) << 30 | UInt32.random(in: 0..<9, using: &generator)
                image.maps[map]?[index].value = word.abiBytes
            }
        }
    }

    // MARK: Packets

    private func compare(_ item: PacketSource.Item, _ number: Int) throws {
        let time = KernelNode.coarseNanoseconds()
        guard let actual = try kernel.process(item) else {
            tally.refused += 1
            return
        }
        let outcome = datapath.process(
            DatapathPacket(
                frame: item.frame, interfaceIndex: KernelNode.interface, direction: item.direction,
                ingressInterfaceIndex: item.isFromHost ? 0 : KernelNode.interface, timeNanoseconds: time))
        let expected = DatapathAnswer(
            returnCode: outcome.verdict == .pass ? -1 : 2,
            events: node.drainEvents().compactMap { weir_event(abiBytes: $0) })
        try #require(
            actual == expected,
            """
            seed \(seed), packet \(number), \(item.direction)\(item.isFromHost ? " from the host" : ""), \
            revision \(node.revision): \(hex(item.frame))
            kernel: \(actual)
            emulator: \(expected) (\(outcome.reason))
            """)
        // A drop without an event has no reason but this one.
        try #require(
            actual.passes || !actual.events.isEmpty || !options.contains(.dropEvents)
                || outcome.reason == .notForEndpoint)
        tally.packets += 1
        tally.reasons[outcome.reason, default: 0] += 1
        if outcome.verdict == .pass, outcome.decision != nil {
            if actual.events.isEmpty { tally.ridden += 1 } else { tally.allowed += 1 }
        }
    }

    // MARK: Flows

    private var tables: [(KernelMap: any BPFMap, emulated: any BPFMap)] {
        [(kernel.conntrack, node.map(.conntrack)), (kernel.conntrackNew, node.map(.conntrack_new))]
    }

    /// Makes some entries dead, or another key's, on both sides.
    private func age() throws {
        for (actual, emulated) in tables {
            for entry in try emulated.entries().sorted() where chance(6) {
                try compareFlow(entry, try actual.lookup(entry.key), in: actual)
                var value = try #require(weir_conntrack(abiBytes: entry.value))
                if chance(3) { value.key_check ^= 1 } else { value.expires = 0 }
                try emulated.update(entry.key, value.abiBytes, mode: .exist)
                try actual.update(entry.key, value.abiBytes, mode: .exist)
            }
        }
    }

    private func clear() throws {
        try compareFlows()
        for (actual, emulated) in tables {
            for entry in try emulated.entries() {
                try emulated.delete(entry.key)
                try actual.delete(entry.key)
            }
        }
        clearedAt = Self.tick()
    }

    private func compareFlows() throws {
        for (actual, emulated) in tables {
            let found = Dictionary(try actual.entries().map { ($0.key, $0.value) }) { first, _ in first }
            let expected = try emulated.entries()
            try #require(
                Set(found.keys) == Set(expected.map(\.key)), "seed \(seed): \(actual.schema.name) has other keys")
            for entry in expected { try compareFlow(entry, found[entry.key], in: actual) }
            tally.flows += expected.count
        }
    }

    /// The clock may have moved on between the two sides, by one tick.
    private func compareFlow(_ expected: MapEntry, _ actual: [UInt8]?, in map: any BPFMap) throws {
        let name = "seed \(seed): \(map.schema.name) [\(hex(expected.key))]"
        var value = try #require(weir_conntrack(abiBytes: expected.value))
        var other = try #require(weir_conntrack(abiBytes: actual ?? []), "\(name): not in the kernel")
        let distance = abs(Int64(value.expires) - Int64(other.expires))
        (value.expires, other.expires) = (0, 0)
        try #require(
            value.abiBytes == other.abiBytes && distance <= 1,
            """
            \(name): expires \(distance) apart
            kernel: \(other)
            emulator: \(value)
            """)
    }

    // MARK: Counters

    /// Of both slots, over all CPUs.
    private func compareRuleCounters() throws {
        for slot in 0..<Int(WEIR_SLOT_COUNT) {
            // None where `removeMap` took it.
            guard let emulated = node.map(.rule_counters, slot: slot) else { continue }
            let expected = Self.sums(try emulated.entries(), cpuCount: kernel.cpuCount)
            let actual = Self.sums(try kernel.ruleCounters(slot: slot), cpuCount: kernel.cpuCount)
            try #require(actual == expected, "seed \(seed): rule counters of slot \(slot)")
        }
    }

    /// Index = cpu × stride + rule.
    private static func sums(_ entries: [MapEntry], cpuCount: Int) -> [Int: [UInt64]] {
        var sums: [Int: [UInt64]] = [:]
        let stride = max(entries.count / cpuCount, 1)
        for entry in entries {
            guard let index = UInt32(abiBytes: entry.key), let counter = weir_counter(abiBytes: entry.value) else {
                continue
            }
            let sum = sums[Int(index) % stride] ?? [0, 0]
            sums[Int(index) % stride] = [sum[0] + UInt64(counter.packets), sum[1] + UInt64(counter.bytes)]
        }
        return sums
    }

    private func compareDrops() throws {
        for reason in DropReason.allCases {
            for direction in 0..<2 as Range<UInt32> {
                let key = (reason.rawValue * 2 + direction).abiBytes
                let actual = Self.sum(try #require(try kernel.drops.lookup(key)))
                let expected = Self.sum(try #require(try node.map(.drops).lookup(key)))
                try #require(actual == expected, "seed \(seed): drops for \(reason) in direction \(direction)")
            }
        }
    }

    /// One CPU's counter after the other.
    private static func sum(_ value: [UInt8]) -> [UInt64] {
        let size = MemoryLayout<weir_counter>.size
        return stride(from: 0, to: value.count, by: size).reduce([0, 0]) { sum, start in
            guard let counter = weir_counter(abiBytes: Array(value[start..<(start + size)])) else { return sum }
            return [sum[0] + UInt64(counter.packets), sum[1] + UInt64(counter.bytes)]
        }
    }
}
