import Foundation
import Testing

/// `Tests/mutations.txt`, which `scripts/mutation-check` works through by hand, must fit the sources as they are.
@Suite("The list of mistakes that tests must find")
struct MutationListTests {
    private struct Mutation {
        var title: String
        var file: String
        var text: String
        var replacement: String

        /// nil where a block lacks a part.
        init?(_ block: Substring) {
            let lines = block.split(separator: "\n", omittingEmptySubsequences: false)
            guard let title = lines.first, lines.count > 3,
                let from = lines.firstIndex(where: { $0.hasPrefix("- ") }),
                let to = lines.firstIndex(where: { $0.hasPrefix("+ ") }), from < to
            else { return nil }
            let end = lines[to...].firstIndex(of: "") ?? lines.endIndex
            self.title = String(title)
            file = String(lines[1])
            text = lines[from..<to].joined(separator: "\n").dropFirst(2).description
            replacement = lines[to..<end].joined(separator: "\n").dropFirst(2).description
        }
    }

    private static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    @Test("It has at least thirty, each about a text that its file has once")
    func fits() throws {
        let list = try String(contentsOf: Self.root.appendingPathComponent("Tests/mutations.txt"), encoding: .utf8)
        let blocks = list.components(separatedBy: "\n= ").dropFirst()
        #expect(blocks.count >= 30)
        for block in blocks {
            let mutation = try #require(Mutation(block[...]), "\(block)")
            let source = try String(
                contentsOf: Self.root.appendingPathComponent(mutation.file), encoding: .utf8)
            #expect(source.components(separatedBy: mutation.text).count == 2, "\(mutation.title)")
            #expect(mutation.text != mutation.replacement, "\(mutation.title)")
        }
    }
}
