import InputTestSupport
import Testing
import WeirDiagnostics
import WeirModel

/// What is found, how severe it is, and where. `⟦` marks the place; the first mark of a sample is its spec.
@Suite("lint finds") struct FindingTests {
    struct Finding: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var id: DiagnosticID
        var severity: Severity
        var sample: Sample
        /// A part of the message.
        var says: String
        /// Index into the sample's marks.
        var mark = 1
        /// Of the place that the note names.
        var noteMark: Int?

        init(
            _ description: String, _ id: DiagnosticID, _ severity: Severity, _ sample: Sample, says: String,
            mark: Int = 1, noteMark: Int? = nil
        ) {
            testDescription = description
            self.id = id
            self.severity = severity
            self.sample = sample
            self.says = says
            self.mark = mark
            self.noteMark = noteMark
        }
    }

    static let subjects = [
        Finding(
            "a policy that selects nobody, with the nearest value", .unmatchedSubject, .warning,
            cnp("  ingress: [{}]", selector: "{matchLabels: {app: wbe}}"),
            says: "no endpoint has app=wbe; did you mean \"web\"?", mark: 0),
        Finding(
            "a policy in a namespace without endpoints", .unknownNamespace, .warning,
            cnp("  ingress: [{}]", namespace: "shp"),
            says: "namespace \"shp\" has no endpoint; did you mean \"shop\"?", mark: 0),
        Finding(
            "a policy for a service account that nobody uses", .unknownServiceAccount, .warning,
            cnp("  ingress: [{}]", selector: "{matchLabels: {io.cilium.k8s.policy.serviceaccount: wbe}}"),
            says: "service account \"wbe\"; did you mean \"web\"?", mark: 0),
    ]

    static let peers = [
        Finding(
            "a label value that nobody has", .unmatchedSelector, .warning,
            cnp("  ingress: [⟦{fromEndpoints: [{matchLabels: {app: wbe}}]}]"), says: "did you mean \"web\"?"),
        Finding(
            "a label key that nobody has", .unmatchedSelector, .warning,
            cnp("  ingress: [⟦{fromEndpoints: [{matchLabels: {ap: web}}]}]"),
            says: "no endpoint has a label \"ap\"; did you mean \"app\"?"),
        Finding(
            "a key that must exist and does not", .unmatchedSelector, .warning,
            cnp("  ingress: [⟦{fromEndpoints: [{matchExpressions: [{key: teir, operator: Exists}]}]}]"),
            says: "did you mean \"tier\"?"),
        Finding(
            "labels that nobody has together", .unmatchedSelector, .warning,
            cnp("  ingress: [⟦{fromEndpoints: [{matchLabels: {app: web, tier: back}}]}]"),
            says: "all of these labels"),
        Finding(
            "a namespace that does not exist", .unknownNamespace, .warning,
            cnp("  ingress: [⟦{fromEndpoints: [{matchLabels: {'k8s:io.kubernetes.pod.namespace': opps}}]}]"),
            says: "did you mean \"ops\"?"),
        Finding(
            "one namespace of several that does not exist", .unknownNamespace, .warning,
            cnp(
                "  ingress: [⟦{fromEndpoints: [{matchExpressions: [{key: 'k8s:io.kubernetes.pod.namespace', operator: In, values: [ops, shpo]}]}]}]"
            ), says: "did you mean \"shop\"?"),
        Finding(
            "a service account that nobody uses", .unknownServiceAccount, .warning,
            cnp("  ingress: [⟦{fromEndpoints: [{matchLabels: {io.cilium.k8s.policy.serviceaccount: wbe}}]}]"),
            says: "did you mean \"web\"?"),
        Finding(
            "an entity that nobody can be here", .absentEntity, .warning,
            cnp("  ingress: [⟦{fromEntities: [init, world]}]"),
            says: "\"init\""),
        Finding(
            "such an entity as a label", .absentEntity, .warning,
            cnp("  ingress: [⟦{fromEndpoints: [{matchLabels: {'reserved:health': ''}}]}]"), says: "\"health\""),
        Finding(
            "an API server where the inventory has none", .absentEntity, .warning,
            cnp("  egress: [⟦{toEntities: [kube-apiserver]}]"), says: "the inventory has no \"kube-apiserver\""),
        Finding(
            "a CIDR inside a pod network", .clusterCIDR, .warning, cnp("  egress: [⟦{toCIDR: [10.7.0.128/25]}]"),
            says: "inside the pod network 10.7.0.0/24"),
        Finding(
            "a CIDR of two pod networks", .clusterCIDR, .warning, cnp("  egress: [⟦{toCIDR: [10.7.0.0/23]}]"),
            says: "only addresses of the cluster"),
        Finding(
            "a CIDR that is a node", .clusterCIDR, .warning, cnp("  egress: [⟦{toCIDR: [192.0.2.10/31]}]"),
            says: "192.0.2.10/31 matches nothing"),
        Finding(
            "a CIDR of which exceptions leave nothing", .clusterCIDR, .warning,
            cnp("  egress: [⟦{toCIDRSet: [{cidr: 198.51.100.0/24, except: [198.51.100.0/25, 198.51.100.128/25]}]}]"),
            says: "except 198.51.100.0/25"),
    ]

    static let ports = [
        Finding(
            "a rule without a peer beside others", .emptyRule, .warning,
            cnp("  ingress: [⟦{fromEndpoints: []}, {fromEndpoints: [{}]}]"), says: "names no peer"),
        Finding(
            "a rule without a port", .emptyRule, .warning,
            cnp("  ingress: [⟦{fromEndpoints: [{}], toPorts: [{ports: []}]}]"), says: "lists of ports"),
        Finding(
            "a port name that no subject has", .unknownPortName, .warning,
            cnp("  ingress: [⟦{toPorts: [{ports: [{port: htp}]}]}]"),
            says: "that the policy selects has a port \"htp\"; did you mean \"http\"?"),
        Finding(
            "a port name that no peer has with this protocol", .unknownPortName, .warning,
            cnp(
                "  egress: [⟦{toEndpoints: [{matchLabels: {app: api}}], toPorts: [{ports: [{port: dns, protocol: TCP}]}]}]"
            ),
            says: "there is one of UDP"),
        Finding(
            "a port name that means several ports", .namedPortDiffers, .note,
            cnp("  ingress: [⟦{toPorts: [{ports: [{port: http}]}]}]"),
            says: "8080/TCP at shop/api-1, 9090/TCP at shop/api-2"),
        Finding(
            "ICMP of a family that no subject has", .icmpFamily, .warning,
            cnp(
                "  ingress: [⟦{icmps: [{fields: [{type: EchoRequest, family: IPv6}]}]}]",
                selector: "{matchLabels: {app: web}}"), says: "no endpoint that the policy selects has an IPv6"),
        Finding(
            "the same beside ICMP that matches", .icmpFamily, .note,
            cnp(
                "  ingress: [⟦{icmps: [{fields: [{type: 8}, {type: EchoRequest, family: IPv6}]}]}]",
                selector: "{matchLabels: {app: web}}"), says: "ICMPv6 matches nothing"),
        Finding(
            "ICMP of a family that no peer has", .icmpFamily, .warning,
            cnp("  egress: [⟦{toCIDR: [8.8.8.8/32], icmps: [{fields: [{type: 128, family: IPv6}]}]}]"),
            says: "no peer of the rule has an IPv6"),
    ]

    static let width = [
        Finding(
            "every IPv4 address", .wideCIDR, .warning, cnp("  egress: [⟦{toCIDR: [0.0.0.0/0]}]"),
            says: "every IPv4 address outside the cluster"),
        Finding(
            "every IPv6 address", .wideCIDR, .warning, cnp("  ingress: [⟦{fromCIDR: ['::/0']}]"),
            says: "from every IPv6 address"),
        Finding(
            "half a family", .wideCIDR, .warning, cnp("  egress: [⟦{toCIDR: ['2000::/3']}]"),
            says: "prefixes shorter than /16"),
        Finding(
            "the world with exceptions, as a note", .wideCIDR, .note,
            cnp("  egress: [⟦{toCIDRSet: [{cidr: 0.0.0.0/0, except: [10.0.0.0/8]}]}]"), says: "except 10.0.0.0/8"),
        Finding(
            "the entity world", .wideEntity, .note, cnp("  egress: [⟦{toEntities: [world]}]"),
            says: "to every address outside"),
        Finding(
            "the entity all", .wideEntity, .note, cnp("  ingress: [⟦{fromEntities: [all]}]"), says: "from everybody"),
    ]

    static let effects = [
        Finding(
            "an allow under a deny", .shadowedRule, .warning,
            cnp(
                """
                  ingress: [⟦{fromEndpoints: [{matchLabels: {app: web}}], toPorts: [{ports: [{port: '80'}]}]}]
                  ingressDeny: [⟦{fromEndpoints: [{}]}]
                """), says: "CiliumNetworkPolicy shop/p spec.ingressDeny[0] always decides instead", noteMark: 2),
        Finding(
            "an allow that a wider one includes", .redundantRule, .note,
            cnp(
                """
                  ingress:
                  - ⟦{fromEndpoints: [{matchLabels: {app: web}}], toPorts: [{ports: [{port: '80', protocol: TCP}]}]}
                  - ⟦{fromEndpoints: [{}], toPorts: [{ports: [{port: '1', endPort: 90}]}]}
                """), says: "shop/p spec.ingress[1] says the same", noteMark: 2),
        Finding(
            "the later of two equal rules", .redundantRule, .note,
            cnp("  egress: [⟦{toCIDR: [8.8.8.8/32]}, ⟦{toCIDR: [8.8.8.8/32]}]"), says: "spec.egress[0]", mark: 2,
            noteMark: 1),
        Finding(
            "a deny that a wider one includes", .redundantRule, .note,
            cnp("  egressDeny: [⟦{toCIDR: [8.8.8.8/32]}, ⟦{toCIDR: [8.0.0.0/8]}]"), says: "spec.egressDeny[1]",
            noteMark: 2),
        Finding(
            "an allow of the host, which is let in anyway", .redundantRule, .note,
            cnp("  ingress: [⟦{fromEntities: [host]}]"), says: "without it the same is allowed"),
        Finding(
            "an allow where nothing is denied", .redundantRule, .note,
            cnp("  enableDefaultDeny: {egress: false}\n  egress: [⟦{toCIDR: [8.8.8.8/32]}]"),
            says: "without it the same is allowed"),
    ]

    @Test(arguments: subjects + peers + ports + width + effects) func finding(_ finding: Finding) throws {
        let linted = try Linted(finding.sample)
        let found = linted.of(finding.id)
        try #require(found.count == 1, "\(linted.findings)")
        #expect(found[0].location == finding.sample.marks[finding.mark])
        #expect(found[0].severity == finding.severity)
        #expect(found[0].message.contains(finding.says), "\(found[0].message)")
        #expect(found[0].notes.map(\.location) == (finding.noteMark.map { [finding.sample.marks[$0]] } ?? []))
    }

    struct Silence: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var sample: Sample
        var options = PolicyOptions()

        init(_ description: String, _ sample: Sample, _ options: PolicyOptions = PolicyOptions()) {
            testDescription = description
            self.sample = sample
            self.options = options
        }
    }

    static let meant = [
        Silence("a rule that matches and decides", cnp("  ingress: [{fromEndpoints: [{matchLabels: {app: web}}]}]")),
        Silence("the usual way to write a default deny", cnp("  ingress: [{}]\n  egress: [{}]")),
        Silence("the entity none, which says what it is", cnp("  egress: [{toEntities: [none]}]")),
        Silence(
            "the host as a label, where it is a peer like others",
            cnp("  ingress: [{fromEndpoints: [{matchLabels: {'reserved:host': ''}}]}]"),
            PolicyOptions(allowLocalhost: .policy)),
        Silence(
            "a namespace that exists",
            cnp("  ingress: [{fromEndpoints: [{matchLabels: {'k8s:io.kubernetes.pod.namespace': ops}}]}]")),
        Silence("a CIDR that reaches beyond the pod networks", cnp("  egress: [{toCIDR: [10.7.0.0/22]}]")),
        Silence(
            "a node's address where CIDR rules match nodes", cnp("  egress: [{toCIDR: [192.0.2.10/32]}]"),
            PolicyOptions(cidrMatchesNodes: true)),
        Silence("a wide CIDR in a deny", cnp("  egressDeny: [{toCIDR: [0.0.0.0/0]}]")),
        Silence("the world in a deny", cnp("  egressDeny: [{toEntities: [world]}]")),
        Silence("a network of length 8", cnp("  egress: [{toCIDR: [11.0.0.0/8]}]")),
        Silence(
            "a port name with one meaning",
            cnp("  egress: [{toEndpoints: [{matchLabels: {app: web}}], toPorts: [{ports: [{port: http}]}]}]")),
        Silence(
            "ICMPv6 between those who have it",
            cnp("  egress: [{toCIDR: ['2001:db8::/32'], icmps: [{fields: [{type: 128, family: IPv6}]}]}]")),
        Silence(
            "a deny that only default deny would repeat",
            cnp("  ingress: [{}]\n  ingressDeny: [{fromEndpoints: [{matchLabels: {app: web}}]}]")),
        Silence(
            "an allow that a deny cuts but does not cover",
            cnp(
                """
                  ingress: [{fromEndpoints: [{matchLabels: {app: web}}]}]
                  ingressDeny: [{fromEndpoints: [{}], toPorts: [{ports: [{port: '80'}]}]}]
                """)),
        Silence(
            "two allows that overlap",
            cnp(
                """
                  ingress:
                  - {fromEndpoints: [{}], toPorts: [{ports: [{port: '80', endPort: 90}]}]}
                  - {fromEndpoints: [{}], toPorts: [{ports: [{port: '85', endPort: 95}]}]}
                """)),
    ]

    @Test("and says nothing of", arguments: meant) func silence(_ silence: Silence) throws {
        let found = try Linted(silence.sample, options: silence.options).findings
        // Not everybody is covered by one policy.
        #expect(found.filter { $0.id != .uncoveredEndpoint } == [])
    }

    @Test("nothing that is switched off") func disabled() throws {
        let sample = cnp("  egress: [{toCIDR: [0.0.0.0/0]}]")
        #expect(try Linted(sample, disabled: [.wideCIDR, .uncoveredEndpoint]).findings == [])
        #expect(try Linted(sample, disabled: [.uncoveredEndpoint]).findings.map(\.id) == [.wideCIDR])
    }

    @Test("no effects where nothing is enforced") func neverEnforced() throws {
        let sample = cnp("  egress: [{toCIDR: [8.8.8.8/32]}, {toCIDR: [8.8.8.8/32]}]")
        let linted = try Linted(sample, options: PolicyOptions(enforcementMode: .never))
        #expect(linted.of(.redundantRule) == [])
        #expect(linted.of(.unmatchedRule) == [])
    }
}
