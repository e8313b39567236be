import InputTestSupport
import Testing
import WeirCompiler
import WeirDiagnostics
import WeirEmulator
import WeirFlow
import WeirInventory
import WeirModel
import WeirPolicy
import WeirSyntax

/// A policy in audit mode changes no verdict; it reports what it would refuse.
@Suite("Audit mode") struct AuditTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var policies: String
        /// From, to and TCP port, with what each side says: `allow`, `deny`, … and in brackets what would refuse.
        var flows: [(from: String, to: String, port: UInt16, egress: String, ingress: String)]
    }

    private static let inventory = """
        {apiVersion: weir.dev/v1, kind: Node, metadata: {name: n}, spec: {addresses: [192.0.2.1]}}
        ---
        {apiVersion: weir.dev/v1, kind: Endpoint, metadata: {name: a, namespace: x, labels: {app: a}}, spec: {addresses: [10.7.0.1]}}
        ---
        {apiVersion: weir.dev/v1, kind: Endpoint, metadata: {name: b, namespace: x, labels: {app: b}}, spec: {addresses: [10.7.0.2]}}
        ---
        {apiVersion: weir.dev/v1, kind: Endpoint, metadata: {name: c, namespace: x, labels: {app: c}, annotations: {weir.dev/audit: "true"}},
         spec: {addresses: [10.7.0.3]}}
        ---
        {apiVersion: weir.dev/v1, kind: Service, metadata: {name: both, namespace: x},
         spec: {addresses: [10.96.0.1], ports: [{port: 80, protocol: TCP, backends: ['10.7.0.2:80', '10.7.0.3:80']}]}}
        ---
        {apiVersion: weir.dev/v1, kind: Service, metadata: {name: empty, namespace: x},
         spec: {addresses: [10.96.0.2], ports: [{port: 80, protocol: TCP}]}}

        """

    private static func policy(_ name: String, audit: Bool, app: String, _ sections: String) -> String {
        """
        ---
        apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: \(name), namespace: x\(audit ? ", annotations: {weir.dev/audit: \"true\"}" : "")}
        spec: {endpointSelector: {matchLabels: {app: \(app)}}, \(sections)}

        """
    }

    private static func ranked(_ kind: String, _ name: String, audit: Bool, _ sections: String) -> String {
        """
        ---
        apiVersion: policy.networking.k8s.io/v1alpha1
        kind: \(kind)
        metadata: {name: \(name)\(audit ? ", annotations: {weir.dev/audit: \"true\"}" : "")}
        spec: {subject: {namespaces: {}}, \(sections)}

        """
    }

    private static let peerA = "[{matchLabels: {app: a}}]"

    static let cases = [
        Case(
            testDescription: "a default deny lets pass and names its policy",
            policies: policy("p", audit: true, app: "b", "ingress: [{fromEndpoints: \(peerA)}]"),
            flows: [
                ("x/a", "x/b", 80, "allow", "allow"),
                ("ip:8.8.8.8", "x/b", 80, "none", "allow [default-deny :5]"),
                ("host", "x/b", 80, "none", "allow"),
            ]),
        Case(
            testDescription: "an allow opens nothing that policies in force leave closed",
            policies: policy("p", audit: false, app: "b", "ingress: [{}]")
                + policy("q", audit: true, app: "b", "ingress: [{fromEndpoints: \(peerA)}]"),
            flows: [("x/a", "x/b", 80, "allow", "default-deny :5")]),
        Case(
            testDescription: "a deny of everything leaves standing what a narrower deny in force refuses",
            policies: policy(
                "p", audit: false, app: "b",
                "ingress: [{fromEntities: [all]}], ingressDeny: [{toPorts: [{ports: [{port: '81'}]}]}]")
                + policy("q", audit: true, app: "b", "ingressDeny: [{fromEntities: [all]}]"),
            flows: [
                ("x/a", "x/b", 81, "allow", "deny :5"),
                ("x/a", "x/b", 80, "allow", "allow [deny :10]"),
            ]),
        Case(
            testDescription: "it does not switch off the baseline",
            policies: ranked(
                "BaselineAdminNetworkPolicy", "default", audit: false,
                "ingress: [{action: Deny, from: [{namespaces: {}}]}]")
                + policy("q", audit: true, app: "b", "ingress: [{fromEndpoints: \(peerA)}]"),
            flows: [("x/a", "x/b", 80, "allow", "deny :5")]),
        Case(
            testDescription: "a pass does not lift an admin's deny in force, and an admin's deny only reports",
            policies: ranked(
                "AdminNetworkPolicy", "first", audit: true,
                "priority: 1, ingress: [{action: Pass, from: [{namespaces: {}}], ports: [{portNumber: {protocol: TCP, port: 80}}]}]"
            )
                + ranked(
                    "AdminNetworkPolicy", "second", audit: false,
                    "priority: 2, ingress: [{action: Deny, from: [{namespaces: {}}], ports: [{portNumber: {protocol: TCP, port: 80}}]}]"
                )
                + ranked(
                    "AdminNetworkPolicy", "third", audit: true,
                    "priority: 3, ingress: [{action: Deny, from: [{namespaces: {}}]}]"),
            flows: [
                ("x/a", "x/b", 80, "allow", "deny :10"),
                ("x/a", "x/b", 81, "allow", "allow [deny :15]"),
            ]),
        Case(
            testDescription: "a Service is allowed where only it refuses a backend",
            policies: policy("p", audit: true, app: "a", "egressDeny: [{toEndpoints: [{matchLabels: {app: c}}]}]"),
            flows: [("x/a", "ip:10.96.0.1", 80, "allow [deny :5]", "none")]),
        Case(
            testDescription: "a Service is refused where a policy in force refuses a backend and it another",
            policies: policy("p", audit: true, app: "a", "egressDeny: [{toEndpoints: [{matchLabels: {app: c}}]}]")
                + policy("q", audit: false, app: "a", "egressDeny: [{toEndpoints: [{matchLabels: {app: b}}]}]"),
            flows: [("x/a", "ip:10.96.0.1", 80, "deny :10", "none")]),
        Case(
            testDescription: "a Service without backends is refused by the deny in force and not by its default deny",
            policies: ranked(
                "AdminNetworkPolicy", "p", audit: false,
                "priority: 1, egress: [{action: Deny, to: [{networks: [10.96.0.0/16]}]}]")
                + policy("q", audit: true, app: "a", "egress: [{}]"),
            flows: [("x/a", "ip:10.96.0.2", 80, "deny :5", "none")]),
        Case(
            testDescription: "an endpoint reports what policies in force refuse it",
            policies: policy("p", audit: false, app: "c", "ingress: [{fromEndpoints: \(peerA)}]"),
            flows: [
                ("x/a", "x/c", 80, "allow", "allow :5"),
                ("x/b", "x/c", 80, "allow", "allow [default-deny :5]"),
            ]),
    ]

    @Test(arguments: cases) func means(_ testCase: Case) throws {
        var diagnostics = DiagnosticsCollector()
        let policies = decodePolicies(Sample(testCase.policies).documents(), diagnostics: &diagnostics)
        let inventory = decodeInventory(Sample(Self.inventory).documents(), diagnostics: &diagnostics)
        try #require(diagnostics.all.isEmpty)
        let answerer = FlowAnswerer(inventory) { node in
            let image = Compiler.compile(policies: policies, inventory: inventory, node: node)
            return (image, try EmulatorJudge(image: image))
        }
        for flow in testCase.flows {
            let answer = try answerer.answer(
                Flow(from: try .init(flow.from), to: try .init(flow.to), protocol: .tcp, port: flow.port))
            #expect(Self.text(answer.egress) == flow.egress, "\(flow)")
            #expect(Self.text(answer.ingress) == flow.ingress, "\(flow)")
        }
    }

    /// Lines without their file.
    private static func text(_ side: SideVerdict) -> String {
        func text(_ kind: String, _ rules: [String]) -> String {
            ([kind] + rules.map { ":" + ($0.split(separator: ":").last ?? "") }).joined(separator: " ")
        }
        return text(side.kind.rawValue, side.rules)
            + (side.wouldBe.map { " [\(text($0.kind.rawValue, $0.rules))]" } ?? "")
    }

    @Test("Without a policy in audit mode no byte of the image changes for the endpoints that it does not select")
    func others() throws {
        var diagnostics = DiagnosticsCollector()
        let inventory = decodeInventory(Sample(Self.inventory).documents(), diagnostics: &diagnostics)
        let inForce = Self.policy("p", audit: false, app: "b", "ingress: [{fromEndpoints: \(Self.peerA)}]")
        let nobody = Self.policy("q", audit: true, app: "nobody", "ingressDeny: [{fromEntities: [all]}]")
        let images = [inForce, inForce + nobody].map { text in
            Compiler.compile(
                policies: decodePolicies(Sample(text).documents(), diagnostics: &diagnostics), inventory: inventory,
                node: "n"
            ).encoded()
        }
        #expect(images[0] == images[1])
        #expect(diagnostics.all.isEmpty)
    }
}
