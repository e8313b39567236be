import Foundation

/// Text columns padded to their widest cell, two spaces apart.
///
/// - Parameter width: where a row must fit: the widest columns are shortened to it, but none that holds numbers, and none
///   below its title or eight columns. nil: nothing is shortened.
func table(_ header: [String], _ rows: [[String]], width: Int? = Terminal.width) -> String {
    var widths = header.indices.map { column in ([header] + rows).map { $0[column].columns }.max() ?? 0 }
    if let width {
        let floors = header.indices.map { column in
            let isNumeric = rows.allSatisfy { $0[column].allSatisfy { $0.isNumber || "-.,%".contains($0) } }
            return isNumeric ? widths[column] : min(widths[column], max(header[column].columns, 8))
        }
        var excess = widths.reduce(2 * (widths.count - 1), +) - width
        while excess > 0,
            let widest = widths.indices.filter({ widths[$0] > floors[$0] }).max(by: { widths[$0] < widths[$1] })
        {
            widths[widest] -= 1
            excess -= 1
        }
    }
    return ([header] + rows).map { row in
        zip(row, widths).map { cell, width in
            let text = cell.shortened(to: width)
            return text + String(repeating: " ", count: max(0, width - text.columns))
        }
        .joined(separator: "  ").trimmingTrailingSpaces() + "\n"
    }.joined()
}

extension String {
    fileprivate func trimmingTrailingSpaces() -> String {
        var copy = self
        while copy.last == " " { copy.removeLast() }
        return copy
    }

    /// How many columns of a terminal it takes.
    var columns: Int { reduce(0) { $0 + $1.columns } }

    /// With an ellipsis in its middle where it is wider: names differ at their ends.
    func shortened(to width: Int) -> String {
        guard columns > width else { return self }
        guard width > 1 else { return width == 1 ? "…" : "" }
        func fitting(_ characters: some Sequence<Character>, in width: Int) -> [Character] {
            var left = width
            return Array(
                characters.prefix { character in
                    left -= character.columns
                    return left >= 0
                })
        }
        let head = fitting(self, in: (width - 1) / 2)
        let tail = fitting(reversed(), in: width - 1 - String(head).columns)
        return String(head) + "…" + String(tail.reversed())
    }
}

extension Character {
    /// 2 for East Asian wide characters and emoji, 0 for what combines with the one before or is not seen, else 1.
    fileprivate var columns: Int {
        guard let first = unicodeScalars.first else { return 0 }
        switch first.properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format, .control: return 0
        default: break
        }
        let isEmoji = first.properties.isEmojiPresentation || unicodeScalars.contains { $0.value == 0xfe0f }
        return isEmoji || Self.wide.contains { $0.contains(first.value) } ? 2 : 1
    }

    /// The blocks that are wide or full-width throughout (Unicode Standard Annex 11).
    private static let wide: [ClosedRange<UInt32>] = [
        0x1100...0x115f, 0x2e80...0x303e, 0x3041...0xa4cf, 0xa960...0xa97f, 0xac00...0xd7a3, 0xf900...0xfaff,
        0xfe30...0xfe6f, 0xff00...0xff60, 0xffe0...0xffe6, 0x20000...0x3fffd,
    ]
}

/// Pretty JSON with sorted keys: equal values print equally.
func json(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(value), as: UTF8.self) + "\n"
}
