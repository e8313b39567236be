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
        var kinds: UInt32 = WEIR_EVENT_DROPS.rawValue | WEIR_EVENT_ALLOWS.rawValue
        var worlds: UInt64
        var testDescription: String { name }
    }

    private static let everything: DatapathOptions = DatapathOptions.defaults.union(.dhcp)

    private static let configurations = [
        Configuration(name: "every option", options: everything, worlds: 44),
        Configuration(name: "no guards", options: .conntrack, worlds: 6),
        Configuration(name: "no conntrack", options: everything.subtracting(.conntrack), worlds: 6),
        Configuration(name: "nobody watches", options: .conntrack, kinds: 0, worlds: 4),
    ]

    @Test("every packet meets the same fate", arguments: configurations)
    func packets(configuration: Configuration) throws {
        let kernel = try KernelNode(options: configuration.options, watching: configuration.kinds)
        var tally = Tally()
        for index in 0..<(configuration.worlds * Self.rounds) {
            let comparison = try Comparison(
                seed: Self.baseSeed + index, options: configuration.options, kinds: configuration.kinds, kernel: kernel)
            try comparison.run()
            tally.add(comparison.tally)
        }
        print("\(configuration.name): \(tally)")
        guard configuration.options == Self.everything else { return }
        // What the packets never meet is not compared.
        let unmet = DropReason.allCases.filter { tally.reasons[$0] == nil && $0 != .conntrackInsert }
        #expect(unmet.isEmpty)
        #expect(tally.flows > 1000 && tally.ridden > 10_000 && tally.fragments > 50 && tally.audited > 100)
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
    /// Later fragments that passed, and packets that only audit mode let pass.
    var fragments = 0
    var audited = 0

    mutating func add(_ other: Tally) {
        packets += other.packets
        refused += other.refused
        reasons.merge(other.reasons, uniquingKeysWith: +)
        flows += other.flows
        allowed += other.allowed
        ridden += other.ridden
        fragments += other.fragments
        audited += other.audited
    }

    var description: String {
        let list = DropReason.allCases.map { "\($0) \(reasons[$0] ?? 0)" }.joined(separator: ", ")
        return "\(packets) packets (\(refused) refused by the kernel), \(flows) flows at the end, "
            + "\(allowed) allowed, \(ridden) ridden, \(fragments) fragments, \(audited) audited; \(list)"
    }
}

/// One world: its images, one endpoint's packets, both datapaths.
final class Comparison {
    private let seed: UInt64
    private let options: DatapathOptions
    private let kinds: UInt32
    private let kernel: KernelNode
    private let node: EmulatedNode
    private let datapath: EmulatedDatapath
    private var world: RandomWorld
    private var generator: SeededGenerator
    private var packets: PacketSource
    private let endpoint: Endpoint
    private var interfaces: [UInt32: UInt32] = [:]
    private var clearedAt: UInt32 = 0
    /// One world in four is judged as the node's, one in eight of the others is audited.
    private let isHost: Bool
    private(set) var tally = Tally()

    private static let packetCount = 4000
    private static let nowhere: UInt32 = 0xfffff
    private static let packetsPerCommit = 50
    /// Flows end by `age`, never by a clock that the two sides read one after the other.
    private static let ticksWithoutExpiry: UInt32 = 4

    init(seed: UInt64, options: DatapathOptions, kinds: UInt32, kernel: KernelNode) throws {
        self.seed = seed
        self.options = options
        self.kinds = kinds
        self.kernel = kernel
        world = RandomWorld(seed: seed)
        if seed % 3 == 0 { world.options.encryption = .wireguard }
        generator = SeededGenerator(seed: seed ^ 0x5eed)
        let local = world.inventory.endpoints.filter { $0.node == "node-a" }
        endpoint = local[Int.random(in: 0..<local.count, using: &generator)]
        isHost = world.options.hostFirewall && seed % 2 == 0
        packets = PacketSource(endpoint: endpoint, inventory: world.inventory, seed: seed)
        node = try EmulatedNode(factory: EmulatedMapFactory(cpuCount: kernel.cpuCount))
        datapath = EmulatedDatapath(node: node, options: options)
        var reader = weir_monitor()
        reader.until = .max
        reader.kinds = kinds
        try node.map(.monitor).update(UInt32(0).abiBytes, reader.abiBytes, mode: .any)
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
        clearedAt = try kernel.tick()
        for number in 0..<Self.packetCount {
            if number > 0, number % Self.packetsPerCommit == 0 {
                try node.rollback()
                kernel.commit(revision: node.revision)
                if chance(2) { try age() }
                if try kernel.tick() - clearedAt > Self.ticksWithoutExpiry { try clear() }
            }
            try compare(packets.next(), number)
        }
        try compareFlows()
        try compareRuleCounters()
        try compareDrops()
    }

    private func chance(_ oneIn: Int) -> Bool { Int.random(in: 0..<oneIn, using: &generator) == 0 }

    // MARK: Policy

    private func commitImage() throws {
        var image = Compiler.compile(
            policies: world.policies, inventory: world.inventory, node: "node-a", options: world.options)
        if chance(4) { damage(&image) }
        let record = try #require(image.endpoint(named: endpoint.qualifiedName))
        // The node's record stands behind index 0 as well, for what the pod and the node say to each other.
        let hostDevices: [UInt32] = world.options.hostFirewall ? (isHost ? [KernelNode.interface] : [0]) : []
        interfaces = isHost ? [:] : [record.id: KernelNode.interface]
        if seed % 8 == 3 { audit(&image, record.id) }
        // Packets that are forwarded come from the loopback, and no route leads to any tunnel.
        let lanes: [UInt32?] = seed % 2 == 0 ? [Self.nowhere, KernelNode.interface] : [KernelNode.interface]
        if world.options.encryption == .wireguard {
            kernel.encrypt(chance(8) ? [] : lanes)
            try node.setTunnels(kernel.tunnels.first, kernel.tunnels.second)
        }
        let revision = node.revision + 1
        let slot = Int(revision & 1)
        try kernel.place(image, interfaces: interfaces, hostDevices: hostDevices, slot: slot)
        try node.commit(image, interfaces: interfaces, hostDevices: hostDevices)
        try #require(node.revision == revision)
        kernel.commit(revision: revision)
    }

    /// The endpoint in audit mode, or single decisions.
    private func audit(_ image: inout Image, _ endpoint: UInt32) {
        if chance(2) {
            for index in image.endpoints.indices where image.endpoints[index].id == endpoint {
                image.endpoints[index].value[12] |= UInt8(WEIR_ENDPOINT_AUDIT.rawValue)
            }
        } else {
            for map in [SlotMap.peers, .verdicts] {
                for index in image.entries(map).indices where chance(2) {
                    guard let word = UInt32(abiBytes: image.entries(map)[index].value), word >> 30 > 1 else { continue }
                    image.maps[map]?[index].value = (word | UInt32(WEIR_ACTION_AUDIT)).abiBytes
                }
            }
        }
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
        let tick = try kernel.tick()
        guard let actual = try kernel.process(item) else {
            tally.refused += 1
            return
        }
        let outcome = datapath.process(
            DatapathPacket(
                frame: item.frame, interfaceIndex: KernelNode.interface, direction: item.direction,
                ingressInterfaceIndex: item.isFromHost ? 0 : KernelNode.interface, tick: tick))
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
            actual.passes || !actual.events.isEmpty || kinds == 0 || outcome.reason == .notForEndpoint)
        tally.packets += 1
        tally.reasons[outcome.reason, default: 0] += 1
        if outcome.verdict == .pass, outcome.decision != nil {
            if actual.events.isEmpty { tally.ridden += 1 } else { tally.allowed += 1 }
            if item.isLaterFragment { tally.fragments += 1 }
            if actual.events.contains(where: { $0.flags & WEIR_EVENT_AUDIT.rawValue != 0 }) { tally.audited += 1 }
        }
    }

    // MARK: Flows

    private var tables: [(kernel: any BPFMap, emulated: any BPFMap)] {
        get throws { try NodeMap.conntrack.map { (try #require(kernel.flowMaps[$0]), node.map($0)) } }
    }

    /// Makes some entries dead, or another key's, on both sides.
    private func age() throws {
        for (actual, emulated) in try tables {
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
        for (actual, emulated) in try tables + [(try #require(kernel.flowMaps[.fragments]), node.map(.fragments))] {
            for entry in try emulated.entries() {
                try emulated.delete(entry.key)
                try actual.delete(entry.key)
            }
        }
        clearedAt = try kernel.tick()
    }

    private func compareFlows() throws {
        for (actual, emulated) in try tables {
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
        let distance = max(
            abs(Int64(value.expires) - Int64(other.expires)), abs(Int64(value.created) - Int64(other.created)))
        (value.expires, other.expires, value.created, other.created) = (0, 0, 0, 0)
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
            let expected = try countedRules(node.map(.rule_counters), slot: slot).mapValues(Self.sum)
            let actual = try kernel.counted(slot: slot).mapValues(Self.sum)
            try #require(actual == expected, "seed \(seed): rule counters of slot \(slot)")
        }
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
