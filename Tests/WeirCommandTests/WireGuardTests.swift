import Foundation
import Testing

@Suite("weir wireguard")
struct WireGuardTests {
    private static let inventory = "Tests/Fixtures/wireguard/cluster.yaml"

    private func render(_ arguments: String..., environment: [String: String] = [:]) async throws -> Outcome {
        try await Weir.run(
            ["wireguard", "render", "--inventory", Self.inventory] + arguments, environment: environment)
    }

    @Test(
        "render prints the device for wg, or the whole configuration",
        arguments: [("conf", "node-a.conf"), ("json", "node-a.json")])
    func golden(_ format: String, _ file: String) async throws {
        let outcome = try await render("--node", "node-a", "--output", format)
        #expect(outcome.status == 0)
        #expect(
            outcome.output
                == (try String(
                    contentsOfFile: "\(Weir.package)/Tests/Fixtures/wireguard/\(file)", encoding: .utf8)))
        #expect(
            outcome.errorLines == [
                "Tests/Fixtures/wireguard/cluster.yaml:24:18: warning: node node-c has no WireGuard key: its pods are "
                    + "unreachable from node node-a under encryption; publish its public key [missing-wireguard-key]"
            ])
    }

    @Test("Two files in any order and the reduced inventory give the same bytes")
    func order() async throws {
        let workspace = try Workspace()
        let text = try String(contentsOfFile: "\(Weir.package)/\(Self.inventory)", encoding: .utf8)
        let documents = text.components(separatedBy: "---\n")
        for (index, document) in documents.reversed().enumerated() {
            try workspace.write(document, to: "split/\(index).yaml")
        }
        let reduced = try await Weir.run(["inventory", "--inventory", Self.inventory])
        try workspace.write(reduced.output, to: "reduced.yaml")
        let whole = try await render("--node", "node-a", "--output", "json")
        for path in ["split", "reduced.yaml"] {
            let outcome = try await Weir.run([
                "wireguard", "render", "--inventory", "\(workspace.path)/\(path)", "--node", "node-a", "--output",
                "json",
            ])
            #expect(outcome.bytes == whole.bytes)
        }
    }

    @Test("A lane is a device: the second has the next keys, and is there only while keys rotate")
    func lanes() async throws {
        let first = try await render("--node", "node-a", "--lane", "0")
        let second = try await render("--node", "node-a", environment: ["WEIR_LANE": "1"])
        #expect(first.lines.contains("ListenPort = 51871"))
        #expect(second.lines.contains("ListenPort = 51872"))
        #expect(second.lines.first?.contains("weir-wg1") == true)
        let workspace = try Workspace()
        let text = try String(contentsOfFile: "\(Weir.package)/\(Self.inventory)", encoding: .utf8)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).filter {
            !$0.contains("nextPublicKey")
        }
        let steady = try workspace.write(lines.joined(separator: "\n"), to: "steady.yaml")
        let outcome = try await Weir.run([
            "wireguard", "render", "--inventory", steady, "--node", "node-a", "--lane", "1",
        ])
        #expect(outcome.status == 1)
        #expect(outcome.output.isEmpty)
        #expect(outcome.errors.contains("there is no lane 1: no node publishes a next public key"))
    }

    @Test("Options stand for what nodes do not say")
    func options() async throws {
        let outcome = try await render(
            "--node", "node-a", "--listen-port", "7000", "--firewall-mark", "0x100", "--persistent-keepalive", "25",
            "--allowed-ips", "pods", "--mtu", "9000", "--routing-table", "77", "--rule-preference", "9",
            "--output", "json")
        #expect(outcome.status == 0)
        let object = try #require(outcome.object)
        #expect(object["listenPort"] as? Int == 7000)
        #expect(object["firewallMark"] as? Int == 256)
        #expect(object["routingTable"] as? Int == 77)
        #expect(object["rulePreference"] as? Int == 9)
        let peers = try #require(object["peers"] as? [[String: Any]])
        #expect(peers.map { $0["persistentKeepalive"] as? Int } == [25])
        #expect(peers.map { $0["mtu"] as? Int } == [1340])
        #expect(peers.map { $0["allowedIPs"] as? [String] } == [["10.7.1.5/32", "192.0.2.11/32", "2001:db8::11/128"]])
    }

    @Test(
        "An inventory that gives no tunnel is 1, and a wrong use 64",
        arguments: [
            (["--node", "node-c"], Int32(1), "[missing-wireguard-key]"),
            (["--node", "elsewhere"], 1, "[unknown-node]"),
            ([], 1, "[ambiguous-node]"), (["--node", "node-a", "--lane", "2"], 64, "--lane must be 0 or 1"),
            (["--node", "node-a", "--lane", "0", "--output", "json"], 64, "json has both"),
            (["--node", "node-a", "--listen-port", "65535"], 64, "1 to 65534"),
            (["--node", "node-a", "--routing-table", "254"], 64, "one of weir's own"),
            (["--node", "node-a", "--firewall-mark", "0xz"], 64, "--firewall-mark"),
            (["--node", "node-a", "--mtu", "100"], 64, "576 to 65535"),
            (["--node", "node-a", "--allowed-ips", "all"], 64, "pod-cidrs"),
        ])
    func refusals(_ arguments: [String], _ status: Int32, _ says: String) async throws {
        let outcome = try await Weir.run(["wireguard", "render", "--inventory", Self.inventory] + arguments)
        #expect(outcome.status == status)
        #expect(outcome.output.isEmpty)
        #expect(outcome.errors.contains(says), "\(outcome.errors)")
    }

    @Test("Without an inventory it is a wrong use")
    func missing() async throws {
        let outcome = try await Weir.run(["wireguard", "render"])
        #expect(outcome.status == 64)
        #expect(outcome.errors.contains("Missing --inventory PATH."))
    }
}
