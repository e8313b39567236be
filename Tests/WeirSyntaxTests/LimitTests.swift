import InputTestSupport
import Testing
import WeirDiagnostics
import WeirSyntax

/// Bad input ends in one located error, never in a crash or a long wait.
@Suite("bad input") struct LimitTests {
    static func findings(_ source: SourceFile) -> [Diagnostic] {
        var diagnostics = DiagnosticsCollector()
        _ = parseDocuments(source, diagnostics: &diagnostics)
        return diagnostics.sorted
    }

    static func repeated(_ text: String, _ count: Int) -> String { String(repeating: text, count: count) }

    /// A text that nests, and where it becomes too deep.
    struct Nest: CustomTestStringConvertible {
        var testDescription: String
        var text: String
        var line: Int
        var column: Int

        init(_ name: String, _ text: String, _ line: Int, _ column: Int) {
            (testDescription, self.text, self.line, self.column) = (name, text, line, column)
        }
    }

    @Test(
        "nesting beyond 64 is refused at the 65th level, however deep it goes",
        arguments: [
            // libyaml looks 1,024 characters ahead and has a limit of its own, 1,000, which it meets first.
            Nest("100,000 brackets", repeated("[", 100_000), 1, 1), Nest("900 brackets", repeated("[", 900), 1, 65),
            Nest("65 closed brackets", repeated("[", 65) + repeated("]", 65), 1, 65),
            Nest("braces", repeated("{a: ", 100_000), 1, 257), Nest("dashes", repeated("- ", 100_000) + "a", 1, 129),
            Nest("question marks", repeated("? ", 100_000) + "a", 1, 3),
            Nest("indentation", (0..<200).map { repeated(" ", $0) + "a:\n" }.joined(), 65, 65),
            Nest("both kinds", repeated("[{\"a\":", 50_000), 1, 193),
        ])
    func nesting(_ nest: Nest) throws {
        let findings = Self.findings(SourceFile(path: "deep.yaml", text: nest.text))
        try #require(findings.count == 1)
        #expect(findings[0].id == (nest.text.hasPrefix("?") ? .syntax : .nestingTooDeep))
        #expect(findings[0].location == SourceLocation(path: "deep.yaml", line: nest.line, column: nest.column))
    }

    @Test("64 levels are taken") func nestingAtTheLimit() {
        let text = "{apiVersion: v1, kind: A, a: " + Self.repeated("[", 63) + Self.repeated("]", 63) + "}"
        #expect(Self.findings(SourceFile(path: "deep.yaml", text: text)).isEmpty)
    }

    @Test("aliases cannot nest deeper than what is written") func nestedAliases() {
        let steps = (1...40).map { "a\($0): &a\($0) [[*a\($0 - 1)]]" }.joined(separator: "\n")
        let findings = Self.findings(SourceFile(path: "a.yaml", text: "a0: &a0 [x]\n\(steps)\n"))
        #expect(findings.map(\.id) == [.nestingTooDeep])
    }

    @Test("a billion laughs is refused at the alias that goes too far", arguments: [false, true])
    func billionLaughs(asKey: Bool) {
        let steps = (1...12).map { step in
            let aliases = Array(repeating: "*a\(step - 1)", count: 10).joined(separator: ", ")
            return "a\(step): &a\(step) [\(aliases)]"
        }.joined(separator: "\n")
        let text = "a0: &a0 [lol, lol]\n\(steps)\n"
        let use = asKey ? text.replacing("\na4:", with: "\n? *a3\n: x\na4:") : text
        let findings = Self.findings(SourceFile(path: "laughs.yaml", text: use))
        #expect(findings.map(\.id) == [asKey ? .syntax : .aliasExpansion])
        #expect(findings.first?.location.line == (asKey ? 5 : 7))
    }

    static let syntaxErrors: [(String, String)] = [
        ("a: [1, 2\n⟦", "expected"), ("a: {b: c\n⟦", "expected"), ("a: ⟦b: c", "not allowed"),
        ("a:\n⟦\tb: c", "tab"), ("a: \"open\n⟦", "unexpected end"), ("a: ⟦*nowhere", "no anchor"),
        ("a: &a [⟦*a]", "no anchor"), ("a: ⟦!custom b", "no meaning"), ("⟦? [a]\n: b", "key must be a scalar"),
        ("a: ⟦@b", "cannot start"), ("a: b\n⟦]", "expected"), ("a:\n  <<: ⟦text\n", "<<"),
        ("apiVersion: v1\nkind: ⟦\u{7}A", "control"), ("%⟦BAD x\n---\na: b", "directive"),
    ]

    @Test("a syntax error is where YAML ends to be YAML", arguments: syntaxErrors)
    func syntax(_ text: String, _ says: String) throws {
        let sample = Sample(text)
        let findings = Self.findings(sample.source).filter { $0.id == .syntax }
        try #require(findings.count == 1)
        #expect(findings[0].message.contains(says))
        #expect(findings[0].location.line == sample.marks.first?.line)
    }

    @Test("objects before a syntax error are still read") func objectsBefore() {
        var diagnostics = DiagnosticsCollector()
        let documents = Sample("apiVersion: v1\nkind: A\n---\na: [\n").documents(&diagnostics)
        #expect(documents.map(\.kind) == ["A"])
        #expect(diagnostics.all.map(\.id) == [.syntax])
    }

    @Test("a duplicate key is refused with a note about the first", arguments: [2, 20, 21, 22, 100])
    func duplicateKeys(count: Int) {
        let filler = (0..<count).map { "k\($0): x\n" }.joined()
        let sample = Sample("apiVersion: v1\nkind: A\n⟦a: 1\n\(filler)⟦a: 2\n")
        let findings = Self.findings(sample.source)
        #expect(findings.map(\.id) == [.duplicateKey])
        #expect(findings.map(\.location) == [sample.marks[1]])
        #expect(findings.flatMap(\.notes).map(\.location) == [sample.marks[0]])
    }

    @Test("JSON's duplicate keys are refused too") func duplicateKeysInJSON() {
        let sample = Sample("{\"apiVersion\": \"v1\", \"kind\": \"A\", ⟦\"a\": 1, ⟦\"a\": 2}")
        #expect(Self.findings(sample.source).map(\.location) == [sample.marks[1]])
    }

    @Test("bytes that are not UTF-8 are named with their line")
    func invalidUTF8() {
        let bytes = Array("a: ü\nb: x".utf8) + [0xff] + Array("y\n".utf8)
        let findings = Self.findings(SourceFile(path: "latin.yaml", bytes: bytes))
        #expect(findings.map(\.id) == [.invalidUTF8])
        #expect(findings.first?.location == SourceLocation(path: "latin.yaml", line: 2, column: 5))
        #expect(findings.first?.message == "byte 10 (0xff) is not UTF-8")
    }

    @Test(
        "UTF-16 and a cut-off character are not UTF-8",
        arguments: [[0xff, 0xfe, 0x61, 0], [0x61, 0xe2, 0x82]] as [[UInt8]])
    func otherEncodings(_ bytes: [UInt8]) {
        #expect(Self.findings(SourceFile(path: "a.yaml", bytes: bytes)).map(\.id) == [.invalidUTF8])
    }

    @Test("long scalars are cut in messages") func longScalars() {
        let text =
            "apiVersion: v1\nkind: {a: \(Self.repeated("x", 10_000))}\n\(Self.repeated("k", 900)): 1\n\(Self.repeated("k", 900)): 2\n"
        #expect(Self.findings(SourceFile(path: "a.yaml", text: text)).allSatisfy { $0.message.utf8.count < 200 })
    }
}
