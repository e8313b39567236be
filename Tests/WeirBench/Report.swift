import Foundation

/// What a run prints: multiples first, then the rest, each with its goal.
struct Report: Encodable {
    struct Skipped: Encodable {
        var group: String
        var reason: String
    }

    var kernel: String
    var cpus: Int
    var isQuick: Bool
    var seconds: Double
    var rows: [Row]
    var skipped: [Skipped]

    private var ordered: [Row] { rows.filter { $0.unit == .times } + rows.filter { $0.unit != .times } }

    var json: String {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
        }
    }

    var table: String {
        var lines = [["ROW", "MEASURED", "FROM", "TO", "GOAL", "", "PEERS"]]
        var notes: [String] = []
        for row in ordered {
            lines.append([
                row.name, "\(short(row.value)) \(row.unit.rawValue)", short(row.low), short(row.high),
                row.goal.map { "\($0)" } ?? "", judgement(row), row.peers ?? "",
            ])
            if let note = row.note { notes.append("\(row.name): \(note)") }
        }
        let judged = rows.compactMap(\.isMet)
        let conclusion =
            isQuick ? "A quick run: figures say nothing." : "\(judged.count { $0 }) of \(judged.count) goals met."
        return columns(lines) + "\n" + notes.map { $0 + "\n" }.joined()
            + skipped.map { "\($0.group): not measured: \($0.reason)\n" }.joined()
            + "\nLinux \(kernel), \(cpus) CPUs, \(short(seconds)) s. \(conclusion)\n"
    }

    private func judgement(_ row: Row) -> String {
        guard !isQuick, let isMet = row.isMet else { return "" }
        return isMet ? "met" : "MISSED"
    }

    /// Padded to the widest cell, two spaces apart.
    private func columns(_ lines: [[String]]) -> String {
        let widths = lines[0].indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        return lines.map { line in
            let padded = zip(line, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
                .joined(separator: "  ")
            return padded.replacing(/\ +$/, with: "") + "\n"
        }.joined()
    }
}
