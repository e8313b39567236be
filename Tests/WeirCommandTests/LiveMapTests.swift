import Foundation
import Testing
import WeirTestSupport

@Suite("map, rule and ct on a node", .serialized, .enabled(if: KernelRequirement.isMet))
struct LiveMapTests {
    /// A node that enforces the shop's policies and routes between its pods.
    private func onShop(_ body: (ThrowawayNode) async throws -> Void) async throws {
        try await ThrowawayNode.use { node in
            try await Machine.shell(
                "nsenter --net=/run/netns/\(node.name) sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'\n"
                    + ThrowawayNode.pods.map { pod in
                        """
                        ip -n \(node.name) addr add 10.7.0.1/32 dev veth-\(pod)
                        ip -n \(node.name)-\(pod) route add 10.7.0.1 dev eth0
                        ip -n \(node.name)-\(pod) route add default via 10.7.0.1

                        """
                    }.joined())
            #expect(try await node.weir(["apply"] + Weir.shop).status == 0)
            try await body(node)
        }
    }

    /// Pod 2, the frontend, asks pod 5, the DNS, who is allowed to be asked. Nobody listens there.
    private func ask(_ node: ThrowawayNode) async throws {
        try await Machine.shell(
            "ip netns exec \(node.name)-2 sh -c 'echo q | socat -t 0.1 - UDP:10.7.0.5:53,bind=10.7.0.2:4000' || true")
    }

    private func rows(_ node: ThrowawayNode, _ arguments: [String]) async throws -> [[String: Any]] {
        let outcome = try await node.weir(arguments + ["--output", "jsonl"])
        #expect(outcome.status == 0, "\(outcome.errors)")
        return outcome.lines.compactMap(Outcome.object)
    }

    private func listed(_ node: ThrowawayNode) async throws -> [[String: Any]] {
        let report = try await node.weir(["map", "list", "--output", "json"]).object
        return try #require(report?["maps"] as? [[String: Any]])
    }

    private func bpftool(_ id: Int) async throws -> [[String: Any]] {
        let outcome = try await Weir.command(["bpftool", "-j", "map", "dump", "id", "\(id)"])
        try #require(outcome.status == 0, "\(outcome.errors)")
        return try JSONSerialization.jsonObject(with: Data(outcome.bytes)) as? [[String: Any]] ?? []
    }

    @Test("map list counts what bpftool counts, in every map")
    func counts() async throws {
        try await onShop { node in
            try await ask(node)
            let maps = try await listed(node)
            #expect(maps.count == 20)
            for map in maps {
                let name = try #require(map["name"] as? String)
                #expect(map["memoryBytes"] as? Int ?? 0 > 0, "\(name)")
                #expect(map["isMemoryEstimated"] as? Bool == false, "\(name)")
                // A ring buffer has no entries, and bpftool refuses to look for them.
                guard map["type"] as? String != "ringbuf" else {
                    #expect(map["entries"] == nil)
                    continue
                }
                let id = try #require(map["id"] as? Int)
                let elements = try await bpftool(id)
                // Of a map of maps bpftool lists empty elements, too, as errors.
                let present = elements.filter { ($0["value"] as? [String: Any])?["error"] == nil }
                #expect(map["entries"] as? Int == present.count, "\(name)")
            }
            #expect(maps.first { $0["name"] as? String == "conntrack4_new" }?["entries"] as? Int == 2)
        }
    }

    @Test("bpftool shows keys and values field by field, in the maps of slots, too")
    func types() async throws {
        try await onShop { node in
            try await ask(node)
            var ids: [String: Int] = [:]
            for map in try await listed(node) { ids[map["name"] as? String ?? ""] = map["id"] as? Int }
            func fields(_ name: String, _ part: String) async throws -> Set<String> {
                let id = try #require(ids[name])
                let element = try #require(try await bpftool(id).first, "\(name)")
                let formatted = try #require(element["formatted"] as? [String: Any], "\(name) has no types")
                if let values = formatted["values"] as? [[String: Any]], part == "value" {
                    return Set((values.first?["value"] as? [String: Any] ?? [:]).keys)
                }
                return Set((formatted[part] as? [String: Any] ?? [:]).keys)
            }
            #expect(try await fields("ipcache4", "key") == ["bytes"])
            #expect(try await fields("ipcache4", "value") == ["group", "identity", "flags"])
            #expect(try await fields("ipcache6", "key") == ["bytes"])
            #expect(try await fields("cidrs4", "key") == ["prefix_length", "bytes"])
            #expect(try await fields("cidrs6", "key") == ["prefix_length", "bytes"])
            #expect(try await fields("endpoints", "value").isSuperset(of: ["id", "egress_row", "ingress_row", "ipv4"]))
            #expect(try await fields("peers", "value") == ["words"])
            #expect(try await fields("verdicts", "key").isSuperset(of: ["table", "protocol", "port_be"]))
            #expect(try await fields("conntrack4_new", "key").isSuperset(of: ["owner", "remote", "local"]))
            #expect(try await fields("conntrack4_new", "value").isSuperset(of: ["packets", "revision", "expires"]))
            #expect(try await fields("drops", "value") == ["packets", "bytes"])
            #expect(try await fields("control", "value") == ["word", "confirm", "tunnels"])
        }
    }

    @Test("Flows are listed for both pods with their rule, flushed by filter, and come back")
    func flows() async throws {
        try await onShop { node in
            try await ask(node)
            let flows = try await rows(node, ["ct", "list", "--port", "53/udp"])
            try #require(flows.count == 2)
            let frontend = try #require(flows.first { $0["endpoint"] as? String == "shop/frontend" })
            #expect(frontend["direction"] as? String == "egress")
            #expect(frontend["local"] as? String == "10.7.0.2:4000")
            #expect(frontend["remote"] as? String == "10.7.0.5:53")
            #expect(frontend["peer"] as? String == "kube-system/dns")
            #expect(frontend["egressPackets"] as? Int == 1)
            #expect(frontend["state"] as? String == "new")
            #expect(frontend["current"] as? Bool == true)
            #expect(frontend["rules"] as? [String] == ["Policies/shop/dns.yaml:11"])
            #expect((1...35).contains(frontend["left"] as? Int ?? 0))

            let key = ["shop/frontend", "udp", "10.7.0.2:4000", "10.7.0.5:53"]
            #expect(try await rows(node, ["map", "lookup", "conntrack4_new"] + key).count == 1)
            #expect(try await node.weir(["map", "lookup", "conntrack4"] + key).status == 2)

            let none = try await node.weir(["ct", "flush", "--peer", "10.7.0.77"])
            #expect(none.output == "0 flows removed\n")
            let one = try await node.weir(["ct", "flush", "--endpoint", "shop/frontend", "--peer", "kube-system/dns"])
            #expect(one.output == "1 flow removed\n")
            #expect(
                try await rows(node, ["ct", "list"]).compactMap { $0["endpoint"] as? String } == ["kube-system/dns"])
            #expect(
                try await node.weir(["ct", "flush", "--all", "--output", "json"]).output == "{\n  \"removed\" : 1\n}\n")
            #expect(try await rows(node, ["ct", "list"]).isEmpty)
            try await ask(node)
            #expect(try await rows(node, ["ct", "list"]).count == 2)

            let unknown = try await node.weir(["ct", "list", "--endpoint", "shop/nobody"])
            #expect(unknown.status == 1)
            #expect(unknown.errors.contains("weir endpoint list"))
            let locked = try await Machine.shell(
                """
                exec 9> \(node.stateDirectory)/lock; flock 9
                \(try Weir.executable.get()) ct flush --all --timeout 0.1 \(node.place.joined(separator: " ")) 9>&- || echo $?
                """)
            #expect(locked == "3\n")
            #expect(try await rows(node, ["ct", "list"]).count == 2)
        }
    }

    @Test("A flow of an earlier policy is not current and names no rule")
    func staleFlows() async throws {
        try await onShop { node in
            try await ask(node)
            #expect(try await node.weir(["apply"] + Weir.shop + ["--allow-localhost", "policy"]).status == 0)
            let flows = try await rows(node, ["ct", "list"])
            #expect(flows.count == 2)
            for flow in flows {
                #expect(flow["current"] as? Bool == false)
                #expect(flow["rules"] as? [String] == [])
            }
        }
    }

    @Test("Rules count what they decide, and --unused leaves the others")
    func rules() async throws {
        try await onShop { node in
            try await ask(node)
            let counted = try await rows(node, ["rule", "list"]).filter { $0["packets"] as? Int != 0 }
            #expect(
                counted.compactMap { $0["location"] as? String }
                    == ["Policies/shop/dns.yaml:11", "Policies/shop/dns.yaml:29"])
            #expect(counted.allSatisfy { $0["packets"] as? Int == 1 && $0["bytes"] as? Int ?? 0 > 28 })
            let unused = try await rows(node, ["rule", "list", "--unused"])
            #expect(unused.count == 13)
            #expect(!unused.contains { $0["location"] as? String == "Policies/shop/dns.yaml:11" })
            let counters = try await rows(node, ["map", "dump", "rule_counters", "--rule", "dns.yaml:11"])
            #expect(counters.compactMap { $0["packets"] as? Int } == [1])
        }
    }

    @Test("Drops have their reason's name, and a slot its own maps")
    func dropsAndSlots() async throws {
        try await onShop { node in
            try await Machine.shell(
                "ip netns exec \(node.name)-2 sh -c 'echo q | socat -t 0.1 - UDP:10.7.0.4:53' || true")
            let drops = try await rows(node, ["map", "dump", "drops"])
            #expect(drops.compactMap { $0["reason"] as? String } == ["policy-default-deny"])
            #expect(drops.compactMap { $0["direction"] as? String } == ["egress"])
            let found = try await rows(node, ["map", "lookup", "drops", "policy-default-deny/egress"])
            #expect(found.first?["packets"] as? Int == 1)

            #expect(try await rows(node, ["map", "dump", "control"]).first?["revision"] as? Int == 1)
            #expect(
                try await rows(node, ["map", "dump", "slot_meta"]).compactMap { $0["state"] as? String } == ["ready"])
            let endpoints = try await rows(node, ["map", "dump", "endpoints", "--slot", "1"])
            #expect(endpoints.compactMap { $0["interface"] as? String } == ["veth-2", "veth-3", "veth-4", "veth-5"])
            let api = try await rows(node, ["map", "lookup", "endpoints", "veth-3"])
            #expect(api.first?["endpoint"] as? String == "shop/api")
            let empty = try await node.weir(["map", "dump", "endpoints", "--slot", "inactive"])
            #expect(empty.status == 3)
            #expect(empty.errors.contains("slot 0 has no map 'endpoints'"))
            #expect(try await node.weir(["apply"] + Weir.shop + ["--allow-localhost", "policy"]).status == 0)
            #expect(try await rows(node, ["map", "dump", "endpoints", "--slot", "inactive"]).count == 4)
            // As the kernel finds it.
            let prefix = try await rows(node, ["map", "lookup", "cidrs4", "10.7.0.200"])
            #expect(prefix.first?["prefix"] as? String == "10.7.0.0/24")
        }
    }

    @Test("Without the state directory's image numbers stay numbers")
    func withoutImage() async throws {
        try await onShop { node in
            try await Machine.shell("rm \(node.stateDirectory)/image-*")
            let addresses = try await rows(node, ["map", "dump", "ipcache4", "--address", "10.7.0.3"])
            #expect(addresses.first?["group"] as? Int == 7)
            #expect(addresses.first?["endpoint"] is NSNull)
            let rules = try await node.weir(["rule", "list"])
            #expect(rules.status == 3)
            #expect(rules.errors.contains("weir apply writes the image again"))
        }
    }

    /// What explain says, with what differs from run to run replaced.
    private func steady(_ text: String) -> String {
        text.replacingOccurrences(of: #", [0-9]+ s old"#, with: ", N s old", options: .regularExpression)
    }

    private static let question = ["--from", "shop/frontend", "--to", "kube-system/dns", "--port", "53/udp"]

    @Test("explain --live: how the maps answer, what their rules counted, and the flow that is remembered")
    func explains() async throws {
        try await onShop { node in
            try await ask(node)
            let text = try await node.weir(["explain", "--live"] + Self.question)
            #expect(text.status == 0)
            #expect(text.errors.isEmpty)
            try Golden.expect(steady(text.output), "explain-live.txt")
            let denied = try await node.weir(
                ["explain", "--live", "--from", "shop/frontend", "--to", "shop/db", "--port", "5432/tcp"])
            try Golden.expect(denied.output, "explain-live-deny.txt")

            let object = try #require(
                try await node.weir(["explain", "--live", "--output", "json"] + Self.question).object)
            #expect(object["revision"] as? Int == 1)
            #expect((object["differences"] as? [Any])?.isEmpty == true)
            let live = try #require((object["egress"] as? [String: Any])?["live"] as? [String: Any])
            #expect((live["rules"] as? [String: Any])?["packets"] as? Int == 1)
            let flow = try #require((live["flows"] as? [[String: Any]])?.first)
            #expect(flow["local"] as? String == "10.7.0.2:4000" && flow["remote"] as? String == "10.7.0.5:53")
            #expect(flow["isCurrent"] as? Bool == true && flow["state"] as? String == "new")

            #expect(try await node.weir(["apply"] + Weir.shop + ["--allow-localhost", "policy"]).status == 0)
            let stale = try await node.weir(["explain", "--live"] + Self.question)
            #expect(stale.output.contains("; of an earlier policy, its next packet is judged again"))
        }
    }

    @Test("An entry that somebody changed: explain and diff show it as it is, and say that it is not what was applied")
    func changedByHand() async throws {
        try await onShop { node in
            let same = try await node.weir(["diff", "live"] + Weir.shop.dropFirst())
            #expect(same.status == 0, "\(same.errors)")
            #expect(same.errors.isEmpty)
            #expect(same.output == "no flow changes\n\nno map entry of node-a changes\n")
            // DNS gets the group of the database.
            let map = try #require(try await listed(node).first { $0["name"] as? String == "ipcache4" }?["id"] as? Int)
            let database = try await rows(node, ["map", "lookup", "ipcache4", "10.7.0.4"])
            let group = try #require(database.first?["group"] as? Int)
            let dns = try await Machine.shell("bpftool map lookup id \(map) key 10 7 0 5 | grep -c group")
            #expect(dns == "1\n")
            let value = try #require(
                try await bpftool(map).first { $0["key"] as? [String] == ["0x0a", "0x07", "0x00", "0x05"] }?["value"]
                    as? [String])
            let changed = ["\(group)", "0", "0", "0"] + value.dropFirst(4)
            try await Machine.shell(
                "bpftool map update id \(map) key 10 7 0 5 value \(changed.joined(separator: " "))")

            let outcome = try await node.weir(["explain", "--live"] + Self.question)
            #expect(outcome.status == 0)
            #expect(outcome.output.hasPrefix("shop/frontend -> kube-system/dns  53/udp  DENY\n"))
            #expect(outcome.output.contains("ipcache4 10.7.0.5 -> group \(group),"))
            #expect(outcome.errors.hasPrefix("weir: warning: the maps are not what was applied"))
            #expect(outcome.errors.matches(#"(?m)^  ipcache4: ~ 10\.7\.0\.5 -> group \d+ .* => group \d+ "#))
            let json = try await node.weir(["explain", "--live", "--output", "json"] + Self.question)
            #expect((json.object?["differences"] as? [Any])?.count == 1)

            let diff = try await node.weir(["diff", "live"] + Weir.shop.dropFirst())
            #expect(diff.status == 2)
            #expect(diff.output.contains("+ shop/frontend -> kube-system/dns  53/udp (IPv4 only)"), "\(diff.output)")
            #expect(diff.errors.contains("the maps are not what was applied"))
        }
    }

    @Test("Where nothing is loaded: status 3, and what to do")
    func nothingLoaded() async throws {
        try await ThrowawayNode.use { node in
            for command in [["map", "list"], ["endpoint", "list"], ["ct", "list"], ["ct", "flush", "--all"]] {
                let outcome = try await node.weir(command)
                #expect(outcome.status == 3)
                #expect(outcome.output.isEmpty)
                #expect(outcome.errors.contains("nothing is loaded at \(node.pinPath)"))
                #expect(outcome.errors.contains("weir apply"))
            }
        }
    }
}
