import CBench
import Glibc
import WeirABI
import WeirCompiler
import WeirEmulator
import WeirFlow
import WeirImage
import WeirKernel
import WeirMaps
import WeirModel

/// A busy cluster seen from one node, with simulated time: what every change costs, and whether a packet was misjudged.
enum ChurnRows {
    private static let name = "churn"
    static let group = RowGroup(
        name: name,
        about: "50,000 pods, 85 to 115 replicas of a service that change each second, a relabelling each minute",
        needsRoot: true, rows: rows)

    private static func rows(_ run: Run) throws -> [Row] {
        let node = try ChurnedNode(
            MovingCluster(pods: run.choose(50_000, quick: 1_000), policies: run.choose(1_000, quick: 100)))
        let minutes = run.choose(5, quick: 1)
        for _ in 0..<minutes {
            for _ in 0..<run.choose(60, quick: 2) { try node.second() }
            try node.relabel()
        }
        let pods = Samples(node.pods.map { $0.seconds * 1e6 })
        let all = (node.pods + node.relabellings).reduce(0) { $0 + $1.seconds }
        return [
            Row(
                "\(name)/pod-cpu", pods, .microseconds, goal: .below(1000), peers: "Cilium's engine 6 ms",
                note: "CPU of process and kernel for one of \(node.pods.count) pods that come, go or are replaced; "
                    + "99 % within \(short(pods.quantile(0.99))) µs"),
            Row(
                "\(name)/pod-writes", Samples(node.pods.map { Double($0.writes) }), .count, goal: .below(10),
                note: "fences included, in the slot in force; weir apply follows with the other slot and its marks"),
            Row(
                "\(name)/relabelled-cpu", Samples(node.relabellings.map(\.seconds)), .seconds,
                note: "a tenth of all pods: compiled again, the other slot filled and read back, one store"),
            Row(
                "\(name)/relabelled-writes", Samples(node.relabellings.map { Double($0.writes) }), .count,
                note: "into a slot that is not in force, in batches"),
            Row(
                "\(name)/cpu-share", Samples(all / Double(minutes * 60) * 100), .percent,
                note: "of one CPU, over \(minutes) simulated minutes"),
            Row(
                "\(name)/misjudged", Samples(Double(node.misjudged)), .count, goal: .atMost(0),
                note: "of \(node.probes) packets, sent after each write, advance and fence"),
        ]
    }
}

/// The node of the observer. A class because it owns programs and maps.
private final class ChurnedNode {
    struct Cost {
        var seconds: Double
        var writes: Int
    }

    private(set) var pods: [Cost] = []
    private(set) var relabellings: [Cost] = []
    private(set) var probes = 0
    private(set) var misjudged = 0
    private var cluster: MovingCluster
    private let bed: PacketBed
    private var policy: PreparedPolicy
    private var maps: [SlotMap: KernelMap]
    private var verdicts: Verdicts
    private let fence: Fence

    init(_ cluster: MovingCluster) throws {
        self.cluster = cluster
        bed = try PacketBed(options: .defaults)
        policy = PreparedPolicy(
            policies: cluster.policies, inventory: cluster.inventory, node: Workload.node)
        maps = try bed.enforce(policy.image, for: MovingCluster.observer)
        verdicts = try Verdicts(policy.image, cluster)
        fence = try Fence(try bed.map(.fence))
        guard try verdicts.allowsReplica, try !verdicts.allowsStranger else {
            throw NotAsMeant("a replica and a stranger meet the same verdict")
        }
    }

    func second() throws {
        for change in cluster.second() { pods.append(try apply(change)) }
    }

    func relabel() throws {
        let former = verdicts
        cluster.relabel()
        var cost = Cost(seconds: 0, writes: 0)
        let contents = try spending(&cost) {
            policy = PreparedPolicy(
                policies: cluster.policies, inventory: cluster.inventory, node: Workload.node)
            return try bed.contents(policy.image, for: MovingCluster.observer)
        }
        verdicts = try Verdicts(policy.image, cluster)
        guard try former.allowsReplica != verdicts.allowsReplica else {
            throw NotAsMeant("the relabelling changes no verdict")
        }
        let filled = try spending(&cost) { try bed.fill(contents, policy.image) }
        try probe { try former.allows($0, $1) }
        spending(&cost) { bed.commit() }
        maps = filled
        try probe { [verdicts] in try verdicts.allows($0, $1) }
        cost.writes = contents.maps.values.reduce(0) { $0 + $1.entries.count }
        relabellings.append(cost)
    }

    /// One replica, as a run of weir's that changes in place would write it.
    private func apply(_ change: MovingCluster.Change) throws -> Cost {
        var cost = Cost(seconds: 0, writes: 0)
        let steps = try spending(&cost) {
            let placement =
                if let now = change.now { policy.place(now, insteadOf: change.former) } else {
                    change.former.flatMap { policy.remove($0) }
                }
            guard let placement else { throw NotAsMeant("a replica needs another compilation") }
            return try self.steps(placement)
        }
        let address = (change.now ?? change.former)?.address(.ipv4)
        let (before, after) = (change.former != nil, change.now != nil)
        // Flows that remember it are judged as well.
        try probe(address, either: before, or: before)
        for step in steps {
            try spending(&cost) { try perform(step) }
            if step != .advance { cost.writes += 1 }
            try probe(address, either: before, or: after)
        }
        try probe(address, either: after, or: after)
        return cost
    }

    private func steps(_ placement: Placement) throws -> [OrderedChanges.Step] {
        var (old, new) = (OrderedChanges.Contents(), OrderedChanges.Contents())
        for peer in placement.peers {
            let map: SlotMap = peer.address.family == .ipv4 ? .ipcache4 : .ipcache6
            old[map, default: [:]][peer.address.bytes] = try maps[map]?.lookup(peer.address.bytes)
            new[map, default: [:]][peer.address.bytes] = peer.value
        }
        return try OrderedChanges(from: old, to: new).steps
    }

    private func perform(_ step: OrderedChanges.Step) throws {
        switch step {
        case .write(let change):
            guard let map = maps[change.map] else { throw NotAsMeant("no map \(change.map.rawValue)") }
            if let after = change.after {
                try map.update(change.key, after, mode: change.before == nil ? .noExist : .exist)
            } else {
                try map.delete(change.key)
            }
        case .advance: bed.advance()
        case .fence: try fence.wait()
        }
    }

    // MARK: Probes

    /// The pod under the address is there or not; whoever else sends is judged as ever.
    private func probe(_ address: IPAddress?, either first: Bool, or second: Bool) throws {
        for port in [MovingCluster.observedPort, MovingCluster.refusedPort] {
            guard let address else { continue }
            let passes = try sends(address, port)
            if try ![first, second].contains(where: { try verdicts.allows(isReplica: $0, port) == passes }) {
                misjudged += 1
            }
        }
        try probe { [verdicts] in try verdicts.allows($0, $1) }
    }

    private func probe(_ expected: (IPAddress, UInt16) throws -> Bool) throws {
        for address in cluster.steadyAddresses + [cluster.modelAddress, cluster.strangerAddress] {
            for port in [MovingCluster.observedPort, MovingCluster.refusedPort]
            where try sends(address, port) != expected(address, port) {
                misjudged += 1
            }
        }
    }

    /// Whether a packet of a flow that goes on for ever passes.
    private func sends(_ address: IPAddress, _ port: UInt16) throws -> Bool {
        probes += 1
        var spec = PacketSpec(from: address, to: cluster.observerAddress, protocol: .tcp)
        spec.sourcePort = 10_000
        spec.destinationPort = port
        spec.tcpFlags = PacketSpec.TCPFlags.ack
        return try bed.program(.ingress).verdict(on: PacketBuilder.frame(spec)) == PacketOutcome.passes.code
    }

    /// Adds the CPU time of the body, the kernel's in its calls included.
    private func spending<Value>(_ cost: inout Cost, _ body: () throws -> Value) rethrows -> Value {
        let start = Self.cpuSeconds
        defer { cost.seconds += Self.cpuSeconds - start }
        return try body()
    }

    private static var cpuSeconds: Double {
        var time = timespec()
        // SAFETY: the call fills in the value.
        unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}

/// What the observer lets in, by the emulator's walk over a whole image.
private struct Verdicts {
    private let judge: EmulatorJudge
    private let observer: UInt32
    private let observerAddress: IPAddress
    private let replica: IPAddress
    private let stranger: IPAddress

    init(_ image: Image, _ cluster: MovingCluster) throws {
        judge = try EmulatorJudge(image: image)
        guard let record = image.endpoint(named: MovingCluster.observer) else {
            throw NotAsMeant("the image has no \(MovingCluster.observer)")
        }
        observer = record.id
        observerAddress = cluster.observerAddress
        replica = cluster.modelAddress
        stranger = cluster.strangerAddress
    }

    var allowsReplica: Bool { get throws { try allows(replica, MovingCluster.observedPort) } }
    var allowsStranger: Bool { get throws { try allows(stranger, MovingCluster.observedPort) } }

    /// Of a pod as all replicas are, or of an address that is nobody's.
    func allows(isReplica: Bool, _ port: UInt16) throws -> Bool { try allows(isReplica ? replica : stranger, port) }

    func allows(_ address: IPAddress, _ port: UInt16) throws -> Bool {
        try judge.judge(
            FlowQuery(
                endpoint: observer, direction: .ingress, localAddress: observerAddress, peerAddress: address,
                path: .forwarded, protocol: .tcp, port: port)
        ).kind == .allow
    }
}
