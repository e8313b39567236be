import InputTestSupport
import Testing

/// What is refused in the admin kinds, why, and where. `⟦` marks the place.
@Suite("a policy of the admin kinds is refused") struct AdminRefusalTests {
    private static func spec(_ kind: String, _ version: String, _ spec: String, name: String = "p") -> Sample {
        Sample(
            """
            apiVersion: policy.networking.k8s.io/\(version)
            kind: \(kind)
            metadata: {name: \(name)}
            \(spec)
            """)
    }

    private static func admin(_ text: String) -> Sample { spec("AdminNetworkPolicy", "v1alpha1", text) }
    private static func cluster(_ text: String) -> Sample { spec("ClusterNetworkPolicy", "v1alpha2", text) }

    /// An egress rule that denies.
    private static func withPeers(_ text: String) -> Sample { clusterPolicy("  egress: [{action: Deny, to: \(text)}]") }

    private static func withPorts(_ text: String) -> Sample {
        adminPolicy("  ingress: [{action: Deny, from: [{namespaces: {}}], ports: \(text)}]")
    }

    private static func withProtocols(_ text: String) -> Sample {
        clusterPolicy("  ingress: [{action: Deny, from: [{namespaces: {}}], protocols: \(text)}]")
    }

    private static func list(_ count: Int, of item: String) -> String {
        "[" + Array(repeating: item, count: count).joined(separator: ", ") + "]"
    }

    static let specs = [
        Refusal(
            "without a spec", .missingField,
            Sample("⟦apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {name: p}")),
        Refusal("without a priority", .missingField, admin("spec: ⟦{subject: {namespaces: {}}}"), says: "priority"),
        Refusal(
            "for a priority below 0", .invalidValue, admin("spec: {priority: ⟦-1, subject: {namespaces: {}}}"),
            says: "0 to 1000"),
        Refusal(
            "for a priority above 1000", .invalidValue,
            cluster("spec: {tier: Admin, priority: ⟦1001, subject: {namespaces: {}}}"), says: "0 to 1000"),
        Refusal(
            "for a priority that is no number", .wrongType,
            admin("spec: {priority: ⟦'1', subject: {namespaces: {}}}")),
        Refusal(
            "without a tier", .missingField, cluster("spec: ⟦{priority: 1, subject: {namespaces: {}}}"), says: "tier"),
        Refusal(
            "for an unknown tier", .invalidValue,
            cluster("spec: {tier: ⟦admin, priority: 1, subject: {namespaces: {}}}"),
            says: "did you mean Admin?"),
        Refusal(
            "for a tier in v1alpha1", .unknownField,
            admin("spec: {⟦tier: Admin, priority: 1, subject: {namespaces: {}}}")),
        Refusal(
            "for a priority of the baseline", .unknownField,
            spec(
                "BaselineAdminNetworkPolicy", "v1alpha1", "spec: {⟦priority: 1, subject: {namespaces: {}}}",
                name: "default")),
        Refusal(
            "for a second baseline", .invalidValue,
            spec("BaselineAdminNetworkPolicy", "v1alpha1", "spec: {subject: {namespaces: {}}}", name: "⟦other"),
            says: "named default"),
        Refusal("without a subject", .missingField, admin("spec: ⟦{priority: 1}"), says: "subject"),
        Refusal("for an empty subject", .missingField, adminPolicy("", subject: "⟦{}"), says: "namespaces and pods"),
        Refusal(
            "for a null subject", .missingField, adminPolicy("", subject: "⟦{namespaces: null}"),
            says: "namespaces and pods"),
        Refusal(
            "for two subjects", .conflictingFields,
            adminPolicy("", subject: "⟦{namespaces: {}, pods: {namespaceSelector: {}, podSelector: {}}}"),
            says: "one of"),
        Refusal(
            "for nodes as a subject", .unknownField, clusterPolicy("", subject: "{namespaces: {}, ⟦nodes: {}}")),
        Refusal(
            "for pods without a namespaceSelector in v1alpha1", .missingField,
            adminPolicy("", subject: "{pods: ⟦{podSelector: {}}}"), says: "namespaceSelector"),
        Refusal(
            "for pods without a podSelector", .missingField,
            clusterPolicy("", subject: "{pods: ⟦{namespaceSelector: {}}}"), says: "podSelector"),
        Refusal(
            "for labels with Cilium's prefix", .invalidLabel,
            adminPolicy("", subject: "{namespaces: {matchLabels: {⟦'k8s:team': a}}}")),
    ]

    static let rules = [
        Refusal(
            "without an action", .missingField, adminPolicy("  ingress: [⟦{from: [{namespaces: {}}]}]"), says: "action"),
        Refusal(
            "for Allow in v1alpha2", .invalidValue,
            clusterPolicy("  ingress: [{action: ⟦Allow, from: [{namespaces: {}}]}]"), says: "use Accept, Deny, Pass"),
        Refusal(
            "for Accept in v1alpha1", .invalidValue,
            adminPolicy("  ingress: [{action: ⟦Accept, from: [{namespaces: {}}]}]"), says: "use Allow, Deny, Pass"),
        Refusal(
            "for an action in lower case", .invalidValue,
            adminPolicy("  ingress: [{action: ⟦deny, from: [{namespaces: {}}]}]"), says: "did you mean Deny?"),
        Refusal(
            "for Pass in the baseline kind", .invalidValue,
            baselinePolicy("  ingress: [{action: ⟦Pass, from: [{namespaces: {}}]}]"), says: "use Allow, Deny"),
        Refusal(
            "for a name of 101 characters", .invalidValue,
            adminPolicy(
                "  ingress: [{name: ⟦\(String(repeating: "n", count: 101)), action: Deny, from: [{namespaces: {}}]}]"),
            says: "at most 100"),
        Refusal(
            "for 101 rules in v1alpha1", .tooManyItems,
            adminPolicy("  ingress: ⟦" + list(101, of: "{action: Deny, from: [{namespaces: {}}]}")),
            says: "101 rules in one list; at most 100"),
        Refusal(
            "for 26 rules in v1alpha2", .tooManyItems,
            clusterPolicy("  ingress: ⟦" + list(26, of: "{action: Deny, from: [{namespaces: {}}]}")),
            says: "26 rules in one list; at most 25"),
        Refusal("without peers", .missingField, adminPolicy("  ingress: [⟦{action: Deny}]"), says: "from"),
        Refusal(
            "for null peers", .missingField, adminPolicy("  egress: [{action: Deny, ⟦to: null}]"), says: "to"),
        Refusal("for an empty list of peers", .missingField, withPeers("⟦[]"), says: "at least one"),
        Refusal(
            "for peers of the other direction", .unknownField,
            adminPolicy("  egress: [{action: Deny, to: [{namespaces: {}}], ⟦from: []}]")),
    ]

    static let peers = [
        Refusal("for a null peer", .wrongType, withPeers("[⟦null]")),
        Refusal("for a peer with a null selector", .missingField, withPeers("[⟦{namespaces: null}]"), says: "one of"),
        Refusal("for a peer with null networks", .missingField, withPeers("[⟦{networks: null}]"), says: "one of"),
        Refusal(
            "for pods with a null podSelector", .missingField,
            withPeers("[{pods: {namespaceSelector: {}, ⟦podSelector: null}}]"), says: "podSelector"),
        Refusal("for a peer without anything", .missingField, withPeers("[⟦{}]"), says: "domainNames"),
        Refusal(
            "for a peer of two kinds", .conflictingFields, withPeers("[⟦{nodes: {}, networks: [10.0.0.0/8]}]"),
            says: "a peer has one of namespaces, pods, nodes, networks and domainNames"),
        Refusal(
            "for nodes in an ingress rule", .unknownField,
            clusterPolicy("  ingress: [{action: Deny, from: [{namespaces: {}, ⟦nodes: {}}]}]")),
        Refusal(
            "for networks in an ingress rule", .unknownField,
            adminPolicy("  ingress: [{action: Deny, from: [{namespaces: {}, ⟦networks: [10.0.0.0/8]}]}]")),
        Refusal(
            "for domain names in the baseline kind", .unknownField,
            baselinePolicy("  egress: [{action: Deny, to: [{namespaces: {}, ⟦domainNames: [a.b]}]}]")),
        Refusal("for a bad network", .invalidCIDR, withPeers("[{networks: [⟦10.0.0.1]}]"), says: "write 10.0.0.1/32"),
        Refusal("for an empty list of networks", .missingField, withPeers("[{networks: ⟦[]}]"), says: "at least one"),
        Refusal(
            "for 26 networks", .tooManyItems,
            withPeers("[{networks: ⟦" + list(26, of: "10.0.0.0/8") + "}]"), says: "26 networks in one list; at most 25"),
        Refusal(
            "for 26 peers in v1alpha2", .tooManyItems, withPeers("⟦" + list(26, of: "{namespaces: {}}")),
            says: "26 peers in one list; at most 25"),
    ]

    static let ports = [
        Refusal("for an empty list of ports", .missingField, withPorts("⟦[]"), says: "at least one"),
        Refusal("for an empty list of protocols", .missingField, withProtocols("⟦[]"), says: "at least one"),
        Refusal(
            "for 101 ports", .tooManyItems, withPorts("⟦" + list(101, of: "{namedPort: http}")),
            says: "101 ports in one list; at most 100"),
        Refusal(
            "for 26 protocols", .tooManyItems, withProtocols("⟦" + list(26, of: "{destinationNamedPort: http}")),
            says: "26 protocols in one list; at most 25"),
        Refusal("for a null port", .missingField, withPorts("[⟦{portNumber: null}]"), says: "one of"),
        Refusal("for a null destination port", .missingField, withProtocols("[{tcp: {⟦destinationPort: null}}]")),
        Refusal("for a port without anything", .missingField, withPorts("[⟦{}]"), says: "namedPort"),
        Refusal(
            "for a port of two kinds", .conflictingFields, withPorts("[⟦{namedPort: http, portNumber: {port: 80}}]"),
            says: "an item of ports has one of portNumber, portRange and namedPort"),
        Refusal(
            "for two protocols in one item", .conflictingFields, withProtocols("[⟦{tcp: {}, udp: {}}]"), says: "one of"),
        Refusal("for a protocol without a port", .missingField, withProtocols("[{tcp: ⟦{}}]"), says: "destinationPort"),
        Refusal(
            "for a destination port without a number", .missingField, withProtocols("[{tcp: {destinationPort: ⟦{}}}]"),
            says: "number and range"),
        Refusal(
            "for a number and a range", .conflictingFields,
            withProtocols("[{tcp: {destinationPort: ⟦{number: 1, range: {start: 1, end: 2}}}}]"),
            says: "number and range"),
        Refusal("for port 0", .invalidPort, withPorts("[{portNumber: {port: ⟦0}}]"), says: "1 to 65535"),
        Refusal(
            "for port 65536", .invalidPort, withProtocols("[{udp: {destinationPort: {number: ⟦65536}}}]"),
            says: "1 to 65535"),
        Refusal("for a port name of no form", .invalidPort, withPorts("[{namedPort: ⟦'80'}]"), says: "not a port name"),
        Refusal(
            "for a protocol without ports", .invalidValue, withPorts("[{portNumber: {protocol: ⟦VRRP, port: 1}}]"),
            says: "not TCP, UDP or SCTP"),
        Refusal("for a range without an end", .missingField, withPorts("[{portRange: ⟦{start: 1}}]"), says: "end"),
        Refusal(
            "for a range that ends before it begins", .emptyPortRange,
            withPorts("[{portRange: {start: 90, end: ⟦80}}]"),
            says: "90–80"),
        Refusal(
            "for a range of one port", .emptyPortRange,
            withProtocols("[{tcp: {destinationPort: {range: {start: 80, end: ⟦80}}}}]"), says: "above its start"),
        Refusal(
            "for a port name of networks", .conflictingFields,
            adminPolicy(
                "  egress: [{action: Deny, to: [{networks: [10.0.0.0/8]}], ports: [⟦{namedPort: http}]}]"),
            says: "networks have no port \"http\""),
        Refusal(
            "for a port name of nodes", .conflictingFields,
            clusterPolicy(
                "  egress: [{action: Deny, to: [{namespaces: {}}, {nodes: {}}], protocols: [⟦{destinationNamedPort: http}]}]"
            ), says: "nodes have no port \"http\""),
        Refusal(
            "for v1alpha2's ports in v1alpha1", .unknownField,
            adminPolicy("  ingress: [{action: Deny, from: [{namespaces: {}}], ⟦protocols: []}]")),
        Refusal(
            "for v1alpha1's ports in v1alpha2", .unknownField,
            clusterPolicy("  ingress: [{action: Deny, from: [{namespaces: {}}], ⟦ports: []}]")),
    ]

    @Test(arguments: specs + rules + peers + ports) func refused(_ refusal: Refusal) { refusal.check() }

    @Test("a conflict names both places") func notes() throws {
        let sample = adminPolicy(
            "  egress: [{action: Deny, to: [{networks: ⟦[10.0.0.0/8]}], ports: [⟦{namedPort: http}]}]")
        let finding = try #require(Decoded(sample).findings.first)
        #expect(finding.notes.map(\.location) + [finding.location] == sample.marks)
    }
}
