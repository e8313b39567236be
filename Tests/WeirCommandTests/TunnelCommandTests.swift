import Foundation
import TestNetwork
import Testing
import WeirTestSupport

/// Whether this kernel makes WireGuard devices; asked of a namespace that goes again.
private let kernelHasWireGuard: Bool = {
    let name = "weirwg-probe-\(ProcessInfo.processInfo.processIdentifier)"
    defer { _ = try? attempt(["ip", "netns", "del", name]) }
    guard (try? run("ip", "netns", "add", name)) != nil else { return false }
    return (try? attempt(["ip", "-n", name, "link", "add", "wg0", "type", "wireguard"]).status) == 0
}()

@Suite("weir wireguard on a node", .serialized, .enabled(if: KernelRequirement.isMet))
struct TunnelCommandTests {
    /// Two nodes with keys, an inventory and a device on the first.
    private func ready(_ body: (TunnelNodes) async throws -> Void) async throws {
        try await TunnelNodes.use { nodes in
            try await nodes.publishKeys()
            try nodes.writeInventory()
            try nodes.startDevice("node-a")
            try await body(nodes)
        }
    }

    private func expect(
        _ outcome: Outcome, _ nodes: TunnelNodes, status: Int32 = 0, _ output: String, errors: String = "",
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(outcome.status == status, sourceLocation: sourceLocation)
        #expect(nodes.steady(outcome.output) == output, sourceLocation: sourceLocation)
        #expect(nodes.steady(outcome.errors) == errors, sourceLocation: sourceLocation)
    }

    // MARK: key

    @Test("key prints the same public key every time, and says once that it made it")
    func key() async throws {
        try await TunnelNodes.use { nodes in
            let first = try await nodes.weir(["key"])
            #expect(first.status == 0)
            #expect(first.output.matches("^[A-Za-z0-9+/]{43}=\n$"))
            #expect(nodes.steady(first.errors) == "weir: made a new private key in DIR/node-a/state/wireguard\n")
            let second = try await nodes.weir(["key"])
            #expect(second.status == 0 && second.output == first.output && second.errors.isEmpty)
            let file = "\(nodes.stateDirectory("node-a"))/wireguard/private.key"
            #expect(try run("sh", "-c", "wg pubkey < \(file)") == first.output)
            nodes.keys["node-a"] = first.output.trimmingCharacters(in: .newlines)

            try run("chmod", "644", file)
            expect(
                try await nodes.weir(["key"]), nodes, status: 3, "",
                errors: """
                    weir: error: DIR/node-a/state/wireguard/private.key has mode 644, so others can reach a secret key \
                    (chmod 600 DIR/node-a/state/wireguard/private.key, and think of the key as known: weir wireguard \
                    rotate)

                    """)
        }
    }

    @Test("Processes that make a key at once agree on one")
    func keysAtOnce() async throws {
        try await TunnelNodes.use { nodes in
            for _ in 0..<5 {
                let outcomes = try await withThrowingTaskGroup(of: Outcome.self) { group in
                    for _ in 0..<6 {
                        let words = ["wireguard", "key", "--state-dir", nodes.stateDirectory("node-b")]
                        group.addTask { try await Weir.run(words) }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                #expect(outcomes.allSatisfy { $0.status == 0 })
                #expect(Set(outcomes.map(\.output)).count == 1)
                #expect(outcomes.count { !$0.errors.isEmpty } == 1)
                try run("rm", "-r", nodes.stateDirectory("node-b"))
            }
        }
    }

    @Test("A key file is exclusively made, and is its owner's alone from its first moment on")
    func exclusive() async throws {
        try await TunnelNodes.use { nodes in
            let log = nodes.inventoryPath
            let outcome = try await nodes.weir(["key"], under: ["strace", "-f", "-e", "trace=openat", "-o", log])
            #expect(outcome.status == 0)
            let opened = try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n")
                .filter { $0.contains("private.key") && $0.contains("O_CREAT") }
            #expect(opened.count == 1)
            for flag in ["O_WRONLY", "O_EXCL", "O_NOFOLLOW", "O_CLOEXEC", "0600"] {
                #expect(opened.allSatisfy { $0.contains(flag) }, "\(opened)")
            }
        }
    }

    // MARK: plan and apply

    private static let changes = [
        "~ interface weir-wg0, up, MTU 1440", "  + address 192.0.2.1", "  + private key of <node-a>",
        "  ~ listen port: N -> 51871", "  ~ firewall mark: 0x0 -> 0x57",
        "  + peer node-b <node-b>, 192.0.2.2:51871, 10.2.0.0/24 192.0.2.2/32",
        "+ unreachable 10.2.0.0/24, unless a tunnel leads there", "+ rule 51: to table 51871 (IPv4)",
        "+ 10.2.0.0/24 through weir-wg0, MTU 1440",
    ]

    private static func jsonLines(_ lines: [String]) -> String {
        lines.map { "    \"\($0)\"" }.joined(separator: ",\n")
    }

    @Test("plan shows what apply does, apply does it once, and both say so, as table and as JSON")
    func planAndApply() async throws {
        try await ready { nodes in
            let text = Self.changes.map { $0 + "\n" }.joined()
            let inJSON = "{\n  \"changes\" : [\n\(Self.jsonLines(Self.changes))\n  ],"
            expect(try await nodes.weir(["plan"], inventory: true), nodes, text)
            expect(try await nodes.weir(["plan", "--detailed-exitcode"], inventory: true), nodes, status: 2, text)
            expect(
                try await nodes.weir(["plan", "--output", "json"], inventory: true), nodes,
                inJSON + "\n  \"node\" : \"node-a\"\n}\n")
            expect(
                try await nodes.weir(["apply", "--output", "json"], inventory: true), nodes,
                inJSON + """

                      "interfaces" : [
                        "weir-wg0"
                      ],
                      "result" : "applied",
                      "sendingInterface" : "weir-wg0"
                    }

                    """)
            expect(
                try await nodes.weir(["apply", "--output", "json"], inventory: true), nodes,
                """
                {
                  "changes" : [

                  ],
                  "interfaces" : [
                    "weir-wg0"
                  ],
                  "result" : "unchanged",
                  "sendingInterface" : "weir-wg0"
                }

                """)
            expect(
                try await nodes.weir(["apply"], inventory: true), nodes, "nothing to do: weir-wg0 is as it should be\n")
            expect(try await nodes.weir(["plan", "--detailed-exitcode"], inventory: true), nodes, "nothing to do\n")
            expect(
                try await nodes.weir(["plan", "--output", "json"], inventory: true), nodes,
                "{\n  \"changes\" : [\n\n  ],\n  \"node\" : \"node-a\"\n}\n")

            try run("ip", "-n", nodes.namespace("node-a"), "rule", "del", "pref", "51")
            expect(
                try await nodes.weir(["apply"], inventory: true), nodes,
                "+ rule 51: to table 51871 (IPv4)\nsends on weir-wg0\n")
        }
    }

    @Test(
        "Where the kernel has no WireGuard and no wireguard-go runs, apply says what to run",
        .enabled(if: !kernelHasWireGuard))
    func noDevice() async throws {
        try await TunnelNodes.use { nodes in
            try await nodes.publishKeys()
            try nodes.writeInventory()
            let planned = try await nodes.weir(["plan"], inventory: true)
            #expect(planned.lines.first == "+ interface weir-wg0, up, MTU 1440")
            expect(
                try await nodes.weir(["apply"], inventory: true), nodes, status: 3, "",
                errors: """
                    weir: error: this kernel has no WireGuard, and no user-space device is called weir-wg0 (run \
                    wireguard-go --foreground weir-wg0 under your service manager, then apply again)

                    """)
            // Refused is unchanged: nothing leads to a table of weir's.
            let rules = try attempt(["ip", "netns", "exec", nodes.namespace("node-a"), "ip", "rule"])
            #expect(rules.status == 0 && !rules.output.contains("51871"))
        }
    }

    @Test("An inventory that gives no tunnel ends with status 1", arguments: ["plan", "apply", "status"])
    func badInventory(_ command: String) async throws {
        try await TunnelNodes.use { nodes in
            try await nodes.publishKeys()
            nodes.keys["node-b"] = nodes.keys["node-a"]
            try nodes.writeInventory()
            let twice = try await nodes.weir([command], inventory: true)
            #expect(twice.status == 1 && twice.output.isEmpty)
            #expect(twice.errors.contains(": error: ") && twice.errors.contains("[duplicate-wireguard-key]\n"))
            try nodes.writeInventory(["node-b"])
            let absent = try await nodes.weir([command], inventory: true)
            #expect(absent.status == 1 && absent.output.isEmpty)
            #expect(absent.errors.hasSuffix("[unknown-node]\n"))
        }
    }

    @Test("A node that has not the key that it publishes is refused")
    func otherKey() async throws {
        try await ready { nodes in
            let published = try #require(nodes.keys["node-a"])
            try run("rm", "\(nodes.stateDirectory("node-a"))/wireguard/private.key")
            let without = try await nodes.weir(["apply"], inventory: true)
            #expect(without.status == 3 && without.output.isEmpty)
            #expect(
                without.errors
                    == "weir: error: this node has no private key (weir wireguard key makes one; publish what it prints)\n"
            )
            let made = try await nodes.weir(["key"]).output.trimmingCharacters(in: .newlines)
            let other = try await nodes.weir(["apply"], inventory: true)
            #expect(other.status == 3 && other.output.isEmpty)
            #expect(
                other.errors == """
                    weir: error: the inventory publishes the key \(published) for this node, which has the one of \
                    \(made) (publish that one)

                    """)
        }
    }

    // MARK: status

    private static let heading = "NODE    STATE  HANDSHAKE  RECEIVED  SENT  ENDPOINT         ALLOWED IPS\n"

    @Test("status shows the tunnel as it is, and ends with 2 where it is not as it is wanted")
    func status() async throws {
        try await ready { nodes in
            expect(try await nodes.weir(["status"]), nodes, "no tunnel was applied\n")
            expect(try await nodes.weir(["status", "--output", "json"]), nodes, "null\n")
            #expect(try await nodes.weir(["apply"], inventory: true).status == 0)
            let device = "weir-wg0 (userspace), port 51871, key <KEY node-a>, in use\n\n"
            expect(
                try await nodes.weir(["status"]), nodes,
                device + Self.heading
                    + "node-b  ok     never      0         0     192.0.2.2:51871  10.2.0.0/24 192.0.2.2/32\n"
                    + "\nas applied\n")

            try nodes.startDevice("node-b")
            #expect(try await nodes.weir(["apply"], on: "node-b", inventory: true).status == 0)
            try run("ip", "-n", nodes.namespace("node-b"), "addr", "add", "10.2.0.1/32", "dev", "lo")
            try run("ip", "netns", "exec", nodes.namespace("node-a"), "ping", "-c", "1", "-W", "10", "-n", "10.2.0.1")
            let talking =
                device + Self.heading + "node-b  ok     N s ago  N  N  192.0.2.2:51871  10.2.0.0/24 192.0.2.2/32\n\n"
            expect(try await nodes.weir(["status"]), nodes, talking + "as applied\n")
            expect(try await nodes.weir(["status"], inventory: true), nodes, talking + "as applied\n")
            expect(try await nodes.weir(["status", "--output", "json"]), nodes, Self.inSyncJSON)

            try run("ip", "-n", nodes.namespace("node-a"), "rule", "del", "pref", "51")
            expect(
                try await nodes.weir(["status"]), nodes, status: 2,
                talking + "differs:\n  + rule 51: to table 51871 (IPv4)\n")
            let differs = try await nodes.weir(["status", "--output", "json"])
            #expect(differs.status == 2)
            #expect(differs.object?["changes"] as? [String] == ["+ rule 51: to table 51871 (IPv4)"])
        }
    }

    private static let inSyncJSON = """
        {
          "changes" : [

          ],
          "devices" : [
            {
              "interface" : "weir-wg0",
              "interfaceIndex" : N,
              "isInUse" : true,
              "kind" : "userspace",
              "listenPort" : 51871,
              "peers" : [
                {
                  "allowedIPs" : [
                    "10.2.0.0/24",
                    "192.0.2.2/32"
                  ],
                  "endpoint" : "192.0.2.2:51871",
                  "handshakeAgeSeconds" : N,
                  "node" : "node-b",
                  "publicKey" : "<KEY node-b>",
                  "receivedBytes" : N,
                  "sentBytes" : N,
                  "state" : "ok"
                }
              ],
              "publicKey" : "<KEY node-a>"
            }
          ],
          "node" : "node-a"
        }

        """

    @Test("status names peers that are wanted and not there, and those that are there and not wanted")
    func statusOfPeers() async throws {
        try await ready { nodes in
            #expect(try await nodes.weir(["apply"], inventory: true).status == 0)
            // Another node has the place of node-b.
            let third = try run("sh", "-c", "wg genkey | wg pubkey").trimmingCharacters(in: .newlines)
            nodes.keys["node-c"] = third
            try nodes.writeInventory(
                ["node-a"],
                more: "{apiVersion: weir.dev/v1, kind: Node, metadata: {name: node-c}, spec: {addresses: [192.0.2.3], "
                    + "podCIDRs: [10.3.0.0/24], wireguard: {publicKey: \"\(third)\"}}}\n")
            let outcome = try await nodes.weir(["status"], inventory: true)
            expect(
                outcome, nodes, status: 2,
                """
                weir-wg0 (userspace), port 51871, key <KEY node-a>, in use

                NODE       STATE     HANDSHAKE  RECEIVED  SENT  ENDPOINT         ALLOWED IPS
                node-c     wanted    never      0         0     -
                <node-b>  unwanted  never      0         0     192.0.2.2:51871  10.2.0.0/24 192.0.2.2/32

                differs:
                  ~ interface weir-wg0
                    + peer node-c <node-c>, 192.0.2.3:51871, 10.3.0.0/24 192.0.2.3/32
                    - peer <node-b>, 10.2.0.0/24 192.0.2.2/32
                  + unreachable 10.3.0.0/24, unless a tunnel leads there
                  + 10.3.0.0/24 through weir-wg0, MTU 1440
                  - 10.2.0.0/24 through interface N in table 51871 metric 1
                  - unreachable 10.2.0.0/24 in table 51871 metric 4294967295

                """)
            let states = try await nodes.weir(["status", "--output", "json"], inventory: true)
            #expect(states.status == 2)
            let devices = try #require(states.object?["devices"] as? [[String: Any]])
            let peers = try #require(devices.first?["peers"] as? [[String: Any]])
            #expect(peers.map { $0["state"] as? String } == ["wanted", "unwanted"])
            #expect(peers.map { $0["node"] as? String } == ["node-c", nil])
        }
    }

    // MARK: rotate

    @Test("rotate prints what to publish, refuses to send where nobody answered, and goes there by force")
    func rotate() async throws {
        try await ready { nodes in
            #expect(try await nodes.weir(["apply"], inventory: true).status == 0)
            expect(
                try await nodes.weir(["rotate", "switch"]), nodes, status: 3, "",
                errors: """
                    weir: error: no key is rotating (publish the next key that weir wireguard rotate start prints, and \
                    apply on every node)

                    """)
            let start = try await nodes.weir(["rotate", "start"])
            #expect(start.status == 0 && start.errors.isEmpty)
            #expect(start.output.matches("^[A-Za-z0-9+/]{43}=\n$"))
            nodes.nextKeys["node-a"] = start.output.trimmingCharacters(in: .newlines)
            expect(try await nodes.weir(["rotate", "start"]), nodes, "<NEXT node-a>\n")
            try nodes.writeInventory()
            try nodes.startDevice("node-a", "weir-wg1")
            #expect(try await nodes.weir(["apply"], inventory: true).status == 0)
            expect(
                try await nodes.weir(["rotate", "switch"]), nodes, status: 3, "",
                errors: """
                    weir: error: on weir-wg1 there was no answer from node-b (apply there first, or wait 25 seconds; \
                    --force sends to them in vain)

                    """)
            expect(
                try await nodes.weir(["rotate", "switch", "--force"]), nodes,
                "~ sends on weir-wg1\nsends on weir-wg1\n")
            expect(
                try await nodes.weir(["rotate", "switch", "--force"]), nodes,
                "nothing to do: weir-wg1 is as it should be\n")
            let status = try await nodes.weir(["status"])
            #expect(status.status == 0)
            #expect(
                nodes.steady(status.output).contains(
                    "weir-wg1 (userspace), port 51872, key <NEXT node-a>, in use\n"))
            expect(
                try await nodes.weir(["rotate", "finish", "--force"]), nodes,
                "~ sends on weir-wg0\nsends on weir-wg0\n")
        }
    }

    @Test("There is nothing to rotate without a key, and no other phase")
    func noRotation() async throws {
        try await TunnelNodes.use { nodes in
            expect(
                try await nodes.weir(["rotate", "start"]), nodes, status: 3, "",
                errors:
                    "weir: error: this node has no key to rotate (weir wireguard key makes the first)\n")
            for phase in ["switch", "finish"] {
                expect(
                    try await nodes.weir(["rotate", phase]), nodes, status: 3, "",
                    errors: "weir: error: no tunnel was applied (weir wireguard apply)\n")
            }
            for words in [["rotate", "begin"], ["rotate"]] {
                let wrong = try await nodes.weir(words)
                #expect(wrong.status == 64 && wrong.output.isEmpty)
                #expect(wrong.errors.contains("phase"))
            }
        }
    }

    // MARK: down

    @Test("down says what it took away, and the second time that there is nothing")
    func down() async throws {
        try await ready { nodes in
            expect(try await nodes.weir(["down"]), nodes, "there is no tunnel\n")
            #expect(try await nodes.weir(["apply"], inventory: true).status == 0)
            // The same state directory, seen from another namespace.
            let elsewhere = try await nodes.weir(
                ["down"], under: ["nsenter", "--net=/run/netns/\(nodes.namespace("node-b"))"])
            expect(
                elsewhere, nodes, status: 3, "",
                errors: """
                    weir: error: the tunnel of DIR/node-a/state/wireguard belongs to another network namespace (run \
                    there)

                    """)
            // The kernel itself takes the device's route away with its last address.
            expect(
                try await nodes.weir(["down"]), nodes,
                """
                - peers of weir-wg0
                - rule 51: to table 51871 (IPv4)
                - unreachable 10.2.0.0/24 in table 51871 metric 4294967295

                """)
            expect(try await nodes.weir(["down"]), nodes, "there is no tunnel\n")
            expect(try await nodes.weir(["key"]), nodes, "<KEY node-a>\n")
        }
    }

    // MARK: Without root

    @Test(
        "Without root: status 3 and a hint, and nothing of the tunnel is told",
        arguments: [["key"], ["plan"], ["apply"], ["status"], ["rotate", "start"], ["rotate", "switch"], ["down"]])
    func withoutRoot(_ command: [String]) async throws {
        try await ready { nodes in
            #expect(try await nodes.weir(["apply"], inventory: true).status == 0)
            let outcome = try await nodes.weir(
                command, inventory: ["plan", "apply"].contains(command[0]), under: try Machine.withoutRoot())
            #expect(outcome.status == 3)
            #expect(outcome.output.isEmpty)
            #expect(outcome.errors.hasPrefix("weir: error: "))
            #expect(outcome.errors.contains("\nweir: hint: this needs root"), "\(outcome.errors)")
        }
    }
}
