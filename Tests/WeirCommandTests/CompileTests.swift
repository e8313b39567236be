import Foundation
import Testing

@Suite("weir compile")
struct CompileTests {
    /// All that a directory has beside its inventory: what is read is in a bundle's provenance.
    static let files = ["api", "db", "default-deny", "dns", "expectations", "frontend"].map {
        "Policies/shop/\($0).yaml"
    }

    private func compile(_ policies: [String], _ arguments: String...) async throws -> Outcome {
        try await Weir.run(
            ["compile", "--policies"] + policies + ["--inventory", "Policies/shop/inventory.yaml"] + arguments)
    }

    @Test("Files in any order, or as a directory, give the same bundle bytes")
    func order() async throws {
        let whole = try await compile(["Policies/shop"], "--output", "bundle")
        #expect(whole.status == 0)
        #expect(!whole.bytes.isEmpty)
        for order in [Self.files, Self.files.reversed(), Array(Self.files.shuffled()), Self.files + Self.files] {
            #expect(try await compile(order, "--output", "bundle").bytes == whole.bytes, "\(order)")
        }
    }

    @Test("Documents in another order give the same digest, and so do documents split over files")
    func split() async throws {
        let workspace = try Workspace()
        let documents = try Self.files.map {
            try String(contentsOfFile: "\(Weir.package)/\($0)", encoding: .utf8)
        }
        let one = try workspace.write(documents.joined(separator: "---\n"), to: "one.yaml")
        let two = try workspace.write(documents.reversed().joined(separator: "---\n"), to: "two.yaml")
        var digests: Set<String> = []
        for policies in [Self.files, [one], [two]] {
            let summary = try #require(try await compile(policies, "--output", "json").object)
            digests.insert(try #require(summary["digest"] as? String))
        }
        #expect(digests.count == 1)
    }

    @Test("A policy on another line is another bundle with the same digest")
    func moved() async throws {
        let workspace = try Workspace()
        let text = try String(contentsOfFile: "\(Weir.package)/\(Self.files[0])", encoding: .utf8)
        var bundles: Set<[UInt8]> = []
        var digests: Set<String> = []
        for prefix in ["", "# moved\n\n"] {
            let file = try workspace.write(prefix + text, to: "api.yaml")
            bundles.insert(try await compile([file], "--output", "bundle").bytes)
            digests.insert(try #require(try await compile([file], "--output", "json").object?["digest"] as? String))
        }
        #expect(bundles.count == 2)
        #expect(digests.count == 1)
    }

    @Test("The summary is JSON with the image's measures, and the table has the same")
    func summary() async throws {
        let json = try #require(try await compile(["Policies/shop"], "--output", "json").object)
        #expect(
            json.keys.sorted() == [
                "digest", "endpoints", "entries", "imageBytes", "node", "peerGroups", "rules", "skipped",
            ])
        #expect(json["endpoints"] as? Int == 4)
        #expect(json["node"] as? String == "node-a")
        let bundle = try await compile(["Policies/shop"], "--output", "bundle")
        #expect((json["imageBytes"] as? Int).map { $0 < bundle.bytes.count } == true)
        let text = try await compile(["Policies/shop"]).output
        #expect(text.contains(try #require(json["digest"] as? String)))
    }

    static let second =
        "apiVersion: weir.dev/v1\nkind: Node\nmetadata: {name: node-b}\nspec: {addresses: [192.0.2.11]}\n"

    @Test("With two nodes --node is needed, and the error lists them")
    func twoNodes() async throws {
        let workspace = try Workspace()
        let file = try workspace.write(Self.second, to: "b.yaml")
        let arguments = ["compile"] + Weir.shop + [file]
        let without = try await Weir.run(arguments)
        #expect(without.status == 1)
        #expect(without.errors.contains("--node (node-a, node-b)"))
        #expect(without.errors.contains("[ambiguous-node]"))
        for node in ["node-a", "node-b"] {
            let outcome = try await Weir.run(arguments + ["--node", node, "--output", "json"])
            #expect(outcome.status == 0)
            #expect(outcome.object?["endpoints"] as? Int == (node == "node-a" ? 4 : 0))
        }
    }

    @Test("An unknown node is an error that lists the known ones")
    func unknownNode() async throws {
        let outcome = try await Weir.run(["compile"] + Weir.shop + ["--node", "node-x"])
        #expect(outcome.status == 1)
        #expect(outcome.output.isEmpty)
        #expect(outcome.errors == "weir: error: no node 'node-x' in the inventory; it has node-a [unknown-node]\n")
    }
}
