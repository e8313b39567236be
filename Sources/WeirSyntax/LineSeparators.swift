/// U+0085, U+2028 and U+2029, which libyaml takes for line breaks, as YAML 1.1 does and neither YAML 1.2, JSON nor any editor: lines
/// would be counted wrong, a comment would end in the middle and a JSON string would change.
///
/// On the way to libyaml each gives way to an unassigned character of the same length, so no offset moves, and comes back in
/// the scalars.
struct LineSeparators {
    private static let all: [(written: [UInt8], standIn: [UInt8])] = [
        ([0xc2, 0x85], [0xcd, 0xb8]),  // U+0378
        ([0xe2, 0x80, 0xa8], [0xe2, 0xbf, 0xa0]),  // U+2FE0
        ([0xe2, 0x80, 0xa9], [0xe2, 0xbf, 0xa1]),  // U+2FE1
    ]

    /// The beginning of one at the end of the last piece.
    private var held: [UInt8] = []
    /// Whether there was one so far.
    private(set) var wereSeen = false

    /// The piece as libyaml shall see it; what may be half a separator waits for the next.
    mutating func hide(in piece: [UInt8]) -> [UInt8] {
        guard !held.isEmpty || piece.contains(0xc2) || piece.contains(0xe2) else { return piece }
        var bytes = held + piece
        held = []
        for (written, standIn) in Self.all {
            var start = bytes.startIndex
            while let found = bytes[start...].firstIndex(of: written[0]) {
                start = found + 1
                guard bytes[found...].starts(with: written) else { continue }
                bytes.replaceSubrange(found..<found + written.count, with: standIn)
                wereSeen = true
            }
        }
        for count in [2, 1] where bytes.count >= count {
            let end = bytes.suffix(count)
            guard Self.all.contains(where: { $0.written.count > count && $0.written.starts(with: end) }) else {
                continue
            }
            held = Array(end)
            bytes.removeLast(count)
            break
        }
        return bytes
    }

    /// What still waited when the text ended.
    mutating func rest() -> [UInt8] {
        defer { held = [] }
        return held
    }

    func restore(in text: String) -> String {
        guard wereSeen else { return text }
        var scalars = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\u{378}": scalars.append("\u{85}")
            case "\u{2fe0}": scalars.append("\u{2028}")
            case "\u{2fe1}": scalars.append("\u{2029}")
            default: scalars.append(scalar)
            }
        }
        return String(scalars)
    }
}
