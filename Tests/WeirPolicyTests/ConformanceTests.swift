import InputTestSupport
import Testing
import WeirDiagnostics
import WeirPolicy
import WeirSyntax

/// Each case of `Tests/Fixtures/conformance/cases` is taken or refused as Cilium does it.
@Suite struct ConformanceTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var policies: SourceFile
        var isRejected: Bool
        var testDescription: String { name }
    }

    static let cases: [Case] = {
        Fixtures.sources("conformance/cases").filter { $0.path.hasSuffix("/policies.yaml") }.map { source in
            let folder = source.path.dropLast("/policies.yaml".count)
            var reader = InputReader(maximumBytes: 1 << 24)
            var diagnostics = DiagnosticsCollector()
            let expected = reader.read(["\(folder)/expect.txt"], diagnostics: &diagnostics).first
            return Case(
                name: folder.split(separator: "/").last.map(String.init) ?? "", policies: source,
                isRejected: expected?.bytes.starts(with: Array("rejected".utf8)) ?? false)
        }
    }()

    @Test("the cases are there") func casesExist() {
        #expect(Self.cases.count > 170)
        #expect(Self.cases.count { $0.isRejected } > 10)
    }

    @Test("a case is decoded, or refused with an error", arguments: cases)
    func decodes(_ testCase: Case) {
        var diagnostics = DiagnosticsCollector()
        let documents = parseDocuments(testCase.policies, diagnostics: &diagnostics)
        let policies = decodePolicies(documents, diagnostics: &diagnostics)
        if testCase.isRejected {
            #expect(diagnostics.hasErrors)
            #expect(policies.specs.isEmpty)
            #expect(diagnostics.all.allSatisfy { $0.location.line > 0 })
        } else {
            #expect(diagnostics.all.filter { $0.severity == .error }.isEmpty)
            #expect(policies.specs.count >= documents.count { $0.kind != "CiliumCIDRGroup" })
        }
    }
}
