import InputTestSupport
import Testing
import WeirDiagnostics

/// What is refused, why, and where. `⟦` marks the place.
@Suite("a policy is refused") struct RefusalTests {
    static let shape = [
        Refusal(
            "for an unknown field, with the nearest name", .unknownField,
            cnp("  ingress:\n  - ⟦fromEndpoint: [{}]"), says: "did you mean fromEndpoints?"),
        Refusal(
            "for a peer of the other direction", .unknownField, cnp("  ingress:\n  - ⟦toEndpoints: [{}]"),
            says: "did you mean fromEndpoints?"),
        Refusal(
            "for an unknown field in the spec", .unknownField, cnp("  ⟦ingres: [{}]\n  egress: [{}]"), says: "ingress"),
        Refusal(
            "for an unknown field in a port", .unknownField,
            cnp("  ingress: [{toPorts: [{ports: [{port: 80, ⟦endport: 90}]}]}]"), says: "endPort"),
        Refusal("for a list where an object belongs", .wrongType, cnp("  ingress:\n  - ⟦[a]"), says: "not a list"),
        Refusal("for an object where a list belongs", .wrongType, cnp("  ingress: ⟦{}"), says: "not an object"),
        Refusal(
            "for a rule without a value", .wrongType, cnp("  ingress:\n  -⟦\n  egress: [{}]"), says: "not no value"),
        Refusal(
            "for a label that is a number", .wrongType,
            cnp("  ingress: [{fromEndpoints: [{matchLabels: {version: ⟦1}}]}]"), says: "quote it: \"1\""),
        Refusal(
            "for a label that is a boolean to kubectl", .wrongType,
            cnp("  ingress: [{fromEndpoints: [{matchLabels: {legacy: ⟦on}}]}]"), says: "the boolean on"),
        Refusal(
            "for a default deny that is no boolean", .wrongType,
            cnp("  enableDefaultDeny: {ingress: ⟦'no'}\n  ingress: [{}]"), says: "true or false"),
        Refusal(
            "without a name", .missingField,
            Sample(
                """
                apiVersion: cilium.io/v2
                kind: CiliumNetworkPolicy
                metadata: ⟦{namespace: shop}
                spec: {endpointSelector: {}, ingress: [{}]}
                """), says: "name"),
        Refusal(
            "for a misspelled namespace", .unknownField,
            Sample(
                """
                apiVersion: cilium.io/v2
                kind: CiliumNetworkPolicy
                metadata: {name: p, ⟦namspace: shop}
                spec: {endpointSelector: {}, ingress: [{}]}
                """), says: "did you mean namespace?"),
    ]

    static let kinds = [
        Refusal(
            "for an unknown kind of Cilium's", .unknownKind,
            Sample("apiVersion: cilium.io/v2\nkind: ⟦CiliumNetworkPolice\nmetadata: {name: p}"),
            says: "did you mean CiliumNetworkPolicy?"),
        Refusal(
            "for a version that is not read", .unknownKind,
            Sample("apiVersion: networking.k8s.io/v1beta1\nkind: ⟦NetworkPolicy\nmetadata: {name: p}"),
            says: "networking.k8s.io/v1, not"),
        Refusal(
            "for a kind in the version of another", .unknownKind,
            Sample("apiVersion: policy.networking.k8s.io/v1alpha1\nkind: ⟦ClusterNetworkPolicy\nmetadata: {name: p}"),
            says: "policy.networking.k8s.io/v1alpha2, not"),
        Refusal(
            "for an unknown kind of the policy API", .unknownKind,
            Sample("apiVersion: policy.networking.k8s.io/v1alpha1\nkind: ⟦AdminNetPolicy\nmetadata: {name: p}"),
            says: "did you mean AdminNetworkPolicy?"),
        Refusal(
            "for an unknown kind of ours", .unknownKind,
            Sample("apiVersion: weir.dev/v1\nkind: ⟦Endpoints\nmetadata: {name: p}"), says: "did you mean Endpoint?"),
    ]

    static let values = [
        Refusal(
            "for a bare address in toCIDR", .invalidCIDR, cnp("  egress: [{toCIDR: [⟦8.8.8.8]}]"),
            says: "write 8.8.8.8/32"),
        Refusal("for a bad CIDR", .invalidCIDR, cnp("  egress: [{toCIDR: [⟦10.0.0.0/33]}]"), says: "not a CIDR"),
        Refusal(
            "for an exception outside its prefix", .exceptOutsideCIDR,
            cnp("  egress: [{toCIDRSet: [{cidr: 10.0.0.0/8, except: [⟦11.0.0.0/16]}]}]"), says: "inside"),
        Refusal(
            "for an entity nobody knows, with the nearest", .unknownEntity,
            cnp("  egress: [{toEntities: [⟦remote-nodes]}]"), says: "did you mean remote-node?"),
        Refusal(
            "for a port over 65535", .invalidPort, cnp("  egress: [{toPorts: [{ports: [{port: ⟦'70000'}]}]}]"),
            says: "65535"),
        Refusal("for a negative port", .invalidPort, cnp("  egress: [{toPorts: [{ports: [{port: ⟦-1}]}]}]")),
        Refusal(
            "for a port that is neither number nor name", .invalidPort,
            cnp("  egress: [{toPorts: [{ports: [{port: ⟦'a_b'}]}]}]"), says: "neither"),
        Refusal(
            "for endPort without a number to start from", .invalidPort,
            cnp("  egress: [{toPorts: [{ports: [{port: http, endPort: ⟦90}]}]}]")),
        Refusal(
            "for an empty range in a deny", .emptyPortRange,
            cnp("  egressDeny: [{toPorts: [{ports: [{port: 90, endPort: ⟦80}]}]}]"), says: "90–80"),
        Refusal(
            "for ICMP as a port's protocol", .invalidValue,
            cnp("  egress: [{toPorts: [{ports: [{port: 8, protocol: ⟦ICMP}]}]}]"), says: "use icmps"),
        Refusal(
            "for an unknown protocol", .invalidValue,
            cnp("  egress: [{toPorts: [{ports: [{port: 8, protocol: ⟦TPC}]}]}]"), says: "did you mean TCP?"),
        Refusal(
            "for more than 40 ports", .tooManyPorts,
            cnp("  egress: [{toPorts: [{ports: ⟦[\((1...41).map { "{port: \($0)}" }.joined(separator: ", "))]}]}]"),
            says: "at most 40"),
        Refusal(
            "for an ICMP type over 255", .invalidValue, cnp("  egress: [{icmps: [{fields: [{type: ⟦256}]}]}]")),
        Refusal(
            "for an ICMP name of the other family", .invalidValue,
            cnp("  egress: [{icmps: [{fields: [{type: ⟦PacketTooBig}]}]}]"), says: "IPv4"),
        Refusal(
            "for an unknown operator", .invalidSelector,
            cnp("  egress: [{toEndpoints: [{matchExpressions: [{key: a, operator: ⟦in, values: [b]}]}]}]"),
            says: "did you mean In?"),
        Refusal(
            "for In without values", .invalidSelector,
            cnp("  egress: [{toEndpoints: [{matchExpressions: [{key: a, operator: In, values: ⟦[]}]}]}]")),
        Refusal(
            "for Exists with values", .invalidSelector,
            cnp("  egress: [{toEndpoints: [{matchExpressions: [{key: a, operator: Exists, values: ⟦[b]}]}]}]")),
        Refusal(
            "for a label key with a blank", .invalidLabel,
            cnp("  egress: [{toEndpoints: [{matchLabels: {⟦'a b': c}}]}]")),
        Refusal(
            "for a label of CIDRs", .unsupportedField,
            cnp("  egress: [{toEndpoints: [{matchLabels: {⟦'cidr:10.0.0.0/8': ''}}]}]"), says: "source cidr"),
        Refusal(
            "for a label value with a slash", .invalidLabel,
            cnp("  egress: [{toEndpoints: [{matchLabels: {a: ⟦b/c}}]}]")),
    ]

    static let rules = [
        Refusal("with an empty section alone", .emptyPolicy, Sample(cnp("").marked(spec: "  ingress: []"))),
        Refusal("without any section", .emptyPolicy, Sample(cnp("").marked(spec: "  description: nothing"))),
        Refusal(
            "for two kinds of peers in one rule", .conflictingFields,
            cnp("  ingress: [{fromEndpoints: [{}], ⟦fromCIDR: [10.0.0.0/8]}]"), says: "write two"),
        Refusal(
            "for CIDRs of both spellings in one rule", .conflictingFields,
            cnp("  ingress: [{fromCIDR: [10.0.0.0/8], ⟦fromCIDRSet: [{cidr: 10.0.0.0/8}]}]")),
        Refusal(
            "for icmps together with ports", .conflictingFields,
            cnp("  ingress: [{toPorts: [{ports: [{port: 80}]}], ⟦icmps: [{fields: [{type: 8}]}]}]")),
        Refusal(
            "for a CIDR and a group in one entry", .conflictingFields,
            cnp("  ingress: [{fromCIDRSet: [⟦{cidr: 10.0.0.0/8, cidrGroupRef: g}]}]")),
        Refusal(
            "for both selectors", .conflictingFields, ccnp("  ⟦nodeSelector: {}\n  ingress: [{}]")),
        Refusal(
            "for two policies of one name", .duplicateName,
            Sample(
                """
                {apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: p}, spec: {endpointSelector: {}, ingress: [{}]}}
                ---
                {apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: ⟦p, namespace: default}, spec: {endpointSelector: {}, ingress: [{}]}}
                """), says: "default/p"),
    ]

    static let unsupported: [Refusal] =
        [
            ("fromRequires: [{}]", true), ("fromGroups: [{}]", true), ("authentication: {mode: required}", true),
            ("authentication: {mode: test-always-fail}", true), ("toFQDNs: [{matchName: example.org}]", false),
            ("toGroups: [{}]", false), ("toRequires: [{}]", false), ("authentication: {mode: required}", false),
        ].map { field, isIngress in
            Refusal(
                "for \(field)", .unsupportedField, cnp("  \(isIngress ? "ingress" : "egress"):\n  - ⟦\(field)"),
                says: String(field.prefix { $0 != ":" }))
        }
        + ["rules: {http: [{}]}", "terminatingTLS: {}", "originatingTLS: {}", "serverNames: [a]", "listener: {}"].map {
            Refusal(
                "for \($0) on a port", .unsupportedField,
                cnp("  egress:\n  - toPorts:\n    - ports: [{port: 443}]\n      ⟦\($0)"))
        }

    static let networkPolicy = [
        Refusal(
            "for an empty range", .emptyPortRange, knp("  ingress: [{ports: [{port: 90, endPort: ⟦80}]}]")),
        Refusal("for port 0", .invalidPort, knp("  ingress: [{ports: [{port: ⟦0}]}]")),
        Refusal(
            "for a port number in quotes", .invalidPort, knp("  ingress: [{ports: [{port: ⟦'80'}]}]"),
            says: "without quotes"),
        Refusal(
            "for a protocol in lower case", .invalidValue, knp("  ingress: [{ports: [{protocol: ⟦tcp}]}]"), says: "TCP"),
        Refusal("for a peer without anything", .missingField, knp("  ingress: [{from: [⟦{}]}]")),
        Refusal(
            "for an ipBlock with a selector", .conflictingFields,
            knp("  ingress: [{from: [{podSelector: {}, ⟦ipBlock: {cidr: 10.0.0.0/8}}]}]")),
        Refusal(
            "for an exception as wide as the block", .exceptOutsideCIDR,
            knp("  ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [⟦10.0.0.0/8]}}]}]")),
        Refusal(
            "for an unknown policy type", .invalidValue, knp("  policyTypes: [⟦ingress]"), says: "did you mean Ingress?"
        ),
        Refusal("for an unknown field", .unknownField, knp("  ingress: [{⟦form: []}]"), says: "did you mean from?"),
        Refusal(
            "without a podSelector", .missingField,
            Sample("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: k}\nspec: ⟦{ingress: [{}]}")
        ),
    ]

    @Test(arguments: shape + kinds + values + rules + unsupported)
    func cilium(_ refusal: Refusal) { refusal.check() }

    @Test(arguments: networkPolicy) func kubernetes(_ refusal: Refusal) { refusal.check() }

    @Test("all problems of all documents are found in one run") func collectsEverything() {
        let sample = Sample(
            """
            apiVersion: cilium.io/v2
            kind: CiliumNetworkPolicy
            metadata: {name: p}
            spec:
              endpointSelector: {}
              ingress:
              - fromEntities: [⟦wrld]
                ⟦toPort: []
            ---
            apiVersion: networking.k8s.io/v1
            kind: NetworkPolicy
            metadata: {name: k}
            spec:
              podSelector: {}
              ingress: [{ports: [{port: ⟦true}]}]
            """)
        let decoded = Decoded(sample)
        #expect(decoded.errors.map(\.id) == [.unknownEntity, .unknownField, .wrongType])
        #expect(decoded.errors.map(\.location) == sample.marks)
    }

    @Test("an empty range in an allow is a warning") func emptyRangeInAllow() {
        let decoded = Decoded(cnp("  egress: [{toPorts: [{ports: [{port: 90, endPort: 80}]}]}]"))
        #expect(decoded.findings.map(\.id) == [.emptyPortRange])
        #expect(decoded.errors.isEmpty)
    }

    @Test("a group that is not there is a warning with the nearest name") func missingGroup() throws {
        let decoded = Decoded(
            Sample(
                """
                {apiVersion: cilium.io/v2, kind: CiliumCIDRGroup, metadata: {name: office}, spec: {externalCIDRs: [10.0.0.0/8]}}
                ---
                {apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: p}, spec: {endpointSelector: {}, egress: [{toCIDRSet: [{cidrGroupRef: ofice}]}]}}
                """))
        let finding = try #require(decoded.findings.first)
        #expect(finding.id == .unknownGroup)
        #expect(finding.severity == .warning)
        #expect(finding.message.contains("did you mean office?"))
    }

    @Test("status, server-set metadata, description and labels are ignored") func ignored() {
        let decoded = Decoded(
            Sample(
                """
                apiVersion: cilium.io/v2
                kind: CiliumNetworkPolicy
                metadata:
                  name: p
                  uid: x
                  resourceVersion: "1"
                  generation: 2
                  creationTimestamp: "2026-01-01T00:00:00Z"
                  managedFields: [{manager: kubectl}]
                  annotations: {a: b}
                spec:
                  description: why
                  labels: [{key: a, value: b}]
                  endpointSelector: {}
                  ingress: [{}]
                status: {conditions: []}
                """))
        #expect(decoded.findings.isEmpty)
        #expect(decoded.policies.specs.count == 1)
    }

    @Test("other API groups and inventory are counted and skipped") func skipped() {
        let decoded = Decoded(
            Sample(
                """
                {apiVersion: apps/v1, kind: Deployment, metadata: {name: d}}
                ---
                {apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: i}}
                ---
                {apiVersion: v1, kind: Pod, metadata: {name: p}}
                ---
                {apiVersion: cilium.io/v2, kind: CiliumNode, metadata: {name: n}}
                ---
                {apiVersion: weir.dev/v1, kind: Node, metadata: {name: n}}
                """))
        #expect(decoded.findings.isEmpty)
        #expect(decoded.policies.specs.isEmpty)
        #expect(decoded.policies.skippedDocuments == 5)
    }

    @Test("two namespaces may use one name") func sameName() {
        let decoded = Decoded(
            Sample(
                """
                {apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: p, namespace: a}, spec: {endpointSelector: {}, ingress: [{}]}}
                ---
                {apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: p, namespace: b}, spec: {endpointSelector: {}, ingress: [{}]}}
                """))
        #expect(decoded.findings.isEmpty)
        #expect(decoded.policies.specs.count == 2)
    }
}

extension Sample {
    /// The text of a policy with its `spec:` key marked and a section added.
    fileprivate func marked(spec section: String) -> String {
        String(decoding: source.bytes, as: UTF8.self).replacing("\nspec:", with: "\n⟦spec:") + section
    }
}
