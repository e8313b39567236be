import ArgumentParser
import Foundation

/// Text columns padded to their widest cell, two spaces apart.
func table(_ header: [String], _ rows: [[String]]) -> String {
    let widths = header.indices.map { column in
        ([header] + rows).map { $0[column].count }.max() ?? 0
    }
    return ([header] + rows).map { row in
        zip(row, widths).map { $0.padding(toLength: max($1, $0.count), withPad: " ", startingAt: 0) }
            .joined(separator: "  ").trimmingTrailingSpaces() + "\n"
    }.joined()
}

extension String {
    fileprivate func trimmingTrailingSpaces() -> String {
        var copy = self
        while copy.last == " " { copy.removeLast() }
        return copy
    }
}

/// Pretty JSON with sorted keys: equal values print equally.
func json(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(value), as: UTF8.self) + "\n"
}

/// Where a command's data goes: standard output, or a file that appears complete or not at all.
struct OutputFileOptions: ParsableArguments {
    @Option(name: .customLong("output-file"), help: "Write to this path instead of standard output.")
    var path: String?

    func write(_ data: Data) throws {
        guard let path else {
            FileHandle.standardOutput.write(data)
            return
        }
        do {
            try data.write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw Refusal("cannot write \(path): \(error.localizedDescription)")
        }
    }

    func write(_ text: String) throws { try write(Data(text.utf8)) }
}
