package import WeirDiagnostics
package import WeirSyntax

/// An input text in which `⟦` marks the places that findings must name; the marks are taken out.
package struct Sample: Sendable {
    package let source: SourceFile
    package let marks: [SourceLocation]

    package init(_ marked: String, path: String = "sample.yaml") {
        var text = ""
        var marks: [SourceLocation] = []
        var line = 1
        var column = 1
        for scalar in marked.unicodeScalars {
            if scalar == "⟦" {
                marks.append(SourceLocation(path: path, line: line, column: column))
                continue
            }
            text.unicodeScalars.append(scalar)
            if scalar == "\n" {
                line += 1
                column = 1
            } else {
                column += 1
            }
        }
        self.source = SourceFile(path: path, text: text)
        self.marks = marks
    }

    package func documents(_ diagnostics: inout DiagnosticsCollector) -> [Document] {
        parseDocuments(source, diagnostics: &diagnostics)
    }

    package func documents() -> [Document] {
        var diagnostics = DiagnosticsCollector()
        return documents(&diagnostics)
    }
}

/// The fixtures of all tests.
package enum Fixtures {
    /// `Tests/Fixtures`, wherever the checkout lies.
    package static let directory =
        #filePath.split(separator: "/").dropLast(2).reduce("") { "\($0)/\($1)" } + "/Fixtures"

    /// A file or directory below `Tests/Fixtures`, read with everything in it.
    package static func sources(_ path: String) -> [SourceFile] {
        var diagnostics = DiagnosticsCollector()
        var reader = InputReader(maximumBytes: 1 << 30)
        return reader.read(["\(directory)/\(path)"], diagnostics: &diagnostics)
    }
}
