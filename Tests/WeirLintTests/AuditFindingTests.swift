import InputTestSupport
import Testing
import WeirDiagnostics

/// Rules of policies in audit mode, which are there to change nothing.
@Suite("lint and audit mode") struct AuditFindingTests {
    private static func policy(_ name: String, audit: Bool, _ sections: String) -> String {
        """
        ---
        apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: \(name), namespace: shop, annotations: {weir.dev/audit: "\(audit)"}}
        spec: {endpointSelector: {matchLabels: {app: api}}, \(sections)}

        """
    }

    private static func effects(_ policies: String...) throws -> [Diagnostic] {
        try Linted(Sample(policies.joined())).findings.filter { [.shadowedRule, .redundantRule].contains($0.id) }
    }

    private static let fromWeb = "ingress: [{fromEndpoints: [{matchLabels: {app: web}}]}]"
    private static let closed = "ingressDeny: [{fromEntities: [all]}]"

    @Test("a rule in audit mode that nobody would miss is not reported, and the same rule in force is")
    func audited() throws {
        let deny = Self.policy("p", audit: false, Self.closed)
        #expect(try Self.effects(deny, Self.policy("q", audit: true, Self.fromWeb)).isEmpty)
        #expect(
            try Self.effects(deny, Self.policy("q", audit: false, Self.fromWeb)).map(\.id) == [.shadowedRule])
    }

    @Test("a deny in audit mode shadows no rule in force")
    func inForce() throws {
        let allow = Self.policy("p", audit: false, Self.fromWeb)
        #expect(try Self.effects(allow, Self.policy("q", audit: true, Self.closed)).isEmpty)
    }

    @Test("instead of a rule in force others in force decide, never one in audit mode")
    func instead() throws {
        let findings = try Self.effects(
            Self.policy("p", audit: false, "ingress: [{fromEntities: [all]}]"),
            Self.policy("q", audit: false, Self.fromWeb), Self.policy("r", audit: true, Self.closed))
        #expect(findings.map(\.id) == [.redundantRule])
        #expect(findings.first?.message.contains("shop/p") == true)
        #expect(findings.first?.message.contains("shop/r") == false)
    }
}
