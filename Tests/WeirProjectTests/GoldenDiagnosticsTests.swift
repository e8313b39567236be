import Foundation
import InputTestSupport
import Testing
import WeirCompiler
import WeirDiagnostics
import WeirInventory
import WeirPolicy
import WeirSyntax

/// What a finding looks like to the user, once for each id: `Tests/Fixtures/diagnostics/ID` holds files to be read as
/// policies and as inventory and, if they are sound, compiled; `expected.txt` is what is then printed.
@Suite("The printed diagnostics")
struct GoldenDiagnosticsTests {
    /// Ids that files alone cannot produce, or that are not in the fixtures yet, each with the test that does.
    private static let elsewhere: [DiagnosticID: String] = [
        .fileUnreadable: "WeirSyntaxTests/InputReaderTests.swift",
        .inputTooLarge: "WeirSyntaxTests/InputReaderTests.swift",
        .stdinTwice: "WeirSyntaxTests/InputReaderTests.swift",
        .invalidFlow: "WeirCommandTests/VerdictTests.swift",
        .invalidBundle: "WeirCommandTests/NodeTests.swift",
        .invalidAddress: "WeirInventoryTests/InventoryRefusalTests.swift",
        .duplicateAddress: "WeirInventoryTests/InventoryRefusalTests.swift",
        .duplicateInterface: "WeirInventoryTests/InventoryRefusalTests.swift",
        .unknownNode: "WeirInventoryTests/InventoryRefusalTests.swift",
        .ambiguousNode: "WeirInventoryTests/InventoryRefusalTests.swift",
        .tooManyAddresses: "WeirInventoryTests/InventoryRefusalTests.swift",
        .unmatchedSubject: "WeirLintTests/FindingTests.swift",
        .unmatchedSelector: "WeirLintTests/FindingTests.swift",
        .emptyRule: "WeirLintTests/FindingTests.swift",
        .unknownNamespace: "WeirLintTests/FindingTests.swift",
        .unknownServiceAccount: "WeirLintTests/FindingTests.swift",
        .unknownPortName: "WeirLintTests/FindingTests.swift",
        .namedPortDiffers: "WeirLintTests/FindingTests.swift",
        .absentEntity: "WeirLintTests/FindingTests.swift",
        .clusterCIDR: "WeirLintTests/FindingTests.swift",
        .icmpFamily: "WeirLintTests/FindingTests.swift",
        .wideCIDR: "WeirLintTests/FindingTests.swift",
        .wideEntity: "WeirLintTests/FindingTests.swift",
        .shadowedRule: "WeirLintTests/FindingTests.swift",
        .redundantRule: "WeirLintTests/FindingTests.swift",
        .unmatchedRule: "WeirLintTests/ClusterTests.swift",
        .uncoveredEndpoint: "WeirLintTests/ClusterTests.swift",
        .capacity: "WeirLintTests/ClusterTests.swift",
        .unknownService: "WeirLintTests/TierAndServiceTests.swift",
        .serviceWithoutBackends: "WeirLintTests/TierAndServiceTests.swift",
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
        let printed = diagnostics.sorted.map { "\($0)\n" }.joined()
        #expect(printed == expected)
        #expect(printed.contains("[\(id.rawValue)]"))
    }
}
