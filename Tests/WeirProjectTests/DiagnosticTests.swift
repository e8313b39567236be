import Testing
import WeirDiagnostics

@Suite("Diagnostics")
struct DiagnosticTests {
    @Test("A finding prints as path:line:column: severity: message [id], its notes below")
    func format() {
        let place = SourceLocation(path: "a.yaml", line: 3, column: 7)
        let first = SourceLocation(path: "b.yaml", line: 1, column: 1)
        let finding = Diagnostic(
            .error, .duplicateName, "two of a kind", at: place, notes: [.init("the first is here", at: first)])
        #expect(
            finding.description
                == "a.yaml:3:7: error: two of a kind [duplicate-name]\nb.yaml:1:1: note: the first is here")
        #expect(SourceLocation(file: "a.yaml").description == "a.yaml")
    }

    @Test("Findings come sorted by place, whatever their order, and each once")
    func order() {
        var collector = DiagnosticsCollector()
        for (path, line) in [("b", 1), ("a", 9), ("a", 2), ("a", 2)] {
            collector.warning(.syntax, "x", at: SourceLocation(path: path, line: line, column: 1))
        }
        #expect(collector.sorted.map { "\($0.location.lineDescription)" } == ["a:2", "a:9", "b:1"])
        #expect(!collector.hasErrors)
    }
}
