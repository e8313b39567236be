import Foundation
import Testing
import WeirTestSupport

@Suite("restore", .serialized, .enabled(if: KernelRequirement.isMet))
struct RestoreTests {
    /// Who is there: the inventory has shop/api, and shop/db was added by hand.
    private static let inventory = LivingNode.document("api", pod: 2, app: "api")

    private func use(_ body: (LivingNode) async throws -> Void) async throws {
        try await LivingNode.use { node in
            try #require(try await node.apply(inventory: Self.inventory).status == 0)
            try #require(try await node.add("db", 3, "--label", "app=db").status == 0)
            try await body(node)
        }
    }

    /// What a restart of the machine does to weir, apart from the interfaces' indexes.
    private func forgetPins(_ node: LivingNode) async throws { try await Machine.shell("rm -r \(node.node.pinPath)") }

    private static let protected = LivingNode.all([2, 4, 5]).union(LivingNode.pairs((2, 3), (3, 2), (3, 4), (3, 5)))

    @Test("Every flow has the verdict that it had before the pins went away")
    func sameVerdicts() async throws {
        try await use { node in
            #expect(try await node.reached() == Self.protected)
            try await forgetPins(node)
            #expect(try await node.reached() == LivingNode.all())
            #expect(try await node.weir("status").output.contains("is not in force: weir restore"))
            let restored = try await node.weir("restore")
            try Golden.expect(restored.output, "restore.txt")
            #expect(restored.status == 0)
            #expect(try await node.reached() == Self.protected)
            #expect(try await node.complaints() == [])
            try Golden.expect(try await node.succeed("restore"), "restore-again.txt")
            try Golden.expect(try await node.succeed("restore", "--output", "json"), "restore-again.json")
            // Endpoints come as before.
            #expect(try await node.add("web", 4, "--label", "app=web").status == 0)
            #expect(try await node.endpoints() == ["shop/api", "shop/db", "shop/web"])
        }
    }

    @Test("After the bpf file system was unmounted, and with it every pin, restore brings back the same verdicts")
    func unmounted() async throws {
        try await LivingNode.use { node in
            try node.workspace.write(
                LivingNode.emptyInventory + Self.inventory + LivingNode.document("db", pod: 3, app: "db"),
                to: "inventory.yaml")
            let pings = [(2, 3), (4, 3), (5, 2), (3, 5)].map { from, to in
                "ip netns exec \(node.namespace(from)) ping -qnc3 -i0.2 -W1 10.7.0.\(to) >/dev/null && echo \(from)-\(to) || true"
            }.joined(separator: "\n")
            // The mount is seen by nobody else, and goes with the script.
            let outcome = try await Weir.command([
                "unshare", "-m", "bash", "-euc",
                """
                mount --make-rprivate /
                bpffs=\(node.workspace.path)/bpf; mkdir $bpffs; mount -t bpf bpf $bpffs
                on() { nsenter --net=/run/netns/\(node.node.name) "$@" --pin-path $bpffs/weir --state-dir \(node.node.stateDirectory); }
                flows() { \(pings)
                }
                on \(try Weir.executable.get()) apply --policies \(node.workspace.path)/policies.yaml \
                  --inventory \(node.workspace.path)/inventory.yaml --node node-a > /dev/null
                flows; umount $bpffs; echo unmounted; flows; mount -t bpf bpf $bpffs
                on \(try Weir.executable.get()) restore; flows
                """,
            ])
            #expect(outcome.status == 0, "\(outcome.errors)")
            #expect(
                outcome.lines == [
                    "2-3", "5-2", "3-5", "unmounted", "2-3", "4-3", "5-2", "3-5",
                    "restored revision 1 with 2 endpoints", "2-3", "5-2", "3-5",
                ])
        }
    }

    @Test("Where nothing was ever applied, and after detach, there is nothing to restore")
    func nothing() async throws {
        try await LivingNode.use { node in
            try Golden.expect(try await node.succeed("restore"), "restore-nothing.txt")
            try #require(try await node.apply().status == 0)
            #expect(try await node.weir("detach").status == 0)
            try Golden.expect(try await node.succeed("restore"), "restore-detached.txt")
            #expect(try await node.reached() == LivingNode.all())
            #expect(try await node.hooks() == [])
        }
    }

    @Test("An endpoint that is not there yet is left out, and protected when it comes")
    func absent() async throws {
        try await use { node in
            try await forgetPins(node)
            try await Machine.shell("ip -n \(node.node.name) link del veth-2")
            let restored = try await node.weir("restore")
            try Golden.expect(restored.output, "restore-absent.txt")
            #expect(restored.status == 0)
            #expect(try await node.endpoints() == ["shop/db"])
        }
    }

    @Test(
        "What cannot be restored is denied, or open where that is asked for",
        arguments: [
            "no bundle", "damaged bundle", "damaged last-good.json", "damaged registration", "damaged denied.json",
        ],
        [true, false])
    func damaged(_ damage: String, _ isDenied: Bool) async throws {
        try await use { node in
            try await forgetPins(node)
            let state = node.node.stateDirectory
            switch damage {
            case "no bundle": try await Machine.shell("rm \(state)/bundle-*")
            case "damaged bundle": try await Machine.shell("printf x >> $(ls \(state)/bundle-*)")
            case "damaged last-good.json": try await Machine.shell("echo '{' > \(state)/last-good.json")
            case "damaged registration": try await Machine.shell("echo '{' > $(ls \(state)/registrations/*.json)")
            default: try await Machine.shell("echo '{' > \(state)/denied.json")
            }
            let outcome = try await node.weir("restore", "--fail", isDenied ? "deny" : "open")
            #expect(outcome.status == 3)
            #expect(outcome.output.isEmpty)
            #expect(outcome.errors.hasPrefix("weir: error: the policy could not be restored: "))
            if !isDenied {
                #expect(outcome.errors.contains("nothing is judged on this node: apply a policy"))
                #expect(try await node.hooks() == [])
                return
            }
            // Nobody can say which are endpoints, so all are.
            #expect(outcome.errors.contains("nothing passes at veth-2, veth-3"), "\(outcome.errors)")
            let hooks = try await node.hooks()
            #expect(
                hooks == (2...5).map { "veth-\($0) denied" } || hooks == ["veth-2 denied", "veth-3 denied"], "\(hooks)")
            #expect(try await node.reached().isDisjoint(with: LivingNode.pairs((2, 3), (4, 3), (5, 2))))
            // A pod that comes is denied, too.
            _ = try await node.add("web", 4, "--label", "app=web")
            if damage == "damaged registration" { try await Machine.shell("rm \(state)/registrations/*.json") }
            if damage == "damaged last-good.json" { try await Machine.shell("rm \(state)/last-good.json") }
            #expect(try await node.reached().isDisjoint(with: LivingNode.pairs((2, 3), (4, 3), (5, 2))))
            let apply = try await node.apply(inventory: Self.inventory)
            #expect(apply.status == 0, "\(apply.errors)")
            let reached = try await node.reached()
            #expect(reached.isSuperset(of: LivingNode.pairs((2, 5), (5, 2))), "\(reached.sorted())")
            #expect(try await node.complaints() == [])
        }
    }

    @Test("Only a bundle that a key of today has signed is restored")
    func trust() async throws {
        try await LivingNode.use { node in
            let release = try await BundleFixture.freshKey("release", in: node.workspace)
            let keys = release.trusted
            let signed = try await node.bundle(
                "--sign", release.path, inventory: Self.inventory + LivingNode.document("db", pod: 3, app: "db"))
            let apply = try await node.weir("apply", "--bundle", signed, "--trusted-keys", keys, "--node", "node-a")
            try #require(apply.status == 0, "\(apply.errors)")
            try await forgetPins(node)
            #expect(try await node.weir("restore", "--trusted-keys", keys).status == 0)
            try await forgetPins(node)
            let stranger = try await BundleFixture.freshKey("stranger", in: node.workspace)
            try await Machine.shell("rm \(keys)/*; cp \(stranger.trusted)/* \(keys)/")
            let revoked = try await node.weir("restore", "--trusted-keys", keys)
            #expect(revoked.status == 3)
            #expect(revoked.errors.contains("is not trusted"))
            // What it says of endpoints is believed no more than the rest.
            #expect(try await node.hooks() == (2...5).map { "veth-\($0) denied" })
            #expect(try await node.weir("detach").status == 0)
            try #require(try await node.apply(inventory: Self.inventory).status == 0)
            try await forgetPins(node)
            #expect(try await node.weir("restore", "--trusted-keys", keys, "--fail", "open").status == 3)
            #expect(try await node.hooks() == [])
            #expect(try await node.weir("restore").status == 0)
        }
    }

    @Test("How it was applied is kept: audit mode, attachment, datapath options")
    func options() async throws {
        try await LivingNode.use { node in
            let apply = try await node.apply("--policy-audit-mode", "--attach", "clsact", inventory: Self.inventory)
            try #require(apply.status == 0, "\(apply.errors)")
            try #require(try await node.add("db", 3, "--label", "app=db").status == 0)
            func look() async throws -> (Bool?, Set<String>) {
                let status = try #require(try await node.weir("status", "--output", "json").object)
                let hooks = (status["endpoints"] as? [[String: Any]] ?? []).flatMap { endpoint in
                    (endpoint["hooks"] as? [[String: Any]] ?? []).compactMap { $0["kind"] as? String }
                }
                return (status["isAudited"] as? Bool, Set(hooks))
            }
            let before = try await look()
            #expect(before == (true, ["clsact"]))
            try await forgetPins(node)
            try await Machine.shell(
                "for i in 2 3; do tc -n \(node.node.name) qdisc del dev veth-$i clsact; done")
            #expect(try await node.weir("restore").status == 0)
            #expect(try await look() == before)
        }
    }

    @Test("The host firewall comes back on the device that it was applied to, and on no other")
    func devices() async throws {
        try await LivingNode.use { node in
            let policies = """

                ---
                apiVersion: cilium.io/v2
                kind: CiliumClusterwideNetworkPolicy
                metadata: {name: nodes}
                spec:
                  nodeSelector: {}
                  ingress: [{fromEntities: [all], toPorts: [{ports: [{port: "9", protocol: TCP}]}]}]
                """
            try node.workspace.write(LivingNode.policies + policies, to: "policies.yaml")
            let apply = try await node.apply(
                "--host-firewall", "--devices", "veth-5", "--force", inventory: Self.inventory)
            try #require(apply.status == 0, "\(apply.errors)")
            // Of the node itself, by way of the device and of a pod's interface.
            func connections() async throws -> [Bool] {
                [try await node.connects(5, 1, 9), try await node.connects(5, 1, 7), try await node.connects(4, 1, 7)]
            }
            #expect(try await connections() == [true, false, true])
            try await forgetPins(node)
            #expect(try await connections() == [true, true, true])
            try await node.succeed("restore")
            #expect(try await connections() == [true, false, true])
        }
    }

    @Test("A policy that nobody confirmed is not restored; after a rollback the earlier one is")
    func unconfirmed() async throws {
        try await use { node in
            try node.workspace.write(
                LivingNode.policies.replacingOccurrences(
                    of: "{app: api}}]}]\n", with: "{app: api}}], toPorts: [{ports: [{port: '9'}]}]}]\n"),
                to: "policies.yaml")
            #expect(try await node.apply("--confirm-within", "60s", inventory: Self.inventory).status == 0)
            #expect(try await node.apply(inventory: Self.inventory).output.hasPrefix("nothing to do"))
            #expect(try await node.reached().isDisjoint(with: LivingNode.pairs((2, 3))))
            try await forgetPins(node)
            #expect(try await node.weir("restore").status == 0)
            #expect(try await node.reached() == Self.protected)
            #expect(try await node.apply(inventory: Self.inventory).status == 0)
            #expect(try await node.reached().isDisjoint(with: LivingNode.pairs((2, 3))))
            let back = try await node.weir("rollback")
            #expect(back.status == 0, "\(back.errors)")
            try await forgetPins(node)
            #expect(try await node.weir("restore").status == 0)
            #expect(try await node.reached() == Self.protected)
        }
    }

    @Test("An apply that ended before its commit is not what comes back")
    func halfway() async throws {
        try await use { node in
            // In audit mode, of the same bundle; strace ends it when its options are kept and not yet in force.
            let outcome = try await Weir.script(
                """
                nsenter --net=/run/netns/\(node.node.name) strace -qq -o /dev/null -f -e trace=fsync \
                  -e inject=fsync:signal=KILL:when=2 "$weir" apply --policies \(node.workspace.path)/policies.yaml \
                  --inventory \(node.workspace.path)/inventory.yaml --node node-a --policy-audit-mode \
                  \(node.node.place.joined(separator: " "))
                """)
            #expect(outcome.status != 0)
            let kept = try String(contentsOfFile: node.node.stateDirectory + "/last-good.json", encoding: .utf8)
            #expect(kept.contains("\"isAudited\" : true") && kept.contains("\"isAudited\" : false"))
            for _ in 0..<2 {
                let status = try await node.weir("status", "--output", "json").object
                #expect(status?["isAudited"] as? Bool == false)
                #expect(try await node.add("web", 4, "--label", "app=web").status == 0)
                #expect(try await node.weir("status", "--output", "json").object?["isAudited"] as? Bool == false)
                try await forgetPins(node)
                #expect(try await node.weir("restore").status == 0)
            }
        }
    }
}
