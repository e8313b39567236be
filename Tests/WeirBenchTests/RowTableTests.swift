import Foundation
import Testing
import WeirBench

@Suite("The table of rows in README.md")
struct RowTableTests {
    @Test("has every group that scripts/bench measures, and no other")
    func groups() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let page = try String(contentsOf: root.appendingPathComponent("README.md"), encoding: .utf8)
        let section = try #require(page.components(separatedBy: "\n## Measured\n").dropFirst().first)
        let rows = try #require(section.components(separatedBy: "\n## ").first).split(separator: "\n")
            .filter { $0.hasPrefix("| `") }
        let names = rows.compactMap { $0.split(separator: "`").dropFirst().first.map(String.init) }
        #expect(names.sorted() == RowGroup.all.map(\.name).sorted())
    }
}
