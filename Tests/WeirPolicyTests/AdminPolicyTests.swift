import InputTestSupport
import Testing
import WeirDiagnostics
import WeirModel
import WeirPolicy

private let namespaceLabels = "io.cilium.k8s.namespace.labels."
private let team = requirement(namespaceLabels + "team", .in, ["a"], source: "k8s")
private let db = requirement("app", .in, ["db"], source: "k8s")

@Suite("when the admin kinds are asked, and about whom") struct AdminPolicyTests {
    @Test(
        "a kind has its tier",
        arguments: [
            (adminPolicy(""), Tier.admin(priority: 10)), (clusterPolicy(""), .admin(priority: 10)),
            (clusterPolicy("", tier: "Baseline"), .baseline(priority: 10)),
            (baselinePolicy(""), .baseline(priority: 1001)),
        ])
    func tier(_ sample: Sample, _ tier: Tier) throws {
        let decoded = Decoded(sample)
        #expect(decoded.findings.isEmpty)
        #expect(try #require(decoded.spec).tier == tier)
        #expect(tier < .baseline(priority: 1002))
    }

    @Test(
        "a subject is pods of any namespace",
        arguments: [
            ("{namespaces: {}}", [anyNamespace]),
            ("{namespaces: {matchLabels: {team: a}}}", [team, anyNamespace]),
            ("{pods: {namespaceSelector: {}, podSelector: {}}}", [anyNamespace]),
            (
                "{pods: {namespaceSelector: {matchLabels: {team: a}}, podSelector: {matchLabels: {app: db}}}}",
                [team, db, anyNamespace]
            ),
        ])
    func subject(_ subject: String, _ requirements: [LabelSelector.Requirement]) throws {
        for sample in [adminPolicy("", subject: subject), clusterPolicy("", subject: subject)] {
            let decoded = Decoded(sample)
            #expect(decoded.findings.isEmpty)
            #expect(try #require(decoded.spec).subject == .endpoints(LabelSelector(requirements)))
        }
    }

    @Test("pods without a namespaceSelector are those of every namespace, in v1alpha2") func everyNamespace() throws {
        let decoded = Decoded(clusterPolicy("", subject: "{pods: {podSelector: {matchLabels: {app: db}}}}"))
        #expect(decoded.findings.isEmpty)
        #expect(try #require(decoded.spec).subject == .endpoints(LabelSelector([db, anyNamespace])))
    }

    @Test(
        "directions with rules are selected, none is enforced",
        arguments: [
            ("", []), ("  ingress: []", []), ("  egress: null", []),
            ("  ingress: [{action: Deny, from: [{namespaces: {}}]}]", [.ingress]),
            ("  ingress: []\n  egress: [{action: Deny, to: [{namespaces: {}}]}]", [.egress]),
        ] as [(String, Set<Direction>)])
    func directions(_ sections: String, _ selects: Set<Direction>) throws {
        for sample in [adminPolicy(sections), baselinePolicy(sections), clusterPolicy(sections)] {
            let spec = try #require(Decoded(sample).spec)
            #expect(spec.selects == selects)
            #expect(spec.enforces.isEmpty)
        }
    }

    @Test("rules keep their order, action and place") func rules() throws {
        let sample = Sample(
            """
            apiVersion: policy.networking.k8s.io/v1alpha2
            kind: ClusterNetworkPolicy
            metadata: {name: c}
            ⟦spec:
              tier: Admin
              priority: 0
              subject: {namespaces: {}}
              egress:
              - ⟦action: Pass
                to: [{namespaces: {}}]
              - ⟦name: everything else
                action: Deny
                to: [{networks: [0.0.0.0/0, '::/0']}]
              ingress:
              - ⟦action: Accept
                from: [{namespaces: {}}]
            """)
        let decoded = Decoded(sample)
        #expect(decoded.findings.isEmpty)
        let spec = try #require(decoded.spec)
        #expect([spec.origin.location] + spec.rules.map(\.origin.location) == sample.marks)
        #expect(spec.rules.map(\.action) == [.pass, .deny, .allow])
        #expect(spec.rules.map(\.origin.section) == ["egress", "egress", "ingress"])
        #expect(spec.rules.map(\.origin.index) == [0, 1, 0])
        #expect(spec.rules.map(\.origin) == spec.rules.map(\.origin).sorted())
        #expect(spec.origin.description == "ClusterNetworkPolicy c spec")
    }

    @Test("a null list of ports counts as missing, with a warning", arguments: ["ports", "protocols"])
    func nullPorts(_ field: String) throws {
        let section = "  ingress: [{action: Deny, from: [{namespaces: {}}], ⟦\(field): null}]"
        let sample = field == "ports" ? adminPolicy(section) : clusterPolicy(section)
        let decoded = Decoded(sample)
        #expect(decoded.findings.map(\.id) == [.emptyValue])
        #expect(decoded.findings.map(\.location) == sample.marks)
        #expect(try #require(decoded.rule).ports == .any)
    }
}

@Suite("what the admin kinds just take") struct AdminLimitTests {
    private static func list(_ count: Int, of item: String) -> String {
        "[" + Array(repeating: item, count: count).joined(separator: ", ") + "]"
    }

    @Test(
        "their limits are theirs to use",
        arguments: [
            adminPolicy("  ingress: " + list(100, of: "{action: Deny, from: [{namespaces: {}}]}")),
            clusterPolicy("  ingress: " + list(25, of: "{action: Deny, from: [{namespaces: {}}]}")),
            adminPolicy("  egress: [{action: Deny, to: \(list(100, of: "{nodes: {}}"))}]"),
            clusterPolicy("  egress: [{action: Deny, to: [{networks: \(list(25, of: "10.0.0.0/8"))}]}]"),
            adminPolicy(
                "  ingress: [{action: Deny, from: [{namespaces: {}}], ports: \(list(100, of: "{namedPort: http}"))}]"),
            clusterPolicy(
                "  ingress: [{name: \(String(repeating: "n", count: 100)), action: Deny, from: [{namespaces: {}}]}]"),
        ])
    func limits(_ sample: Sample) {
        let decoded = Decoded(sample)
        #expect(decoded.findings.isEmpty)
        #expect(decoded.policies.specs.count == 1)
    }

    @Test("priorities go from 0 to 1000", arguments: [0, 1000]) func priorities(_ priority: Int) throws {
        let text = String(decoding: adminPolicy("").source.bytes, as: UTF8.self)
        let decoded = Decoded(Sample(text.replacing("priority: 10", with: "priority: \(priority)")))
        #expect(try #require(decoded.spec).tier == .admin(priority: priority))
    }
}

@Suite("what a rule of the admin kinds means") struct AdminRuleTests {
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

    private static let pods: Peers = .list([.selector(LabelSelector([anyNamespace]))])

    private static func networks(_ prefixes: String...) -> Peers {
        .list(prefixes.compactMap { Prefix($0) }.map { .network(CIDRBlock($0)) })
    }

    /// The same in every kind; an egress rule.
    static let peers = [
        Scenario("namespaces are all their pods", "to: [{namespaces: {}}]", pods),
        Scenario(
            "namespaces are chosen by their labels", "to: [{namespaces: {matchLabels: {team: a}}}]",
            .list([.selector(LabelSelector([team, anyNamespace]))])),
        Scenario(
            "pods fulfil both selectors",
            "to: [{pods: {namespaceSelector: {matchLabels: {team: a}}, podSelector: {matchLabels: {app: db}}}}]",
            .list([.selector(LabelSelector([team, db, anyNamespace]))])),
        Scenario(
            "nodes are chosen by their labels, the own one too",
            "to: [{nodes: {matchExpressions: [{key: rack, operator: Exists}]}}]",
            .list([.nodes(LabelSelector([requirement("rack", .exists, source: "k8s")]), .any)])),
        Scenario("an empty selector is every node", "to: [{nodes: {}}]", .list([.nodes(.everything, .any)])),
        Scenario(
            "networks are addresses, whoever has them", "to: [{networks: [10.1.2.3/8, '2001:db8::/32']}]",
            networks("10.0.0.0/8", "2001:db8::/32")),
        Scenario(
            "peers are alternatives", "to: [{nodes: {}}, {networks: [10.0.0.0/8]}, {networks: ['::/0']}]",
            .list(
                [.nodes(.everything, .any)]
                    + ["10.0.0.0/8", "::/0"].compactMap { Prefix($0) }.map { .network(CIDRBlock($0)) })),
    ]

    static let ports = [
        Scenario(
            "a port has a protocol, TCP if it says none",
            "to: [{namespaces: {}}], ports: [{portNumber: {protocol: UDP, port: 53}}, {portNumber: {port: 53}}]", pods,
            .list([.range(.udp, 53...53), tcp(53...53)])),
        Scenario(
            "a range includes both ends",
            "to: [{nodes: {}}], ports: [{portRange: {protocol: SCTP, start: 1, end: 65535}}]",
            .list([.nodes(.everything, .any)]), .list([.range(.sctp, 1...65535)])),
        Scenario(
            "a name is of every protocol with ports", "to: [{namespaces: {}}], ports: [{namedPort: HTTP}]", pods,
            .list([.named("http", [.tcp, .udp, .sctp])])),
    ]

    static let protocols = [
        Scenario(
            "a protocol has a port or a range",
            "to: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 80}}}, {udp: {destinationPort: {range: {start: 1, end: 2}}}}, {sctp: {destinationPort: {number: 65535}}}]",
            pods, .list([tcp(80...80), .range(.udp, 1...2), .range(.sctp, 65535...65535)])),
        Scenario(
            "a name is of every protocol with ports",
            "to: [{namespaces: {}}], protocols: [{destinationNamedPort: http}]", pods,
            .list([.named("http", [.tcp, .udp, .sctp])])),
    ]

    @Test(arguments: peers) func peerMeans(_ scenario: Scenario) throws {
        let section = "  egress: [{action: Deny, \(scenario.rule)}]"
        for sample in [adminPolicy(section), baselinePolicy(section), clusterPolicy(section)] {
            try check(sample, scenario)
        }
    }

    @Test(arguments: ports) func portMeans(_ scenario: Scenario) throws {
        let section = "  egress: [{action: Deny, \(scenario.rule)}]"
        for sample in [adminPolicy(section), baselinePolicy(section)] { try check(sample, scenario) }
    }

    @Test(arguments: protocols) func protocolMeans(_ scenario: Scenario) throws {
        try check(clusterPolicy("  egress: [{action: Deny, \(scenario.rule)}]"), scenario)
    }

    @Test("ingress rules name namespaces and pods, and ports of the subject by name") func ingress() throws {
        let decoded = Decoded(
            clusterPolicy(
                "  ingress: [{action: Accept, from: [{namespaces: {}}], protocols: [{destinationNamedPort: http}]}]"))
        #expect(decoded.findings.isEmpty)
        let rule = try #require(decoded.rule)
        #expect(rule.direction == .ingress)
        #expect(rule.peers == Self.pods)
        #expect(rule.ports == .list([.named("http", [.tcp, .udp, .sctp])]))
    }

    private func check(_ sample: Sample, _ scenario: Scenario) throws {
        let decoded = Decoded(sample)
        #expect(decoded.findings.isEmpty)
        let rule = try #require(decoded.rule)
        #expect(rule.action == .deny)
        #expect(rule.peers == scenario.peers)
        #expect(rule.ports == scenario.ports)
    }
}

@Suite("two policies of one priority") struct EqualPriorityTests {
    private static func policy(_ name: String, _ priority: String, tier: String = "Admin") -> String {
        """
        apiVersion: policy.networking.k8s.io/v1alpha2
        kind: ClusterNetworkPolicy
        metadata: {name: \(name)}
        spec: {tier: \(tier), \(priority), subject: {namespaces: {}}}

        """
    }

    @Test("are warned of in the order of their names, whatever that of the files", arguments: [false, true])
    func warned(_ isReversed: Bool) throws {
        let texts = [Self.policy("a", "⟦priority: 5"), Self.policy("b", "⟦priority: 5")]
        let sample = Sample((isReversed ? texts.reversed() : texts).joined(separator: "---\n"))
        let places = isReversed ? sample.marks.reversed() : sample.marks
        let decoded = Decoded(sample)
        let finding = try #require(decoded.findings.first)
        #expect(decoded.findings.count == 1)
        #expect(finding.id == .equalPriority)
        #expect(finding.severity == .warning)
        #expect(finding.location == places.last)
        #expect(finding.notes.map(\.location) == places.prefix(1).map(\.self))
        #expect(finding.message.hasPrefix("ClusterNetworkPolicy a has this priority, too"))
        #expect(decoded.policies.specs.count == 2)
    }

    @Test("are warned of across kinds") func acrossKinds() throws {
        let text = String(decoding: adminPolicy("").source.bytes, as: UTF8.self)
        let decoded = Decoded(Sample("\(text)\n---\n" + Self.policy("b", "priority: 10")))
        #expect(decoded.findings.map(\.id) == [.equalPriority])
    }

    @Test(
        "of two tiers, or one of them refused, are nothing to warn of",
        arguments: [
            policy("a", "priority: 5") + "---\n" + policy("b", "priority: 5", tier: "Baseline"),
            policy("a", "priority: 5") + "---\n" + policy("b", "priority: 6"),
            policy("a", "priority: 5") + "---\n" + policy("b", "priority: 5, priorities: 5"),
        ])
    func different(_ text: String) {
        #expect(!Decoded(Sample(text)).findings.map(\.id).contains(.equalPriority))
    }
}
