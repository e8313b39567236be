import InputTestSupport
import Testing
import WeirDiagnostics
import WeirModel
import WeirPolicy
import WeirSyntax

/// Policies and findings of a text.
struct Decoded {
    var policies: PolicySet
    var findings: [Diagnostic]

    init(_ sample: Sample, options: PolicyDecodingOptions = PolicyDecodingOptions()) {
        var diagnostics = DiagnosticsCollector()
        let documents = sample.documents(&diagnostics)
        policies = decodePolicies(documents, options: options, diagnostics: &diagnostics)
        findings = diagnostics.sorted
    }

    var errors: [Diagnostic] { findings.filter { $0.severity == .error } }
    var spec: PolicySpec? { policies.specs.first }
    var rule: Rule? { spec?.rules.first }
}

/// A text that is refused, why, and where: at the mark.
struct Refusal: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var sample: Sample
    var id: DiagnosticID
    /// A part of the message.
    var says: String

    init(_ description: String, _ id: DiagnosticID, _ sample: Sample, says: String = "") {
        testDescription = description
        self.sample = sample
        self.id = id
        self.says = says
    }

    func check() {
        let decoded = Decoded(sample)
        #expect(decoded.errors.map(\.id) == [id])
        #expect(decoded.errors.map(\.location) == sample.marks)
        #expect(decoded.errors.allSatisfy { says.isEmpty || $0.message.contains(says) })
        #expect(decoded.policies.specs.count == (id == .duplicateName ? 1 : 0))
    }
}

/// A CiliumNetworkPolicy `shop/p` for `app=api`; `sections` is indented by two.
func cnp(_ sections: String, selector: String = "{matchLabels: {app: api}}") -> Sample {
    Sample(
        """
        apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: p, namespace: shop}
        spec:
          endpointSelector: \(selector)
        \(sections)
        """)
}

func ccnp(_ sections: String, selector: String = "{matchLabels: {app: api}}") -> Sample {
    Sample(
        """
        apiVersion: cilium.io/v2
        kind: CiliumClusterwideNetworkPolicy
        metadata: {name: p}
        spec:
          endpointSelector: \(selector)
        \(sections)
        """)
}

/// A NetworkPolicy `shop/k` for every pod; `sections` is indented by two.
func knp(_ sections: String) -> Sample {
    Sample(
        """
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: k, namespace: shop}
        spec:
          podSelector: {}
        \(sections)
        """)
}

func requirement(
    _ key: String, _ operation: LabelSelector.Operator, _ values: [String] = [], source: String? = nil
) -> LabelSelector.Requirement {
    LabelSelector.Requirement(LabelKey(source: source, name: key), operation, values)
}

/// `k8s:io.kubernetes.pod.namespace In [names]`.
func inNamespace(_ names: String...) -> LabelSelector.Requirement {
    requirement("io.kubernetes.pod.namespace", .in, names, source: "k8s")
}

let anyNamespace = requirement("io.kubernetes.pod.namespace", .exists, source: "k8s")

func tcp(_ ports: ClosedRange<UInt16>) -> PortMatch { .range(.tcp, ports) }

/// An AdminNetworkPolicy `a` of priority 10 for every pod; `sections` is indented by two.
func adminPolicy(_ sections: String, subject: String = "{namespaces: {}}") -> Sample {
    Sample(
        """
        apiVersion: policy.networking.k8s.io/v1alpha1
        kind: AdminNetworkPolicy
        metadata: {name: a}
        spec:
          priority: 10
          subject: \(subject)
        \(sections)
        """)
}

/// The BaselineAdminNetworkPolicy for every pod; `sections` is indented by two.
func baselinePolicy(_ sections: String, subject: String = "{namespaces: {}}") -> Sample {
    Sample(
        """
        apiVersion: policy.networking.k8s.io/v1alpha1
        kind: BaselineAdminNetworkPolicy
        metadata: {name: default}
        spec:
          subject: \(subject)
        \(sections)
        """)
}

/// A ClusterNetworkPolicy `c` of priority 10 for every pod; `sections` is indented by two.
func clusterPolicy(_ sections: String, tier: String = "Admin", subject: String = "{namespaces: {}}") -> Sample {
    Sample(
        """
        apiVersion: policy.networking.k8s.io/v1alpha2
        kind: ClusterNetworkPolicy
        metadata: {name: c}
        spec:
          tier: \(tier)
          priority: 10
          subject: \(subject)
        \(sections)
        """)
}
