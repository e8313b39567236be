import Foundation
import Testing
import WeirTestSupport

/// What kernel tests need of this machine.
enum Machine {
    /// The user 65534, whose rights end where root's begin.
    static func withoutRoot() throws -> [String] {
        try #require(geteuid() == 0, "run as root: WEIR_REQUIRE_KERNEL=1 is set")
        return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    }

    /// A mount namespace of its own in which no bpf file system is mounted at /sys/fs/bpf.
    static let withoutBPFFileSystem = [
        "unshare", "-m", "sh", "-c", "umount -l /sys/fs/bpf 2>/dev/null; exec \"$@\"", "sh",
    ]

    static func mountBPFFileSystem() async throws {
        guard try await Weir.command(["mountpoint", "-q", "/sys/fs/bpf"]).status != 0 else { return }
        try await shell("mount -t bpf bpf /sys/fs/bpf")
    }

    /// Runs a script, which must succeed.
    @discardableResult
    static func shell(_ script: String) async throws -> String {
        let outcome = try await Weir.command(["/bin/bash", "-euc", script])
        try #require(outcome.status == 0, "\(script): \(outcome.errors)")
        return outcome.output
    }
}

/// Something of this machine's that a test makes and takes away again, also where it throws.
protocol Throwaway {
    func make() async throws
    /// Also what was only made in part.
    func remove() async
}

extension Throwaway {
    func use(_ body: (Self) async throws -> Void) async throws {
        try #require(geteuid() == 0, "run as root: WEIR_REQUIRE_KERNEL=1 is set")
        try await Machine.mountBPFFileSystem()
        do {
            try await make()
            try await body(self)
        } catch {
            await remove()
            throw error
        }
        await remove()
    }
}

/// A node in network namespaces of its own, with the shop's four pods behind veth pairs, and a place for weir's
/// pins and state.
struct ThrowawayNode: Throwaway, Sendable {
    let name = "weircmd-\(ProcessInfo.processInfo.processIdentifier)-\(UInt32.random(in: 0..<1_000_000))"
    static let pods = [2, 3, 4, 5]

    var pinPath: String { "/sys/fs/bpf/\(name)" }
    var stateDirectory: String { NSTemporaryDirectory() + name }
    var place: [String] { ["--pin-path", pinPath, "--state-dir", stateDirectory] }

    static func use(_ body: (ThrowawayNode) async throws -> Void) async throws { try await ThrowawayNode().use(body) }

    func make() async throws {
        try await Machine.shell(
            "ip netns add \(name)\n"
                + Self.pods.map { pod in
                    """
                    ip netns add \(name)-\(pod)
                    ip -n \(name) link add veth-\(pod) type veth peer name eth0 netns \(name)-\(pod)
                    ip -n \(name)-\(pod) addr add 10.7.0.\(pod)/32 dev eth0
                    ip -n \(name)-\(pod) addr add fd07::\(pod)/128 dev eth0 nodad
                    ip -n \(name)-\(pod) link set eth0 up
                    ip -n \(name) link set veth-\(pod) up
                    ip -n \(name) route add 10.7.0.\(pod)/32 dev veth-\(pod)

                    """
                }.joined())
    }

    func remove() async {
        _ = try? await weir(["detach"])
        let namespaces = Self.pods.map { "\(name)-\($0)" } + [name]
        _ = try? await Weir.command([
            "/bin/bash", "-c",
            "for n in \(namespaces.joined(separator: " ")); do ip netns del $n; done; "
                + "rm -rf \(pinPath) \(pinPath)-new \(stateDirectory)",
        ])
    }

    /// Runs weir on the node. `nsenter`, because `ip netns exec` would hide the bpf file system.
    func weir(_ arguments: [String]) async throws -> Outcome {
        try await Weir.run(arguments + place, under: ["nsenter", "--net=/run/netns/\(name)"])
    }

    /// Everything of weir's on the node, as text; empty where there is nothing.
    func traces() async throws -> String {
        try await Machine.shell(
            """
            nsenter --net=/run/netns/\(name) bpftool net show | grep weir_ || true
            nsenter --net=/run/netns/\(name) tc qdisc show | grep clsact || true
            ls -d \(pinPath) \(pinPath)-new 2>/dev/null || true
            # After a detach last-good.json says that the node is open on purpose.
            grep -ls '"isOpened" : false' \(stateDirectory)/last-good.json || true
            ls \(stateDirectory) 2>/dev/null | grep -vx 'lock\\|last-good.json' || true
            """)
    }
}
