import CBench
import WeirABI
import WeirImage
import WeirMaps

/// One kind of packet, over and over: what it is, what is done before each run of it, and what must be true after.
enum PacketSituation: String, CaseIterable {
    /// Of one flow.
    case established
    /// Another flow each time.
    case establishedRotating = "established-rotating"
    /// A flow each, for which there is room.
    case new
    /// A flow each, for which another has to go.
    case newEvicting = "new-evicting"
    /// A flow each, on a bed without conntrack.
    case newWithoutInsert = "new-without-insert"
    /// By the table of a pod's group.
    case drop
    /// By prefix.
    case dropFromWorld = "drop-from-world"
    /// Each from another pod.
    case dropRotating = "drop-rotating"
    case dropWithEvent = "drop-event"
    /// The reader has had what it asked for.
    case dropOverLimit = "drop-event-over-limit"

    private var frame: [UInt8] {
        switch self {
        case .established, .establishedRotating: PacketFrames.following
        case .new, .newEvicting, .newWithoutInsert: PacketFrames.opening
        case .drop, .dropRotating, .dropWithEvent, .dropOverLimit: PacketFrames.refused
        case .dropFromWorld: PacketFrames.refusedFromWorld
        }
    }

    private var outcome: PacketOutcome {
        switch self {
        case .established, .establishedRotating, .new, .newEvicting, .newWithoutInsert: .passes
        case .drop, .dropFromWorld, .dropRotating, .dropWithEvent, .dropOverLimit: .defaultDenied
        }
    }

    /// Packets of one test run.
    private func count(_ size: PacketRows.Size) -> UInt32 {
        switch self {
        case .established, .drop, .dropFromWorld, .dropOverLimit: size.packets
        // Several times around: what a run finds in no cache, because of the work between runs, does not count.
        case .establishedRotating: size.flows * PacketRows.turns
        case .dropRotating: UInt32(size.pods) * PacketRows.turns
        case .new, .newEvicting, .newWithoutInsert: size.newFlows
        // The ring holds a few more.
        case .dropWithEvent: min(size.packets, 2_900)
        }
    }

    private func rotation(_ size: PacketRows.Size) -> cbench_rotation? {
        switch self {
        case .establishedRotating: PacketFrames.establishedPorts(size.flows)
        case .new, .newEvicting, .newWithoutInsert: PacketFrames.freshPorts(size.newFlows)
        case .dropRotating: PacketFrames.sources(pods: size.pods)
        case .established, .drop, .dropFromWorld, .dropWithEvent, .dropOverLimit: nil
        }
    }

    // MARK: Measuring

    /// The bed enforces a policy and has as many flows as `size` says.
    func measure(on bed: PacketBed, _ size: PacketRows.Size) throws -> PacketFigure {
        let program = try bed.program(.ingress)
        let rotation = rotation(size)
        let around = try rotation.map { try RotatingProgram($0, calling: bed.emptyProgram) }
        let rotating = try rotation.map { try RotatingProgram($0, calling: program) }
        let count = count(size)
        let crowd = self == .newEvicting ? YoungCrowd(on: bed) : nil
        switch self {
        case .dropWithEvent: try bed.watch(0)
        case .dropOverLimit: try bed.watch(1)
        default: break
        }
        let before = try bed.tally()
        let flowsBefore = try bed.flows(in: .conntrack4).count
        var packets: UInt64 = 0
        let figure = try PacketFigure(
            size,
            empty: { try bed.emptyProgram.run(frame, count: size.packets, returning: -1) },
            around: around.map { around in { try around.run(frame, count: count, returning: -1) } },
            packet: {
                try prepare(bed, crowd)
                packets += UInt64(count)
                let time =
                    try rotating?.run(frame, count: count, returning: outcome.code)
                    ?? program.run(frame, count: count, returning: outcome.code)
                try verify(bed, crowd, count)
                return time
            })
        try outcome.verify(from: before, to: try bed.tally(), packets: packets)
        let flowsAfter = try bed.flows(in: .conntrack4).count
        guard flowsAfter == flowsBefore else {
            throw NotAsMeant("\(rawValue): \(flowsBefore) flows were established before, \(flowsAfter) after")
        }
        try bed.forgetNewFlows()
        try bed.watch(nil)
        return figure
    }

    /// Nobody has one of the fresh ports, and in a crowd there is no room either.
    private func prepare(_ bed: PacketBed, _ crowd: YoungCrowd?) throws {
        guard self == .new || self == .newEvicting else { return }
        let young = try bed.map(.conntrack4_new)
        for key in try bed.flows(in: .conntrack4_new).used { try young.delete(key) }
        try crowd?.fill()
    }

    private func verify(_ bed: PacketBed, _ crowd: YoungCrowd?, _ count: UInt32) throws {
        let events = try bed.drain()
        switch self {
        case .dropWithEvent where events != Int(count):
            throw NotAsMeant("\(count) drops made \(events) events")
        // One for each tick that the run has seen.
        case .dropOverLimit where events > 2:
            throw NotAsMeant("one event a tick was asked for, \(events) were made")
        case .dropWithEvent, .dropOverLimit: return
        default:
            guard events == 0 else { throw NotAsMeant("\(rawValue) made \(events) events") }
        }
        let young = try bed.flows(in: .conntrack4_new)
        switch self {
        case .new:
            guard young.count == Int(count), young.mostPackets == 1 else {
                throw NotAsMeant("\(count) packets made \(young.count) flows, of up to \(young.mostPackets) packets")
            }
        case .newEvicting:
            guard let crowd, young.mostPackets == 1, young.count < crowd.count + Int(count) / 2 else {
                throw NotAsMeant(
                    "\(crowd?.count ?? 0) flows became \(young.count), of up to \(young.mostPackets) packets")
            }
        default:
            guard young.count == 0 else { throw NotAsMeant("\(rawValue) made \(young.count) flows") }
        }
    }
}

/// Flows of somebody else's that fill the table of new flows, so that one more takes the place of one of them. A class
/// because no key comes twice.
private final class YoungCrowd {
    private let bed: PacketBed
    private var made: UInt32 = 0
    /// How many flows there are when it is full.
    private(set) var count = 0

    init(on bed: PacketBed) { self.bed = bed }

    func fill() throws {
        let room = Int(WEIR_CONNTRACK4_NEW_ENTRIES) - (try bed.flows(in: .conntrack4_new).count)
        // More than there is room for: what each CPU holds back is taken as well.
        let entries = (0..<room + room / 8 + 1_024).map { _ in
            made += 1
            var key = weir_flow4()
            key.owner = .max
            setABIBytes(&key.remote, made.abiBytes)
            return MapEntry(key: key.abiBytes, value: weir_conntrack().abiBytes)
        }
        try bed.map(.conntrack4_new).updateBatch(entries)
        count = try bed.flows(in: .conntrack4_new).count
    }
}
