import Foundation
import InputTestSupport
import Testing
import WeirCompiler
import WeirDiagnostics
import WeirInventory
import WeirLint
import WeirPolicy
import WeirSyntax

/// What a finding looks like to the user, once for each id: `Tests/Fixtures/diagnostics/ID` holds files to be read as
/// policies and as inventory and, if they are sound, compiled and, for what
/// lint alone finds, linted; `expected.txt` is what is then printed.
@Suite("The printed diagnostics")
struct GoldenDiagnosticsTests {
    /// Ids that a few small files cannot produce, each with the test that does.
    private static let elsewhere: [DiagnosticID: String] = [
        .fileUnreadable: "WeirSyntaxTests/InputReaderTests.swift",
        .inputTooLarge: "WeirSyntaxTests/InputReaderTests.swift",
        .stdinTwice: "WeirSyntaxTests/InputReaderTests.swift",
        .invalidFlow: "WeirCommandTests/VerdictTests.swift",
        .emptyExpectation: "WeirExpectationTests/DecodeTests.swift",
        .invalidBundle: "WeirCommandTests/NodeTests.swift",
        .unmatchedRule: "WeirLintTests/ClusterTests.swift",
        .capacity: "WeirLintTests/ClusterTests.swift",
        .missingWireGuardKey: "WeirWireGuardTests/TunnelDiagnosticsTests.swift",
        .invalidWireGuardKey: "WeirWireGuardTests/TunnelDiagnosticsTests.swift",
        .duplicateWireGuardKey: "WeirWireGuardTests/TunnelDiagnosticsTests.swift",
        .oneSidedPresharedKey: "WeirWireGuardTests/TunnelDiagnosticsTests.swift",
        .invalidEndpoint: "WeirWireGuardTests/TunnelDiagnosticsTests.swift",
        .missingEndpoint: "WeirWireGuardTests/TunnelDiagnosticsTests.swift",
        .unreachableFamily: "WeirWireGuardTests/TunnelDiagnosticsTests.swift",
        .tunnelOverlap: "WeirWireGuardTests/TunnelDiagnosticsTests.swift",
        .tunnelMTU: "WeirWireGuardTests/TunnelDiagnosticsTests.swift",
    ]

    private static let directory = "\(Fixtures.directory)/diagnostics"

    private static var folders: Set<String> {
        Set((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? [])
    }

    @Test("Every id has a folder, or a test that is named here", arguments: DiagnosticID.allCases)
    func everyIdIsProduced(_ id: DiagnosticID) throws {
        guard let file = Self.elsewhere[id] else {
            #expect(Self.folders.contains(id.rawValue), "no Tests/Fixtures/diagnostics/\(id.rawValue)")
            return
        }
        #expect(!Self.folders.contains(id.rawValue), "\(id.rawValue) has a folder: take it off the list")
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let source = try String(contentsOf: tests.appendingPathComponent(file), encoding: .utf8)
        #expect(source.contains(".\(id)") || source.contains("[\(id.rawValue)]"), "\(file) does not mention \(id)")
    }

    @Test("A folder prints what it expects, its id among it", arguments: folders.sorted())
    func prints(_ folder: String) throws {
        let id = try #require(DiagnosticID(rawValue: folder))
        let expected = try String(contentsOfFile: "\(Self.directory)/\(folder)/expected.txt", encoding: .utf8)
        var diagnostics = DiagnosticsCollector()
        var reader = InputReader(maximumBytes: 1 << 20)
        let sources = reader.read(["\(Self.directory)/\(folder)"], diagnostics: &diagnostics).map { source in
            SourceFile(
                path: String(source.path.dropFirst(Self.directory.count + folder.count + 2)), bytes: source.bytes)
        }
        let documents = parseDocuments(sources, diagnostics: &diagnostics)
        let policies = decodePolicies(documents, diagnostics: &diagnostics)
        let inventory = decodeInventory(documents, diagnostics: &diagnostics)
        for node in inventory.nodes where !diagnostics.hasErrors {
            _ = Compiler.compile(
                policies: policies, inventory: inventory, node: node.name, diagnostics: &diagnostics)
        }
        if !diagnostics.all.contains(where: { $0.id == id }) {
            diagnostics.append(contentsOf: LintReport(policies: policies, inventory: inventory).findings)
        }
        let printed = diagnostics.sorted.map { "\($0)\n" }.joined()
        #expect(printed == expected)
        #expect(printed.contains("[\(id.rawValue)]"))
    }
}
