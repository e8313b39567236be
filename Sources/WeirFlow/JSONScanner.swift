/// Reads JSON (RFC 8259) from front to back without building a tree. Every byte is checked.
///
/// A flow list has thousands of small objects of which five fields matter; a general decoder spends ten times
/// as long on each line as judging it takes.
struct JSONScanner {
    /// Arrays and objects within each other; beyond this the text is refused, so that the stack is bounded.
    static let maximumDepth = 128

    struct Text {
        /// Between the quotation marks.
        var range: Range<Int>
        var hasEscapes: Bool
    }

    private let bytes: [UInt8]
    private(set) var index = 0

    /// - Parameter bytes: valid UTF-8.
    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { index == bytes.count }

    /// The next byte, after white space; nil at the end.
    mutating func peek() -> UInt8? {
        while index < bytes.count {
            switch bytes[index] {
            case 0x20, 0x09, 0x0a, 0x0d: index += 1
            case let byte: return byte
            }
        }
        return nil
    }

    mutating func take(_ byte: UInt8) -> Bool {
        guard peek() == byte else { return false }
        index += 1
        return true
    }

    mutating func expect(_ byte: UInt8) throws(FlowError) {
        guard take(byte) else { throw unexpected() }
    }

    func unexpected() -> FlowError { FlowError("not a JSON object", column: index + 1) }

    /// The members of an object; `member` is called after each colon and reads the value.
    mutating func object(
        _ member: (inout JSONScanner, Text) throws(FlowError) -> Void
    ) throws(FlowError) -> (isEmpty: Bool, closingBrace: Int) {
        try expect(UInt8(ascii: "{"))
        if take(UInt8(ascii: "}")) { return (true, index - 1) }
        repeat {
            let name = try text()
            try expect(UInt8(ascii: ":"))
            try member(&self, name)
        } while take(UInt8(ascii: ","))
        try expect(UInt8(ascii: "}"))
        return (false, index - 1)
    }

    mutating func skipValue(depth: Int = 1) throws(FlowError) {
        guard depth <= Self.maximumDepth else {
            throw FlowError("nested deeper than \(Self.maximumDepth) levels", column: index + 1)
        }
        switch peek() {
        case UInt8(ascii: "\""): _ = try text()
        case UInt8(ascii: "{"):
            _ = try object { scanner, _ throws(FlowError) in try scanner.skipValue(depth: depth + 1) }
        case UInt8(ascii: "["):
            index += 1
            if take(UInt8(ascii: "]")) { return }
            repeat { try skipValue(depth: depth + 1) } while take(UInt8(ascii: ","))
            try expect(UInt8(ascii: "]"))
        case UInt8(ascii: "t"): try word("true")
        case UInt8(ascii: "f"): try word("false")
        case UInt8(ascii: "n"): try word("null")
        default: _ = try number()
        }
    }

    private mutating func word(_ word: String) throws(FlowError) {
        guard bytes[index...].starts(with: word.utf8) else { throw unexpected() }
        index += word.utf8.count
    }

    /// Its text; no leading zeros, no plus sign.
    mutating func number() throws(FlowError) -> Substring {
        _ = peek()
        let start = index
        takeRaw(UInt8(ascii: "-"))
        if !takeRaw(UInt8(ascii: "0")) { try digits() }
        if takeRaw(UInt8(ascii: ".")) { try digits() }
        if takeRaw(UInt8(ascii: "e")) || takeRaw(UInt8(ascii: "E")) {
            if !takeRaw(UInt8(ascii: "+")) { takeRaw(UInt8(ascii: "-")) }
            try digits()
        }
        return Substring(decoding: bytes[start..<index], as: UTF8.self)
    }

    @discardableResult
    private mutating func takeRaw(_ byte: UInt8) -> Bool {
        guard index < bytes.count, bytes[index] == byte else { return false }
        index += 1
        return true
    }

    private mutating func digits() throws(FlowError) {
        let start = index
        while index < bytes.count, UInt8(ascii: "0")...UInt8(ascii: "9") ~= bytes[index] { index += 1 }
        guard index > start else { throw unexpected() }
    }

    mutating func text() throws(FlowError) -> Text {
        try expect(UInt8(ascii: "\""))
        let start = index
        var hasEscapes = false
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "\""):
                index += 1
                return Text(range: start..<index - 1, hasEscapes: hasEscapes)
            case UInt8(ascii: "\\"):
                hasEscapes = true
                _ = try escape()
            case ..<0x20: throw unexpected()
            default: index += 1
            }
        }
        throw unexpected()
    }

    private mutating func escape() throws(FlowError) -> Unicode.Scalar {
        let start = index
        index += 1
        guard index < bytes.count else { throw unexpected() }
        let letter = bytes[index]
        index += 1
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(letter)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            let unit = try hexadecimal()
            if let scalar = Unicode.Scalar(unit) { return scalar }
            // The high half of a pair; the low half must follow.
            if unit < 0xdc00, takeRaw(UInt8(ascii: "\\")), takeRaw(UInt8(ascii: "u")) {
                let low = try hexadecimal()
                if 0xdc00...0xdfff ~= low,
                    let scalar = Unicode.Scalar(0x1_0000 + (unit - 0xd800) << 10 + (low - 0xdc00))
                {
                    return scalar
                }
            }
            fallthrough
        default:
            index = start
            throw unexpected()
        }
    }

    private mutating func hexadecimal() throws(FlowError) -> UInt32 {
        guard bytes.count - index >= 4 else { throw unexpected() }
        var value: UInt32 = 0
        for byte in bytes[index..<index + 4] {
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: throw unexpected()
            }
            value = value << 4 | UInt32(digit)
        }
        index += 4
        return value
    }

    /// What a text says, escapes resolved.
    func string(_ text: Text) throws(FlowError) -> String {
        guard text.hasEscapes else { return String(decoding: bytes[text.range], as: UTF8.self) }
        var scanner = self
        scanner.index = text.range.lowerBound
        var result = String.UnicodeScalarView()
        var plain = scanner.index
        func flush(_ end: Int) {
            result.append(contentsOf: String(decoding: bytes[plain..<end], as: UTF8.self).unicodeScalars)
        }
        while scanner.index < text.range.upperBound {
            if bytes[scanner.index] == UInt8(ascii: "\\") {
                flush(scanner.index)
                result.append(try scanner.escape())
                plain = scanner.index
            } else {
                scanner.index += 1
            }
        }
        flush(text.range.upperBound)
        return String(result)
    }
}
