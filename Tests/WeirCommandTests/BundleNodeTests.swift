import Foundation
import Testing
import WeirTestSupport

@Suite("Bundles on a node that trusts keys", .serialized, .enabled(if: KernelRequirement.isMet))
struct BundleNodeTests {
    /// Everything that a refused bundle must leave as it is: what is attached, the state, and what is in force. Ages are
    /// left out, as they grow by themselves.
    private func state(of node: ThrowawayNode) async throws -> String {
        let status = try await node.weir(["status", "--output", "json"]).output.split(separator: "\n")
        return try await node.traces()
            + Machine.shell("cd \(node.stateDirectory) 2>/dev/null && sha256sum $(ls | grep -v '^lock$') || true")
            + status.filter { !$0.contains("AgeSeconds\"") }.joined(separator: "\n")
    }

    private func mark(of node: ThrowawayNode) throws -> Int? {
        try Outcome.object(String(contentsOfFile: "\(node.stateDirectory)/bundle.json", encoding: .utf8))?["serial"]
            as? Int
    }

    @Test("Signed by a trusted key, for this node and not older it is applied; anything else is 3 and changes nothing")
    func trust() async throws {
        try await ThrowawayNode.use { node in
            let workspace = try Workspace()
            let release = try await BundleFixture.freshKey("release", in: workspace)
            let stranger = try await BundleFixture.freshKey("stranger", in: workspace)
            func path(_ name: String) -> String { "\(workspace.path)/\(name).weir" }
            let good = try await BundleFixture.compile(
                Weir.shop, to: path("good"), "--sign", release.path, "--serial", "7")
            // Another policy, so that it would change something.
            let other = Weir.shop + ["--allow-localhost", "policy"]
            try await BundleFixture.compile(other, to: path("unsigned"), "--serial", "8")
            try await BundleFixture.compile(other, to: path("stranger"), "--sign", stranger.path, "--serial", "8")
            try await BundleFixture.compile(other, to: path("older"), "--sign", release.path, "--serial", "6")
            let next = try await BundleFixture.compile(other, to: path("next"), "--sign", release.path, "--serial", "7")
            let second = try workspace.write(CompileTests.second, to: "b.yaml")
            try await BundleFixture.compile(
                other + ["--inventory", "Policies/shop", second], to: path("elsewhere"), "--node", "node-b", "--sign",
                release.path, "--serial", "8")
            try workspace.write(next.dropLast(114) + good.suffix(114), to: "forged.weir")
            var flipped = next
            flipped[next.count / 2] ^= 1
            try workspace.write(flipped, to: "flipped.weir")
            try workspace.write(next.prefix(next.count / 2), to: "cut.weir")
            try workspace.write("apiVersion: v1\n", to: "text.weir")

            let trusting = ["--trusted-keys", release.trusted, "--node", "node-a"]
            let apply = try await node.weir(["apply", path("good")] + trusting)
            #expect(apply.status == 0, "\(apply.errors)")
            #expect(try mark(of: node) == 7)
            let before = try await state(of: node)
            for (name, says) in [
                ("unsigned", "the bundle is not signed"), ("stranger", "which is not trusted here"),
                ("forged", "the signature is not that of key"), ("flipped", "damaged"), ("cut", "ends too early"),
                ("text", "not a weir bundle"), ("elsewhere", "for node 'node-b', and this is 'node-a'"),
                ("older", "its serial is 6, and 7 was applied"),
            ] {
                for arguments in [[path(name)], ["--bundle", path(name)], [path(name), "--dry-run"]] {
                    let refused = try await node.weir(["apply"] + arguments + trusting)
                    #expect(refused.status == 3, "\(name)")
                    #expect(refused.output.isEmpty)
                    #expect(refused.errors.contains(says), "\(name): \(refused.errors)")
                }
                #expect(try await state(of: node) == before, "\(name)")
            }
            let files = try await node.weir(["apply"] + other + trusting)
            #expect(files.status == 64)
            #expect(files.errors.contains("With --trusted-keys nothing is taken but a bundle"))
            #expect(try await state(of: node) == before)

            // Equal is fine; older is, where it is asked for, and is the newest from then on.
            let equal = try await node.weir(["apply", path("next")] + trusting)
            #expect(equal.status == 0)
            #expect(equal.output.hasPrefix("committed revision"))
            let forced = try await node.weir(["apply", path("older"), "--allow-older"] + trusting)
            #expect(forced.status == 0, "\(forced.errors)")
            #expect(try mark(of: node) == 6)
            #expect(try await node.weir(["apply", path("older")] + trusting).status == 0)

            // Without trusted keys nobody asks; a damaged one is 1 as ever.
            #expect(try await node.weir(["apply", path("unsigned")]).status == 0)
            #expect(try await node.weir(["apply", path("flipped")]).status == 1)
            #expect(try mark(of: node) == 6)
        }
    }

    @Test("A node that was never told its name takes the host's, and the environment says the same as options")
    func environment() async throws {
        try await ThrowawayNode.use { node in
            let workspace = try Workspace()
            let release = try await BundleFixture.freshKey("release", in: workspace)
            let path = "\(workspace.path)/good.weir"
            try await BundleFixture.compile(Weir.shop, to: path, "--sign", release.path, "--serial", "3")
            let under = ["nsenter", "--net=/run/netns/\(node.name)"]
            func apply(_ environment: [String: String]) async throws -> Outcome {
                try await Weir.run(
                    ["apply"] + node.place,
                    environment: environment.merging(["WEIR_BUNDLE": path, "WEIR_TRUSTED_KEYS": release.trusted]) {
                        $1
                    },
                    under: under)
            }
            let unnamed = try await apply([:])
            #expect(unnamed.status == 3)
            #expect(unnamed.errors.contains("the bundle is for node 'node-a', and this is '"))
            #expect(try await node.traces().isEmpty)
            #expect(try await apply(["WEIR_NODE": "node-a"]).status == 0)
            let missing = try await Weir.run(
                ["apply", "/nowhere.weir"] + node.place, environment: ["WEIR_TRUSTED_KEYS": release.trusted],
                under: under)
            #expect(missing.status == 1)
            #expect(missing.errors.contains("[file-unreadable]"))
        }
    }

    @Test("A rollback knows today's pods also where both policies came as bundles, unless their sources were left out")
    func rollback() async throws {
        for isSlim in [false, true] {
            try await ThrowawayNode.use { node in
                let workspace = try Workspace()
                let path = "\(workspace.path)/a.weir"
                // Without the pod of the frontend.
                let reduced = try await Weir.run(["inventory", "--inventory", "Policies/shop/inventory.yaml"]).output
                let documents = reduced.components(separatedBy: "---\n").filter { !$0.contains("10.7.0.2") }
                let fewer = try workspace.write(documents.joined(separator: "---\n"), to: "fewer.yaml")
                let slim = isSlim ? ["--without-sources"] : []
                let policies = ["--policies", "Policies/shop/db.yaml", "Policies/shop/api.yaml"]
                for arguments in [
                    policies + ["--inventory", "Policies/shop/inventory.yaml"],
                    policies + ["--inventory", "Policies/shop/inventory.yaml", "--allow-localhost", "policy"],
                    policies + ["--inventory", fewer, "--allow-localhost", "policy"],
                ] {
                    try await BundleFixture.compile(arguments + slim, to: path)
                    #expect(try await node.weir(["apply", path]).status == 0)
                }
                let rollback = try await node.weir(["rollback"])
                #expect(rollback.status == (isSlim ? 3 : 0), "\(rollback.errors)")
                if isSlim { #expect(rollback.errors.contains("--without-sources")) }
            }
        }
    }

    @Test("The tunnel of a bundle is the one of its inventory, for every command that takes either")
    func tunnel() async throws {
        try await TunnelNodes.use { nodes in
            try await nodes.publishKeys()
            try nodes.writeInventory()
            try nodes.startDevice("node-a")
            let workspace = try Workspace()
            let release = try await BundleFixture.freshKey("release", in: workspace)
            let path = "\(workspace.path)/node-a.weir"
            let sources = ["--policies", "\(BundleFixture.directory)/policy.yaml", "--inventory", nodes.inventoryPath]
            try await BundleFixture.compile(sources, to: path, "--node", "node-a", "--sign", release.path)
            let bundle = ["--bundle", path]
            func same(_ arguments: [String], sourceLocation: SourceLocation = #_sourceLocation) async throws -> Outcome
            {
                let files = try await nodes.weir(arguments, inventory: true)
                let bundled = try await nodes.weir(arguments + bundle)
                #expect(bundled.output == files.output, sourceLocation: sourceLocation)
                #expect(bundled.status == files.status, sourceLocation: sourceLocation)
                return bundled
            }
            #expect(try await same(["plan", "--detailed-exitcode"]).status == 2)
            let trusting = bundle + ["--node", "node-a", "--trusted-keys", release.trusted]
            let stranger = try await BundleFixture.freshKey("stranger", in: workspace)
            for command in ["plan", "apply", "status"] {
                let refused = try await nodes.weir(
                    [command] + bundle + ["--node", "node-a", "--trusted-keys", stranger.trusted])
                #expect(refused.status == 3)
                #expect(refused.errors.contains("which is not trusted here"))
                let wrong = try await nodes.weir([command] + bundle + ["--node", "node-b"])
                #expect(wrong.status == 1)
                let unsigned = try await nodes.weir([command, "--trusted-keys", release.trusted], inventory: true)
                #expect(unsigned.status == 64)
            }
            #expect(try await same(["plan", "--detailed-exitcode"]).status == 2)
            let apply = try await nodes.weir(["apply"] + trusting)
            #expect(apply.status == 0, "\(apply.errors)")
            #expect(try await same(["plan", "--detailed-exitcode"]).output == "nothing to do\n")
            let status = try await nodes.weir(["status"] + bundle)
            #expect(status.status == 0)
            #expect(status.output.hasSuffix("as applied\n"))
            for format in ["conf", "json"] {
                let files = try await Weir.run(
                    ["wireguard", "render", "--output", format, "--node", "node-a", "--inventory", nodes.inventoryPath])
                let bundled = try await Weir.run(["wireguard", "render", "--output", format] + bundle)
                #expect(bundled.status == 0 && bundled.output == files.output)
            }
            #expect(try await nodes.weir(["plan", "--mtu", "1400"] + bundle).status == 64)

            try await BundleFixture.compile(sources, to: path, "--node", "node-a", "--no-tunnel")
            let none = try await nodes.weir(["plan"] + bundle)
            #expect(none.status == 1)
            #expect(none.errors.contains("has no tunnel: node 'node-a' published no WireGuard key"))
        }
    }
}
