import Testing
import WeirSyntax
import WeirDiagnostics
import InputTestSupport

@Test func probe() {
    let sample = Sample("a: ⟦[1, 2]\n")
    #expect(sample.marks.first?.column == 4)
    #expect(Fixtures.sources("conformance/cases").count > 100)
}
