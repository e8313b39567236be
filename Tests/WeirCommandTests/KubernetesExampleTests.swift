import Foundation
import Testing

/// `Policies/kubernetes` and the unit of systemd: what a node copies must fit this executable, and its parts each other.
@Suite("The examples for Kubernetes and systemd")
struct KubernetesExampleTests {
    private static func text(_ path: String) throws -> String {
        try String(contentsOfFile: "\(Weir.package)/\(path)", encoding: .utf8)
    }

    /// The lines `KEY=WORDS` of the unit.
    private static func unit(_ key: String) throws -> [String] {
        try text("scripts/packaging/systemd/weir-restore.service").split(separator: "\n").filter {
            $0.hasPrefix("\(key)=")
        }.flatMap { $0.dropFirst(key.count + 1).split(separator: " ").map(String.init) }
    }

    /// The pod that the DaemonSet makes, and the containers of a kind in it.
    private static func pod() async throws -> [String: Any] {
        let read = try await Python.json(
            "print(json.dumps(yaml.safe_load(sys.stdin)))", input: try text("Policies/kubernetes/daemonset.yaml"))
        #expect(read["kind"] as? String == "DaemonSet")
        let template = try #require((read["spec"] as? [String: Any])?["template"] as? [String: Any])
        return try #require(template["spec"] as? [String: Any])
    }

    private static func container(_ kind: String, of pod: [String: Any]) throws -> [String: Any] {
        let containers = try #require(pod[kind] as? [[String: Any]])
        #expect(containers.count == 1)
        return containers[0]
    }

    @Test("The DaemonSet's init container runs a command of weir's on paths that are mounted; what stays is a pause")
    func daemonSet() async throws {
        let pod = try await Self.pod()
        #expect(pod["hostNetwork"] as? Bool == true)
        let apply = try Self.container("initContainers", of: pod)
        let words = try #require(apply["args"] as? [String])
        #expect(words.first == "apply")
        try GuideTests.requireCommand(words, in: try await MannersTests.tree(), "daemonset.yaml")
        let mounts = try #require(apply["volumeMounts"] as? [[String: Any]])
        let paths = mounts.compactMap { $0["mountPath"] as? String }
        for path in ["/sys/fs/bpf", "/var/lib/weir", "/run/netns"] { #expect(paths.contains(path)) }
        for word in words.compactMap({ $0.split(separator: "=").last }) where word.hasPrefix("/") {
            #expect(paths.contains { word.hasPrefix($0) }, "\(word) is on no volume")
        }
        let volumes = try #require(pod["volumes"] as? [[String: Any]]).compactMap { $0["name"] as? String }
        #expect(mounts.compactMap { $0["name"] as? String }.sorted() == volumes.sorted())
        let pause = try Self.container("containers", of: pod)
        #expect((pause["image"] as? String)?.contains("/pause:") == true)
        #expect(pause["volumeMounts"] == nil)
    }

    @Test("The init container has no capability that the unit lacks, and drops all others")
    func capabilities() async throws {
        let apply = try Self.container("initContainers", of: try await Self.pod())
        let context = try #require(apply["securityContext"] as? [String: Any])
        #expect(context["privileged"] == nil)
        let capabilities = try #require(context["capabilities"] as? [String: [String]])
        #expect(capabilities["drop"] == ["ALL"])
        let unit = try Self.unit("CapabilityBoundingSet")
        for name in try #require(capabilities["add"]) { #expect(unit.contains("CAP_\(name)")) }
    }

    @Test("The chain of CNI plugins is JSON and ends with the name under which the package installs weir")
    func chain() throws {
        let text = try Self.text("Policies/kubernetes/10-weir.conflist")
        let read = try #require(Outcome.object(text))
        #expect(read["cniVersion"] as? String == "1.0.0")
        let plugins = try #require(read["plugins"] as? [[String: Any]]).compactMap { $0["type"] as? String }
        let name = try #require(plugins.last)
        #expect(plugins.first == "ptp")
        #expect(try Self.text("scripts/lib/package-parts").contains("\"$root/usr/lib/cni/\(name)\""))
    }

    @Test("The unit starts a command of weir's, before everything that starts pods")
    func unit() async throws {
        let start = try Self.unit("ExecStart")
        #expect(start.first == "/usr/bin/weir")
        try GuideTests.requireCommand(start.dropFirst(), in: try await MannersTests.tree(), "ExecStart")
        let before = try Self.unit("Before")
        for name in ["kubelet", "containerd", "crio", "docker"] { #expect(before.contains("\(name).service")) }
    }

    @Test("Directories that have the manifests among policies or an inventory can be read")
    func directories() async throws {
        let outcome = try await Weir.run(
            ["lint", "--policies", "Policies/kubernetes", "--inventory", "Policies/kubernetes"] + Weir.shop)
        #expect(outcome.status == 0, "\(outcome.output)\(outcome.errors)")
    }
}
