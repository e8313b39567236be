import CBench
import Glibc
import WeirABI
import WeirFlow
import WeirImage
import WeirKernel
import WeirMaps
import WeirModel

/// The datapath under one policy, attached to nothing: frames reach it by test runs. Its endpoint is pod 0 of the
/// workload, on the loopback.
///
/// A class because it owns programs and maps; they go with it.
final class PacketBed {
    private let object: BPFObject
    private let judging: [Direction: RunnableProgram]
    let emptyProgram: RunnableProgram
    private let control: ControlWord
    private let ring: EventRing
    private var revision: UInt64 = 0

    init(options: DatapathOptions) throws {
        object = try BPFObject(bytes: EmbeddedObject.bytes)
        try object.setOptions(options)
        try object.load()
        judging = [
            .egress: try RunnableProgram(cbench_program_with_id(object.program(ProgramName.fromEndpoint).id)),
            .ingress: try RunnableProgram(cbench_program_with_id(object.program(ProgramName.toEndpoint).id)),
        ]
        emptyProgram = try RunnableProgram(cbench_empty_program())
        control = try ControlWord(try object.map(NodeMap.control.rawValue))
        ring = try EventRing(try object.map(NodeMap.events.rawValue))
    }

    func map(_ name: NodeMap) throws -> KernelMap { try object.map(name.rawValue) }

    func program(_ direction: Direction) throws -> RunnableProgram {
        guard let program = judging[direction] else { throw NotAsMeant("no program for \(direction)") }
        return program
    }

    /// Commits a policy, of which `endpoint` is the interface's. Every flow is to be judged again, and nobody reads events.
    @discardableResult
    func enforce(_ image: Image, for endpoint: String = PacketFrames.endpoint) throws -> [SlotMap: KernelMap] {
        let maps = try fill(try contents(image, for: endpoint), image)
        commit()
        try watch(nil)
        return maps
    }

    func contents(_ image: Image, for endpoint: String) throws -> SlotContents {
        guard let record = image.endpoint(named: endpoint) else { throw NotAsMeant("the image has no \(endpoint)") }
        return try SlotContents(
            image: image, endpoints: image.endpointEntries(interfaces: [record.id: PacketFrames.interface]),
            extraRoom: true)
    }

    /// Fills the slot that is not in force.
    func fill(_ contents: SlotContents, _ image: Image) throws -> [SlotMap: KernelMap] {
        let slot = Int((revision + 1) & 1)
        let maps = try contents.create()
        for (name, map) in maps { try object.map(name.rawValue).place(map, at: slot) }
        let meta = contents.meta(image: image, nodeDigest: [UInt8](repeating: 0, count: 32), generation: 0)
        try map(.slot_meta).update(UInt32(slot).abiBytes, meta.abiBytes, mode: .any)
        return maps
    }

    /// The slot that was filled is in force.
    func commit() { store(revision + 1) }

    /// Every flow is to be judged again, under the same slot.
    func advance() { store(revision + UInt64(WEIR_SLOT_COUNT)) }

    private func store(_ revision: UInt64) {
        self.revision = revision
        control.store(ControlValue(word: revision))
    }

    // MARK: Flows

    /// Puts a number of flows into the table of the established ones; those that are there stay where they are, allowed
    /// by the policy in force.
    func establish(flows: UInt32) throws {
        for step in PacketFrames.handshake(flows) {
            let program = try RotatingProgram(step.rotation, calling: program(step.direction))
            _ = try program.run(step.frame, count: flows, returning: PacketOutcome.passes.code)
        }
        let (established, young) = (try self.flows(in: .conntrack4), try self.flows(in: .conntrack4_new))
        guard established.count == Int(flows), young.count == 0 else {
            throw NotAsMeant("\(established.count) of \(flows) flows are established, \(young.count) are new")
        }
    }

    func forgetNewFlows() throws {
        let young = try map(.conntrack4_new)
        for entry in try young.entries() { try young.delete(entry.key) }
    }

    /// How many entries a table has, the keys of those that had a packet, and the most packets that one had.
    func flows(in table: NodeMap) throws -> (count: Int, used: [[UInt8]], mostPackets: UInt64) {
        var result = (count: 0, used: [[UInt8]](), mostPackets: UInt64(0))
        for entry in try map(table).entries() {
            result.count += 1
            guard let flow = weir_conntrack(abiBytes: entry.value) else { continue }
            let packets = flow.packets.0 + flow.packets.1
            if packets > 0 { result.used.append(entry.key) }
            result.mostPackets = max(result.mostPackets, UInt64(packets))
        }
        return result
    }

    // MARK: Events

    /// Has drops reported, at most so many a tick (0: all of them), or nothing.
    func watch(_ limit: UInt32?) throws {
        var reader = weir_monitor()
        if let limit {
            reader.until = .max
            reader.kinds = WEIR_EVENT_DROPS.rawValue
            reader.per_tick = limit
        }
        try map(.monitor).update(UInt32(0).abiBytes, reader.abiBytes, mode: .any)
        _ = try ring.drain()
    }

    /// How many events there were since the last time.
    func drain() throws -> Int { try ring.drain().count }

    // MARK: Counters

    /// What the datapath has counted since it was loaded.
    struct Tally {
        /// Packets, by index in `drops`.
        var drops: [UInt64]
        var rules: UInt64
    }

    func tally() throws -> Tally {
        Tally(drops: try counted(.drops), rules: try counted(.rule_counters).reduce(0, +))
    }

    /// Packets by index, of all CPUs together.
    private func counted(_ name: NodeMap) throws -> [UInt64] {
        let map = try map(name)
        var packets = [UInt64](repeating: 0, count: map.schema.maxEntries)
        for entry in try map.entries() {
            guard let index = UInt32(abiBytes: entry.key) else { continue }
            for start in stride(from: 0, to: entry.value.count, by: map.schema.valueSize) {
                let counter = weir_counter(abiBytes: Array(entry.value[start..<start + map.schema.valueSize]))
                packets[Int(index)] += UInt64(counter?.packets ?? 0)
            }
        }
        return packets
    }
}

/// Something is not what its row says.
struct NotAsMeant: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) { self.description = description }
}

/// A loaded program. A class because it owns a descriptor.
final class RunnableProgram {
    let descriptor: Int32

    /// Takes over what a call has returned.
    init(_ result: Int32) throws { descriptor = try succeed(result) }

    deinit { close(descriptor) }

    /// Nanoseconds for each of `count` packets of one test run; the last must return `code`.
    func run(_ frame: [UInt8], count: UInt32, returning code: Int32) throws -> Double {
        let (time, returned) = try run(frame, count)
        guard returned == code else { throw NotAsMeant("a packet returned \(returned), not \(code)") }
        return Double(time) / Double(count)
    }

    /// What it returns for one packet.
    func verdict(on frame: [UInt8]) throws -> Int32 { try run(frame, 1).returned }

    private func run(_ frame: [UInt8], _ count: UInt32) throws -> (time: Int64, returned: Int32) {
        var returned: Int32 = 0
        // SAFETY: the kernel reads the frame's own bytes; only `returned` is written.
        let time = unsafe frame.withUnsafeBytes {
            unsafe cbench_test_run(descriptor, $0.baseAddress, UInt32($0.count), count, &returned)
        }
        _ = try succeed(Int32(min(time, 0)))
        return (time, returned)
    }
}

/// Another program behind one that changes a field of each frame. A class because it owns descriptors.
final class RotatingProgram {
    private let program: RunnableProgram
    private let calls: Int32

    init(_ rotation: cbench_rotation, calling called: RunnableProgram) throws {
        var rotation = rotation
        var calls: Int32 = -1
        // SAFETY: only `calls` is written.
        program = try RunnableProgram(unsafe cbench_rotating_program(&rotation, called.descriptor, &calls))
        self.calls = calls
    }

    deinit { close(calls) }

    func run(_ frame: [UInt8], count: UInt32, returning code: Int32) throws -> Double {
        try program.run(frame, count: count, returning: code)
    }
}

/// A table of flows without a datapath: what the kernel needs for one of its elements, whoever asks.
struct BareTable {
    /// Puts another key into it each time, and returns 0.
    let inserting: RunnableProgram
    /// Finds another of the first keys each time, counts in its value and returns 1.
    let finding: RunnableProgram

    init(entries: Int32, keys: UInt32) throws {
        var finding: Int32 = -1
        // SAFETY: only `finding` is written.
        inserting = try RunnableProgram(unsafe cbench_table_programs(UInt32(entries), keys, &finding))
        self.finding = try RunnableProgram(finding)
    }
}
