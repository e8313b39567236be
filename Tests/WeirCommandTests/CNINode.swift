import Foundation
import Testing

/// A node in a network namespace of its own, with containers in others, on which a runtime chains weir after a plugin of
/// Debian's. Everything is below one name.
struct CNINode: Throwaway, Sendable {
    /// Ways to connect a container.
    enum Main: String, CaseIterable, Sendable, CustomTestStringConvertible {
        case bridge, ptp, macvlan

        var testDescription: String { rawValue }
    }

    let name = "weircni-\(ProcessInfo.processInfo.processIdentifier)-\(UInt32.random(in: 0..<1_000_000))"
    let workspace: Workspace
    let containers: [String]
    let runtime: CNIRuntime

    var pinPath: String { "/sys/fs/bpf/\(name)" }
    var stateDirectory: String { "\(workspace.path)/state" }
    var place: [String] { ["--pin-path", pinPath, "--state-dir", stateDirectory] }
    private var wrapper: [String] { ["nsenter", "--net=/run/netns/\(name)"] }

    /// - Parameters:
    ///   - weir: members of weir's entry in the chain, beside its place; nil: it is not chained.
    private init(_ main: Main, version: String, containers count: Int, weir: String?) throws {
        workspace = try Workspace()
        let base = name
        containers = (0..<count).map { "\(base)-c\($0)" }
        // Under another name than its own, as it is installed for runtimes.
        let plugins = try workspace.makeDirectory("bin")
        try FileManager.default.createSymbolicLink(
            atPath: "\(plugins)/weir-cni", withDestinationPath: try Weir.executable.get())
        let ipam = """
            "ipam": {"type": "host-local", "dataDir": "\(workspace.path)/ipam", "routes": [{"dst": "0.0.0.0/0"}],
              "ranges": [[{"subnet": "10.66.0.0/24"}], [{"subnet": "fd66::/64"}]]}
            """
        let entry =
            switch main {
            case .bridge: "{\"type\": \"bridge\", \"bridge\": \"cni0\", \"isGateway\": true, \(ipam)}"
            case .ptp: "{\"type\": \"ptp\", \(ipam)}"
            case .macvlan: "{\"type\": \"macvlan\", \"master\": \"up0\", \(ipam)}"
            }
        let own = """
            {"type": "weir-cni", "pinPath": "/sys/fs/bpf/\(base)", "stateDir": "\(workspace.path)/state",
              "capabilities": {"io.kubernetes.cri.pod-annotations": true}\(weir ?? "")}
            """
        runtime = CNIRuntime(
            configuration: """
                {"cniVersion": "\(version)", "name": "pods", "plugins": [\(weir == nil ? entry : "\(entry), \(own)")]}
                """,
            path: [plugins, "/usr/lib/cni"], cache: try workspace.makeDirectory("results"),
            wrapper: ["nsenter", "--net=/run/netns/\(base)"])
    }

    static func use(
        _ main: Main, version: String = "1.0.0", containers: Int = 2, weir: String? = "",
        _ body: (CNINode) async throws -> Void
    ) async throws {
        try #require(
            FileManager.default.isExecutableFile(atPath: "/usr/lib/cni/bridge"),
            "containernetworking-plugins is not installed: scripts/setup test")
        try await CNINode(main, version: version, containers: containers, weir: weir).use(body)
    }

    func make() async throws {
        try await Machine.shell(
            """
            ip netns add \(name)
            ip -n \(name) link set lo up
            ip -n \(name) link add up0 type veth peer name up1
            ip -n \(name) link set up0 up
            \(containers.map { "ip netns add \($0); ip -n \($0) link set lo up" }.joined(separator: "\n"))
            """)
    }

    func remove() async {
        _ = try? await weir(["detach"])
        _ = try? await Weir.command([
            "/bin/bash", "-c",
            "for n in \((containers + [name]).joined(separator: " ")); do ip netns del $n; done; "
                + "rm -rf \(pinPath) \(pinPath)-new",
        ])
    }

    func attachment(
        _ index: Int, name: String? = nil, labels: [String: String]? = nil
    ) throws -> CNIRuntime.Attachment {
        var attachment = CNIRuntime.Attachment(
            container: "sandbox\(index)", namespacePath: "/run/netns/\(containers[index])")
        if let name {
            attachment.arguments = ["IgnoreUnknown": "1", "K8S_POD_NAMESPACE": "shop", "K8S_POD_NAME": name]
        }
        if let labels {
            let text = try JSONSerialization.data(withJSONObject: labels, options: .sortedKeys)
            attachment.annotations = ["weir.dev/labels": String(decoding: text, as: UTF8.self)]
        }
        return attachment
    }

    func weir(_ arguments: [String]) async throws -> Outcome { try await Weir.run(arguments + place, under: wrapper) }

    /// Whether one datagram of ICMP and its answer get through.
    func reaches(_ from: Int, _ address: String) async throws -> Bool {
        try await Weir.command(["ip", "netns", "exec", containers[from], "ping", "-c", "1", "-W", "1", address]).status
            == 0
    }

    /// What is there of endpoints: pinned links (two for each that is published) and registrations. What stands on an
    /// interface without a pin goes with it; Debian's bpftool does not show tcx.
    func traces() async throws -> [String] {
        try await Machine.shell(
            "ls \(pinPath)/links \(stateDirectory)/registrations 2>/dev/null | grep -E 'gress$|json$' || true"
        ).split(separator: "\n").map(String.init)
    }
}

extension [String: Any] {
    /// The addresses of a result, without their lengths.
    var addresses: [String] {
        (self["ips"] as? [[String: Any]] ?? []).compactMap { ($0["address"] as? String)?.split(separator: "/").first }
            .map(String.init).sorted()
    }
}
