import Testing

@Suite("weir verdict in audit mode")
struct AuditVerdictTests {
    private static let policy = """
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: closed, namespace: shop, annotations: {weir.dev/audit: "true"}}
        spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
        """

    private func verdict(_ output: String) async throws -> (outcome: Outcome, file: String) {
        let workspace = try Workspace()
        let file = try workspace.write(Self.policy, to: "closed.yaml")
        let outcome = try await Weir.run([
            "verdict", "--policies", file, "--inventory", "Policies/shop/inventory.yaml", "--from", "shop/frontend",
            "--to", "shop/api", "--port", "8080/tcp", "--output", output,
        ])
        return (outcome, file)
    }

    @Test("says that the flow passes, and what would refuse it")
    func object() async throws {
        let (outcome, file) = try await verdict("jsonl")
        #expect(outcome.status == 0)
        #expect(
            outcome.lines.first?.hasSuffix(
                #""egress":"allow","ingress":"allow","verdict":"allow","rules":{"egress":[],"ingress":[]},"#
                    + #""audit":{"egress":"default-deny","ingress":"default-deny"},"#
                    + #""auditRules":{"egress":["\#(file):4"],"ingress":["\#(file):4"]}}"#) == true, "\(outcome)")
    }

    @Test("shows it in the table, too")
    func table() async throws {
        let (outcome, file) = try await verdict("table")
        #expect(outcome.lines.last?.contains("allow, audit: default-deny (\(file):4)") == true, "\(outcome)")
    }
}
