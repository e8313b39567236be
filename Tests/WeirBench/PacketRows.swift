import WeirABI
import WeirCompiler
import WeirImage
import WeirMaps
import WeirModel

/// What one packet costs in the datapath alone, as a multiple of a program of two instructions.
enum PacketRows {
    private static let name = "packet"
    static let group = RowGroup(
        name: name,
        about: "one packet in the datapath, as a multiple of the empty program: established, new, dropped; by size",
        needsRoot: true, rows: rows)

    /// How much there is, and how often it is looked at.
    struct Size: Hashable {
        var pods: Int
        var policies: Int
        var rounds: Int
        /// Established ones; packets to them and of others are counted by run.
        var flows: UInt32
        var packets: UInt32
        var newFlows: UInt32

        init(_ run: Run, pods: Int, policies: Int, rounds: Int) {
            self.pods = pods
            self.policies = policies
            self.rounds = run.choose(rounds, quick: 1)
            flows = run.choose(50_000, quick: 1_000)
            packets = run.choose(20_000, quick: 1_000)
            newFlows = run.choose(9_000, quick: 1_000)
        }
    }

    /// How often a run comes to each flow of many.
    static let turns: UInt32 = 4

    private static let goals: [PacketSituation: (bound: Double, peers: String)] = [
        .established: (2.5, "AWS 5.3, Cilium 12–20"), .establishedRotating: (4, "AWS 8.1, Cilium 77"),
        .new: (20, "AWS 54, Cilium 48–129"), .newEvicting: (20, "AWS 54, Cilium 48–129"),
        .drop: (6, "AWS 8–11, Cilium 11–20"), .dropFromWorld: (6, "AWS 8–11, Cilium 11–20"),
        .dropWithEvent: (10, "AWS 9–12, Cilium 26–38"), .dropOverLimit: (10, "AWS 9–12, Cilium 26–38"),
    ]

    private static let notes: [PacketSituation: String] = [
        .establishedRotating: "another of all established flows each packet",
        .new: "a fresh port each packet, and room for its flow; 50,000 flows are established",
        .newEvicting: "the table of new flows is full, so each takes another's place",
        .newWithoutInsert: "the same without conntrack", .drop: "by the ports that a pod may use",
        .dropFromWorld: "by prefix", .dropRotating: "each from another of all pods",
        .dropOverLimit: "the reader asked for one event a tick",
    ]

    /// What must not grow with identities or policies.
    private static let flat: [PacketSituation] = [.established, .establishedRotating, .new, .drop, .dropWithEvent]

    private static func rows(_ run: Run) throws -> [Row] {
        let workloads = Workloads()
        let pods = run.choose(50_000, quick: 1_000)
        let policies = run.choose(1_000, quick: 100)
        let size = Size(run, pods: pods, policies: policies, rounds: 25)
        let image = try workloads.image(size)
        let bed = try PacketBed(options: .defaults)
        var rows: [Row] = []
        for situation in PacketSituation.allCases where run.wants("\(name)/\(situation.rawValue)") {
            let bed = situation == .newWithoutInsert ? try untracked() : bed
            try bed.enforce(image)
            if situation != .newWithoutInsert { try bed.establish(flows: size.flows) }
            rows.append(row(situation, try situation.measure(on: bed, size)))
        }
        rows += try table(run, bed, size)
        rows += try flatness(
            run, bed, workloads, "identities",
            run.choose([100, 1_000, 10_000, 50_000], quick: [100, 1_000]).map {
                Size(run, pods: $0, policies: policies, rounds: 9)
            })
        rows += try flatness(
            run, bed, workloads, "policies",
            run.choose([10, 100, 1_000], quick: [10, 100]).map { Size(run, pods: pods, policies: $0, rounds: 9) })
        return rows
    }

    private static func untracked() throws -> PacketBed {
        try PacketBed(options: DatapathOptions.defaults.subtracting(.conntrack))
    }

    private static func row(_ situation: PacketSituation, _ figure: PacketFigure) -> Row {
        let goal = goals[situation]
        return Row(
            "\(name)/\(situation.rawValue)", figure.multiple, .times, goal: goal.map { .atMost($0.bound) },
            peers: goal?.peers, note: (notes[situation].map { "\($0); " } ?? "") + figure.absolute)
    }

    // MARK: Conntrack's table by itself

    private static func table(_ run: Run, _ bed: PacketBed, _ size: Size) throws -> [Row] {
        let frame = PacketFrames.opening
        func row(
            _ what: String, _ note: String, count: UInt32, returning code: Int32,
            _ program: () throws -> RunnableProgram
        ) throws -> Row {
            let figure = try PacketFigure(
                size, empty: { try bed.emptyProgram.run(frame, count: size.packets, returning: -1) }, around: nil,
                packet: { try program().run(frame, count: count, returning: code) })
            return Row(
                "\(name)/\(what)", figure.multiple, .times, note: "one \(note), no datapath; \(figure.absolute)")
        }
        var rows: [Row] = []
        if run.wants("\(name)/find") {
            let table = try BareTable(entries: Int32(WEIR_CONNTRACK4_ENTRIES), keys: size.flows)
            _ = try table.inserting.run(frame, count: size.flows, returning: 0)
            rows.append(
                try row(
                    "find", "element of an LRU hash, another of all established flows each time",
                    count: size.flows * turns, returning: 1
                ) { table.finding })
        }
        let entries = Int32(WEIR_CONNTRACK4_NEW_ENTRIES)
        if run.wants("\(name)/insert") {
            rows.append(
                try row("insert", "insert into an LRU hash with room", count: size.newFlows, returning: 0) {
                    try BareTable(entries: entries, keys: 1).inserting
                })
        }
        if run.wants("\(name)/insert-evicting") {
            let table = try BareTable(entries: entries, keys: 1)
            _ = try table.inserting.run(frame, count: 2 * UInt32(entries), returning: 0)
            rows.append(
                try row("insert-evicting", "insert into a full LRU hash", count: size.newFlows, returning: 0) {
                    table.inserting
                })
        }
        return rows
    }

    // MARK: Size

    /// The largest figure of any size over the smallest.
    private static func flatness(
        _ run: Run, _ bed: PacketBed, _ workloads: Workloads, _ what: String, _ sizes: [Size]
    ) throws -> [Row] {
        func rowName(_ situation: PacketSituation) -> String { "\(name)/flat-\(what)-\(situation.rawValue)" }
        let wanted = flat.filter { run.wants(rowName($0)) }
        guard !wanted.isEmpty else { return [] }
        var multiples: [PacketSituation: [Double]] = [:]
        for size in sizes {
            try bed.enforce(try workloads.image(size))
            try bed.establish(flows: size.flows)
            for situation in wanted {
                multiples[situation, default: []].append(try situation.measure(on: bed, size).multiple.value)
            }
        }
        let counts = sizes.map { "\(what == "identities" ? $0.pods : $0.policies)" }.joined(separator: ", ")
        return wanted.map { situation in
            let measured = Samples(multiples[situation] ?? [])
            return Row(
                rowName(situation), Samples(measured.maximum / measured.minimum), .times, goal: .atMost(1.3),
                note: "the most over the least; with \(counts) \(what) "
                    + "\((multiples[situation] ?? []).map(short).joined(separator: ", ")) × the empty program")
        }
    }

    /// Images by size. A class because inventories are kept: the largest takes seconds to read.
    private final class Workloads {
        private var inventories: [Int: Inventory] = [:]

        func image(_ size: Size) throws -> Image {
            let inventory =
                try inventories[size.pods] ?? Workload(pods: size.pods, policies: 0).typed().inventory
            inventories[size.pods] = inventory
            let policies = try Workload(pods: 0, policies: size.policies).typed().policies
            return Compiler.compile(policies: policies, inventory: inventory, node: Workload.node)
        }
    }
}

/// What one packet costs, beside the empty program in the same rounds.
struct PacketFigure {
    var multiple: Estimate
    /// The nanoseconds behind it.
    var absolute: String

    private enum Column { case empty, around, packet }

    /// Each closure makes one short run and says how many nanoseconds a packet took; of three the fastest counts. `around`
    /// is the empty program behind what `packet` is behind, and is subtracted.
    init(
        _ size: PacketRows.Size, empty: () throws -> Double, around: (() throws -> Double)?, packet: () throws -> Double
    ) throws {
        let columns: [Column] = around == nil ? [.empty, .packet] : [.empty, .around, .packet]
        let rounds = try onCPU(0) {
            try interleaved(columns, rounds: size.rounds) { column in
                var fastest = Double.infinity
                for _ in 0..<3 {
                    let time =
                        switch column {
                        case .empty: try empty()
                        case .around: try around?() ?? 0
                        case .packet: try packet()
                        }
                    fastest = min(fastest, time)
                }
                return fastest
            }
        }
        /// A packet alone: without what stands around it, with what a test run takes anyway.
        func alone(_ round: [Double]) -> Double { round.count == 2 ? round[1] : round[2] - round[1] + round[0] }
        multiple = Estimate(medianOf: rounds.map { alone($0) / $0[0] })
        absolute =
            "\(short(Samples(rounds.map(alone)).median)) ns, the empty program "
            + "\(short(Samples(rounds.map { $0[0] }).median)) ns"
    }
}
