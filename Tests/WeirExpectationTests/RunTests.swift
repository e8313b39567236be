import Testing
import WeirExpectation

@Suite("Expectations are judged exactly")
struct RunTests {
    private func failures(_ spec: String) throws -> [ExpectationReport.Failure] {
        try ExpectationSample().report(spec).expectations.flatMap(\.failures)
    }

    @Test("A range with one refused port inside fails for that port alone")
    func range() throws {
        let found = try failures(
            "flows:\n  - {from: shop/front, to: {labels: {app: back}}, ports: 8000-8010/tcp, expect: allow}")
        #expect(found.map(\.ports) == [["8005/tcp"], ["8005/tcp"]])
        #expect(found.map(\.family.rawValue) == ["IPv4", "IPv6"])
        #expect(found.map(\.pairs) == [2, 1])
        #expect(found[0].ingress.text == "deny by policy.yaml:13")
        #expect(
            try failures(
                "flows:\n  - {from: shop/front, to: shop/back-1, ports: [8000-8004/tcp, 8006-8010/tcp], expect: allow}"
            ).isEmpty)
    }

    @Test("A range that reaches one port too far fails for the rest, below and above")
    func edges() throws {
        let found = try failures(
            "flows:\n  - {from: shop/front, to: shop/back-2, ports: 7999-8011/tcp, expect: allow}")
        #expect(found.map(\.ports) == [["7999/tcp", "8011/tcp"], ["8005/tcp"]])
        #expect(found.map(\.ingress.verdict) == ["default-deny", "deny"])
    }

    @Test(
        "What is expected of a side or of a rule must hold, too",
        arguments: [
            ("expect: deny, ports: 8005/tcp, ingress: deny, rule: policy.yaml:13", nil),
            ("expect: deny, ports: 8005/tcp, rule: CiliumNetworkPolicy/shop/back", nil),
            ("expect: deny, ports: 8005/tcp, ingress: default-deny", "has ingress deny, and default-deny is expected"),
            ("expect: deny, ports: 1/tcp, ingress: deny", "has ingress default-deny, and deny is expected"),
            ("expect: deny, ports: 8005/tcp, egress: none", "has egress allow, and none is expected"),
            ("expect: deny, ports: 8005/tcp, rule: policy.yaml:7", "is not decided by policy.yaml:7"),
            ("expect: deny, ports: 8005/tcp, rule: icy.yaml:13", "is not decided by icy.yaml:13"),
            (
                "expect: allow, ports: 8000/tcp, rule: NetworkPolicy/shop/back",
                "is not decided by NetworkPolicy/shop/back"
            ),
            ("expect: deny, ports: 8000/tcp", "is allowed, and expected to be denied"),
        ])
    func sides(_ fields: String, _ problem: String?) throws {
        let found = try failures("flows:\n  - {from: shop/front, to: shop/back-2, \(fields)}")
        #expect(found.map(\.problem) == (problem.map { [$0] } ?? []))
    }

    @Test("No other flows: every hole is a range, and what is listed is none")
    func holes() throws {
        let open = "noOtherFlows: {from: shop/front, to: shop/back-2}"
        #expect(try failures(open).map(\.ports) == [["8000-8004/tcp", "8006-8010/tcp", "9000/udp"]])
        let listed = """
            flows:
              - {from: shop/front, to: {labels: {app: back}}, ports: [8000-8004/tcp, 8007-9000/tcp], expect: deny}
              - {from: {labels: {app: front}}, to: shop/back-2, ports: 8001-8007/tcp, expect: allow}
              - {from: {labels: {app: front}}, to: shop/back-1, ports: udp, expect: allow}
            \(open)
            """
        let closed = try ExpectationSample().report(listed).expectations.filter { $0.kind == .noOtherFlows }
        #expect(closed.flatMap(\.failures).map(\.ports) == [["8000/tcp", "8008-8010/tcp", "9000/udp"]])
    }

    @Test("No other flows between endpoints is both ways and over both families")
    func between() throws {
        let found = try failures("noOtherFlows: {between: {labels: {app: back}}}")
        #expect(found.isEmpty)
        let everything = try failures("noOtherFlows: {from: {labels: {app: back}}, to: shop/front}")
        let all = ["tcp", "udp", "sctp", "every other protocol"]
        #expect(everything.map { Set($0.ports) } == [Set(all + ["icmp"]), Set(all + ["icmpv6"])])
        #expect(everything.map(\.pairs) == [2, 1])
    }

    @Test("Coverage names the rules that decided no judged flow")
    func coverage() throws {
        let report = try ExpectationSample().report(
            "flows:\n  - {from: shop/front, to: shop/back-2, ports: 8000/tcp, expect: allow}")
        #expect(report.coverage.rules == 3)
        #expect(report.coverage.touched == 1)
        #expect(report.coverage.untouched.map(\.place) == ["policy.yaml:4", "policy.yaml:13"])
        #expect(report.coverage.text == "33.3 % (1 of 3 rules)")
    }
}
