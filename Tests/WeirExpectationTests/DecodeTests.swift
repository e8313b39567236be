import InputTestSupport
import Testing
import WeirDiagnostics

@Suite("Mistakes in expectations")
struct DecodeTests {
    struct Mistake: CustomTestStringConvertible {
        var name: String
        var spec: String
        var id: DiagnosticID
        var words: String

        var testDescription: String { name }
    }

    static let mistakes = [
        Mistake(
            name: "a misspelled field of a flow",
            spec: "flows:\n  - {from: shop/front, to: shop/back-1, ports: 1/tcp, expect: deny, ⟦egres: deny}",
            id: .unknownField, words: "did you mean egress?"),
        Mistake(
            name: "a flow without ports", spec: "flows:\n  - ⟦{from: shop/front, to: shop/back-1, expect: deny}",
            id: .missingField, words: "needs the field ports"),
        Mistake(
            name: "an expectation that is no verdict",
            spec: "flows:\n  - {from: shop/front, to: shop/back-1, ports: 1/tcp, expect: ⟦alow}", id: .invalidValue,
            words: "did you mean allow?"),
        Mistake(
            name: "a pod that does not exist",
            spec: "flows:\n  - {from: ⟦shop/frnt, to: shop/back-1, ports: 1/tcp, expect: deny}", id: .invalidFlow,
            words: "did you mean shop/front?"),
        Mistake(
            name: "an end that is no name",
            spec: "flows:\n  - {from: ⟦front, to: shop/back-1, ports: 1/tcp, expect: deny}", id: .invalidFlow,
            words: "neither namespace/pod"),
        Mistake(
            name: "a selector that nobody has",
            spec: "flows:\n  - {from: ⟦{labels: {app: fron}}, to: shop/back-1, ports: 1/tcp, expect: deny}",
            id: .emptyExpectation, words: "mayBeEmpty: true"),
        Mistake(
            name: "a namespace without endpoints",
            spec: "flows:\n  - {from: {namespace: ⟦shp}, to: shop/back-1, ports: 1/tcp, expect: deny}",
            id: .emptyExpectation, words: "did you mean shop?"),
        Mistake(
            name: "an unknown key of a selector",
            spec: "flows:\n  - {from: {⟦label: {app: front}}, to: shop/back-1, ports: 1/tcp, expect: deny}",
            id: .unknownField, words: "did you mean labels?"),
        Mistake(
            name: "an operator that there is not",
            spec: "flows:\n  - {from: {matchExpressions: [{key: app, operator: ⟦Inn, values: [a]}]}, to: shop/back-1, "
                + "ports: 1/tcp, expect: deny}", id: .invalidSelector, words: "did you mean In?"),
        Mistake(
            name: "a port without a protocol",
            spec: "flows:\n  - {from: shop/front, to: shop/back-1, ports: ⟦\"80\", expect: deny}", id: .invalidPort,
            words: "write 80/tcp"),
        Mistake(
            name: "a port that is too high",
            spec: "flows:\n  - {from: shop/front, to: shop/back-1, ports: ⟦70000/tcp, expect: deny}", id: .invalidPort,
            words: "from 0 to 65535"),
        Mistake(
            name: "an ICMP type that is too high",
            spec: "flows:\n  - {from: shop/front, to: shop/back-1, ports: [8/icmp, ⟦256/icmp], expect: deny}",
            id: .invalidPort, words: "no type from 0 to 255"),
        Mistake(
            name: "a range that is upside down",
            spec: "flows:\n  - {from: shop/front, to: shop/back-1, ports: ⟦9-8/tcp, expect: deny}", id: .invalidPort,
            words: "8 is below 9"),
        Mistake(
            name: "ports of a protocol without ports",
            spec: "flows:\n  - {from: shop/front, to: shop/back-1, ports: ⟦1/gre, expect: deny}", id: .invalidPort,
            words: "has no ports"),
        Mistake(
            name: "no port at all",
            spec: "flows:\n  - {from: shop/front, to: shop/back-1, ports: ⟦[], expect: deny}", id: .missingField,
            words: "at least one port"),
        Mistake(
            name: "a side that contradicts the verdict",
            spec: "flows:\n  - {from: shop/front, to: shop/back-1, ports: 1/tcp, expect: allow, ingress: ⟦deny}",
            id: .conflictingFields, words: "is not allowed"),
        Mistake(
            name: "a rule of no known kind",
            spec: "flows:\n  - {from: shop/front, to: shop/back-1, ports: 1/tcp, expect: deny, "
                + "rule: ⟦NetworkPolcy/shop/back}", id: .invalidValue, words: "did you mean NetworkPolicy?"),
        Mistake(
            name: "a family that ICMP does not have",
            spec: "flows:\n  - ⟦{from: shop/front, to: shop/back-1, ports: 8/icmp, family: IPv6, expect: deny}",
            id: .emptyExpectation, words: "no such flow"),
        Mistake(
            name: "a family that an end does not have",
            spec: "flows:\n  - ⟦{from: shop/front, to: shop/back-2, ports: 1/tcp, family: IPv6, expect: deny}",
            id: .invalidFlow, words: "no IPv6 address in common"),
        Mistake(
            name: "an endpoint and itself",
            spec: "flows:\n  - ⟦{from: shop/front, to: shop/front, ports: 1/tcp, expect: allow}",
            id: .emptyExpectation, words: "one endpoint"),
        Mistake(
            name: "nobody who is judged",
            spec: "flows:\n  - ⟦{from: \"ip:192.0.2.99\", to: \"ip:192.0.2.98\", ports: 1/tcp, expect: allow}",
            id: .invalidFlow, words: "neither end is a pod"),
        Mistake(
            name: "half of noOtherFlows", spec: "noOtherFlows: ⟦{from: shop/front}", id: .missingField,
            words: "either between, or from and to"),
        Mistake(name: "nothing expected", spec: "⟦{}", id: .missingField, words: "flows, noOtherFlows or both"),
    ]

    @Test("Each has its place, its id and a remedy", arguments: mistakes)
    func place(_ mistake: Mistake) throws {
        let sample = Sample(ExpectationSample.expectations(mistake.spec))
        let (findings, report) = try ExpectationSample().run(sample)
        #expect(report == nil)
        try #require(findings.count == 1, "\(findings)")
        #expect(findings[0].id == mistake.id)
        #expect(findings[0].location == sample.marks.first)
        #expect(findings[0].message.contains(mistake.words), "\(findings[0].message)")
        #expect(findings[0].severity == .error)
    }

    @Test("A selector may be empty where the file says so, and then nothing is judged")
    func mayBeEmpty() throws {
        let report = try ExpectationSample().report(
            "flows:\n  - {from: {labels: {app: gone}, mayBeEmpty: true}, to: shop/front, ports: any, expect: deny}")
        #expect(report.passed == 1)
        #expect(report.expectations[0].pairs == 0)
    }
}
