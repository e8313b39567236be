/// A text is not JSON.
package struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
    package var reason: String
    /// Bytes before the place.
    package var offset: Int
    /// Arrays and objects are within each other beyond what is read.
    package var isTooDeep = false

    package var description: String { "\(reason) at byte \(offset + 1)" }
}

/// Reads JSON (RFC 8259) from front to back without building a tree. Every byte is checked.
///
/// A flow list has thousands of small objects of which five fields matter; a general decoder spends ten times
/// as long on each line as judging it takes.
package struct JSONScanner {
    /// Arrays and objects within each other; beyond this the text is refused, so that the stack is bounded.
    package static let maximumDepth = 128

    package struct Text {
        /// Between the quotation marks.
        var range: Range<Int>
        var hasEscapes: Bool

        /// Of the first quotation mark.
        var start: Int { range.lowerBound - 1 }
    }

    private let bytes: [UInt8]
    private var index = 0

    /// - Parameter bytes: valid UTF-8.
    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The next byte, after white space; nil at the end.
    package mutating func peek() -> UInt8? {
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

    mutating func expect(_ byte: UInt8) throws(JSONError) {
        guard take(byte) else { throw unexpected() }
    }

    package func unexpected() -> JSONError {
        JSONError(reason: index < bytes.count ? "unexpected character" : "unexpected end", offset: index)
    }

    /// The members of an object; `member` is called after each colon and reads the value.
    package mutating func object(
        _ member: (inout JSONScanner, Text) throws(JSONError) -> Void
    ) throws(JSONError) -> (isEmpty: Bool, closingBrace: Int) {
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

    /// The elements of an array; `element` reads each.
    mutating func array(_ element: (inout JSONScanner) throws(JSONError) -> Void) throws(JSONError) {
        try expect(UInt8(ascii: "["))
        if take(UInt8(ascii: "]")) { return }
        repeat { try element(&self) } while take(UInt8(ascii: ","))
        try expect(UInt8(ascii: "]"))
    }

    func requireDepth(_ depth: Int) throws(JSONError) {
        guard depth <= Self.maximumDepth else {
            throw JSONError(
                reason: "nested deeper than \(Self.maximumDepth) levels", offset: index, isTooDeep: true)
        }
    }

    package mutating func skipValue(depth: Int = 1) throws(JSONError) {
        try requireDepth(depth)
        switch peek() {
        case UInt8(ascii: "\""): _ = try text()
        case UInt8(ascii: "{"):
            _ = try object { scanner, _ throws(JSONError) in try scanner.skipValue(depth: depth + 1) }
        case UInt8(ascii: "["): try array { scanner throws(JSONError) in try scanner.skipValue(depth: depth + 1) }
        case UInt8(ascii: "t"): try word("true")
        case UInt8(ascii: "f"): try word("false")
        case UInt8(ascii: "n"): try word("null")
        default: _ = try number()
        }
    }

    mutating func word(_ word: String) throws(JSONError) {
        guard bytes[index...].starts(with: word.utf8) else { throw unexpected() }
        index += word.utf8.count
    }

    /// Its text; no leading zeros, no plus sign.
    package mutating func number() throws(JSONError) -> Substring {
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

    private mutating func digits() throws(JSONError) {
        let start = index
        while index < bytes.count, UInt8(ascii: "0")...UInt8(ascii: "9") ~= bytes[index] { index += 1 }
        guard index > start else { throw unexpected() }
    }

    package mutating func text() throws(JSONError) -> Text {
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

    private mutating func escape() throws(JSONError) -> Unicode.Scalar {
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
        default: break
        }
        throw JSONError(reason: "no such escape sequence", offset: start)
    }

    private mutating func hexadecimal() throws(JSONError) -> UInt32 {
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
    package func string(_ text: Text) throws(JSONError) -> String {
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
