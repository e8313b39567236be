import Foundation
import InputTestSupport
import Testing
import WeirDiagnostics
import WeirInventory
import WeirPolicy
import WeirSyntax
import WeirTestSupport

@Suite("mutated files") struct MutationTests {
    /// `WEIR_TEST_SEED` repeats a run.
    private static let seed =
        ProcessInfo.processInfo.environment["WEIR_TEST_SEED"].flatMap { UInt64($0) }
        ?? UInt64.random(in: 0...UInt64.max)

    private static let fragments = [
        "{", "}", "[", "]", ": ", "- ", "\n", "\t", "\"", "'", "&a ", "*a", "<<: ", "---\n", "? ", "!!int ", "|\n", "#",
        "null", "~", "-1", "99999999999999999999", "\u{0}", "\u{fffd}", "0x", "10.0.0.0/8", "::",
    ].map { Array($0.utf8) }

    @Test("never crash a decoder, and every error has a place") func mutations() {
        print("mutations with WEIR_TEST_SEED=\(Self.seed)")
        var random = SeededGenerator(seed: Self.seed)
        // A million values take a second each time they are parsed.
        let diagnostics = Fixtures.sources("diagnostics").filter { !$0.path.contains("/alias-expansion/") }
        let sources = Fixtures.sources("conformance") + Fixtures.sources("inventory") + diagnostics
        for round in 0..<1500 {
            guard let source = sources.randomElement(using: &random) else { continue }
            var bytes = source.bytes
            for _ in 0..<Int.random(in: 1...4, using: &random) { Self.mutate(&bytes, &random) }
            let mutated = SourceFile(path: "round-\(round).yaml", bytes: bytes)
            var diagnostics = DiagnosticsCollector()
            let documents = parseDocuments(mutated, diagnostics: &diagnostics)
            _ = decodePolicies(documents, diagnostics: &diagnostics)
            _ = decodeInventory(documents, diagnostics: &diagnostics)
            #expect(
                diagnostics.sorted.allSatisfy { $0.location.line > 0 && $0.location.column > 0 },
                "seed \(Self.seed), round \(round)")
        }
    }

    private static func mutate(_ bytes: inout [UInt8], _ random: inout SeededGenerator) {
        guard !bytes.isEmpty else { return }
        let place = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<6, using: &random) {
        case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes.removeSubrange(place..<min(place + Int.random(in: 1...20, using: &random), bytes.count))
        case 2: bytes.insert(contentsOf: fragments.randomElement(using: &random) ?? [], at: place)
        case 3: bytes.removeSubrange(place...)
        case 4:
            let end = min(place + Int.random(in: 1...200, using: &random), bytes.count)
            bytes.insert(contentsOf: bytes[place..<end], at: Int.random(in: 0...bytes.count, using: &random))
        default: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        }
    }
}
