import InputTestSupport
import Testing
import WeirDiagnostics
import WeirModel
import WeirPolicy

@Suite("nodes and services as Cilium's peers") struct CiliumPeerTests {
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

    private static func nodes(_ requirements: LabelSelector.Requirement...) -> Peer {
        .nodes(LabelSelector(requirements), .remote)
    }

    private static func service(_ namespace: String?, _ name: String) -> Peers {
        .list([.service(.named(namespace: namespace, name: name))])
    }

    private static let rack = requirement("rack", .in, ["r1"], source: "k8s")

    static let nodePeers = [
        Scenario("{} is every remote node", "  ingress: [{fromNodes: [{}]}]", .list([nodes()])),
        Scenario(
            "every source of a node's label is the same",
            "  egress: [{toNodes: [{matchLabels: {rack: r1}}, {matchLabels: {'k8s:rack': r1}}, {matchLabels: {'any:rack': r1}}, {matchLabels: {'node:rack': r1}}]}]",
            .list(Array(repeating: nodes(rack), count: 4))),
        Scenario(
            "entries are alternatives, and expressions keep their operators",
            "  ingress: [{fromNodes: [{matchExpressions: [{key: rack, operator: NotIn, values: [r2]}]}, {matchLabels: {rack: r1}}]}]",
            .list([nodes(requirement("rack", .notIn, ["r2"], source: "k8s")), nodes(rack)])),
        Scenario("an empty list is nobody", "  ingress: [{fromNodes: []}]", .list([])),
        Scenario(
            "an empty list is nobody even with ports",
            "  ingress: [{fromNodes: [], toPorts: [{ports: [{port: '80', protocol: TCP}]}]}]", .list([]),
            .list([tcp(80...80)])),
        Scenario(
            "ports stand beside them",
            "  egress: [{toNodes: [{}], toPorts: [{ports: [{port: '80', protocol: TCP}]}]}]", .list([nodes()]),
            .list([tcp(80...80)])),
    ]

    static let servicePeers = [
        Scenario(
            "a name and a namespace are one Service",
            "  egress: [{toServices: [{k8sService: {serviceName: db, namespace: data}}]}]", service("data", "db")),
        Scenario(
            "a name without a namespace is a Service of any namespace",
            "  egress: [{toServices: [{k8sService: {serviceName: db}}]}]", service(nil, "db")),
        Scenario(
            "an empty namespace is none", "  egress: [{toServices: [{k8sService: {serviceName: db, namespace: ''}}]}]",
            service(nil, "db")),
        Scenario(
            "a selector is over the Service's own labels",
            "  egress: [{toServices: [{k8sServiceSelector: {selector: {matchLabels: {rack: r1}}, namespace: data}}]}]",
            .list([.service(.selected(LabelSelector([rack]), namespace: "data"))])),
        Scenario(
            "an empty selector is every Service",
            "  egress: [{toServices: [{k8sServiceSelector: {selector: {}}}]}]",
            .list([.service(.selected(.everything, namespace: nil))])),
        Scenario("an empty list is nobody", "  egress: [{toServices: []}]", .list([])),
        Scenario(
            "ports stand beside them",
            "  egressDeny: [{toServices: [{k8sService: {serviceName: db}}], toPorts: [{ports: [{port: '80', protocol: TCP}]}]}]",
            service(nil, "db"), .list([tcp(80...80)])),
    ]

    @Test(arguments: nodePeers + servicePeers) func means(_ scenario: Scenario) throws {
        for sample in [cnp(scenario.sections), ccnp(scenario.sections)] {
            let decoded = Decoded(sample)
            #expect(decoded.findings.isEmpty)
            let rule = try #require(decoded.rule)
            #expect(rule.peers == scenario.peers)
            #expect(rule.ports == scenario.ports)
        }
    }

    @Test(
        "a null list counts as missing, with a warning", arguments: ["toNodes", "toServices", "toFQDNs", "toGroups"])
    func null(_ field: String) throws {
        let sample = cnp("  egress: [{⟦\(field): null, toPorts: [{ports: [{port: 80}]}]}]")
        let decoded = Decoded(sample)
        #expect(decoded.findings.map(\.id) == [.emptyValue])
        #expect(decoded.findings.map(\.location) == sample.marks)
        #expect(try #require(decoded.rule).peers == .any)
    }

    @Test(
        "is refused",
        arguments: [
            Refusal(
                "with a reserved label", .invalidLabel,
                cnp("  ingress: [{fromNodes: [{matchLabels: {⟦'reserved:host': ''}}]}]"),
                says: "not a label of nodes"),
            Refusal(
                "beside another kind", .conflictingFields,
                cnp("  ingress: [{fromEntities: [world], ⟦fromNodes: [{}]}]"), says: "write two"),
            Refusal(
                "beside services", .conflictingFields,
                cnp("  egress: [{toNodes: [{}], ⟦toServices: [{k8sService: {serviceName: a}}]}]"), says: "write two"),
            Refusal("with a null entry", .wrongType, cnp("  ingress: [{fromNodes: [⟦null]}]")),
            Refusal(
                "with a null service", .missingField, cnp("  egress: [{toServices: [⟦{k8sService: null}]}]"),
                says: "one of"),
            Refusal("without a selector", .wrongType, cnp("  ingress: [{fromNodes: [⟦rack]}]")),
            Refusal("as services of ingress", .unknownField, cnp("  ingress: [{⟦fromServices: []}]")),
            Refusal("without either form", .missingField, cnp("  egress: [{toServices: [⟦{}]}]"), says: "one of"),
            Refusal(
                "in both forms", .conflictingFields,
                cnp(
                    "  egress: [{toServices: [⟦{k8sService: {serviceName: a}, k8sServiceSelector: {selector: {}}}]}]"),
                says: "one of"),
            Refusal(
                "without a name", .missingField, cnp("  egress: [{toServices: [{k8sService: ⟦{namespace: a}}]}]")),
            Refusal(
                "with an empty name", .invalidValue,
                cnp("  egress: [{toServices: [{k8sService: {serviceName: ⟦''}}]}]"), says: "empty"),
            Refusal(
                "with a null selector", .missingField,
                cnp("  egress: [{toServices: [{k8sServiceSelector: {⟦selector: null}}]}]")),
            Refusal(
                "with a misspelled field", .unknownField,
                cnp("  egress: [{toServices: [{k8sService: {serviceName: a, ⟦nameSpace: b}}]}]"),
                says: "did you mean namespace?"),
        ])
    func refused(_ refusal: Refusal) { refusal.check() }
}

@Suite("policies that select nodes") struct NodeSubjectTests {
    private static func sample(_ selector: String) -> Sample {
        Sample(
            """
            apiVersion: cilium.io/v2
            kind: CiliumClusterwideNetworkPolicy
            metadata: {name: p}
            spec:
              ⟦nodeSelector: \(selector)
              ingress: [{fromEndpoints: [{}]}]
            """)
    }

    @Test(
        "their keys are Cilium's, and no scope is added",
        arguments: [
            ("{}", [LabelSelector.Requirement]()),
            ("{matchLabels: {rack: r1}}", [requirement("rack", .in, ["r1"])]),
            ("{matchLabels: {'k8s:rack': r1}}", [requirement("rack", .in, ["r1"], source: "k8s")]),
            ("{matchLabels: {'reserved:host': ''}}", [requirement("host", .in, [""], source: "reserved")]),
        ])
    func subject(_ selector: String, _ requirements: [LabelSelector.Requirement]) throws {
        let decoded = Decoded(Self.sample(selector), options: PolicyDecodingOptions(hostFirewall: true))
        #expect(decoded.findings.isEmpty)
        let spec = try #require(decoded.spec)
        #expect(spec.subject == .nodes(LabelSelector(requirements)))
        #expect(spec.tier == .network)
        #expect(spec.enforces == [.ingress])
    }

    @Test("are decoded without --host-firewall, with a warning") func hostFirewallOff() throws {
        let sample = Self.sample("{}")
        let decoded = Decoded(sample)
        #expect(decoded.findings.map(\.id) == [.hostFirewallOff])
        #expect(decoded.findings.map(\.severity) == [.warning])
        #expect(decoded.findings.map(\.location) == sample.marks)
        #expect(try #require(decoded.spec).subject == .nodes(.everything))
    }

    @Test(
        "are refused",
        arguments: [
            Refusal(
                "in a namespace", .unknownField,
                Sample(
                    """
                    apiVersion: cilium.io/v2
                    kind: CiliumNetworkPolicy
                    metadata: {name: p}
                    spec:
                      ⟦nodeSelector: {}
                      ingress: [{}]
                    """), says: "CiliumClusterwideNetworkPolicy"),
            Refusal(
                "without either selector", .missingField,
                Sample(
                    """
                    apiVersion: cilium.io/v2
                    kind: CiliumClusterwideNetworkPolicy
                    metadata: {name: p}
                    ⟦spec:
                      nodeSelector: null
                      ingress: [{}]
                    """), says: "or a nodeSelector"),
        ])
    func refused(_ refusal: Refusal) { refusal.check() }
}

@Suite("IP protocols without ports") struct PortlessProtocolTests {
    @Test(
        "are whole protocols, whatever the case",
        arguments: [
            ("VRRP", 112), ("vrrp", 112), ("IGMP", 2), ("GRE", 47), ("IPIP", 4), ("IPV6", 41), ("ESP", 50), ("AH", 51),
        ] as [(String, UInt8)])
    func means(_ name: String, _ number: UInt8) throws {
        let expected: Ports = .list([.range(IPProtocol(rawValue: number), 0...65535)])
        for port in ["", "port: '0', ", "port: 0, endPort: 0, "] {
            let decoded = Decoded(
                cnp("  egress: [{toEntities: [all], toPorts: [{ports: [{\(port)protocol: \(name)}]}]}]"))
            #expect(decoded.findings.isEmpty)
            #expect(try #require(decoded.rule).ports == expected)
        }
        #expect(IPProtocol(rawValue: number).description == name.uppercased())
        #expect(IPProtocol(name: name)?.rawValue == number)
    }

    @Test(
        "are refused",
        arguments: [
            Refusal(
                "with a port", .invalidPort, cnp("  egress: [{toPorts: [{ports: [{port: ⟦'80', protocol: VRRP}]}]}]"),
                says: "VRRP has no ports"),
            Refusal(
                "with a port name", .invalidPort,
                cnp("  egress: [{toPorts: [{ports: [{port: ⟦http, protocol: gre}]}]}]"),
                says: "GRE has no ports"),
            Refusal(
                "with a range", .invalidPort,
                cnp("  egress: [{toPorts: [{ports: [{port: 0, endPort: ⟦9, protocol: ESP}]}]}]"),
                says: "ESP has no ports"),
            Refusal(
                "by number", .wrongType, cnp("  egress: [{toPorts: [{ports: [{protocol: ⟦47}]}]}]")),
            Refusal(
                "where Cilium has no name for them", .invalidValue,
                cnp("  egress: [{toPorts: [{ports: [{protocol: ⟦OSPF}]}]}]")),
            Refusal("in a NetworkPolicy", .invalidValue, knp("  ingress: [{ports: [{protocol: ⟦GRE}]}]")),
        ])
    func refused(_ refusal: Refusal) { refusal.check() }
}

@Suite("what decides nothing") struct RemarkTests {
    @Test(
        "is accepted where it is well formed",
        arguments: [
            "log: {value: payments}", "log: {}", "log: {value: \(String(repeating: "ü", count: 32))}", "log: null",
            "description: why", "labels: [{key: a}, {key: b, value: c, source: k8s}]", "labels: []",
        ])
    func accepted(_ remark: String) {
        let decoded = Decoded(cnp("  \(remark)\n  ingress: [{}]"))
        #expect(decoded.findings.isEmpty)
        #expect(decoded.policies.specs.count == 1)
    }

    @Test(
        "is refused",
        arguments: [
            Refusal(
                "with more than 32 characters", .invalidValue,
                cnp("  log: {value: ⟦\(String(repeating: "a", count: 33))}\n  ingress: [{}]"), says: "at most 32"),
            Refusal(
                "with what cannot be printed", .invalidValue, cnp("  log: {value: ⟦\"a\\tb\"}\n  ingress: [{}]"),
                says: "printable"),
            Refusal("as no object", .wrongType, cnp("  log: ⟦payments\n  ingress: [{}]")),
            Refusal("with another field", .unknownField, cnp("  log: {⟦text: a}\n  ingress: [{}]")),
            Refusal("as a description that is no text", .wrongType, cnp("  description: ⟦[a]\n  ingress: [{}]")),
            Refusal("as a label without a key", .missingField, cnp("  labels: [⟦{value: a}]\n  ingress: [{}]")),
        ])
    func refused(_ refusal: Refusal) { refusal.check() }

    @Test(
        "the names of ICMP types are exactly Cilium's",
        arguments: [("ExtendedEchoRequest", 42), ("ExtendedEchoReply", 43), ("Photuris", 40)] as [(String, UInt16)])
    func icmpNames(_ name: String, _ type: UInt16) throws {
        let decoded = Decoded(cnp("  ingress: [{icmps: [{fields: [{type: \(name)}]}]}]"))
        #expect(try #require(decoded.rule).ports == .list([.range(.icmp, type...type)]))
        let sample = cnp("  ingress: [{icmps: [{fields: [{type: ⟦'ExtendedEcho Reply'}]}]}]")
        Refusal("a name with a blank", .invalidValue, sample, says: "did you mean ExtendedEchoReply?").check()
    }
}
