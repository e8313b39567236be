import Foundation
import TestNetwork
import WeirDiagnostics
import WeirInventory
import WeirModel
import WeirPolicy
import WeirSyntax

/// Bytes to typed values, errors and places included.
enum ParseRows {
    private static let name = "parse"
    static let group = RowGroup(
        name: name, about: "YAML, JSON and the reduced inventory to typed values: bytes per second", needsRoot: false,
        rows: rows)

    private static func rows(_ run: Run) throws -> [Row] {
        let pods = run.choose(5_000, quick: 200)
        let repetitions = run.choose(5, quick: 1)
        var rows: [Row] = []
        for format in ["json", "yaml"] where run.wants("\(name)/kubectl-\(format)") {
            let text = try Self.kubectl(pods, format)
            rows.append(
                try inventoryRow("\(name)/kubectl-\(format)", SourceFile(path: "pods", text: text), repetitions))
        }
        let workload = Workload(pods: run.choose(20_000, quick: 200), policies: run.choose(1_000, quick: 100))
        let reduced = ReducedInventory(try workload.typed().inventory)
        for (format, suffix) in [(ReducedInventory.Format.json, "json"), (.yaml, "yaml")] {
            rows.append(
                try inventoryRow(
                    "\(name)/reduced-\(suffix)", SourceFile(path: "reduced", bytes: reduced.encoded(as: format)),
                    repetitions))
        }
        rows.append(try policyRow(SourceFile(path: "policies", text: workload.policyText), repetitions))
        return rows
    }

    /// What kubectl prints for a cluster, about 6 KB a pod without indentation.
    private static func kubectl(_ pods: Int, _ format: String) throws -> String {
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("scripts/generate-inventory").path
        return try TestNetwork.run(script, "\(pods)", format)
    }

    private static func inventoryRow(_ name: String, _ source: SourceFile, _ repetitions: Int) throws -> Row {
        try row(name, source, repetitions) { diagnostics in
            var stream = SourceStream(source)
            var decoder = InventoryDecoder()
            readDocuments(from: &stream, diagnostics: &diagnostics) { decoder.add($0, diagnostics: &$1) }
            return "\(decoder.finish(diagnostics: &diagnostics).endpoints.count) endpoints"
        }
    }

    private static func policyRow(_ source: SourceFile, _ repetitions: Int) throws -> Row {
        try row("\(name)/policies-yaml", source, repetitions) { diagnostics in
            let documents = parseDocuments(source, diagnostics: &diagnostics)
            return "\(decodePolicies(documents, diagnostics: &diagnostics).specs.count) policies"
        }
    }

    private static func row(
        _ name: String, _ source: SourceFile, _ repetitions: Int, _ parse: (inout DiagnosticsCollector) -> String
    ) throws -> Row {
        var outcome = ""
        let times = (0..<repetitions).map { _ in
            var diagnostics = DiagnosticsCollector()
            return seconds { outcome = parse(&diagnostics) }
        }
        let mebibytes = Double(source.bytes.count) / 1_048_576
        return Row(
            name, Samples(times.map { mebibytes / $0 }), .mebibytesPerSecond,
            note: "\(outcome) of \(short(mebibytes)) MiB in \(short(Samples(times).median)) s")
    }
}
