import InputTestSupport
import WeirDiagnostics
import WeirInventory
import WeirLint
import WeirModel
import WeirPolicy
import WeirSyntax

/// Swift Testing has a `SourceLocation` of its own.
typealias Place = SourceLocation

/// A small shop on two nodes.
let shop = Sample(
    """
    apiVersion: weir.dev/v1
    kind: Node
    metadata: {name: node-a}
    spec: {addresses: [192.0.2.10], podCIDRs: [10.7.0.0/24, 'fd07::/64']}
    ---
    apiVersion: weir.dev/v1
    kind: Node
    metadata: {name: node-b}
    spec: {addresses: [192.0.2.11], podCIDRs: [10.7.1.0/24]}
    ---
    apiVersion: weir.dev/v1
    kind: Endpoint
    metadata: {name: ⟦web, namespace: shop, labels: {app: web, tier: front}}
    spec:
      {node: node-a, addresses: [10.7.0.2], serviceAccount: web, ports: [{name: http, port: 8080, protocol: TCP}]}
    ---
    apiVersion: weir.dev/v1
    kind: Endpoint
    metadata: {name: api-1, namespace: shop, labels: {app: api, tier: back}}
    spec:
      node: node-a
      addresses: [10.7.0.3, 'fd07::3']
      ports: [{name: http, port: 8080, protocol: TCP}, {name: dns, port: 53, protocol: UDP}]
    ---
    apiVersion: weir.dev/v1
    kind: Endpoint
    metadata: {name: api-2, namespace: shop, labels: {app: api, tier: back}}
    spec: {node: node-b, addresses: [10.7.1.3], ports: [{name: http, port: 9090, protocol: TCP}]}
    ---
    apiVersion: weir.dev/v1
    kind: Endpoint
    metadata: {name: ⟦probe, namespace: ops, labels: {app: probe}}
    spec: {node: node-b, addresses: [10.7.1.2]}
    """, path: "inventory.yaml")

/// A CiliumNetworkPolicy `shop/p`; `sections` is indented by two.
func cnp(_ sections: String, selector: String = "{matchLabels: {app: api}}", namespace: String = "shop") -> Sample {
    Sample(
        """
        apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: p, namespace: \(namespace)}
        ⟦spec:
          endpointSelector: \(selector)
        \(sections)
        """)
}

/// What lint says about a text. The decoders must have nothing to say.
struct Linted {
    var findings: [Diagnostic]
    var capacity: CapacityForecast

    init(
        _ policies: Sample, inventory: Sample = shop, node: String? = nil, options: PolicyOptions = PolicyOptions(),
        disabled: Set<DiagnosticID> = []
    ) throws {
        var diagnostics = DiagnosticsCollector()
        let set = decodePolicies(policies.documents(), options: PolicyDecodingOptions(), diagnostics: &diagnostics)
        let typed = decodeInventory(
            inventory.documents(), options: InventoryOptions(clusterName: "default", defaultNamespace: "default"),
            diagnostics: &diagnostics)
        guard !diagnostics.hasErrors else { throw Refused(findings: diagnostics.sorted) }
        self.init(set, typed, node: node, options: options, disabled: disabled)
    }

    init(
        _ policies: PolicySet, _ inventory: Inventory, node: String? = nil, options: PolicyOptions = PolicyOptions(),
        disabled: Set<DiagnosticID> = []
    ) {
        let report = LintReport(
            policies: policies, inventory: inventory, node: node, options: options, disabled: disabled)
        findings = report.findings
        capacity = report.capacity
    }

    func of(_ id: DiagnosticID) -> [Diagnostic] { findings.filter { $0.id == id } }

    struct Refused: Error {
        var findings: [Diagnostic]
    }
}
