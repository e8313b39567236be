import Glibc
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
    let conntrack: KernelMap
    let conntrackNew: KernelMap
    let drops: KernelMap
    let cpuCount: Int
    private var counters: [Int: KernelMap] = [:]

    init(options: DatapathOptions) throws {
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
        conntrack = try object.map(NodeMap.conntrack.rawValue)
        conntrackNew = try object.map(NodeMap.conntrack_new.rawValue)
        drops = try object.map(NodeMap.drops.rawValue)
        cpuCount = try possibleCPUCount()
    }

    var revision: UInt64 { control.load().revision }

    /// Makes a revision the node's policy; its low bit is the slot. A flag above it changes nothing.
    func commit(revision: UInt64) { control.store(ControlValue(word: revision | 1 << 60)) }

    /// Builds an image in a slot that no packet looks at.
    func place(_ image: Image, interfaces: [UInt32: UInt32], slot: Int) throws {
        let contents = try SlotContents(
            image: image, endpoints: image.endpointEntries(interfaces: interfaces), cpuCount: cpuCount,
            extraRoom: false)
        let created = try contents.create()
        for (name, map) in created { try slots[name]?.place(map, at: slot) }
        counters[slot] = created[.rule_counters]
        let meta = contents.meta(image: image, nodeDigest: [UInt8](repeating: 0, count: 32), generation: 0)
        try slotMeta.update(UInt32(slot).abiBytes, meta.abiBytes, mode: .any)
    }

    /// Takes one map out of a slot, as no loader does.
    func remove(_ map: SlotMap, slot: Int) throws { try slots[map]?.delete(UInt32(slot).abiBytes) }

    /// No policy, no flows, no drops.
    func reset() throws {
        commit(revision: 0)
        for map in [conntrack, conntrackNew] {
            for entry in try map.entries() { try map.delete(entry.key) }
        }
        let zeros = [UInt8](repeating: 0, count: MemoryLayout<weir_counter>.size * cpuCount)
        for index in 0..<UInt32(WEIR_DROPS_ENTRIES) { try drops.update(index.abiBytes, zeros, mode: .any) }
        _ = try ring.drain()
    }

    func ruleCounters(slot: Int) throws -> [MapEntry] { try counters[slot]?.entries() ?? [] }

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

    /// What the programs read as time.
    static func coarseNanoseconds() -> UInt64 {
        var time = timespec()
        // SAFETY: only `time` is written.
        unsafe clock_gettime(CLOCK_MONOTONIC_COARSE, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
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
