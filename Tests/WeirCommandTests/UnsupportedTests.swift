import Testing

@Suite("--unsupported")
struct UnsupportedTests {
    private static let policy = """
        apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: outside, namespace: shop}
        spec:
          endpointSelector: {matchLabels: {app: frontend}}
          egress:
          - toFQDNs: [{matchName: example.org}]
        """

    private func verdict(_ arguments: [String], environment: [String: String] = [:]) async throws -> Outcome {
        let workspace = try Workspace()
        let file = try workspace.write(Self.policy, to: "outside.yaml")
        return try await Weir.run(
            [
                "verdict", "--policies", file, "--inventory", "Policies/shop/inventory.yaml", "--from", "shop/frontend",
                "--to", "ip:192.0.2.1", "--port", "443/tcp", "--output", "jsonl",
            ] + arguments, environment: environment)
    }

    @Test("error is the default: the rule is refused", arguments: [[], ["--unsupported", "error"]])
    func error(_ arguments: [String]) async throws {
        let outcome = try await verdict(arguments)
        #expect(outcome.status == 1)
        #expect(outcome.bytes.isEmpty)
        #expect(
            outcome.errors.matches(#"outside\.yaml:7:5: error: toFQDNs .+--unsupported=deny.+ \[unsupported-field\]\n"#)
        )
    }

    @Test(
        "deny compiles the rule to allow nothing, with a warning",
        arguments: [(["--unsupported=deny"], [:]), ([], ["WEIR_UNSUPPORTED": "deny"])])
    func deny(_ arguments: [String], _ environment: [String: String]) async throws {
        let outcome = try await verdict(arguments, environment: environment)
        #expect(outcome.status == 0)
        #expect(outcome.object?["verdict"] as? String == "deny")
        #expect(
            outcome.errors.matches(#"outside\.yaml:7:5: warning: toFQDNs .+ allows nothing \[unsupported-field\]\n$"#))
    }

    @Test("Any other word is a usage error")
    func other() async throws {
        #expect(try await verdict(["--unsupported", "allow"]).status == 64)
        #expect(try await verdict([], environment: ["WEIR_UNSUPPORTED": "allow"]).status == 64)
    }
}
