import InputTestSupport
import Testing
import WeirModel
import WeirPolicy

@Suite("what a Cilium rule means") struct CiliumRuleTests {
    struct Scenario: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var sections: String
        var peers: Peers
        var ports: Ports

        init(_ description: String, _ sections: String, _ peers: Peers, _ ports: Ports = .any) {
            testDescription = description
            self.sections = sections
            self.peers = peers
            self.ports = ports
        }
    }

    private static let shop: Peers = .list([.selector(LabelSelector([inNamespace("shop")]))])
    private static let internet: Peers = .list([.entity(.world)])

    static let scenarios = [
        Scenario("a rule with nothing in it names nobody", "  ingress: [{}]", .list([])),
        Scenario("a deny with nothing in it names nobody", "  ingressDeny: [{}]", .list([])),
        Scenario("an empty list of endpoints is nobody", "  ingress: [{fromEndpoints: []}]", .list([])),
        Scenario("an empty list of CIDRs is nobody", "  ingress: [{fromCIDR: []}]", .list([])),
        Scenario("an empty list of entities is nobody", "  egress: [{toEntities: []}]", .list([])),
        Scenario(
            "an empty list of endpoints is nobody even with ports",
            "  ingress: [{fromEndpoints: [], toPorts: [{ports: [{port: 80, protocol: TCP}]}]}]", .list([]),
            .list([tcp(80...80)])),
        Scenario(
            "missing peers with ports are anyone", "  ingress: [{toPorts: [{ports: [{port: '80', protocol: TCP}]}]}]",
            .any, .list([tcp(80...80)])),
        Scenario(
            "missing peers with icmps are anyone", "  ingress: [{icmps: [{fields: [{type: 8}]}]}]", .any,
            .list([.range(.icmp, 8...8)])),
        Scenario(
            "an empty list of port rules is every protocol", "  ingress: [{fromEndpoints: [{}], toPorts: []}]", shop),
        Scenario(
            "a port rule with an empty list matches nothing",
            "  ingress: [{fromEndpoints: [{}], toPorts: [{ports: []}]}]", shop, .list([])),
        Scenario("an empty list of port rules alone names nobody", "  ingress: [{toPorts: []}]", .list([])),
        Scenario(
            "ANY is TCP, UDP and SCTP",
            "  egress: [{toEntities: [world], toPorts: [{ports: [{port: '53', protocol: ANY}]}]}]",
            internet, .list([.range(.tcp, 53...53), .range(.udp, 53...53), .range(.sctp, 53...53)])),
        Scenario(
            "no protocol is TCP, UDP and SCTP", "  egress: [{toEntities: [world], toPorts: [{ports: [{port: 53}]}]}]",
            internet, .list([.range(.tcp, 53...53), .range(.udp, 53...53), .range(.sctp, 53...53)])),
        Scenario(
            "port 0 is every port",
            "  egress: [{toEntities: [world], toPorts: [{ports: [{port: '0', protocol: udp}]}]}]",
            internet, .list([.range(.udp, 0...65535)])),
        Scenario(
            "no port is every port", "  egress: [{toEntities: [world], toPorts: [{ports: [{protocol: Sctp}]}]}]",
            internet, .list([.range(.sctp, 0...65535)])),
        Scenario(
            "a leading zero is octal, as in Go",
            "  egress: [{toEntities: [world], toPorts: [{ports: [{port: '010', protocol: TCP}]}]}]", internet,
            .list([tcp(8...8)])),
        Scenario(
            "0x50 is a port name, as it has a letter",
            "  egress: [{toEntities: [world], toPorts: [{ports: [{port: '0x50', protocol: TCP}]}]}]", internet,
            .list([.named("0x50", [.tcp])])),
        Scenario(
            "a port name is in lower case",
            "  ingress: [{fromEntities: [world], toPorts: [{ports: [{port: HTTP}]}]}]", internet,
            .list([.named("http", [.tcp, .udp, .sctp])])),
        Scenario(
            "endPort is inclusive and may equal the port",
            "  ingress: [{fromEntities: [world], toPorts: [{ports: [{port: '80', endPort: 80, protocol: TCP}, {port: 1, endPort: 65535, protocol: TCP}]}]}]",
            internet, .list([tcp(80...80), tcp(1...65535)])),
        Scenario(
            "a range that ends before it begins matches nothing",
            "  ingress: [{fromEntities: [world], toPorts: [{ports: [{port: '90', endPort: 80, protocol: TCP}]}]}]",
            internet, .list([])),
        Scenario(
            "ICMP type 0 is type 0, and names have numbers in their family",
            "  ingress: [{icmps: [{fields: [{type: 0}, {type: EchoRequest, family: IPv6}, {type: '3', family: IPv4}]}]}]",
            .any, .list([.range(.icmp, 0...0), .range(.icmpv6, 128...128), .range(.icmp, 3...3)])),
        Scenario(
            "host bits of a CIDR are masked", "  egress: [{toCIDR: [10.1.2.3/8, '2001:db8::1/32']}]",
            .list(["10.0.0.0/8", "2001:db8::/32"].compactMap(Prefix.init).map { .cidr(CIDRBlock($0)) })),
        Scenario(
            "except takes prefixes out",
            "  egress: [{toCIDRSet: [{cidr: 10.0.0.0/8, except: [10.2.0.0/16, 10.1.0.0/16]}]}]",
            .list(
                [Prefix("10.0.0.0/8")].compactMap(\.self).map {
                    .cidr(CIDRBlock($0, except: ["10.1.0.0/16", "10.2.0.0/16"].compactMap(Prefix.init)))
                })),
        Scenario(
            "a group that does not exist matches nothing", "  egress: [{toCIDRSet: [{cidrGroupRef: nowhere}]}]",
            .list([])),
        Scenario(
            "entities keep their names", "  egress: [{toEntities: [kube-apiserver, remote-node, world-ipv6]}]",
            .list([.entity(.kubeAPIServer), .entity(.remoteNode), .entity(.worldIPv6)])),
    ]

    @Test(arguments: scenarios) func means(_ scenario: Scenario) throws {
        let decoded = Decoded(cnp(scenario.sections))
        #expect(decoded.errors.isEmpty)
        let rule = try #require(decoded.rule)
        #expect(rule.peers == scenario.peers)
        #expect(rule.ports == scenario.ports)
    }

    @Test("a null list counts as missing, with a warning") func nullIsMissing() throws {
        let decoded = Decoded(cnp("  ingress:\n  - fromEndpoints:\n    toPorts: [{ports: [{port: 80}]}]"))
        #expect(decoded.errors.isEmpty)
        #expect(decoded.findings.map(\.id) == [.emptyValue])
        #expect(try #require(decoded.rule).peers == .any)
    }

    @Test("groups are found by name and by label, and except cuts each of their prefixes") func groups() throws {
        let decoded = Decoded(
            Sample(
                """
                apiVersion: cilium.io/v2
                kind: CiliumNetworkPolicy
                metadata: {name: p, namespace: shop}
                spec:
                  endpointSelector: {}
                  egress:
                  - toCIDRSet: [{cidrGroupRef: offices, except: [10.1.2.0/24, 10.2.0.0/15]}]
                  - toCIDRSet: [{cidrGroupSelector: {matchLabels: {zone: b}}}]
                ---
                apiVersion: cilium.io/v2alpha1
                kind: CiliumCIDRGroup
                metadata: {name: offices, labels: {zone: a}}
                spec: {externalCIDRs: [10.1.0.0/16, 10.2.0.0/16, 10.1.0.0/16]}
                ---
                apiVersion: cilium.io/v2
                kind: CiliumCIDRGroup
                metadata: {name: partners, labels: {zone: b}}
                spec: {externalCIDRs: ['2001:db8::/32']}
                """))
        #expect(decoded.findings.isEmpty)
        let rules = try #require(decoded.spec?.rules)
        let office = try CIDRBlock(#require(Prefix("10.1.0.0/16")), except: [#require(Prefix("10.1.2.0/24"))])
        #expect(
            rules.map(\.peers) == [
                .list([.cidr(office)]), .list([.cidr(CIDRBlock(try #require(Prefix("2001:db8::/32"))))]),
            ])
    }
}

@Suite("whom a selector means") struct ScopeTests {
    struct Scenario: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var selector: String
        var namespaced: [LabelSelector.Requirement]
        var clusterwide: [LabelSelector.Requirement]

        init(
            _ description: String, _ selector: String, _ namespaced: [LabelSelector.Requirement],
            clusterwide: [LabelSelector.Requirement]
        ) {
            testDescription = description
            self.selector = selector
            self.namespaced = namespaced
            self.clusterwide = clusterwide
        }
    }

    private static let dev = requirement("io.kubernetes.pod.namespace", .in, ["dev"], source: "k8s")
    private static let env = requirement("io.cilium.k8s.namespace.labels.env", .in, ["dev"], source: "k8s")
    private static let host = requirement("host", .in, [""], source: "reserved")

    static let peers = [
        Scenario("{} is the namespace, or every pod", "{}", [inNamespace("shop")], clusterwide: [anyNamespace]),
        Scenario(
            "a key without a source matches any", "{matchLabels: {app: db}}",
            [requirement("app", .in, ["db"]), inNamespace("shop")],
            clusterwide: [requirement("app", .in, ["db"]), anyNamespace]),
        Scenario(
            "any: is no source, k8s: is one, a dotted key has none",
            "{matchLabels: {'any:a': x, 'k8s:b': w, app.kubernetes.io/name: z}}",
            [
                requirement("a", .in, ["x"]), requirement("b", .in, ["w"], source: "k8s"),
                requirement("app.kubernetes.io/name", .in, ["z"]), inNamespace("shop"),
            ],
            clusterwide: [
                requirement("a", .in, ["x"]), requirement("b", .in, ["w"], source: "k8s"),
                requirement("app.kubernetes.io/name", .in, ["z"]), anyNamespace,
            ]),
        Scenario(
            "a namespace is taken as written", "{matchLabels: {'k8s:io.kubernetes.pod.namespace': dev}}", [dev],
            clusterwide: [dev]),
        Scenario(
            "a namespace label leaves the policy's namespace",
            "{matchLabels: {'k8s:io.cilium.k8s.namespace.labels.env': dev}}", [env, anyNamespace],
            clusterwide: [env, anyNamespace]),
        Scenario("a reserved label is literal", "{matchLabels: {'reserved:host': ''}}", [host], clusterwide: [host]),
        Scenario(
            "expressions keep their operators",
            "{matchExpressions: [{key: a, operator: NotIn, values: [x, b]}, {key: c, operator: DoesNotExist}]}",
            [requirement("a", .notIn, ["b", "x"]), requirement("c", .doesNotExist), inNamespace("shop")],
            clusterwide: [requirement("a", .notIn, ["b", "x"]), requirement("c", .doesNotExist), anyNamespace]),
    ]

    @Test("a peer", arguments: peers) func peer(_ scenario: Scenario) throws {
        let section = "  ingress: [{fromEndpoints: [\(scenario.selector)]}]"
        let namespaced = Decoded(cnp(section))
        #expect(namespaced.findings.isEmpty)
        #expect(
            try #require(namespaced.rule).peers == .list([.selector(LabelSelector(scenario.namespaced))]))
        let clusterwide = Decoded(ccnp(section))
        #expect(clusterwide.findings.isEmpty)
        #expect(
            try #require(clusterwide.rule).peers == .list([.selector(LabelSelector(scenario.clusterwide))]))
    }

    @Test("a subject is in the policy's namespace, or any pod") func subject() throws {
        #expect(
            try #require(Decoded(cnp("  ingress: [{}]")).spec).subject
                == .endpoints(LabelSelector([requirement("app", .in, ["api"]), inNamespace("shop")])))
        #expect(
            try #require(Decoded(ccnp("  ingress: [{}]", selector: "{}")).spec).subject
                == .endpoints(LabelSelector([anyNamespace])))
    }

    @Test("a subject that names another namespace is overwritten, with a warning") func subjectElsewhere() throws {
        let decoded = Decoded(
            cnp("  ingress: [{}]", selector: "{matchLabels: {'k8s:io.kubernetes.pod.namespace': dev}}"))
        #expect(decoded.findings.map(\.severity) == [.warning])
        #expect(try #require(decoded.spec).subject == .endpoints(LabelSelector([inNamespace("shop")])))
    }

    @Test("a policy without a namespace takes the default one") func defaultNamespace() throws {
        let sample = Sample(
            """
            {apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: p},
             spec: {endpointSelector: {}, egress: [{toEndpoints: [{}]}]}}
            """)
        let spec = try #require(Decoded(sample, options: PolicyDecodingOptions(defaultNamespace: "tools")).spec)
        #expect(spec.origin.namespace == "tools")
        #expect(spec.subject == .endpoints(LabelSelector([inNamespace("tools")])))
    }
}

@Suite("which directions a policy enforces") struct EnforcementTests {
    @Test(
        "sections select, default deny enforces",
        arguments: [
            ("  ingress: [{}]", [Direction.ingress], [Direction.ingress]),
            ("  ingressDeny: [{}]", [.ingress], [.ingress]),
            ("  egressDeny: [{}]\n  ingress: [{}]", [.egress, .ingress], [.egress, .ingress]),
            ("  egress: []\n  ingress: [{}]", [.ingress], [.ingress]),
            ("  enableDefaultDeny: {ingress: false}\n  ingress: [{}]\n  egress: [{}]", [.egress, .ingress], [.egress]),
            ("  enableDefaultDeny: {egress: true}\n  ingress: [{}]", [.ingress], [.ingress]),
        ])
    func enforces(_ sections: String, _ selects: [Direction], _ enforces: [Direction]) throws {
        let spec = try #require(Decoded(cnp(sections)).spec)
        #expect(spec.selects == Set(selects))
        #expect(spec.enforces == Set(enforces))
    }

    @Test(
        "policyTypes decide for NetworkPolicy",
        arguments: [
            ("", [Direction.ingress], 0),
            ("  egress: [{}]", [.egress, .ingress], 1),
            ("  egress: []", [.ingress], 0),
            ("  policyTypes: [Egress]\n  ingress: [{}]", [.egress], 0),
            ("  policyTypes: [Ingress, Egress]\n  ingress: [{}]", [.egress, .ingress], 1),
        ])
    func types(_ sections: String, _ directions: [Direction], _ rules: Int) throws {
        let decoded = Decoded(knp(sections))
        #expect(decoded.findings.isEmpty)
        let spec = try #require(decoded.spec)
        #expect(spec.selects == Set(directions))
        #expect(spec.enforces == Set(directions))
        #expect(spec.rules.count == rules)
    }
}

@Suite("what a NetworkPolicy rule means") struct NetworkPolicyRuleTests {
    static let labels = "io.cilium.k8s.namespace.labels."

    struct Scenario: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var rule: String
        var peers: Peers
        var ports: Ports

        init(_ description: String, _ rule: String, _ peers: Peers, _ ports: Ports = .any) {
            testDescription = description
            self.rule = rule
            self.peers = peers
            self.ports = ports
        }
    }

    private static let db = requirement("app", .in, ["db"], source: "k8s")
    private static let team = requirement(labels + "team", .in, ["a"], source: "k8s")

    static let scenarios = [
        Scenario("{} is everybody and everything", "{}", .any),
        Scenario("an empty from is everybody", "{from: [], ports: []}", .any),
        Scenario(
            "a podSelector is in the policy's namespace", "{from: [{podSelector: {matchLabels: {app: db}}}]}",
            .list([.selector(LabelSelector([db, inNamespace("shop")]))])),
        Scenario(
            "an empty namespaceSelector is every namespace", "{from: [{namespaceSelector: {}}]}",
            .list([.selector(LabelSelector([anyNamespace]))])),
        Scenario(
            "both selectors in one entry must hold",
            "{from: [{namespaceSelector: {matchLabels: {team: a}}, podSelector: {matchLabels: {app: db}}}]}",
            .list([.selector(LabelSelector([db, team, anyNamespace]))])),
        Scenario(
            "both selectors in two entries are alternatives",
            "{from: [{namespaceSelector: {matchLabels: {team: a}}}, {podSelector: {matchLabels: {app: db}}}]}",
            .list([
                .selector(LabelSelector([team, anyNamespace])), .selector(LabelSelector([db, inNamespace("shop")])),
            ])),
        Scenario(
            "an ipBlock is a prefix less its exceptions",
            "{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]}",
            .list(
                [Prefix("10.0.0.0/8")].compactMap(\.self).map {
                    .cidr(CIDRBlock($0, except: [Prefix("10.1.0.0/16")].compactMap(\.self)))
                })),
        Scenario("a port is TCP unless it says otherwise", "{ports: [{port: 80}]}", .any, .list([tcp(80...80)])),
        Scenario(
            "ports have names, ranges and protocols",
            "{ports: [{port: http}, {port: 1000, endPort: 2000, protocol: UDP}, {protocol: SCTP}]}", .any,
            .list([.named("http", [.tcp]), .range(.udp, 1000...2000), .range(.sctp, 0...65535)])),
    ]

    @Test(arguments: scenarios) func means(_ scenario: Scenario) throws {
        let decoded = Decoded(knp("  ingress: [\(scenario.rule)]"))
        #expect(decoded.findings.isEmpty)
        let rule = try #require(decoded.rule)
        #expect(rule.peers == scenario.peers)
        #expect(rule.ports == scenario.ports)
        #expect(rule.origin.section == "ingress")
    }
}

@Suite("where a rule is") struct OriginTests {
    @Test("a spec is at its key, a rule at its item") func places() throws {
        let sample = Sample(
            """
            apiVersion: cilium.io/v2
            kind: CiliumNetworkPolicy
            metadata:
              name: p
            ⟦spec:
              endpointSelector: {}
              ingress:
              - ⟦fromEndpoints:
                - {}
              - ⟦{}
              egressDeny:
              - ⟦toEntities: [world]
            """)
        let spec = try #require(Decoded(sample).spec)
        #expect([spec.origin.location] + spec.rules.map(\.origin.location) == sample.marks)
        #expect(spec.rules.map(\.origin.section) == ["ingress", "ingress", "egressDeny"])
        #expect(spec.rules.map(\.origin.index) == [0, 1, 0])
        #expect(spec.rules.map(\.action) == [.allow, .allow, .deny])
        #expect(spec.rules.map(\.direction) == [.ingress, .ingress, .egress])
    }

    @Test("specs are numbered, each at its item") func specs() {
        let sample = Sample(
            """
            apiVersion: cilium.io/v2
            kind: CiliumNetworkPolicy
            metadata: {name: p}
            specs:
            - ⟦endpointSelector: {}
              ingress: [{}]
            - ⟦endpointSelector: {}
              egress: [{}]
            """)
        let specs = Decoded(sample).policies.specs
        #expect(specs.map(\.origin.location) == sample.marks)
        #expect(specs.map(\.origin.spec) == [0, 1])
    }

    @Test("the order of documents does not matter") func order() {
        let one =
            "{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: a}, spec: {endpointSelector: {}, ingress: [{}]}}\n"
        let two =
            "{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: b}, spec: {endpointSelector: {}, ingress: [{}]}}\n"
        let names = { (sample: Sample) in Decoded(sample).policies.specs.map(\.origin.name) }
        #expect(names(Sample(one + "---\n" + two)) == ["a", "b"])
        #expect(names(Sample(two + "---\n" + one)) == ["a", "b"])
    }
}
