import Foundation
import InputTestSupport
import Testing
import WeirDiagnostics
import WeirSyntax
import WeirTestSupport

/// Documents and findings of an input that comes in pieces.
private struct Streamed: Equatable {
    var documents: [Document] = []
    var findings: [Diagnostic] = []

    init(_ source: SourceFile, pieceSize: Int = .max) {
        var stream = SourceStream(source, pieceSize: pieceSize)
        var diagnostics = DiagnosticsCollector()
        var documents: [Document] = []
        readDocuments(from: &stream, diagnostics: &diagnostics) { document, _ in documents.append(document) }
        self.documents = documents
        findings = diagnostics.all
    }
}

@Suite("an input in pieces") struct StreamTests {
    /// `WEIR_TEST_SEED` repeats a run.
    private static let seed =
        ProcessInfo.processInfo.environment["WEIR_TEST_SEED"].flatMap { UInt64($0) }
        ?? UInt64.random(in: 0...UInt64.max)

    private static let pieces =
        [
            "{", "}", "[", "]", ": ", "- ", ", ", "\n", "\n  ", "\n- ", "\n---\n", "\"", "'", "&a ", "*a", "<<: ", "a",
            "ü", "\u{85}", "\u{2028}", "# \u{2029}",
            "𐀀", "#", "null", "kind: List\n", "kind: A", "apiVersion: v1\n", "items:\n", "items: [", "|\n", "\u{7}",
            "\t",
            "{apiVersion: v1, kind: B}",
        ].map { Array($0.utf8) } + [
            [0xff], [0xe2, 0x82], [0xe2], [0xe2, 0x80], [0xc2], [0xc0, 0x80], [0xef, 0xbb, 0xbf],
        ]

    @Test("gives the same as the whole, whatever the pieces") func randomTexts() {
        print("pieces with WEIR_TEST_SEED=\(Self.seed)")
        var random = SeededGenerator(seed: Self.seed)
        for round in 0..<1500 {
            let bytes = (0..<Int.random(in: 1...40, using: &random)).flatMap { _ in
                Self.pieces.randomElement(using: &random) ?? []
            }
            let source = SourceFile(path: "a.yaml", bytes: bytes)
            let whole = Streamed(source)
            for size in [1, 2, 3, Int.random(in: 4...50, using: &random)] {
                #expect(Streamed(source, pieceSize: size) == whole, "seed \(Self.seed), round \(round), size \(size)")
            }
        }
    }

    @Test("gives the same of what kubectl prints", arguments: [1, 7, 4096, 16383, 16385])
    func fixtures(pieceSize: Int) {
        for source in Fixtures.sources("inventory") + Fixtures.sources("conformance/inventory.yaml") {
            let long = SourceFile(
                path: source.path,
                bytes: Array(repeating: source.bytes + Array("\n---\n".utf8), count: 4).flatMap(\.self))
            let whole = Streamed(long)
            #expect(whole.findings.isEmpty)
            #expect(Streamed(long, pieceSize: pieceSize) == whole)
        }
    }

    /// A list whose items have an anchor is read as a tree, as the anchor might be used below.
    @Test(
        "gives each item what the whole list would",
        arguments: [
            "apiVersion: v1\nITEMS\n- {apiVersion: v1, kind: A}\n- {apiVersion: v1, kind: B, x: [1, 2]}\nkind: List\n",
            "apiVersion: v1\nkind: List\nITEMS\n- &b {apiVersion: v1, kind: A}\n- *b\n- {<<: *b, kind: B}\n",
            "apiVersion: v1\nkind: PodList\nITEMS\n- {metadata: {name: a}}\n- {kind: B}\n",
            "ITEMS\n- {metadata: {name: a}}\n- {kind: B}\n- {apiVersion: v2}\nkind: PodList\napiVersion: v1\n",
            "kind: List\nITEMS\n- {apiVersion: v1, kind: PodList, items: [{a: b}, {c: d}]}\napiVersion: v1\n",
            "{kind: List, apiVersion: v1, ITEMS [{kind: A}, 7, null, {apiVersion: v1, kind: B}]}",
            "ITEMS\n- 7\n- {kind: A}\napiVersion: v1\nkind: List\n",
            "x: &x {kind: PodList}\nITEMS\n- {a: b}\n<<: *x\napiVersion: v1\n",
            "ITEMS\n- {apiVersion: v1, kind: A, a: 1, a: 2}\nITEMS\n- {apiVersion: v1, kind: B}\napiVersion: v1\nkind: List\n",
            "apiVersion: v1\nkind: Bag\nITEMS\n- {apiVersion: v1, kind: A}\n",
            "apiVersion: v1\nkind: List\nITEMS []\n",
            "a:\n  ITEMS\n  - {apiVersion: v1, kind: A}\napiVersion: v1\nkind: B\n",
        ])
    func itemsAsOfATree(_ text: String) {
        let streamed = Streamed(SourceFile(path: "a.yaml", text: text.replacing("ITEMS", with: "items:   ")))
        let tree = Streamed(SourceFile(path: "a.yaml", text: text.replacing("ITEMS", with: "items: &i")))
        let documents = Set(streamed.documents.map { "\($0.location) \($0.apiVersion) \($0.kind)" })
        #expect(documents == Set(tree.documents.map { "\($0.location) \($0.apiVersion) \($0.kind)" }))
        #expect(Set(streamed.findings.map(\.id)) == Set(tree.findings.map(\.id)))
    }

    @Test("gives an item before the rest is read", arguments: ["json", "yaml"]) func early(_ syntax: String) {
        let item = "{\"apiVersion\": \"v1\", \"kind\": \"A\", \"metadata\": {\"name\": \"a\"}}"
        let items = Array(repeating: item, count: 2000).joined(separator: syntax == "json" ? ",\n" : "\n- ")
        let text =
            syntax == "json"
            ? "{\"apiVersion\": \"v1\", \"items\": [\(items)], \"kind\": \"List\"}"
            : "apiVersion: v1\nitems:\n- \(items)\nkind: List\n"
        var stream = SourceStream(SourceFile(path: "a", text: text), pieceSize: 4096)
        var diagnostics = DiagnosticsCollector()
        var positions: [Int] = []
        var count = 0
        readDocuments(from: &stream, diagnostics: &diagnostics) { document, _ in
            count += 1
            positions.append(document.root.line)
        }
        #expect(count == 2000)
        #expect(positions == positions.sorted())
        #expect(diagnostics.all.isEmpty)
        // The text breaks off: what was before it has been given.
        let half = SourceFile(path: "a", text: String(text.prefix(text.count / 2)) + "\u{7}")
        let broken = Streamed(half)
        #expect(broken.findings.map(\.id) == [.syntax])
        #expect((500...1000).contains(broken.documents.count))
    }

    @Test("items of an object that turns out to be no list are an error at the items") func noList() {
        let sample = Sample("apiVersion: v1\nitems:\n⟦- {apiVersion: v1, kind: A}\nkind: Bag\n")
        let streamed = Streamed(sample.source)
        #expect(streamed.findings.map(\.id) == [.wrongType])
        #expect(streamed.findings.map(\.location) == sample.marks)
        #expect(streamed.findings.allSatisfy { $0.message.contains("not to Bag; write kind above them") })
    }

    @Test("bytes that are no UTF-8 are found behind any number of pieces", arguments: [1, 5, 1 << 20])
    func invalidUTF8(pieceSize: Int) {
        let lines = String(repeating: "# ü\n", count: 9000)
        for prefix in ["", "\u{feff}"] {
            let bytes = Array((prefix + lines + "a: 𐀀").utf8) + [0xed, 0xa0, 0x80]
            let findings = Streamed(SourceFile(path: "a", bytes: bytes), pieceSize: pieceSize).findings
            #expect(findings.map(\.id) == [.invalidUTF8])
            #expect(findings.map(\.location) == [SourceLocation(path: "a", line: 9001, column: 5)])
            #expect(findings.map(\.message) == ["byte \(bytes.count - 3) (0xed) is not UTF-8"])
        }
    }

    @Test("what comes beyond the limit is one error, after the objects before it") func tooLarge() throws {
        let pipe = Pipe()
        let text = "apiVersion: v1\nkind: A\n---\n" + String(repeating: "# filler\n", count: 4000)
        try pipe.fileHandleForWriting.write(contentsOf: Data(text.utf8))
        try pipe.fileHandleForWriting.close()
        var reader = InputReader(
            maximumBytes: text.utf8.count - 1, standardInput: pipe.fileHandleForReading.fileDescriptor)
        var diagnostics = DiagnosticsCollector()
        reader.open("-", diagnostics: &diagnostics) { stream, diagnostics in
            readDocuments(from: &stream, diagnostics: &diagnostics) { _, _ in }
        }
        #expect(diagnostics.all.map(\.id) == [.inputTooLarge])
    }

    @Test("one limit holds for all streams of a reader") func sharedLimit() throws {
        let directory = FileManager.default.temporaryDirectory.path + "/weir-stream-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        for name in ["a.yaml", "b.yaml"] {
            try Data("apiVersion: v1\nkind: A\n".utf8).write(to: URL(fileURLWithPath: "\(directory)/\(name)"))
        }
        for (limit, count) in [(46, 2), (45, 1)] {
            var reader = InputReader(maximumBytes: limit)
            var diagnostics = DiagnosticsCollector()
            var documents = 0
            for path in reader.files(at: [directory, directory], diagnostics: &diagnostics) {
                reader.open(path, diagnostics: &diagnostics) { stream, diagnostics in
                    readDocuments(from: &stream, diagnostics: &diagnostics) { _, _ in documents += 1 }
                }
            }
            #expect(documents == count)
            #expect(diagnostics.all.map(\.id) == (count == 2 ? [] : [.inputTooLarge]))
        }
    }
}
