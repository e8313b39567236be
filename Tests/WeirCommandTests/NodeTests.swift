import Foundation
import Testing
import WeirTestSupport

@Suite("apply, status and detach", .serialized)
struct NodeTests {
    static let commands = [
        ["apply"] + Weir.shop, ["apply", "--dry-run"] + Weir.shop, ["status"], ["detach"],
        ["map", "list"], ["ct", "flush", "--all"],
    ]

    @Test("Without root: status 3, and a hint", .enabled(if: KernelRequirement.isMet), arguments: commands)
    func withoutRoot(_ arguments: [String]) async throws {
        try await Machine.mountBPFFileSystem()
        let place = ThrowawayNode().place
        let outcome = try await Weir.run(arguments + place, under: try Machine.withoutRoot())
        #expect(outcome.status == 3)
        #expect(outcome.output.isEmpty)
        #expect(outcome.errors.hasPrefix("weir: error: "))
        #expect(outcome.errors.contains("root"))
    }

    @Test(
        "Without a bpf file system: status 3, and how to mount it", .enabled(if: KernelRequirement.isMet),
        arguments: commands)
    func withoutBPFFileSystem(_ arguments: [String]) async throws {
        try #require(geteuid() == 0, "run as root: WEIR_REQUIRE_KERNEL=1 is set")
        let workspace = try Workspace()
        let outcome = try await Weir.run(
            arguments + ["--state-dir", workspace.path + "/state"], under: Machine.withoutBPFFileSystem)
        #expect(outcome.status == 3)
        #expect(outcome.output.isEmpty)
        #expect(outcome.errors.hasPrefix("weir: error: "))
        #expect(outcome.errors.contains("mount -t bpf bpf /sys/fs/bpf"))
    }

    @Test(
        "A detach that cannot see the pins keeps the state that belongs to them", .enabled(if: KernelRequirement.isMet))
    func blindDetach() async throws {
        try #require(geteuid() == 0, "run as root: WEIR_REQUIRE_KERNEL=1 is set")
        let workspace = try Workspace()
        try workspace.write("{}", to: "state/state.json")
        _ = try await Weir.run(
            ["detach", "--state-dir", workspace.path + "/state"], under: Machine.withoutBPFFileSystem)
        #expect(try workspace.contents("state/state.json") == "{}")
    }

    private func bundle(in workspace: Workspace) async throws -> String {
        let path = workspace.path + "/node-a.weir"
        let outcome = try await Weir.run(["compile"] + Weir.shop + ["--output", "bundle", "--output-file", path])
        try #require(outcome.status == 0)
        return path
    }

    @Test(
        "A damaged bundle is refused before anything is asked of the kernel",
        arguments: [
            "cut", "flipped", "longer", "empty", "text",
        ])
    func damagedBundle(_ damage: String) async throws {
        let workspace = try Workspace()
        let path = try await bundle(in: workspace)
        var bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        switch damage {
        case "cut": bytes.removeLast(bytes.count / 2)
        case "flipped": bytes[9] ^= 0x10
        case "longer": bytes += [0, 0, 0, 0]
        case "empty": bytes = []
        default: bytes = Array("apiVersion: v1\n".utf8)
        }
        try workspace.write(bytes, to: "node-a.weir")
        for arguments in [["--bundle", path], ["--bundle", path, "--dry-run"]] {
            let outcome = try await Weir.run(["apply"] + arguments + ["--pin-path", "/sys/fs/bpf/weircmd-none"])
            #expect(outcome.status == 1)
            #expect(outcome.output.isEmpty)
            #expect(outcome.errors.hasPrefix("\(path): error: "))
            #expect(outcome.errors.hasSuffix("[invalid-bundle]\n"))
        }
    }

    @Test("A bundle with one bit changed anywhere is refused")
    func flippedBits() async throws {
        let workspace = try Workspace()
        let path = try await bundle(in: workspace)
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        for place in stride(from: 20, to: bytes.count, by: bytes.count / 12) {
            var flipped = bytes
            flipped[place] ^= 0x10
            try workspace.write(flipped, to: "node-a.weir")
            let outcome = try await Weir.run(
                ["apply", "--bundle", path, "--dry-run", "--pin-path", "/sys/fs/bpf/weircmd-none"])
            #expect(outcome.status == 1, "byte \(place)")
        }
    }

    @Test("A bundle of another node is refused where --node says which is meant")
    func bundleOfAnotherNode() async throws {
        let workspace = try Workspace()
        let path = try await bundle(in: workspace)
        let outcome = try await Weir.run(["apply", "--bundle", path, "--node", "node-b", "--dry-run"])
        #expect(outcome.status == 1)
        #expect(outcome.errors == "\(path): error: the bundle is for node 'node-a', not 'node-b' [unknown-node]\n")
    }

    @Test("Options that change the meaning of policies come too late for a bundle")
    func meaningOfBundle() async throws {
        let path = try await bundle(in: try Workspace())
        for option in [["--host-firewall"], ["--allow-localhost", "policy"], ["--policy-cidr-match-mode", "nodes"]] {
            let outcome = try await Weir.run(["apply", "--dry-run", "--bundle", path] + option)
            #expect(outcome.status == 64)
            #expect(outcome.errors.contains("The bundle is compiled already"))
        }
    }

    @Test("Show, apply, again, look, detach, again", .enabled(if: KernelRequirement.isMet))
    func life() async throws {
        try await ThrowawayNode.use { node in
            let workspace = try Workspace()
            let sources = ["--bundle", try await bundle(in: workspace), "--node", "node-a"]
            let dryRun = ["apply", "--dry-run", "--detailed-exitcode"] + sources

            let plan = try await node.weir(dryRun)
            #expect(plan.status == 2)
            #expect(plan.errors.isEmpty)
            #expect(plan.output.contains("endpoint shop/frontend on veth-2"))
            #expect(plan.output.matches(#"(?m)^ipcache4: \d+ added, 0 changed, 0 removed$"#))
            #expect(!plan.output.contains(" -> "))
            let entries = try await node.weir(dryRun + ["--entries"])
            #expect(entries.output.matches(#"(?m)^  \+ .+ -> .+$"#))
            #expect(try await node.traces().isEmpty)
            let json = try await node.weir(dryRun + ["--output", "json"])
            #expect(json.status == 2)
            #expect(json.object != nil)
            #expect(try await node.weir(["apply", "--dry-run"] + sources).status == 0)

            let apply = try await node.weir(["apply"] + sources)
            #expect(apply.status == 0)
            #expect(apply.errors.isEmpty)
            #expect(apply.output.matches("^committed revision \\d+ in slot [01]: 4 endpoints of node-a"))
            let traces = try await node.traces()
            #expect(traces.contains(node.pinPath))

            let again = try await node.weir(["apply"] + sources)
            #expect(again.status == 0)
            #expect(again.output.hasPrefix("nothing to do: revision "))
            #expect(try await node.traces() == traces)
            let nothing = try await node.weir(dryRun)
            #expect(nothing.status == 0)
            #expect(nothing.output.hasPrefix("nothing to do: image "))

            try await look(at: node)

            // Half of what was asked for would be an open node that believes itself guarded.
            let host = try await node.weir(["apply"] + Weir.shop + ["--node", "node-a", "--host-firewall"])
            #expect(host.status == 3)
            #expect(host.errors.contains("no device has an address of the node or a default route"))
            #expect(try await node.traces() == traces)

            let detach = try await node.weir(["detach"])
            #expect(detach.status == 0)
            #expect(detach.output.hasPrefix("detached 8 hooks and removed \(node.pinPath)\n"))
            #expect(try await node.traces().isEmpty)
            let second = try await node.weir(["detach"])
            #expect(second.status == 0)
            #expect(second.output == "nothing to detach at \(node.pinPath)\n")
            let opened = try await node.weir(["status"]).output
            #expect(opened.hasPrefix("nothing is loaded at \(node.pinPath)\nopened by weir detach: "))
            let local = try await node.weir(["status", "--output", "json"]).object?["local"] as? [String: Any]
            #expect(local?["isOpened"] as? Bool == true)
            #expect(try await node.weir(["detach", "--all"]).status == 0)
            #expect(try await node.weir(["status"]).output == "nothing is loaded at \(node.pinPath)\n")
            #expect(try await node.weir(["status", "--output", "json"]).output == "null\n")
        }
    }

    private func look(at node: ThrowawayNode) async throws {
        let status = try await node.weir(["status", "--output", "json"])
        #expect(status.status == 0)
        let report = try #require(status.object)
        #expect(report["node"] as? String == "node-a")
        #expect((report["problems"] as? [Any])?.isEmpty == true)
        let endpoints = try #require(report["endpoints"] as? [[String: Any]])
        #expect(
            endpoints.compactMap { $0["name"] as? String }.sorted()
                == ["kube-system/dns", "shop/api", "shop/db", "shop/frontend"])
        for endpoint in endpoints { #expect((endpoint["hooks"] as? [Any])?.count == 2) }
        let text = try await node.weir(["status"])
        #expect(text.status == 0)
        #expect(text.output.matches(#"(?m)^shop/api +10\.7\.0\.3 fd07::3 +veth-3 "#))
    }

    @Test(
        "A rollback brings the earlier policy back, and there is none before the second apply",
        .enabled(if: KernelRequirement.isMet))
    func rollback() async throws {
        try await ThrowawayNode.use { node in
            func digest() async throws -> String? {
                let slots = try await node.weir(["status", "--output", "json"]).object?["slots"] as? [[String: Any]]
                return slots?.first { $0["isActive"] as? Bool == true }?["imageDigest"] as? String
            }
            #expect(try await node.weir(["rollback"]).status == 3)
            #expect(try await node.weir(["apply"] + Weir.shop).status == 0)
            let first = try #require(try await digest())
            let early = try await node.weir(["rollback"])
            #expect(early.status == 3)
            #expect(early.errors.contains("no earlier policy"))
            #expect(try await node.weir(["apply"] + Weir.shop + ["--allow-localhost", "policy"]).status == 0)
            #expect(try await digest() != first)
            #expect(try await node.weir(["rollback"]).status == 0)
            #expect(try await digest() == first)
        }
    }

    @Test(
        "The log says each step of an apply, on standard error, as text or as JSON",
        .enabled(if: KernelRequirement.isMet), arguments: ["text", "json"])
    func log(_ format: String) async throws {
        try await ThrowawayNode.use { node in
            let outcome = try await node.weir(["apply", "--log-level", "debug", "--log-format", format] + Weir.shop)
            #expect(outcome.status == 0)
            #expect(outcome.output.hasPrefix("committed revision "))
            let lines = outcome.errors.split(separator: "\n")
            #expect(lines.count >= 11)
            switch format {
            case "json":
                for line in lines {
                    let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: String]
                    #expect(object?["level"] == "debug" && object?["step"] != nil)
                }
            default: #expect(lines.contains { $0.hasSuffix("debug: step done step=committed") })
            }
        }
    }

    @Test("Sources and a bundle of them are the same to apply", .enabled(if: KernelRequirement.isMet))
    func bundleOrSources() async throws {
        try await ThrowawayNode.use { node in
            let workspace = try Workspace()
            let bundle = try await bundle(in: workspace)
            #expect(try await node.weir(["apply"] + Weir.shop).status == 0)
            let second = try await node.weir(["apply", "--bundle", bundle])
            #expect(second.status == 0)
            #expect(second.output.hasPrefix("nothing to do: revision "))
        }
    }

    @Test("An apply that finds no interface refuses and changes nothing", .enabled(if: KernelRequirement.isMet))
    func missingInterface() async throws {
        try await ThrowawayNode.use { node in
            try await Machine.shell("ip -n \(node.name) link del veth-4")
            let outcome = try await node.weir(["apply"] + Weir.shop)
            #expect(outcome.status == 3)
            #expect(outcome.output.isEmpty)
            #expect(outcome.errors.contains("shop/db"))
            #expect(try await node.traces().isEmpty)
        }
    }
}
