import Foundation
import Testing
import WeirTestSupport

@Suite("endpoint add and remove", .serialized, .enabled(if: KernelRequirement.isMet))
struct EndpointTests {
    /// The interface's index and what differs from machine to machine is as it is; names are not.
    private func shown(_ outcome: Outcome, _ node: LivingNode) -> String {
        outcome.output.replacingOccurrences(of: node.node.name, with: "NODE")
    }

    @Test("Endpoints come, are judged by the policy in force, and go; what they say is kept as an example")
    func life() async throws {
        try await LivingNode.use { node in
            let early = try await node.add("db", 3, "--label", "app=db")
            try Golden.expect(shown(early, node), "endpoint-add-early.txt")
            #expect(early.status == 0)
            #expect(try await node.reached() == LivingNode.all([2, 4, 5]))
            try #require(try await node.apply().status == 0)
            #expect(
                try await node.reached() == LivingNode.all([2, 4, 5]).union(LivingNode.pairs((3, 2), (3, 4), (3, 5))))

            let api = try await node.add("api", 2, "--label", "app=api")
            try Golden.expect(shown(api, node), "endpoint-add.txt")
            let again = try await node.add("api", 2, "--label", "app=api", "--output", "json")
            try Golden.expect(shown(again, node), "endpoint-add.json")
            #expect(
                try await node.reached()
                    == LivingNode.all([2, 4, 5]).union(LivingNode.pairs((2, 3), (3, 2), (3, 4), (3, 5))))

            let unknown = try await node.add("web", 4, "--output", "json")
            try Golden.expect(shown(unknown, node), "endpoint-add-denied.json")
            #expect(unknown.status == 0)
            #expect(try await node.reached() == LivingNode.pairs((2, 3), (3, 2), (3, 5), (2, 5), (5, 2)))
            #expect(try await node.add("web", 4, "--label", "app=web", "--port", "http=8080").status == 0)
            #expect(try await node.connects(2, 4, 8080))
            #expect(try await !node.connects(2, 4, 8081))
            #expect(try await !node.connects(5, 4, 8080))
            #expect(try await node.endpoints() == ["shop/api", "shop/db", "shop/web"])
            #expect(try await node.complaints() == [])

            let removed = try await node.remove("api")
            try Golden.expect(shown(removed, node), "endpoint-remove.txt")
            #expect(try await node.reached() == LivingNode.pairs((3, 5), (4, 5)))
            let opened = try await node.remove("web", "--open")
            try Golden.expect(shown(opened, node), "endpoint-remove-open.txt")
            #expect(try await node.reached() == LivingNode.pairs((3, 4), (3, 5), (4, 5), (5, 4)))
            let stranger = try await node.remove("web")
            #expect(stranger.status == 1)
            try Golden.expect(stranger.errors, "endpoint-remove-unknown.txt")
            #expect(try await node.endpoints() == ["shop/db"])
            #expect(node.kept("registrations").count == 1)
            #expect(try await node.hooks() == ["veth-2 denied", "veth-3 judged"])

            // What was removed can be opened later, and comes back as somebody else.
            #expect(try await node.remove("api", "--open").status == 0)
            #expect(try await node.hooks() == ["veth-3 judged"])
            #expect(node.deniedFile.isEmpty)
            #expect(try await node.add("other", 2, "--label", "app=other").status == 0)
            #expect(try await node.reached().isDisjoint(with: LivingNode.pairs((2, 3))))
        }
    }

    @Test("diff beside live compares what apply would do: with the endpoints that were added here")
    func difference() async throws {
        try await LivingNode.use { node in
            try #require(try await node.apply().status == 0)
            try #require(try await node.add("db", 3, "--label", "app=db").status == 0)
            let policies = "\(node.workspace.path)/policies.yaml"
            let inventory = ["--inventory", "\(node.workspace.path)/inventory.yaml"]
            let same = try await node.node.weir(["diff", "live", policies] + inventory)
            #expect(same.status == 0, "\(same.output)\(same.errors)")
            let bundle = "\(node.workspace.path)/same.weir"
            let compiled = try await Weir.run(
                ["compile", "--policies", policies] + inventory + ["--output", "bundle", "--output-file", bundle])
            try #require(compiled.status == 0, "\(compiled.errors)")
            #expect(try await node.node.weir(["diff", "live", bundle]).status == 0)
            let open = try node.workspace.write(
                LivingNode.policies.replacingOccurrences(of: "{app: db}", with: "{app: none}"), to: "open.yaml")
            let widened = try await node.node.weir(["diff", "live", open] + inventory)
            #expect(widened.status == 2)
            #expect(widened.output.contains("shop/db"), "\(widened.output)")
        }
    }

    @Test("An endpoint with an address of one family is judged in that family and has no business in the other")
    func oneFamily() async throws {
        try await LivingNode.use { node in
            try #require(try await node.apply().status == 0)
            try await Machine.shell("ip -n \(node.namespace(3)) addr del 10.7.0.3/32 dev eth0")
            let added = try await node.add("db", 3, "--label", "app=db", "--output", "json")
            try #require(added.status == 0, "\(added.errors)")
            #expect(added.object?["addresses"] as? [String] == ["fd07::3"])
            try #require(try await node.add("api", 2, "--label", "app=api").status == 0)
            // Back again, which nobody told weir.
            try await Machine.shell(
                "ip -n \(node.namespace(3)) addr add 10.7.0.3/32 dev eth0\n" + node.routes(3))
            #expect(try await node.reached() == LivingNode.all([2, 4, 5]).union(["2=3", "3=2", "3=4", "3=5"]))
            try await node.succeed("endpoint", "remove", "shop/db", "--open")
            #expect(try await node.reached() == LivingNode.all())
        }
    }

    @Test("By process and by interface is as by namespace")
    func ways() async throws {
        try await LivingNode.use { node in
            try #require(try await node.apply().status == 0)
            let script = """
                ip netns exec \(node.namespace(3)) sleep 60 & pid=$!; trap "kill $pid" EXIT; sleep 0.2
                nsenter --net=/run/netns/\(node.node.name) "$weir" endpoint add shop/db --pid $pid --label app=db \
                  --address 10.7.0.3 \(node.node.place.joined(separator: " "))
                """
            let byProcess = try await Weir.script(script)
            #expect(byProcess.output == "shop/db (10.7.0.3) at veth-3 is judged by the policy in force\n")
            #expect(byProcess.errors.isEmpty)
            let byInterface = try await node.weir(
                "endpoint", "add", "shop/api", "--interface", "veth-2", "--address", "10.7.0.2", "--address", "fd07::2",
                "--label", "app=api")
            #expect(byInterface.output == "shop/api (10.7.0.2 fd07::2) at veth-2 is judged by the policy in force\n")
            let path = try await node.weir(
                "endpoint", "add", "shop/web", "--netns", "/run/netns/\(node.namespace(4))", "--no-labels")
            #expect(path.output == "shop/web (10.7.0.4 fd07::4) at veth-4 is judged by the policy in force\n")
            let reached = try await node.reached()
            #expect(reached.contains("2-3") && !reached.contains("4-3"))
            // Nobody said that it has the other address, so it may not use it.
            #expect(!reached.contains("2=3") && !reached.contains("3=5"))
        }
    }

    @Test(
        "What cannot be meant is refused before anything changes",
        arguments: [
            (["shop/db"], 64, "Say where it lives"), (["shop/db", "--interface", "veth-3"], 64, "needs --address"),
            (["shop/db", "--netns", "a", "--pid", "7"], 64, "Say where it lives"),
            (["db", "--netns", "a"], 64, "namespace/name"), (["shop/db/x", "--netns", "a"], 64, "namespace/name"),
            (["shop/db", "--netns", "a", "--label", "app"], 64, "is not key=value"),
            (["shop/db", "--netns", "a", "--label", "app=a", "--label", "app=b"], 64, "is given twice"),
            (["shop/db", "--netns", "a", "--label", "app=a", "--no-labels"], 64, "either"),
            (["shop/db", "--netns", "a", "--port", "http"], 64, "as http=8080/tcp"),
            (["shop/db", "--netns", "a", "--address", "10.7.0.300"], 64, "is not an IP address"),
            (["shop/db", "--netns", "a", "--address", "10.7.0.3", "--address", "10.7.0.4"], 64, "at most one address"),
            (["shop/db", "--netns", "a", "--label", "io.kubernetes.pod.namespace=ops"], 64, "is derived"),
            (["shop/db", "--netns", "a", "--address", "127.0.0.1"], 64, "a loopback address"),
            (["shop/db", "--netns", "weir-none-such"], 3, "no network namespace"),
            (["shop/db", "--pid", "4294967295"], 3, "no network namespace"),
            (["shop/db", "--interface", "veth-9", "--address", "10.7.0.9"], 3, "there is no interface 'veth-9'"),
        ])
    func refused(_ arguments: [String], _ status: Int32, _ why: String) async throws {
        try await LivingNode.use { node in
            let outcome = try await node.node.weir(["endpoint", "add"] + arguments)
            #expect(outcome.status == status)
            #expect(outcome.output.isEmpty)
            #expect(outcome.errors.contains(why), "\(outcome.errors)")
            #expect(try await node.hooks() == [])
            #expect(node.kept("registrations") == [])
        }
    }

    @Test("A second name at an interface, and a namespace behind two of them, are refused")
    func ambiguous() async throws {
        try await LivingNode.use { node in
            try #require(try await node.apply().status == 0)
            #expect(try await node.add("db", 3, "--label", "app=db").status == 0)
            let other = try await node.add("web", 3, "--label", "app=web")
            #expect(other.status == 3)
            try Golden.expect(other.errors, "endpoint-add-taken.txt")
            #expect(try await node.endpoints() == ["shop/db"])
            try await Machine.shell(
                """
                ip -n \(node.node.name) link add veth-9 type veth peer name eth1 netns \(node.namespace(4))
                ip -n \(node.namespace(4)) addr add 10.7.0.9/32 dev eth1
                """)
            let two = try await node.add("web", 4, "--label", "app=web")
            #expect(two.status == 3)
            #expect(two.errors.contains("is behind several interfaces: veth-4, veth-9"))
            let one = try await node.add("web", 4, "--label", "app=web", "--address", "10.7.0.9")
            #expect(one.output == "shop/web (10.7.0.9) at veth-9 is judged by the policy in force\n")
            #expect(try await node.hooks() == ["veth-3 judged", "veth-9 judged"])
        }
    }

    @Test("One address is not two endpoints': both are denied until one is removed")
    func sameAddress() async throws {
        try await LivingNode.use { node in
            try #require(try await node.apply().status == 0)
            #expect(try await node.add("api", 2, "--label", "app=api").status == 0)
            let second = try await node.weir(
                "endpoint", "add", "shop/db", "--interface", "veth-3", "--address", "10.7.0.2", "--label", "app=db")
            #expect(second.status == 0)
            #expect(
                second.output == "shop/db (10.7.0.2) at veth-3 is denied everything: "
                    + "10.7.0.2 was given to more than one endpoint of this node\n")
            #expect(try await node.reached() == LivingNode.pairs((4, 5), (5, 4)))
            #expect(try await node.remove("db").status == 0)
            #expect(try await node.reached() == LivingNode.all([2, 4, 5]))
            #expect(try await node.hooks() == ["veth-2 judged", "veth-3 denied"])
        }
    }

    @Test("An endpoint that the inventory has is not open because a registration took its name, address or interface")
    func displaced() async throws {
        try await LivingNode.use { node in
            let known = LivingNode.document("db", pod: 3, app: "db") + LivingNode.document("api", pod: 2, app: "api")
            try #require(try await node.apply(inventory: known).status == 0)
            #expect(try await node.hooks() == ["veth-2 judged", "veth-3 judged"])
            // Its address at another interface, under another name; pod 3 has the address, too.
            let taken = try await node.weir(
                "endpoint", "add", "shop/web", "--interface", "veth-4", "--address", "10.7.0.3", "--address", "fd07::3",
                "--label", "app=web")
            #expect(taken.status == 0, "\(taken.errors)")
            #expect(try await node.hooks() == ["veth-2 judged", "veth-3 denied", "veth-4 judged"])
            #expect(try await node.remove("web", "--open").status == 0)
            #expect(try await node.apply(inventory: known).status == 0)
            #expect(try await node.hooks() == ["veth-2 judged", "veth-3 judged"])
            // Its name at another interface.
            #expect(try await node.add("db", 5, "--label", "app=db").status == 0)
            #expect(try await node.hooks() == ["veth-2 judged", "veth-3 denied", "veth-5 judged"])
            // The next one does not see why, and keeps it.
            #expect(try await node.add("web", 4, "--label", "app=web").status == 0)
            #expect(try await node.hooks() == ["veth-2 judged", "veth-3 denied", "veth-4 judged", "veth-5 judged"])
            #expect(try await node.reached().isDisjoint(with: LivingNode.pairs((3, 2), (3, 4), (3, 5), (2, 3))))
        }
    }

    @Test("An endpoint of the inventory that lost its address for a moment is denied, not open, when another comes")
    func addressGone() async throws {
        try await LivingNode.use { node in
            try #require(try await node.apply(inventory: LivingNode.document("db", pod: 3, app: "db")).status == 0)
            try await Machine.shell(
                """
                ip -n \(node.namespace(3)) addr flush dev eth0
                ip -n \(node.node.name) route del 10.7.0.3; ip -n \(node.node.name) -6 route del fd07::3
                """)
            #expect(try await node.add("api", 2, "--label", "app=api").status == 0)
            #expect(try await node.hooks() == ["veth-2 judged", "veth-3 denied"])
            try await Machine.shell(
                """
                ip -n \(node.namespace(3)) addr add 10.7.0.3/32 dev eth0
                ip -n \(node.namespace(3)) addr add fd07::3/128 dev eth0 nodad
                ip -n \(node.node.name) route add 10.7.0.3 dev veth-3
                """)
            #expect(try await node.apply(inventory: LivingNode.document("db", pod: 3, app: "db")).status == 0)
            #expect(try await node.hooks() == ["veth-2 judged", "veth-3 judged"])
        }
    }

    @Test("An endpoint that moves to another interface leaves nothing open behind")
    func moved() async throws {
        try await LivingNode.use { node in
            try #require(try await node.apply().status == 0)
            #expect(try await node.add("db", 3, "--label", "app=db").status == 0)
            #expect(try await node.add("db", 4, "--label", "app=db").status == 0)
            #expect(try await node.hooks() == ["veth-3 denied", "veth-4 judged"])
            #expect(try await node.apply().status == 0)
            #expect(try await node.hooks() == ["veth-3 denied", "veth-4 judged"])
            #expect(try await node.remove("db", "--open").status == 0)
            #expect(try await node.hooks() == [])
        }
    }

    @Test("With its interface an endpoint is gone; another interface of the name has to be added")
    func interfaceGone() async throws {
        try await LivingNode.use { node in
            try #require(try await node.apply().status == 0)
            for (name, pod) in [("db", 3), ("api", 2)] {
                #expect(try await node.add(name, pod, "--label", "app=\(name)").status == 0)
            }
            try await node.replaceInterface(of: 3)
            #expect(try await node.weir("endpoint", "remove", "shop/api").status == 0)
            #expect(try await node.endpoints() == [])
            #expect(node.kept("registrations") == [])
            #expect(try await node.add("db", 3, "--label", "app=db").status == 0)
            #expect(try await node.hooks() == ["veth-2 denied", "veth-3 judged"])
            try await Machine.shell("ip -n \(node.node.name) link del veth-2")
            #expect(try await node.apply().status == 0)
            #expect(node.deniedFile.isEmpty)
            #expect(try await node.complaints() == [])
        }
    }

    @Test(
        "While an unconfirmed policy is pending an add changes nothing; what it knew alone is denied again without it")
    func pending() async throws {
        try await LivingNode.use { node in
            #expect(try await node.add("db", 3).status == 0)
            #expect(try await node.add("api", 2, "--label", "app=api").status == 0)
            try #require(try await node.apply().status == 0)
            #expect(try await node.hooks() == ["veth-2 judged", "veth-3 denied"])
            // Its inventory has the labels of shop/db; the policy before knows nothing of it.
            let document = LivingNode.document("db", pod: 3, app: "db")
            #expect(try await node.apply("--confirm-within", "3s", inventory: document).status == 0)
            let refused = try await node.add("web", 4, "--label", "app=web")
            #expect(refused.status == 3)
            try Golden.expect(refused.errors, "endpoint-add-pending.txt")
            #expect(try await node.hooks() == ["veth-2 judged", "veth-3 denied", "veth-3 judged"])
            #expect(node.kept("registrations").count == 2)
            try await Task.sleep(for: .seconds(5))
            #expect(try await node.reached().isDisjoint(with: LivingNode.pairs((3, 5), (5, 3), (2, 3))))

            #expect(try await node.apply("--confirm-within", "60s", inventory: document).status == 0)
            // The same once more is not a confirmation.
            #expect(try await node.apply(inventory: document).status == 3)
            #expect(try await node.hooks() == ["veth-2 judged", "veth-3 denied", "veth-3 judged"])
            #expect(try await node.remove("api").status == 0)
            #expect(try await node.weir("confirm").status == 0)
            #expect(try await node.hooks() == ["veth-2 denied", "veth-3 judged"])
            #expect(try await node.add("api", 2, "--label", "app=api").status == 0)
            #expect(try await node.reached().isSuperset(of: LivingNode.pairs((2, 3))))
            #expect(try await node.complaints() == [])
        }
    }

    @Test("After detach an added endpoint is open, and the next apply protects it")
    func afterDetach() async throws {
        try await LivingNode.use { node in
            try #require(try await node.apply().status == 0)
            #expect(try await node.add("api", 2, "--label", "app=api").status == 0)
            #expect(try await node.weir("detach").status == 0)
            let open = try await node.add("db", 3, "--label", "app=db")
            try Golden.expect(shown(open, node), "endpoint-add-open.txt")
            #expect(try await node.hooks() == [])
            #expect(try await node.remove("api").status == 0)
            #expect(try await node.reached() == LivingNode.all())
            #expect(try await node.weir("restore").output.hasPrefix("nothing to restore: weir detach has opened"))
            try #require(try await node.apply().status == 0)
            #expect(try await node.endpoints() == ["shop/db"])
            #expect(try await node.reached().isDisjoint(with: LivingNode.pairs((2, 3), (4, 3), (5, 3))))
        }
    }

    @Test("An apply keeps endpoints that its inventory does not know, and denies those that a sealed bundle does not")
    func apply() async throws {
        try await LivingNode.use { node in
            try #require(try await node.apply().status == 0)
            #expect(try await node.add("db", 3, "--label", "app=db").status == 0)
            #expect(try await node.apply(inventory: LivingNode.document("api", pod: 2, app: "api")).status == 0)
            #expect(try await node.endpoints() == ["shop/api", "shop/db"])
            #expect(try await node.reached().isSuperset(of: LivingNode.pairs((2, 3))))

            let path = try await node.bundle(
                "--without-sources", inventory: LivingNode.document("api", pod: 2, app: "api"))
            let sealed = try await node.weir("apply", "--bundle", path)
            #expect(sealed.status == 0)
            #expect(
                sealed.output.contains("  denied shop/db at veth-3: the bundle in force was made --without-sources"))
            #expect(try await node.hooks() == ["veth-2 judged", "veth-3 denied"])
            let added = try await node.add("web", 4, "--label", "app=web")
            #expect(added.output.contains("is denied everything: the bundle in force was made --without-sources"))
            #expect(try await node.hooks() == ["veth-2 judged", "veth-3 denied", "veth-4 denied"])
            // In it, but at another interface than the one with its address.
            #expect(try await node.remove("web", "--open").status == 0)
            let elsewhere = try await node.weir(
                "endpoint", "add", "shop/api", "--interface", "veth-4", "--address", "10.7.0.2", "--address", "fd07::2",
                "--label", "app=api")
            #expect(elsewhere.output.contains("is denied everything"))
            #expect(try await node.hooks() == ["veth-2 judged", "veth-3 denied", "veth-4 denied"])

            let whole = try await node.bundle(inventory: LivingNode.document("api", pod: 2, app: "api"))
            #expect(try await node.remove("api", "--open").status == 0)
            #expect(try await node.weir("apply", "--bundle", whole).status == 0)
            #expect(try await node.endpoints() == ["shop/api", "shop/db"])
        }
    }

    @Test("A rollback knows the endpoints of now")
    func rollback() async throws {
        try await LivingNode.use { node in
            try #require(try await node.apply().status == 0)
            for (name, pod) in [("db", 3), ("web", 4), ("api", 2)] {
                #expect(try await node.add(name, pod, "--label", "app=\(name)").status == 0)
            }
            try node.workspace.write(
                LivingNode.policies.replacingOccurrences(
                    of: "ingress: [{fromEndpoints: [{matchLabels: {app: api}}]}]",
                    with: "ingress: [{fromEndpoints: [{matchLabels: {app: web}}]}]"), to: "policies.yaml")
            try #require(try await node.apply().status == 0)
            #expect(try await node.remove("api").status == 0)
            #expect(try await node.add("api", 2, "--label", "app=api").status == 0)
            #expect(try await node.reached().isDisjoint(with: LivingNode.pairs((2, 3))))
            #expect(try await node.reached().isSuperset(of: LivingNode.pairs((4, 3))))
            let back = try await node.weir("rollback")
            #expect(back.status == 0, "\(back.errors)")
            #expect(try await node.reached().isSuperset(of: LivingNode.pairs((2, 3))))
            #expect(try await node.reached().isDisjoint(with: LivingNode.pairs((4, 3))))
            #expect(try await node.complaints() == [])
        }
    }

    @Test("Pins and denied interfaces of another network namespace are not touched")
    func elsewhere() async throws {
        try await LivingNode.use { node in
            try #require(try await node.apply().status == 0)
            #expect(try await node.add("db", 3).status == 0)
            let before = node.deniedFile
            let outcome = try await Weir.run(
                ["endpoint", "add", "shop/x", "--interface", "eth0", "--address", "10.7.0.5"] + node.node.place,
                under: ["nsenter", "--net=/run/netns/\(node.namespace(5))"])
            #expect(outcome.status == 3)
            #expect(outcome.errors.contains("belongs to another network namespace"))
            try await Machine.shell("rm -r \(node.node.pinPath)")
            let unpinned = try await Weir.run(
                ["endpoint", "add", "shop/x", "--interface", "eth0", "--address", "10.7.0.5"] + node.node.place,
                under: ["nsenter", "--net=/run/netns/\(node.namespace(5))"])
            #expect(unpinned.status == 3)
            #expect(unpinned.errors.contains("denied interfaces of another network namespace"))
            #expect(node.deniedFile == before && !before.isEmpty)
            #expect(node.kept("registrations").count == 1)
        }
    }

    @Test("Another weir at work is waited for, and named where that takes too long")
    func locked() async throws {
        try await LivingNode.use { node in
            try #require(try await node.apply().status == 0)
            let lock = node.node.stateDirectory + "/lock"
            let outcome = try await Weir.script(
                """
                exec 9<\(lock); flock 9
                nsenter --net=/run/netns/\(node.node.name) "$weir" endpoint add shop/db --netns \(node.namespace(3)) \
                  --label app=db --timeout 0.3 \(node.node.place.joined(separator: " "))
                """)
            #expect(outcome.status == 3)
            #expect(outcome.errors.contains("\(lock) is locked"))
            #expect(try await node.hooks() == [])
        }
    }

    @Test("detach --all leaves nothing but keys")
    func detachAll() async throws {
        try await LivingNode.use { node in
            try #require(try await node.apply().status == 0)
            #expect(try await node.add("db", 3, "--label", "app=db").status == 0)
            #expect(try await node.add("web", 4).status == 0)
            try await Machine.shell(
                "mkdir -p \(node.node.stateDirectory)/keys; touch \(node.node.stateDirectory)/keys/a")
            #expect(try await node.weir("detach", "--all").status == 0)
            #expect(try await node.node.traces() == "keys\n")
            #expect(try await node.hooks() == [])
            try await Machine.shell("rm -r \(node.node.stateDirectory)/keys")
            #expect(try await node.weir("detach", "--all").status == 0)
            #expect(!FileManager.default.fileExists(atPath: node.node.stateDirectory))
        }
    }
}
