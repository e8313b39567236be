import InputTestSupport
import Testing
import WeirDiagnostics

/// `weir.dev/audit` in a policy's metadata.
@Suite("audit mode of a policy") struct AuditAnnotationTests {
    /// The same policy with annotations.
    private static func annotated(_ sample: Sample, _ annotations: String) -> Sample {
        Sample(
            String(decoding: sample.source.bytes, as: UTF8.self)
                .replacing(#/metadata: \{(.+)\}/#) { "metadata: {\($0.output.1), annotations: {\(annotations)}}" })
    }

    private static let kinds = [
        cnp("  ingress: [{}]"), ccnp("  ingress: [{}]"), knp("  ingress: [{}]"),
        adminPolicy("  ingress: [{action: Deny, from: [{namespaces: {}}]}]"),
        baselinePolicy("  ingress: [{action: Deny, from: [{namespaces: {}}]}]"),
        clusterPolicy("  ingress: [{action: Deny, from: [{namespaces: {}}]}]"),
    ]

    @Test("is what its annotation says, whatever the kind; without one it is off", arguments: kinds)
    func everyKind(_ sample: Sample) {
        for (annotations, isAudited) in [
            (#"weir.dev/audit: "true""#, true), (#"a: b, weir.dev/audit: "false""#, false),
            ("weir.dev/audits: x", false),
        ] {
            let decoded = Decoded(Self.annotated(sample, annotations))
            #expect(decoded.errors.isEmpty)
            #expect(decoded.policies.specs.map(\.isAudited) == [isAudited])
        }
        #expect(Decoded(sample).policies.specs.map(\.isAudited) == [false])
    }

    @Test("is that of every spec of an object") func specs() {
        let decoded = Decoded(
            Sample(
                """
                apiVersion: cilium.io/v2
                kind: CiliumNetworkPolicy
                metadata: {name: p, annotations: {weir.dev/audit: "true"}}
                spec: {endpointSelector: {}, ingress: [{}]}
                specs: [{endpointSelector: {}, egress: [{}]}]
                """))
        #expect(decoded.policies.specs.map(\.isAudited) == [true, true])
    }

    static let refusals = [
        Refusal(
            "for another word", .invalidValue, annotated(knp("  ingress: []"), #"weir.dev/audit: ⟦"on""#),
            says: "not the text \"on\""),
        Refusal(
            "for a boolean, which Kubernetes refuses too", .wrongType,
            annotated(cnp("  ingress: [{}]"), "weir.dev/audit: ⟦true"), says: "quote it: \"true\""),
        Refusal(
            "for no value", .wrongType,
            annotated(adminPolicy("  ingress: []"), "weir.dev/audit: ⟦null"), says: "not no value"),
    ]

    @Test("is refused", arguments: refusals) func isRefused(_ refusal: Refusal) { refusal.check() }
}
