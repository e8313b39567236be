import Foundation
import Testing
import WeirTestSupport

/// What a runtime does to a node all day, and what it must never let through.
@Suite("weir cni under load", .serialized, .enabled(if: KernelRequirement.isMet))
struct CNIStormTests {
    private static let inventory = """
        {apiVersion: weir.dev/v1, kind: Node, metadata: {name: n}, spec: {addresses: [10.66.0.1, "fd66::1"], podCIDRs: [10.66.0.0/24, "fd66::/64"]}}
        ---
        {apiVersion: weir.dev/v1, kind: Namespace, metadata: {name: shop}}
        """
    /// Pods of app web send to port 8000 of pods of app server, and nothing else.
    private static let policies = """
        {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web, namespace: shop},
         spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Egress],
                egress: [{to: [{podSelector: {matchLabels: {app: server}}}], ports: [{port: 8000, protocol: UDP}]}]}}
        """

    private static func apply(_ node: CNINode) async throws {
        let outcome = try await node.weir([
            "apply", "--policies", try node.workspace.write(policies, to: "policies.yaml"), "--inventory",
            try node.workspace.write(inventory, to: "inventory.yaml"), "--node", "n",
        ])
        try #require(outcome.status == 0, "\(outcome.errors)")
    }

    /// Sends in a loop, from its very beginning, to a port that policy allows, to one that it denies, and to the node.
    private static func send(from pod: String, to server: String) -> String {
        """
        ip netns exec \(pod) timeout 2 bash -c '
          while :; do for to in \(server)/8000 \(server)/9000 10.66.0.1/9000; do echo x >/dev/udp/$to; done 2>/dev/null; done' || true
        """
    }

    @Test(
        "a pod sends from its first instant, and nothing passes that policy denies; a pod that nobody knows is not heard",
        arguments: [CNINode.Main.bridge, .ptp])
    func firstInstant(_ main: CNINode.Main) async throws {
        try await CNINode.use(main, containers: 3) { node in
            try await Self.apply(node)
            let server = try node.attachment(0, name: "server", labels: ["app": "server"])
            let address = try #require(try await node.runtime.add(server).addresses.first { $0.contains(".") })
            for (index, labels) in [(1, ["app": "web"]), (2, nil)] as [(Int, [String: String]?)] {
                let pod = try node.attachment(index, name: "pod\(index)", labels: labels)
                // What reaches the server's own interface, and what the node takes of its pods.
                let capture = try await Capture(in: node.containers[0], file: "\(node.workspace.path)/\(index).txt")
                try await Machine.shell(
                    """
                    nsenter --net=/run/netns/\(node.name) nft -f - <<<'
                      table inet seen { chain in { type filter hook input priority 0; udp dport 9000 counter; }; }'
                    """)
                try await node.runtime.add(pod)
                try await Machine.shell(Self.send(from: node.containers[index], to: address))
                let seen = try await capture.end()
                let passed = try await Machine.shell(
                    """
                    nsenter --net=/run/netns/\(node.name) nft list table inet seen | grep -o 'packets [0-9]*'
                    nsenter --net=/run/netns/\(node.name) nft delete table inet seen
                    """)
                #expect(!seen.contains(".9000:"), "denied port: \(seen.suffix(300))")
                #expect(seen.contains(".8000:") == (labels != nil))
                #expect(passed == "packets 0\n")
                try await node.runtime.delete(pod)
            }
        }
    }

    /// What UDP reaches an interface, from the time that somebody listens until it is ended.
    private struct Capture {
        let namespace: String
        let file: String

        init(in namespace: String, file: String) async throws {
            (self.namespace, self.file) = (namespace, file)
            try await Machine.shell(
                """
                nsenter --net=/run/netns/\(namespace) timeout 120 tcpdump --immediate-mode -l -n -i eth0 udp >\(file) 2>\(file).log &
                until grep -q 'listening on' \(file).log; do kill -0 $!; sleep 0.05; done
                """)
        }

        func end() async throws -> String {
            try await Machine.shell(
                """
                kill -INT $(ip netns pids \(namespace))
                while [ "$(ip netns pids \(namespace))" ]; do sleep 0.05; done
                cat \(file)
                """)
        }
    }

    @Test("pods come and go by the hundred, at once, with kill -9 at random, and nothing is left of them")
    func storm() async throws {
        let seed = UInt32.random(in: 0..<10_000)
        try await CNINode.use(.ptp, containers: 6) { node in
            try await Self.apply(node)
            let plugin = "\(node.workspace.path)/bin/weir-cni"
            let executable = try FileManager.default.destinationOfSymbolicLink(atPath: plugin)
            try FileManager.default.removeItem(atPath: plugin)
            // Every third one dies somewhere on its way.
            try """
            #!/bin/bash
            exec 3<&0
            "\(executable)" <&3 &
            if (((RANDOM + \(seed)) % 3 == 0)); then sleep "$(printf '0.%03d' $((RANDOM % 150)))"; kill -9 $!; fi 2>/dev/null
            wait $!
            """.write(toFile: plugin, atomically: true, encoding: .utf8)
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: plugin)
            let died = try await withThrowingTaskGroup(of: Int.self) { group in
                for index in node.containers.indices {
                    group.addTask {
                        let pod = try node.attachment(index, name: "web\(index)", labels: ["app": "web"])
                        var died = 0
                        for _ in 0..<18 {
                            do { try await node.runtime.add(pod) } catch { died += 1 }
                            died += try await Self.delete(pod, node)
                        }
                        return died
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(died > 10, "seed \(seed): nothing died, so nothing was tried")
            try await Self.expectNothing(on: node, "seed \(seed)")
        }
    }

    /// As runtimes do: until it is done. Returns how often it was not.
    private static func delete(_ pod: CNIRuntime.Attachment, _ node: CNINode) async throws -> Int {
        for died in 0..<20 {
            do {
                try await node.runtime.delete(pod)
                return died
            } catch { continue }
        }
        try await node.runtime.delete(pod)
        return 20
    }

    private static func expectNothing(on node: CNINode, _ seed: String) async throws {
        let links = try await Machine.shell("ip -n \(node.name) -o link | awk -F'[ @:]+' '{print $2}'")
        #expect(links == "lo\nup1\nup0\n" || links == "lo\nup0\nup1\n", "\(seed)")
        let left = try await Machine.shell(
            "ls \(node.pinPath)/links \(node.stateDirectory)/registrations 2>/dev/null | grep -E 'gress$|json' || true; "
                + "find \(node.stateDirectory) -name '*.tmp'; ls -d \(node.pinPath)-new 2>/dev/null || true"
        )
        #expect(left.isEmpty, "\(seed)")
        let status = try #require(try await node.weir(["status", "--output", "json"]).object, "\(seed)")
        #expect((status["endpoints"] as? [Any])?.isEmpty == true, "\(seed)")
        #expect((status["problems"] as? [String]) == [], "\(seed)")
        #expect(((status["local"] as? [String: Any])?["denied"] as? [Any])?.isEmpty == true, "\(seed)")
        for map in ["endpoints", "ipcache4", "ipcache6"] {
            let dump = try await node.weir(["map", "dump", map, "--output", "json"])
            #expect(!dump.output.contains("shop"), "\(seed): \(map): \(dump.output.prefix(300))")
        }
    }
}
