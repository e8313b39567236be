import Foundation
import InputTestSupport
import Testing
import WeirDiagnostics
import WeirSyntax

@Suite("reading inputs") final class InputReaderTests {
    // A class, as the directory goes with the test.
    private let directory = FileManager.default.temporaryDirectory.path + "/weir-input-\(UUID().uuidString)"

    init() throws { try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true) }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    private func write(_ name: String, _ text: String = "x: y\n") throws {
        let path = "\(directory)/\(name)"
        try FileManager.default.createDirectory(
            atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    }

    private func link(_ name: String, to target: String) throws {
        try FileManager.default.createSymbolicLink(
            atPath: "\(directory)/\(name)", withDestinationPath: target)
    }

    private func read(
        _ names: [String], maximumBytes: Int = 1 << 20, standardInput: Int32 = -1
    ) -> (names: [String], findings: [Diagnostic]) {
        var diagnostics = DiagnosticsCollector()
        var reader = InputReader(maximumBytes: maximumBytes, standardInput: standardInput)
        let paths = names.map { $0 == "-" ? $0 : $0.isEmpty ? directory : "\(directory)/\($0)" }
        let sources = reader.read(paths, diagnostics: &diagnostics)
        return (
            sources.map { $0.path == "-" ? "-" : String($0.path.dropFirst(directory.count + 1)) },
            diagnostics.all
        )
    }

    @Test("a directory is read recursively and sorted, hidden and other files are not") func directories() throws {
        for name in [
            "b.yaml", "a.yml", "c.json", "sub/d.yaml", "note.txt", ".hidden.yaml", "..data/e.yaml", "x.yaml.bak",
        ] {
            try write(name)
        }
        try link("linked.yaml", to: "..data/e.yaml")
        try link("sub/loop", to: "..")
        let result = read([""])
        #expect(result.names == ["a.yml", "b.yaml", "c.json", "linked.yaml", "sub/d.yaml"])
        #expect(result.findings.isEmpty)
    }

    @Test("paths keep their order, and one given twice is read once") func order() throws {
        try write("b.yaml")
        try write("a.txt")
        #expect(read(["b.yaml", "a.txt", "b.yaml"]).names == ["b.yaml", "a.txt"])
    }

    @Test("a missing file is named, the others are read") func missing() throws {
        try write("a.yaml")
        let result = read(["nowhere.yaml", "a.yaml"])
        #expect(result.names == ["a.yaml"])
        #expect(result.findings.map(\.id) == [.fileUnreadable])
        #expect(result.findings.first?.location.path.hasSuffix("nowhere.yaml") == true)
        #expect(result.findings.first?.message.contains("No such file") == true)
    }

    @Test("a dangling link in a directory is an error") func danglingLink() throws {
        try write("a.yaml")
        try link("b.yaml", to: "nowhere")
        #expect(read([""]).findings.map(\.id) == [.fileUnreadable])
    }

    @Test("a directory without inputs is a warning") func emptyDirectory() {
        #expect(read([""]).findings.map(\.severity) == [.warning])
    }

    @Test("the limit counts all inputs together and refuses by size") func tooLarge() throws {
        try write("a.yaml", String(repeating: "a", count: 60))
        try write("b.yaml", String(repeating: "b", count: 60))
        let result = read(["a.yaml", "b.yaml"], maximumBytes: 100)
        #expect(result.names == ["a.yaml"])
        #expect(result.findings.map(\.id) == [.inputTooLarge])
        #expect(read(["a.yaml"], maximumBytes: 60).findings.isEmpty)
        #expect(read(["a.yaml"], maximumBytes: 59).findings.map(\.id) == [.inputTooLarge])
    }

    @Test("a device without an end is refused at the limit") func endless() {
        var diagnostics = DiagnosticsCollector()
        var reader = InputReader(maximumBytes: 1 << 20)
        #expect(reader.read(["/dev/zero"], diagnostics: &diagnostics).isEmpty)
        #expect(diagnostics.all.map(\.id) == [.inputTooLarge])
    }

    @Test("stdin is read once, for whichever flag comes first") func standardInput() throws {
        let pipe = Pipe()
        try pipe.fileHandleForWriting.write(contentsOf: Data("a: b".utf8))
        try pipe.fileHandleForWriting.close()
        var diagnostics = DiagnosticsCollector()
        var reader = InputReader(
            maximumBytes: 100, standardInput: pipe.fileHandleForReading.fileDescriptor)
        let first = reader.read(["-"], diagnostics: &diagnostics)
        #expect(first == [SourceFile(path: "-", text: "a: b")])
        #expect(diagnostics.all.isEmpty)
        #expect(reader.read(["-"], diagnostics: &diagnostics).isEmpty)
        #expect(diagnostics.all.map(\.id) == [.stdinTwice])
    }

    @Test("stdin has the same limit") func standardInputTooLarge() throws {
        let pipe = Pipe()
        try pipe.fileHandleForWriting.write(contentsOf: Data(repeating: 65, count: 200))
        try pipe.fileHandleForWriting.close()
        let result = read(["-"], maximumBytes: 100, standardInput: pipe.fileHandleForReading.fileDescriptor)
        #expect(result.findings.map(\.id) == [.inputTooLarge])
    }
}
