import Foundation
import TestNetwork

/// What `weir endpoint add` takes, start to end, by the size of the cluster whose policy is in force.
enum EndpointRows {
    private static let name = "endpoint"
    static let group = RowGroup(
        name: name, about: "weir endpoint add in clusters of 1,000 and 10,000 pods, 100 policies", needsRoot: true,
        rows: rows)

    private static func rows(_ run: Run) throws -> [Row] {
        var rows: [Row] = []
        for (label, pods) in [("1k", 1_000), ("10k", run.choose(10_000, quick: 1_000))] {
            let node = try NodeWithGuest(pods: pods, policies: run.choose(100, quick: 20))
            var (times, sizes): ([Double], [Double]) = ([], [])
            for _ in 0..<run.choose(10, quick: 1) {
                let (seconds, kilobytes) = try node.addAndRemove()
                times.append(seconds)
                sizes.append(Double(kilobytes) / 1024)
            }
            rows += [
                Row(
                    "\(name)/add-\(label)", Samples(times), .seconds, goal: .below(0.5),
                    note: "\(pods) pods; the bundle is read, both slots' policies are compiled, a few writes"),
                Row("\(name)/memory-\(label)", Samples(sizes), .mebibytes, note: "the most that the run had resident"),
            ]
        }
        return rows
    }
}

/// A node that enforces a cluster's policies, and a namespace that joins it. Gone with its owner.
private final class NodeWithGuest {
    private let name = "weirbench-endpoint-\(ProcessInfo.processInfo.processIdentifier)"
    private let executable: String
    private let directory: String

    init(pods: Int, policies: Int) throws {
        executable =
            URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
            .appendingPathComponent("weir").path
        directory = FileManager.default.temporaryDirectory.appendingPathComponent(name).path
        try mountBPFFileSystem()
        do { try build(Workload(pods: pods, policies: policies)) } catch {
            remove()
            throw error
        }
    }

    deinit { remove() }

    private func build(_ workload: Workload) throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try workload.inventory.write(toFile: "\(directory)/inventory.yaml", atomically: true, encoding: .utf8)
        try workload.policyText.write(toFile: "\(directory)/policies.yaml", atomically: true, encoding: .utf8)
        for namespace in [name, "\(name)-guest"] { try TestNetwork.run("ip", "netns", "add", namespace) }
        try TestNetwork.run(
            "ip", "-n", name, "link", "add", "guest", "type", "veth", "peer", "name", "eth0", "netns", "\(name)-guest")
        try weir(
            [],
            [
                "apply", "--policies", "\(directory)/policies.yaml", "--inventory", "\(directory)/inventory.yaml",
                "--node", Workload.node, "--absent-endpoints", "leave-out",
            ])
    }

    /// Seconds and the largest resident set, in kilobytes, of the add.
    func addAndRemove() throws -> (Double, Int) {
        let report = "\(directory)/report"
        try weir(
            ["/usr/bin/time", "-o", report, "-f", "%e %M"],
            [
                "endpoint", "add", "bench/guest", "--interface", "guest", "--address", "198.18.255.1", "--label",
                "app=app-1",
            ])
        try weir([], ["endpoint", "remove", "bench/guest", "--open"])
        let words = try String(contentsOfFile: report, encoding: .utf8).split { $0 == " " || $0 == "\n" }
        guard words.count == 2, let seconds = Double(words[0]), let kilobytes = Int(words[1]) else {
            throw CommandFailure(description: "time said \(words)")
        }
        return (seconds, kilobytes)
    }

    /// `ip netns exec` would hide the bpf file system.
    private func weir(_ wrapper: [String], _ words: [String]) throws {
        let place = ["--pin-path", "/sys/fs/bpf/\(name)", "--state-dir", "\(directory)/state"]
        let command = ["nsenter", "--net=/run/netns/\(name)"] + wrapper + [executable] + words + place
        let (status, output) = try attempt(command)
        guard status == 0 else {
            throw CommandFailure(description: "\(command.joined(separator: " ")): \(status): \(output)")
        }
    }

    private func remove() {
        _ = try? weir([], ["detach", "--all"])
        for namespace in [name, "\(name)-guest"] { _ = try? attempt(["ip", "netns", "del", namespace]) }
        _ = try? attempt(["rm", "-rf", "/sys/fs/bpf/\(name)", "/sys/fs/bpf/\(name)-new", directory])
    }
}
