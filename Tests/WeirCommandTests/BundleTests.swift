import Foundation
import Testing

@Suite("weir bundle, and bundles that weir compile makes")
struct BundleTests {
    @Test("A bundle has the same bytes from files in any order, by name or by format, and from two processes")
    func determinism() async throws {
        let workspace = try Workspace()
        let key = try BundleFixture.key(in: workspace)
        let files = ["policy.yaml", "inventory.yaml"].map { "\(BundleFixture.directory)/\($0)" }
        var bundles: Set<[UInt8]> = []
        for order in [files, files.reversed()] {
            for _ in 0..<2 {
                bundles.insert(
                    try await BundleFixture.compile(
                        ["--policies"] + order + ["--inventory"] + order, to: "\(workspace.path)/a.weir", "--node",
                        "node-a", "--sign", key))
            }
        }
        let piped = try await Weir.run(
            ["compile", "--policies"] + files + ["--inventory"] + files + [
                "--node", "node-a", "--sign", key, "--output", "bundle",
            ])
        bundles.insert(piped.bytes)
        #expect(bundles.count == 1)
    }

    @Test("No clock is read: the time and the serial are what is said, or what SOURCE_DATE_EPOCH says")
    func time() async throws {
        let workspace = try Workspace()
        func provenance(
            _ arguments: String..., environment: [String: String] = [:]
        ) async throws -> [String: Any] {
            let path = "\(workspace.path)/a.weir"
            let outcome = try await Weir.run(
                ["compile"] + Weir.shop + ["--output-file", path] + arguments, environment: environment)
            try #require(outcome.status == 0, "\(outcome.errors)")
            let report = try await Weir.run(["inspect", path, "--output", "json"]).object
            return try #require(report?["provenance"] as? [String: Any])
        }
        let plain = try await provenance()
        #expect(plain["serial"] as? Int == 0)
        #expect(plain["created"] == nil && plain["sourceRevision"] == nil)
        let epoch = try await provenance(environment: ["SOURCE_DATE_EPOCH": "1700000000"])
        #expect(epoch["serial"] as? Int == 1_700_000_000)
        #expect(epoch["created"] as? Int == 1_700_000_000)
        let said = try await provenance(
            "--serial", "7", "--created", "2023-11-14T22:13:21Z", "--source-revision", "v1",
            environment: ["SOURCE_DATE_EPOCH": "5"])
        #expect(said["serial"] as? Int == 7)
        #expect(said["created"] as? Int == 1_700_000_001)
        #expect(said["sourceRevision"] as? String == "v1")
        let variables = try await provenance(
            environment: ["WEIR_SERIAL": "8", "WEIR_CREATED": "9", "WEIR_SOURCE_REVISION": "v2"])
        #expect(variables["serial"] as? Int == 8)
        #expect(variables["created"] as? Int == 9)
        #expect(variables["sourceRevision"] as? String == "v2")
        let wrong = try await Weir.run(
            ["compile"] + Weir.shop + ["--output", "bundle"], environment: ["SOURCE_DATE_EPOCH": "today"])
        #expect(wrong.status == 64)
        #expect(wrong.errors.contains("SOURCE_DATE_EPOCH 'today' is no time"))
    }

    @Test("Every input is named with the digest that sha256sum gives, standard input as -")
    func inputs() async throws {
        let workspace = try Workspace()
        let path = "\(workspace.path)/a.weir"
        let inventory = try String(contentsOfFile: "\(Weir.package)/Policies/shop/inventory.yaml", encoding: .utf8)
        let outcome = try await Weir.run(
            ["compile", "--policies", "Policies/shop/db.yaml", "--inventory", "-", "--output-file", path],
            input: inventory)
        #expect(outcome.status == 0)
        let report = try await Weir.run(["inspect", path, "--output", "json"]).object
        let provenance = try #require(report?["provenance"] as? [String: Any])
        let inputs = try #require(provenance["inputs"] as? [[String: String]])
        #expect(inputs.map { $0["path"] } == ["-", "Policies/shop/db.yaml"])
        for (input, file) in zip(inputs, ["inventory.yaml", "db.yaml"]) {
            let sum = try await Weir.command(["sha256sum", "Policies/shop/\(file)"])
            #expect(sum.output.hasPrefix(try #require(input["sha256"])))
        }
    }

    @Test("--all-nodes writes a bundle for each node, the same as compiled alone, and leaves other files alone")
    func allNodes() async throws {
        let workspace = try Workspace()
        let directory = "\(workspace.path)/out"
        try workspace.write("old", to: "out/node-z.weir")
        try workspace.write("mine", to: "out/notes.txt")
        let outcome = try await Weir.run(["compile"] + BundleFixture.sources + ["--all-nodes", directory])
        #expect(outcome.status == 0)
        #expect(
            outcome.errors
                == "weir: note: \(directory)/node-z.weir is of no node of this inventory; it was left alone\n")
        #expect(outcome.lines.map { $0.split(separator: " ").first } == ["NODE", "node-a", "node-b"])
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
                == ["node-a.weir", "node-b.weir", "node-z.weir", "notes.txt"])
        #expect(try workspace.contents("out/node-z.weir") == "old")
        for node in ["node-a", "node-b"] {
            let alone = try await BundleFixture.compile(
                BundleFixture.sources, to: "\(workspace.path)/alone.weir", "--node", node)
            #expect(try Data(contentsOf: URL(fileURLWithPath: "\(directory)/\(node).weir")) == Data(alone))
        }
        let json = try await Weir.run(
            ["compile"] + BundleFixture.sources + ["--all-nodes", directory, "--output", "json"])
        let written = try JSONSerialization.jsonObject(with: Data(json.bytes)) as? [[String: Any]]
        #expect(written?.map { $0["node"] as? String } == ["node-a", "node-b"])
    }

    @Test(
        "A node whose name is no file name, or a tunnel that cannot be, writes nothing",
        arguments: [
            ("../node-b", "10.7.1.0/24", "cannot be the name of a file"), ("node-b", "10.7.0.0/24", "[tunnel-overlap]"),
        ])
    func allNodesRefused(_ name: String, _ network: String, _ says: String) async throws {
        let workspace = try Workspace()
        let text = try BundleFixture.golden("inventory.yaml").replacing("node-b", with: name)
            .replacing("10.7.1.0/24", with: network)
        let inventory = try workspace.write(text, to: "inventory.yaml")
        let outcome = try await Weir.run([
            "compile", "--policies", "\(BundleFixture.directory)/policy.yaml", "--inventory", inventory,
            "--all-nodes", "\(workspace.path)/out",
        ])
        #expect(outcome.status == 1)
        #expect(outcome.errors.contains(says), "\(outcome.errors)")
        #expect(try workspace.names == ["inventory.yaml"])
    }

    @Test("Without a key of its own a node has no tunnel in its bundle, which is said; --no-tunnel leaves it out")
    func tunnel() async throws {
        let workspace = try Workspace()
        let lines = try BundleFixture.golden("inventory.yaml").split(separator: "\n").filter { !$0.contains("AgcHB") }
        let inventory = try workspace.write(lines.joined(separator: "\n"), to: "inventory.yaml")
        let sources = ["--policies", "\(BundleFixture.directory)/policy.yaml", "--inventory", inventory]
        func hasTunnel(_ arguments: String...) async throws -> (Bool, String) {
            let path = "\(workspace.path)/a.weir"
            let outcome = try await Weir.run(["compile"] + sources + ["--output-file", path] + arguments)
            try #require(outcome.status == 0)
            let report = try await Weir.run(["inspect", path, "--output", "json"]).object
            return (report?["tunnel"] != nil, outcome.errors)
        }
        let without = try await hasTunnel("--node", "node-b")
        #expect(!without.0 && without.1.contains("its bundle has no tunnel"))
        #expect(without.1.contains("[missing-wireguard-key]"))
        #expect(try await hasTunnel("--node", "node-a").0)
        let none = try await hasTunnel("--node", "node-a", "--no-tunnel")
        #expect(!none.0 && none.1.isEmpty)
    }

    @Test(
        "Wrong uses are 64",
        arguments: [
            (["--output", "json", "--output-file", "a.weir"], "a.weir would be no bundle"),
            (["--sign", "key"], "are for a bundle"), (["--serial", "1", "--output", "json"], "are for a bundle"),
            (["--all-nodes", "out", "--node", "node-a"], "leave --node and --output-file out"),
            (["--all-nodes", "out", "--output-file", "a.weir"], "leave --node and --output-file out"),
            (["--output", "bundle", "--created", "now"], "'now' is no time"),
            (["--output", "bundle", "--serial", "-1"], "--serial"),
        ])
    func usage(_ arguments: [String], _ says: String) async throws {
        let outcome = try await Weir.run(["compile"] + Weir.shop + arguments)
        #expect(outcome.status == 64)
        #expect(outcome.errors.contains(says), "\(outcome.errors)")
    }

    @Test("bundle key makes a pair that nobody else can read, and never replaces one")
    func key() async throws {
        let workspace = try Workspace()
        let path = workspace.path + "/release.key"
        let outcome = try await Weir.run(["bundle", "key", path, "--output", "json"])
        #expect(outcome.status == 0 && outcome.errors.isEmpty)
        let answer = try #require(outcome.object as? [String: String])
        #expect(answer["privateKey"] == path && answer["publicKey"] == path + ".pub")
        let id = try #require(answer["key"])
        #expect(
            try workspace.contents("release.key.pub").hasPrefix("untrusted comment: weir bundle public key \(id)\n"))
        let secret = try workspace.contents("release.key")
        let again = try await Weir.run(["bundle", "key", path])
        #expect(again.status == 3)
        #expect(again.errors.contains("keys are not replaced"))
        #expect(try workspace.contents("release.key") == secret)
        #expect(try workspace.names == ["release.key", "release.key.pub"])

        let table = try await Weir.run(["bundle", "key", "other.key"], in: workspace.path)
        #expect(
            table.output.replacing(#/[0-9a-f]{16}/#, with: "0123456789abcdef")
                == "KEY               PRIVATE    PUBLIC\n0123456789abcdef  other.key  other.key.pub\n")
    }

    @Test("A signing key that others can read, or that is none, signs nothing: status 3 and no file")
    func badSigningKey() async throws {
        let workspace = try Workspace()
        let key = try BundleFixture.key(in: workspace)
        let arguments = ["compile"] + Weir.shop + ["--output-file", workspace.path + "/a.weir", "--sign", key]
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: key)
        let open = try await Weir.run(arguments)
        #expect(open.status == 3)
        #expect(open.errors.contains("has mode 644, so others can reach a signing key"))
        try FileManager.default.removeItem(atPath: key)
        let missing = try await Weir.run(arguments)
        #expect(missing.status == 3)
        #expect(missing.errors.contains("weir bundle key \(key) makes one"))
        #expect(try workspace.names.isEmpty)
    }
}
