import InputTestSupport
import Testing
import WeirDiagnostics
import WeirModel
import WeirPolicy

/// `--unsupported=deny`: a rule beyond L3/L4 never allows more than was meant. `⟦` marks the field.
@Suite("a rule beyond L3/L4 under --unsupported=deny") struct UnsupportedTests {
    struct Scenario: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var sample: Sample
        var action: RuleAction
        var peers: Peers
        var ports: Ports
        /// The end of the message.
        var says: String

        init(
            _ description: String, _ sample: Sample, _ action: RuleAction, _ peers: Peers, _ ports: Ports = .any,
            says: String
        ) {
            testDescription = description
            self.sample = sample
            self.action = action
            self.peers = peers
            self.ports = ports
            self.says = says
        }
    }

    private static let nobody: Peers = .list([])
    private static let shop: Peers = .list([.selector(LabelSelector([inNamespace("shop")]))])
    private static let web: Ports = .list([tcp(443...443)])
    private static let webPorts = "toPorts: [{ports: [{port: '443', protocol: TCP}]}]"

    static let cilium = [
        Scenario(
            "an allow to domain names matches nobody", cnp("  egress: [{⟦toFQDNs: [{matchName: a.b}], \(webPorts)}]"),
            .allow, nobody, web,
            says: "toFQDNs would take a DNS proxy, which weir does not have, so the rule allows nothing"),
        Scenario(
            "a deny of domain names is one of everybody, on the ports it names",
            cnp("  egressDeny: [{⟦toFQDNs: [{matchName: a.b}], \(webPorts)}]"), .deny, .any, web,
            says: "so the rule denies everybody"),
        Scenario(
            "an allow of a cloud provider's groups matches nobody", cnp("  ingress: [{⟦fromGroups: [{aws: {}}]}]"),
            .allow, nobody, says: "a cloud provider's API, which weir does not have, so the rule allows nothing"),
        Scenario(
            "a deny of a cloud provider's groups is one of everybody", cnp("  egressDeny: [{⟦toGroups: [{aws: {}}]}]"),
            .deny, .any, says: "so the rule denies everybody"),
        Scenario(
            "an allow with L7 rules matches nobody",
            cnp(
                "  ingress: [{fromEndpoints: [{}], toPorts: [{ports: [{port: '443', protocol: TCP}], ⟦rules: {http: [{}]}}]}]"
            ),
            .allow, nobody, web,
            says: "rules would take an L7 proxy, which weir does not have, so the rule allows nothing"),
        Scenario(
            "an allow with server names matches nobody, whatever else it lists",
            cnp(
                "  egress: [{toPorts: [{ports: [{port: '443', protocol: TCP}]}, {ports: [], ⟦serverNames: [a]}]}]"),
            .allow, nobody, web, says: "so the rule allows nothing"),
        Scenario(
            "a deny with a listener is one of the ports it names",
            cnp(
                "  egressDeny: [{toEndpoints: [{}], toPorts: [{ports: [{port: '443', protocol: TCP}], ⟦listener: {}}]}]"
            ),
            .deny, shop, web, says: "so the rule denies without that condition"),
        Scenario(
            "a deny with TLS termination and no ports is one of all ports",
            cnp("  ingressDeny: [{fromEndpoints: [{}], toPorts: [{⟦terminatingTLS: {}}]}]"), .deny, shop,
            says: "so the rule denies every port"),
        Scenario(
            "an allow with authentication matches nobody",
            cnp("  ingress: [{fromEndpoints: [{}], ⟦authentication: {mode: required}}]"), .allow, nobody,
            says: "mutual TLS with SPIRE, which weir does not have, so the rule allows nothing"),
        Scenario(
            "a deny with authentication is one of its peers",
            cnp("  ingressDeny: [{fromEndpoints: [{}], ⟦authentication: {mode: test-always-fail}}]"), .deny, shop,
            says: "so the rule denies without that condition"),
        Scenario(
            "a deny with authentication and nothing else is one of everybody",
            cnp("  ingressDeny: [{⟦authentication: {mode: required}}]"), .deny, .any,
            says: "so the rule denies without that condition"),
        Scenario(
            "a requirement on other rules denies everything",
            cnp("  ingress: [{fromEndpoints: [{}], ⟦fromRequires: [{}], \(webPorts)}]"), .deny, .any,
            says: "so the rule denies everything"),
    ]

    static let admin = [
        Scenario(
            "an accept of domain names matches nobody, beside other peers too",
            clusterPolicy("  egress: [{action: Accept, to: [{namespaces: {}}, {⟦domainNames: [a.b]}]}]"), .allow,
            nobody,
            says: "domainNames would take a DNS proxy, which weir does not have, so the rule allows nothing"),
        Scenario(
            "a deny of domain names is one of everybody, on the ports it names",
            clusterPolicy(
                "  egress: [{action: Deny, to: [{⟦domainNames: [a.b]}], protocols: [{tcp: {destinationPort: {number: 443}}}]}]"
            ), .deny, .any, web, says: "so the rule denies everybody"),
        Scenario(
            "a pass of domain names is a deny of everybody",
            clusterPolicy("  egress: [{action: Pass, to: [{⟦domainNames: ['*.b.c']}]}]"), .deny, .any,
            says: "so the rule denies everybody instead of passing"),
    ]

    @Test(arguments: cilium + admin) func allowsNothing(_ scenario: Scenario) throws {
        let decoded = Decoded(scenario.sample, options: PolicyDecodingOptions(unsupported: .deny))
        #expect(decoded.findings.map(\.id) == [.unsupportedField])
        #expect(decoded.findings.map(\.severity) == [.warning])
        #expect(decoded.findings.map(\.location) == scenario.sample.marks)
        #expect(decoded.findings.allSatisfy { $0.message.hasSuffix(scenario.says) })
        let rule = try #require(decoded.rule)
        #expect(rule.action == scenario.action)
        #expect(rule.peers == scenario.peers)
        #expect(rule.ports == scenario.ports)
    }

    @Test("is refused by default", arguments: cilium + admin) func refused(_ scenario: Scenario) {
        let decoded = Decoded(scenario.sample)
        #expect(decoded.errors.map(\.id) == [.unsupportedField])
        #expect(decoded.errors.map(\.location) == scenario.sample.marks)
        #expect(decoded.policies.specs.isEmpty)
    }

    @Test("still enforces its direction, as do the rules beside it") func enforces() throws {
        let decoded = Decoded(
            cnp("  egress:\n  - toFQDNs: [{matchName: a.b}]\n  - toEntities: [world]"),
            options: PolicyDecodingOptions(unsupported: .deny))
        let spec = try #require(decoded.spec)
        #expect(spec.enforces == [.egress])
        #expect(spec.rules.map(\.peers) == [.list([]), .list([.entity(.world)])])
    }

    @Test(
        "is an error where its form is wrong",
        arguments: [
            Refusal(
                "with two kinds of peers", .conflictingFields,
                cnp("  egress: [{toCIDR: [10.0.0.0/8], ⟦toFQDNs: [{matchName: a.b}]}]")),
            Refusal("without a mode", .missingField, cnp("  ingress: [{authentication: ⟦{}}]")),
            Refusal(
                "with an unknown mode", .invalidValue, cnp("  ingress: [{authentication: {mode: ⟦require}}]"),
                says: "did you mean required?"),
            Refusal("with domain names that are no list", .wrongType, cnp("  egress: [{toFQDNs: ⟦a.b}]")),
            Refusal("with an unknown field", .unknownField, cnp("  egress: [{⟦toFQDN: []}]")),
        ])
    func formIsChecked(_ refusal: Refusal) {
        let decoded = Decoded(refusal.sample, options: PolicyDecodingOptions(unsupported: .deny))
        #expect(decoded.errors.map(\.id) == [refusal.id])
        #expect(decoded.errors.map(\.location) == refusal.sample.marks)
        #expect(decoded.errors.allSatisfy { $0.message.contains(refusal.says) })
        #expect(decoded.policies.specs.isEmpty)
    }

    @Test(
        "asks for nothing where it is empty or disabled",
        arguments: [
            ("  ingress: [{fromEndpoints: [{}], authentication: {mode: disabled}}]", shop),
            ("  ingress: [{fromEndpoints: [{}], authentication: null}]", shop),
            ("  egress: [{toFQDNs: []}]", nobody),
            ("  egress: [{toGroups: []}]", nobody),
        ])
    func nothingAsked(_ sections: String, _ peers: Peers) throws {
        let decoded = Decoded(cnp(sections))
        #expect(decoded.findings.isEmpty)
        #expect(try #require(decoded.rule).peers == peers)
    }
}
