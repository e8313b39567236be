import InputTestSupport
import WeirCompiler
import WeirDiagnostics
import WeirExpectation
import WeirInventory
import WeirModel
import WeirPolicy
import WeirSyntax

/// Three pods on two nodes, and a policy under which only the front reaches the back, on some ports.
struct ExpectationSample {
    static let cluster = """
        apiVersion: weir.dev/v1
        kind: Node
        metadata: {name: node-a}
        spec: {addresses: [192.0.2.10], podCIDRs: [10.7.0.0/24, "fd07::/64"]}
        ---
        apiVersion: weir.dev/v1
        kind: Node
        metadata: {name: node-b}
        spec: {addresses: [192.0.2.11], podCIDRs: [10.7.1.0/24]}
        ---
        apiVersion: weir.dev/v1
        kind: Endpoint
        metadata: {name: front, namespace: shop, labels: {app: front}}
        spec: {node: node-a, addresses: [10.7.0.2, "fd07::2"]}
        ---
        apiVersion: weir.dev/v1
        kind: Endpoint
        metadata: {name: back-1, namespace: shop, labels: {app: back}}
        spec: {node: node-a, addresses: [10.7.0.3, "fd07::3"]}
        ---
        apiVersion: weir.dev/v1
        kind: Endpoint
        metadata: {name: back-2, namespace: shop, labels: {app: back}}
        spec: {node: node-b, addresses: [10.7.1.3]}
        """

    static let policy = """
        apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: back, namespace: shop}
        spec:
          endpointSelector: {matchLabels: {app: back}}
          ingress:
            - fromEndpoints: [{matchLabels: {app: front}}]
              toPorts:
                - ports:
                    - {port: "8000", endPort: 8010, protocol: TCP}
                    - {port: "9000", protocol: UDP}
          ingressDeny:
            - fromEndpoints: [{matchLabels: {app: front}}]
              toPorts:
                - ports:
                    - {port: "8005", protocol: TCP}
        """

    static func expectations(_ spec: String) -> String {
        """
        apiVersion: weir.dev/v1
        kind: Expectations
        metadata: {name: sample}
        spec:

        """ + spec.split(separator: "\n", omittingEmptySubsequences: false).map { "  \($0)" }.joined(separator: "\n")
    }

    var policies: PolicySet
    var inventory: Inventory

    init(_ policy: String = Self.policy) {
        var diagnostics = DiagnosticsCollector()
        policies = decodePolicies(
            parseDocuments(SourceFile(path: "policy.yaml", text: policy), diagnostics: &diagnostics),
            diagnostics: &diagnostics)
        inventory = decodeInventory(
            parseDocuments(SourceFile(path: "cluster.yaml", text: Self.cluster), diagnostics: &diagnostics),
            diagnostics: &diagnostics)
        precondition(diagnostics.all.isEmpty, "\(diagnostics.sorted)")
    }

    /// What is wrong with a marked file, or what becomes of it.
    func run(_ sample: Sample) throws -> (findings: [Diagnostic], report: ExpectationReport?) {
        var diagnostics = DiagnosticsCollector()
        let documents = sample.documents(&diagnostics)
        let expectations = decodeExpectations(documents, inventory: inventory, diagnostics: &diagnostics)
        guard !diagnostics.hasErrors else { return (diagnostics.sorted, nil) }
        let run = ExpectationRun(policies: policies, inventory: inventory) { node in
            Compiler.compile(policies: policies, inventory: inventory, node: node)
        }
        let report = try run.report(expectations, diagnostics: &diagnostics)
        return (diagnostics.sorted, diagnostics.hasErrors ? nil : report)
    }

    /// The report of a file without mistakes.
    func report(_ spec: String) throws -> ExpectationReport {
        let (findings, report) = try run(Sample(Self.expectations(spec)))
        guard let report else { throw Unsound(findings: findings) }
        return report
    }

    struct Unsound: Error {
        var findings: [Diagnostic]
    }
}
