import Foundation
import TestNetwork
import Testing
import WeirTestSupport

/// `weir monitor` while real packets are judged.
@Suite("weir monitor", .serialized)
struct MonitorTests {
    /// Pod b lets a in on port 80, refuses c by a rule, and everybody else for want of one. Pod d is in audit mode.
    private static let policies = """
        apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: b, namespace: x}
        spec:
          endpointSelector: {matchLabels: {app: b}}
          ingress:
            - fromEndpoints: [{matchLabels: {app: a}}]
              toPorts: [{ports: [{port: "80", protocol: TCP}]}]
          ingressDeny:
            - fromEndpoints: [{matchLabels: {app: c}}]
        ---
        apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: d, namespace: x}
        spec:
          endpointSelector: {matchLabels: {app: d}}
          ingress:
            - {}

        """

    private static let inventory =
        """
        {apiVersion: weir.dev/v1, kind: Node, metadata: {name: n}, spec: {addresses: [10.7.0.1, "fd07::1"]}}

        """
        + zip("abcd", 2...5).map { name, number in
            let audit = name == "d" ? ", annotations: {weir.dev/audit: \"true\"}" : ""
            return """
                ---
                {apiVersion: weir.dev/v1, kind: Endpoint, metadata: {name: \(name), namespace: x, labels: {app: \(name)}\(audit)},
                 spec: {addresses: [10.7.0.\(number), "fd07::\(number)"], interface: veth-\(number)}}

                """
        }.joined()

    /// A node with four pods that enforces the policies, and a shell on it:
    ///
    ///     start ARGUMENT…   a monitor in the background, which reads when it returns; its output is in out and err
    ///     asked             whether somebody asks for events
    ///     pod N COMMAND…    in a pod's namespace
    private struct Bed {
        let topology: Topology
        let workspace: Workspace
        let place: [String]

        init() async throws {
            try mountBPFFileSystem()
            topology = try Topology(pods: [2, 3, 4, 5])
            workspace = try Workspace()
            place = ["--pin-path", "/sys/fs/bpf/\(topology.node)", "--state-dir", workspace.path + "/state"]
            try workspace.write(MonitorTests.policies, to: "policies.yaml")
            try workspace.write(MonitorTests.inventory, to: "inventory.yaml")
            let applied = try await weir(["apply", "--policies", "policies.yaml", "--inventory", "inventory.yaml"])
            try #require(applied.status == 0, "\(applied.errors)")
        }

        func weir(_ arguments: [String]) async throws -> Outcome {
            try await Weir.run(
                arguments + place, in: workspace.path, under: ["nsenter", "--net=/run/netns/\(topology.node)"])
        }

        func shell(_ script: String) async throws -> Outcome {
            try await Weir.script(
                """
                set -m
                weir() { nsenter --net=/run/netns/\(topology.node) "$weir" "$@" \(place.joined(separator: " ")); }
                asked() { bpftool map dump pinned \(place[1])/maps/monitor | grep -q '"until": [1-9]'; }
                start() {
                    nsenter --net=/run/netns/\(topology.node) "$weir" monitor \(place.joined(separator: " ")) --utc "$@" >out 2>err &
                    reader=$!
                    until asked; do sleep 0.05; kill -0 $reader || exit 99; done
                }
                pod() { ip netns exec \(topology.node)-$1 "${@:2}" >/dev/null 2>&1 || true; }
                \(script)
                """, in: workspace.path)
        }

        func remove() async {
            _ = try? await weir(["detach"])
            topology.remove()
        }

        func with(_ body: (Bed) async throws -> Void) async throws {
            do { try await body(self) } catch {
                await remove()
                throw error
            }
            await remove()
        }
    }

    /// One packet or connection of each kind.
    private static let traffic = """
        pod 2 nc -z -w 1 10.7.0.3 81
        pod 4 nc -z -w 1 10.7.0.3 80
        pod 2 nc -u -w 1 10.7.0.3 53 <<< x
        pod 2 ping -c 1 -W 1 10.7.0.3
        pod 2 nc -z -w 1 fd07::3 81
        pod 2 ip addr add 10.9.9.9/32 dev lo
        pod 2 ping -c 1 -W 1 -I 10.9.9.9 10.7.0.4
        pod 2 nc -z -w 1 10.7.0.3 80
        pod 2 ping -c 1 -W 1 10.7.0.5
        pod 5 ping -c 1 -W 1 10.7.0.3
        """

    @Test(
        "One readable line each: by default deny, by a rule, for no policy, allowed, audited, IPv6, ICMP",
        .enabled(if: KernelRequirement.isMet))
    func lines() async throws {
        try await Bed().with { bed in
            let outcome = try await bed.shell(
                """
                start --allows --verdict drop --verdict audit --verdict allow
                \(Self.traffic)
                kill -INT $reader; wait $reader; echo $?
                asked && echo still asked
                cat out
                """)
            #expect(outcome.lines.first == "130")
            #expect(!outcome.output.contains("still asked"))
            let lines = outcome.lines.dropFirst()
            for line in lines {
                #expect(line.matches(#"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DROP |ALLOW|AUDIT) "#))
            }
            // A connection that is refused is tried again.
            var seen: Set<String> = []
            let words = lines.map { $0.dropFirst(25) }.filter { seen.insert(String($0)).inserted }.map(String.init)
                .filter { !$0.contains("icmpv6") }
            #expect(
                words == [
                    "ALLOW egress  x/a -> x/b 81/tcp",
                    "DROP  ingress x/a -> x/b 81/tcp policy-default-deny policies.yaml:4",
                    "ALLOW egress  x/c -> x/b 80/tcp",
                    "DROP  ingress x/c -> x/b 80/tcp policy-deny policies.yaml:10",
                    "ALLOW egress  x/a -> x/b 53/udp",
                    "DROP  ingress x/a -> x/b 53/udp policy-default-deny policies.yaml:4",
                    "ALLOW egress  x/a -> x/b 8/icmp",
                    "DROP  ingress x/a -> x/b 8/icmp policy-default-deny policies.yaml:4",
                    "DROP  egress  x/a (as 10.9.9.9) -> x/c 8/icmp source-address",
                    "ALLOW egress  x/a -> x/b 80/tcp",
                    "ALLOW ingress x/a -> x/b 80/tcp policies.yaml:7",
                    "ALLOW egress  x/a -> x/d 8/icmp",
                    "AUDIT ingress x/a -> x/d 8/icmp policy-default-deny policies.yaml:15",
                    "ALLOW egress  x/d -> x/b 8/icmp",
                    "DROP  ingress x/d -> x/b 8/icmp policy-default-deny policies.yaml:4",
                ])
            #expect(try bed.workspace.contents("err") == "weir: \(lines.count) events were shown\n")
        }
    }

    @Test(
        "A line of jsonl says all of it, and is a flow that verdict takes; filters choose, and what they hide is counted",
        .enabled(if: KernelRequirement.isMet))
    func objects() async throws {
        try await Bed().with { bed in
            let outcome = try await bed.shell(
                """
                start --output jsonl --endpoint x/b --reason policy-default-deny --reason policy-deny --peer app=c --peer x/a
                pod 4 nc -z -w 1 10.7.0.3 80
                pod 2 nc -z -w 1 fd07::3 81
                pod 5 ping -c 1 -W 1 10.7.0.3
                kill -TERM $reader; wait $reader; echo $? >&2
                cat out
                """)
            #expect(outcome.errorLines.last == "143")
            let objects = outcome.lines.compactMap { Outcome.object($0) }
            #expect(objects.count == outcome.lines.count)
            let first = try #require(objects.first)
            #expect(
                first.keys.sorted() == [
                    "decidingRules", "direction", "endpoint", "family", "from", "interface", "length", "outcome",
                    "peerLabels", "port", "protocol", "reason", "sourcePort", "time", "to",
                ])
            #expect(first["from"] as? String == "x/c" && first["to"] as? String == "x/b")
            #expect(
                first["interface"] as? String == "veth-3" && first["decidingRules"] as? [String] == ["policies.yaml:10"]
            )
            let last = try #require(objects.last)
            #expect(last["family"] as? String == "IPv6" && last["port"] as? Int == 81)
            #expect(last["reason"] as? String == "policy-default-deny")
            #expect(try bed.workspace.contents("err").hasSuffix(" shown, 1 filtered out\n"))
            let again = try await Weir.run(
                ["verdict", "--policies", "policies.yaml", "--inventory", "inventory.yaml", "--flows", "-"],
                input: outcome.output, in: bed.workspace.path)
            #expect(again.status == 0)
            #expect(again.lines.count == objects.count)
            for line in again.lines { #expect(line.contains("\"verdict\":\"deny\"")) }
        }
    }

    @Test(
        "A flood that the ring cannot hold: what is lost is counted to the last event",
        .enabled(if: KernelRequirement.isMet))
    func flood() async throws {
        try await Bed().with { bed in
            let outcome = try await bed.shell(
                """
                start
                kill -STOP $reader
                pod 2 taskset -c 0 ping -q -c 6000 -l 6000 -W 1 10.7.0.3
                kill -CONT $reader; sleep 1
                pod 2 taskset -c 0 ping -c 1 -W 1 10.7.0.3
                kill -INT $reader; wait $reader; echo $?
                grep -c DROP out; grep left out
                """)
            #expect(outcome.lines.first == "130")
            let summary = try bed.workspace.contents("err")
            let numbers = summary.split(whereSeparator: { !$0.isNumber }).compactMap { Int($0) }
            try #require(numbers.count >= 2, "\(summary)")
            #expect(numbers[0] + numbers[1] == 6001)
            #expect(numbers[1] > 2000)
            #expect(summary.contains("events were left out"))
            #expect(outcome.lines.dropFirst(2).allSatisfy { $0.matches(#"^\.\.\. \d+ events? (was|were) left out$"#) })
            #expect(outcome.lines.count > 2)
        }
    }

    @Test("--sample and --limit leave events out, and say so", .enabled(if: KernelRequirement.isMet))
    func sampling() async throws {
        try await Bed().with { bed in
            let outcome = try await bed.shell(
                """
                start --sample 10; pod 2 taskset -c 0 ping -q -c 100 -l 100 -W 1 10.7.0.3
                kill -INT $reader; wait $reader; cat err
                start --limit 3; pod 2 taskset -c 0 ping -q -c 100 -l 100 -W 1 10.7.0.3
                kill -INT $reader; wait $reader; cat err
                start --count 2; pod 2 ping -q -c 100 -l 100 -W 1 10.7.0.3; wait $reader; echo $?; cat err; wc -l < out
                start --last-for 1s; wait $reader; echo $?; cat err
                """)
            #expect(outcome.lines.first == "weir: 10 events were shown")
            #expect(outcome.lines.dropFirst().first?.hasPrefix("weir: 90 events were left out: ") == true)
            let limited = try #require(outcome.lines.dropFirst(2).first)
            #expect(["weir: 3 events were shown", "weir: 6 events were shown"].contains(limited))
            #expect(
                Array(outcome.lines.suffix(5)) == [
                    "0", "weir: 2 events were shown", "2", "0", "weir: 0 events were shown",
                ])
        }
    }

    @Test("However it ends, it no longer asks for events", .enabled(if: KernelRequirement.isMet))
    func ends() async throws {
        try await Bed().with { bed in
            let outcome = try await bed.shell(
                """
                for signal in INT TERM HUP; do
                    start; kill -$signal $reader; wait $reader; echo $signal $?; asked && echo still asked
                done
                weir monitor > >(true); echo closed $?; asked && echo still asked
                (trap '' HUP; start; kill -HUP $reader; sleep 0.3; kill -0 $reader && echo stays; kill -TERM $reader; wait $reader)
                start; kill -KILL $reader; wait $reader; asked && echo still asked
                start; kill -INT $reader; wait $reader; echo again $?
                """)
            #expect(
                outcome.lines == ["INT 130", "TERM 143", "HUP 129", "closed 141", "stays", "still asked", "again 130"])
        }
    }

    @Test(
        "One reader at a time; it holds up no apply, follows the policy, and ends with it",
        .enabled(if: KernelRequirement.isMet))
    func company() async throws {
        try await Bed().with { bed in
            try bed.workspace.write(
                "# A line more.\n" + Self.policies.replacingOccurrences(of: "app: c", with: "app: a"), to: "other.yaml")
            let outcome = try await bed.shell(
                """
                start
                weir monitor; echo second $?
                pod 2 nc -z -w 1 10.7.0.3 81
                weir apply --policies other.yaml --inventory inventory.yaml --timeout 5 | head -1
                sleep 0.5
                pod 2 nc -z -w 1 10.7.0.3 81
                weir rollback | cut -d: -f1
                sleep 0.5
                pod 2 nc -z -w 1 10.7.0.3 82
                weir detach | head -1
                wait $reader; echo first $?
                cut -d' ' -f2- out | uniq
                """)
            #expect(outcome.errors.contains("another weir monitor reads the events of this node"))
            #expect(
                outcome.lines.map { $0.replacing(/image .*/, with: "") } == [
                    "second 3", "committed revision 2 in slot 0: 4 endpoints of n, ", "revision 3 in slot 1",
                    "detached 8 hooks and removed \(bed.place[1])", "first 0",
                    "DROP  ingress x/a -> x/b 81/tcp policy-default-deny policies.yaml:4",
                    "DROP  ingress x/a -> x/b 81/tcp policy-deny other.yaml:11",
                    "DROP  ingress x/a -> x/b 82/tcp policy-default-deny policies.yaml:4",
                ])
            #expect(try bed.workspace.contents("err").contains("the policy was detached"))
        }
    }

    @Test("Without root, and without a policy: status 3, and what to do", .enabled(if: KernelRequirement.isMet))
    func refused() async throws {
        try await Machine.mountBPFFileSystem()
        let place = ThrowawayNode().place
        let nobody = try await Weir.run(["monitor"] + place, under: try Machine.withoutRoot())
        #expect(nobody.status == 3)
        #expect(nobody.errors.contains("this needs root"))
        let nothing = try await Weir.run(["monitor"] + place)
        #expect(nothing.status == 3)
        #expect(nothing.output.isEmpty)
        #expect(nothing.errors.contains("nothing is loaded at \(place[1])\nweir: hint: weir apply"))
    }

    @Test(
        "What cannot be meant is a usage error with the nearest name",
        arguments: [
            (["--reason", "policy-dent"], "did you mean 'policy-deny'?"),
            (["--peer", "wrld"], "did you mean 'world'?"),
            (["--port", "80"], "80"), (["--count", "0"], "--count must be 1 or more"),
            (["--sample", "0"], "--sample must be 1 or more"), (["--limit", "0"], "--limit must be 1 or more"),
            (["--last-for", "soon"], "soon"), (["--verdict", "maybe"], "maybe"),
        ])
    func misuse(_ arguments: [String], _ message: String) async throws {
        let outcome = try await Weir.run(["monitor"] + arguments)
        #expect(outcome.status == 64)
        #expect(outcome.errors.contains(message))
    }
}
