import Foundation
import TestNetwork
import WeirABI
import WeirBundle
import WeirCompiler
import WeirMaps
import WeirKernel

/// What a node with weir holds when `weir apply` has ended: the real command, 100 interfaces, both slots full.
enum NodeRows {
    private static let name = "node"
    static let group = RowGroup(
        name: name,
        about: "kernel memory and processes that weir apply leaves: 50,000 addresses, 1,000 policies, 100 pods",
        needsRoot: true,
        rows: rows)

    private static func rows(_ run: Run) throws -> [Row] {
        let node = try AppliedNode(run)
        let repetitions = run.choose(5, quick: 1)
        let conntrack = try KernelMemory.growth(repetitions: repetitions) {
            try NodeMap.allCases.map(\.schema).filter { $0.type == .lruHash }.map { try KernelMap(creating: $0) }
        }.median
        var times: [Double] = []
        var processes = 0
        let growth = try KernelMemory.growth(repetitions: repetitions) {
            for bundle in node.bundles { times.append(try seconds { try node.weir("apply", "--bundle", bundle) }) }
            processes += try node.processes
        } release: { _ in
            try node.weir("detach")
        }
        let peers = "Cilium 234 MiB and an agent of 95–400 MB"
        return [
            Row(
                "\(name)/memory", growth.map { ($0 - conntrack) / 1_048_576 }, .mebibytes, goal: .atMost(24),
                peers: peers,
                note: "growth of slabs, per-CPU and vmalloc, two full slots and 200 links; "
                    + "without conntrack, whose tables take \(short(conntrack / 1_048_576)) MiB"),
            Row("\(name)/processes", Samples(Double(processes)), .count, goal: .atMost(0), peers: peers),
            Row("\(name)/apply", Samples(times), .seconds, note: "weir apply --bundle, 100 interfaces, start to end"),
        ]
    }
}

/// A node of its own with an interface for each local pod. Gone with its owner.
private final class AppliedNode {
    private let name = "weirbench-\(ProcessInfo.processInfo.processIdentifier)"
    private let executable: String
    private let directory: String
    private(set) var bundles: [String] = []

    init(_ run: Run) throws {
        executable =
            URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
            .appendingPathComponent("weir").path
        directory = FileManager.default.temporaryDirectory.appendingPathComponent(name).path
        try mountBPFFileSystem()
        do { try build(run) } catch {
            remove()
            throw error
        }
    }

    deinit { remove() }

    private func build(_ run: Run) throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try TestNetwork.run("ip", "netns", "add", name)
        var workload = Workload(pods: run.choose(50_000, quick: 1_000), policies: run.choose(1_000, quick: 100))
        workload.interfaces = true
        let links = (0..<workload.localPods).map {
            "link add \(Workload.interface($0)) type veth peer name peer\($0)\n"
        }.joined()
        try links.write(toFile: "\(directory)/links", atomically: true, encoding: .utf8)
        try TestNetwork.run("ip", "-n", name, "-batch", "\(directory)/links")
        // The second differs in what local pods are judged by, so that it takes the other slot.
        for policies in [workload.policies, workload.policies * 9 / 10] {
            workload.policies = policies
            let typed = try workload.typed()
            let image = Compiler.compile(policies: typed.policies, inventory: typed.inventory, node: Workload.node)
            bundles.append("\(directory)/\(policies).weir")
            let bundle = NodeBundle(
                image: image, provenance: Provenance(weir: "bench", abi: UInt32(WEIR_ABI_VERSION), node: image.node))
            try Data(bundle.sealed().bytes).write(to: URL(fileURLWithPath: bundles[bundles.count - 1]))
        }
    }

    /// `ip netns exec` would hide the bpf file system.
    func weir(_ words: String...) throws {
        let place = ["--pin-path", "/sys/fs/bpf/\(name)", "--state-dir", "\(directory)/state"]
        let command = ["nsenter", "--net=/run/netns/\(name)", executable] + words + place
        let (status, output) = try attempt(command)
        guard status == 0 else {
            throw CommandFailure(description: "\(command.joined(separator: " ")): \(status): \(output)")
        }
    }

    /// How many processes of our executable there are.
    var processes: Int {
        get throws {
            try FileManager.default.contentsOfDirectory(atPath: "/proc").count { process in
                (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process)/exe")) == executable
            }
        }
    }

    private func remove() {
        _ = try? weir("detach")
        _ = try? attempt(["ip", "netns", "del", name])
        _ = try? attempt(["rm", "-rf", "/sys/fs/bpf/\(name)", "/sys/fs/bpf/\(name)-new", directory])
    }
}
