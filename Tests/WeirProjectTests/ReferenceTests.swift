import Foundation
import Testing
import WeirDiagnostics

@Suite("The diagnostics reference")
struct ReferenceTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    @Test("Every id has a line in ARCHITECTURE.md, and every line is an id")
    func referenceIsComplete() throws {
        let page = try String(contentsOf: Self.root.appendingPathComponent("ARCHITECTURE.md"), encoding: .utf8)
        let section = try #require(page.components(separatedBy: "\n## Diagnostics\n").dropFirst().first)
        let table = try #require(section.components(separatedBy: "\n## ").first)
        let listed = table.split(separator: "\n").filter { $0.hasPrefix("| `") }
            .compactMap { $0.split(separator: "`").dropFirst().first.map(String.init) }
        #expect(Set(listed) == Set(DiagnosticID.allCases.map(\.rawValue)))
        #expect(Set(listed).count == listed.count)
    }

    @Test("The words of the reference are those that SARIF's rules have", arguments: DiagnosticID.allCases)
    func summaries(_ id: DiagnosticID) throws {
        let page = try String(contentsOf: Self.root.appendingPathComponent("ARCHITECTURE.md"), encoding: .utf8)
        #expect(page.contains("\n| `\(id.rawValue)` | \(id.summary) |\n"), "\(id.rawValue): \(id.summary)")
    }

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
