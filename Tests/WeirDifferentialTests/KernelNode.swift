import WeirABI
import WeirEmulator
import WeirImage
import WeirKernel
import WeirMaps
import WeirModel

/// The datapath in the kernel as one node has it, in maps that nobody else sees: nothing is attached or pinned.
///
/// Loading takes longer than a world, so one node serves many: `reset` empties it. A class because it owns
/// descriptors and keeps what it placed.
final class KernelNode {
    /// The loopback, which exists in every namespace.
    static let interface: UInt32 = 1

    private let fromEndpoint: Program
    private let toEndpoint: Program
    private let control: ControlWord
    private let ring: EventRing
    private let slots: [SlotMap: KernelMap]
    private let slotMeta: KernelMap
    private let readTick: Program
    /// Both tables of both families, and the datagrams.
    let flowMaps: [NodeMap: KernelMap]
    let ruleCounters: KernelMap
    let drops: KernelMap
    let cpuCount: Int

    init(options: DatapathOptions, watching kinds: UInt32) throws {
        let object = try BPFObject(bytes: EmbeddedObject.bytes)
        try object.setOptions(DatapathOptions(rawValue: options.rawValue))
        try object.load()
        fromEndpoint = try object.program(ProgramName.fromEndpoint)
        toEndpoint = try object.program(ProgramName.toEndpoint)
        control = try ControlWord(try object.map(NodeMap.control.rawValue))
        ring = try EventRing(try object.map(NodeMap.events.rawValue))
        var slots: [SlotMap: KernelMap] = [:]
        for map in SlotMap.allCases { slots[map] = try object.map(map.rawValue) }
        self.slots = slots
        slotMeta = try object.map(NodeMap.slot_meta.rawValue)
        readTick = try object.program(ProgramName.readTick)
        var flowMaps: [NodeMap: KernelMap] = [:]
        for map in NodeMap.conntrack + [.fragments] { flowMaps[map] = try object.map(map.rawValue) }
        self.flowMaps = flowMaps
        ruleCounters = try object.map(NodeMap.rule_counters.rawValue)
        var reader = weir_monitor()
        reader.until = .max
        reader.kinds = kinds
        try object.map(NodeMap.monitor.rawValue).update(UInt32(0).abiBytes, reader.abiBytes, mode: .any)
        drops = try object.map(NodeMap.drops.rawValue)
        cpuCount = try possibleCPUCount()
    }

    var revision: UInt64 { control.load().revision }

    /// Makes a revision the node's policy; its low bit is the slot. An unknown flag above it changes nothing.
    func commit(revision: UInt64) { control.store(ControlValue(word: revision | 1 << 60)) }

    /// As `control` has them.
    private(set) var tunnels: (first: UInt32, second: UInt32) = (0, 0)

    /// A lane without a device is missing; an empty list is encryption without any.
    func encrypt(_ lanes: [UInt32?]) {
        control.store(tunnels: Tunnels(lanes: lanes))
        tunnels = (lanes.first.flatMap { $0 } ?? WEIR_TUNNEL_ABSENT, lanes.dropFirst().first.flatMap { $0 } ?? 0)
    }

    /// What the programs read as time.
    func tick() throws -> UInt32 { try Clock.now(readTick) }

    /// Builds an image in a slot that no packet looks at.
    func place(_ image: Image, interfaces: [UInt32: UInt32], hostDevices: [UInt32], slot: Int) throws {
        let contents = try SlotContents(
            image: image, endpoints: image.endpointEntries(interfaces: interfaces, hostDevices: hostDevices),
            extraRoom: false)
        let created = try contents.create()
        for (name, map) in created { try slots[name]?.place(map, at: slot) }
        let meta = contents.meta(image: image, nodeDigest: [UInt8](repeating: 0, count: 32), generation: 0)
        try slotMeta.update(UInt32(slot).abiBytes, meta.abiBytes, mode: .any)
    }

    /// Takes one map out of a slot, as no loader does.
    func remove(_ map: SlotMap, slot: Int) throws { try slots[map]?.delete(UInt32(slot).abiBytes) }

    /// No policy, no flows, no drops.
    func reset() throws {
        commit(revision: 0)
        control.store(tunnels: nil)
        tunnels = (0, 0)
        for map in flowMaps.values {
            for entry in try map.entries() { try map.delete(entry.key) }
        }
        let zeros = [UInt8](repeating: 0, count: MemoryLayout<weir_counter>.size * cpuCount)
        for index in 0..<UInt32(WEIR_DROPS_ENTRIES) { try drops.update(index.abiBytes, zeros, mode: .any) }
        for slot in 0..<Int(WEIR_SLOT_COUNT) {
            for rule in try counted(slot: slot).keys { try ruleCounters.update(rule.abiBytes, zeros, mode: .any) }
        }
        _ = try ring.drain()
    }

    /// The elements of a slot that counted, by index, each CPU's counter after the other.
    func counted(slot: Int) throws -> [UInt32: [UInt8]] { try countedRules(ruleCounters, slot: slot) }

    /// nil where the kernel refuses to run on such a frame.
    func process(_ item: PacketSource.Item) throws -> DatapathAnswer? {
        let ingress: Program.Ingress = item.isFromHost ? .local : .interface(Self.interface)
        let run: Program.TestRun
        do throws(KernelError) {
            switch item.direction {
            case .egress:
                run = try fromEndpoint.testRun(frame: item.frame, interface: Self.interface, ingress: ingress)
            case .ingress:
                run = try toEndpoint.testRun(frame: item.frame, interface: Self.interface, ingress: ingress)
            }
        } catch  where error.errno == .invalidArgument {
            return nil
        }
        return DatapathAnswer(returnCode: run.returnCode, events: try ring.drain())
    }

}

/// The elements of a slot in `rule_counters` that are not zero, by index.
func countedRules(_ map: any BPFMap, slot: Int) throws -> [UInt32: [UInt8]] {
    let first = UInt32(slot) * UInt32(WEIR_RULES_MAX)
    return try map.entries().reduce(into: [:]) { counted, entry in
        guard let index = UInt32(abiBytes: entry.key), (first..<first + UInt32(WEIR_RULES_MAX)).contains(index),
            entry.value.contains(where: { $0 != 0 })
        else { return }
        counted[index] = entry.value
    }
}

/// What can be seen of one packet's treatment. Equal answers are equal in everything but time.
struct DatapathAnswer: Equatable, CustomStringConvertible {
    var returnCode: Int32
    /// The records' bytes, times zeroed.
    private var records: [[UInt8]]
    private(set) var events: [weir_event]

    static func == (left: Self, right: Self) -> Bool {
        left.returnCode == right.returnCode && left.records == right.records
    }

    init(returnCode: Int32, events: [weir_event]) {
        self.returnCode = returnCode
        self.events = events.map { event in
            var event = event
            event.time_ns = 0
            return event
        }
        records = self.events.map(\.abiBytes)
    }

    var passes: Bool { returnCode == -1 }

    var description: String {
        let told = events.map { event in
            "direction \(event.direction) reason \(event.reason) group \(event.group) identity \(event.identity) "
                + "action \(String(event.action, radix: 16)) length \(event.length) error \(event.error) ports "
                + "\(UInt16(bigEndian: event.source_port_be)) \(UInt16(bigEndian: event.destination_port_be)) protocol "
                + "\(event.protocol) family \(event.family) source \(hex(abiBytes(of: event.source))) "
                + "destination \(hex(abiBytes(of: event.destination)))"
        }
        return "returns \(returnCode), events [\(told.joined(separator: "; "))]"
    }
}

func hex(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}
