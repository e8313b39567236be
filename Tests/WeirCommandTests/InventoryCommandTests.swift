import Foundation
import Testing

@Suite("weir inventory")
struct InventoryCommandTests {
    private static let fixtures = "Tests/Fixtures/inventory"
    private static let kubectl = fixtures + "/kubectl.yaml"

    private func reduce(_ arguments: String..., input: String? = nil) async throws -> Outcome {
        try await Weir.run(["inventory", "--inventory"] + arguments, input: input)
    }

    @Test("Documents go to standard output, and what was read and skipped to standard error")
    func streams() async throws {
        let outcome = try await reduce(Self.kubectl, Self.kubectl)
        #expect(outcome.status == 0)
        #expect(outcome.lines.count { $0 == "---" } == 7)
        #expect(
            outcome.lines.contains { $0.hasPrefix("metadata: {name: api-5d8f7c9b6d-x2x7p, namespace: shop, labels: ") })
        #expect(
            outcome.errorLines == [
                "weir: endpoints: 2 in 1 namespace", "weir: nodes: 1", "weir: services: 2 with 1 backend",
                "weir: API server: 192.0.2.5", "weir: skipped: 2 finished pods",
                "weir: skipped: 1 host-network pod: policy sees their node",
                "weir: skipped: 1 pod without an address",
            ])
    }

    @Test("The table has the same lines as data, and standard error has none")
    func table() async throws {
        let outcome = try await reduce(Self.kubectl, "--output", "table")
        #expect(outcome.status == 0)
        #expect(outcome.errors.isEmpty)
        #expect(outcome.lines.first == "INVENTORY")
        #expect(outcome.lines.contains("skipped     2 finished pods"))
    }

    @Test("What is of no use is named by kind, and services that nobody serves by name")
    func skipped() async throws {
        let outcome = try await reduce(
            "-",
            input: """
                {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}
                ---
                {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}
                ---
                {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: b}}
                ---
                {apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {ports: [{port: 80}]}}
                ---
                {apiVersion: weir.dev/v1, kind: Node, metadata: {name: node-a}, spec: {}}
                """)
        #expect(outcome.status == 0)
        #expect(outcome.errorLines.contains("weir: skipped: 3 other documents: 2 ConfigMap, 1 NetworkPolicy"))
        #expect(outcome.errorLines.contains("weir: no backend: 1 service with a port that nobody serves: shop/web"))
        #expect(outcome.errorLines.contains("weir: no address: 1 node: node-a"))
    }

    @Test(
        "Every command does the same with the result as with the original",
        arguments: [
            ("Policies/shop", "yaml"), ("Policies/shop", "json"), ("Tests/Fixtures/conformance/inventory.yaml", "yaml"),
        ])
    func sameImage(_ inventory: String, _ format: String) async throws {
        let workspace = try Workspace()
        let reduced = "\(workspace.path)/reduced.\(format)"
        let outcome = try await reduce(inventory, "--output", format, "--output-file", reduced)
        #expect(outcome.status == 0)
        #expect(outcome.output.isEmpty)
        #expect(try workspace.names == ["reduced.\(format)"])
        for node in ["node-a", "node-b"] where inventory.hasPrefix("Tests") || node == "node-a" {
            let digests = try await [inventory, reduced].asyncMap { path in
                try await Weir.run([
                    "compile", "--policies", "Policies/shop", "--inventory", path, "--node", node, "--cluster-name",
                    "east", "--output", "json",
                ]).object?["digest"] as? String
            }
            #expect(digests[0] != nil)
            #expect(digests[0] == digests[1])
        }
        let again = try await reduce(reduced, "--output", format)
        #expect(again.output == (try workspace.contents("reduced.\(format)")))
    }

    @Test("Files in any order give the same bytes, and a pipe the same as a file")
    func order() async throws {
        let workspace = try Workspace()
        let text = try String(contentsOfFile: "\(Weir.package)/\(Self.fixtures)/weir.yaml", encoding: .utf8)
        let documents = text.components(separatedBy: "---\n")
        let files = try documents.indices.map { try workspace.write(documents[$0], to: "\($0).yaml") }
        let whole = try await reduce("-", input: text)
        #expect(whole.status == 0)
        #expect(!whole.output.isEmpty)
        for order in [files, files.reversed(), files.shuffled()] {
            #expect(try await Weir.run(["inventory", "--inventory"] + order).bytes == whole.bytes)
        }
    }

    @Test("Variables and --namespace are those of the other commands")
    func environment() async throws {
        let workspace = try Workspace()
        let file = try workspace.write(
            "{apiVersion: weir.dev/v1, kind: Endpoint, metadata: {name: a}, spec: {node: x, addresses: [10.7.0.2]}}",
            to: "i.yaml")
        let outcome = try await Weir.run(
            ["inventory"], environment: ["WEIR_INVENTORY": file, "WEIR_NAMESPACE": "shop", "WEIR_OUTPUT": "json"])
        #expect(outcome.status == 0)
        #expect(outcome.output.contains(#""namespace": "shop""#))
    }

    @Test("An error has its place and leaves no output", arguments: ["yaml", "json", "table"])
    func errors(_ format: String) async throws {
        let workspace = try Workspace()
        let bad = try workspace.write(
            "{apiVersion: weir.dev/v1, kind: Endpoint, metadata: {name: a}, spec: {addresses: [x]}}", to: "bad.yaml")
        let outcome = try await reduce(
            bad, Self.kubectl, "--output", format, "--output-file", "\(workspace.path)/out.yaml")
        #expect(outcome.status == 1)
        #expect(outcome.output.isEmpty)
        #expect(outcome.errors.matches(#"bad\.yaml:1:83: error: .* \[invalid-address\]\n"#))
        #expect(try workspace.names == ["bad.yaml"])
    }

    @Test("A forgotten resource is a warning, and the run goes on")
    func forgottenSlices() async throws {
        let outcome = try await reduce(
            "-", input: "{apiVersion: v1, kind: Service, metadata: {name: a, namespace: b}, spec: {selector: {c: d}}}")
        #expect(outcome.status == 0)
        #expect(outcome.errors.hasPrefix("-:1:"))
        #expect(outcome.errors.contains("warning: a Service has a selector"))
        #expect(outcome.errors.contains("[service-without-endpoints]"))
    }

    @Test("Without an inventory it is a usage error")
    func usage() async throws {
        for arguments in [["inventory"], ["inventory", "--inventory", "x", "--output", "bundle"]] {
            let outcome = try await Weir.run(arguments)
            #expect(outcome.status == 64)
            #expect(outcome.errors.contains("weir inventory"))
        }
    }
}

extension Array {
    fileprivate func asyncMap<Result>(_ transform: (Element) async throws -> Result) async rethrows -> [Result] {
        var results: [Result] = []
        for element in self { results.append(try await transform(element)) }
        return results
    }
}
