import InputTestSupport
import WeirDiagnostics
import WeirSyntax

/// One file of `Tests/Fixtures/situations`: what holds, step by step. The format is described in the README there.
struct Situation: Sendable {
    struct Step: Sendable {
        /// The sentence behind `##`.
        var title: String
        /// The lines behind `#:`, in order.
        var lines: [ExpectationLine]
        /// Everything else, with the line numbers of the file.
        var source: SourceFile
    }

    var name: String
    var steps: [Step]

    struct Malformed: Error, CustomStringConvertible {
        var description: String
        init(_ description: String) { self.description = description }
    }

    /// All situations of a folder, by name.
    static func all(in folder: String) throws -> [Situation] {
        try Fixtures.sources("situations/\(folder)").map(Situation.init)
    }

    init(_ file: SourceFile) throws {
        name = file.path.split(separator: "/").last.map { String($0.dropLast(5)) } ?? file.path
        steps = []
        var text = ""
        let lines = String(decoding: file.bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            let place = "\(file.path):\(index + 1)"
            if line.hasPrefix("## ") {
                Self.close(&steps, &text, file.path, nextLine: index)
                steps.append(Step(title: String(line.dropFirst(3)), lines: [], source: file))
            }
            if line.hasPrefix("#: ") {
                guard !steps.isEmpty else { throw Malformed("\(place): an expectation before the first ##") }
                steps[steps.count - 1].lines.append(try ExpectationLine(line.dropFirst(3), place: place))
            }
            text += line + "\n"
        }
        Self.close(&steps, &text, file.path, nextLine: 0)
        guard !steps.isEmpty else { throw Malformed("\(file.path): no step") }
        for step in steps where step.lines.isEmpty {
            throw Malformed("\(file.path): nothing is expected where “\(step.title)”")
        }
    }

    /// Ends a step: what was gathered is its source, and the next step's begins with as many empty lines.
    private static func close(_ steps: inout [Step], _ text: inout String, _ path: String, nextLine: Int) {
        if let last = steps.indices.last { steps[last].source = SourceFile(path: path, text: text) }
        text = String(repeating: "\n", count: nextLine)
    }
}
