import InputProperties
import WeirTestSupport

/// Damage below the level of documents.
enum ByteMutation {
    private static let fragments = [
        "{", "}", "[", "]", ": ", "- ", "\n", "\r\n", "\r", "\t", "\"", "'", "&a ", "*a", "<<: *a", "---\n", "...\n",
        "? ", "!!int ",
        "!!binary ", "|\n", ">-\n", "#", "null", "~", "%YAML 1.2\n", "99999999999999999999", "\u{0}", "\u{FEFF}",
        "\u{85}",
        "\u{2028}", "0x", "10.0.0.0/8", "::", "\\u0000", "\\ud800",
    ].map { Array($0.utf8) }

    static func apply(to bytes: inout [UInt8], _ random: inout SeededGenerator) {
        guard !bytes.isEmpty else { return }
        let place = random.below(bytes.count)
        switch random.below(7) {
        case 0: bytes[place] = UInt8(random.below(256))
        case 1: bytes.removeSubrange(place..<min(place + 1 + random.below(20), bytes.count))
        case 2: bytes.insert(contentsOf: random.pick(fragments), at: place)
        case 3: bytes.removeSubrange(place...)
        case 4:
            let end = min(place + 1 + random.below(200), bytes.count)
            bytes.insert(contentsOf: bytes[place..<end], at: random.below(bytes.count + 1))
        case 5:
            let fragment = random.pick(fragments)
            let count = random.pick([2, 10, 200])
            bytes.insert(contentsOf: Array(repeating: fragment, count: count).joined(), at: place)
        default: bytes[place] ^= 1 << UInt8(random.below(8))
        }
    }
}
