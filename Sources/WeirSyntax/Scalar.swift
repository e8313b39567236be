/// A scalar as written, and what it means to kubectl, whose YAML is 1.1 with Go's numbers.
///
/// One difference on purpose: `y` and `n` are strings, as in most parsers. They are common names
/// (Cyclonus' namespaces are x, y and z), and where a boolean belongs they are still refused.
package struct Scalar: Hashable, Sendable {
    package enum Value: Hashable, Sendable {
        case null
        case boolean(Bool)
        case integer(Int)
        /// A number that is no 64-bit integer.
        case number
        case string
    }

    package let text: String
    /// Written without quotes and without a `!!str` tag: only then it can be other than a string.
    package let isPlain: Bool

    package init(_ text: String, isPlain: Bool) {
        self.text = text
        self.isPlain = isPlain
    }

    package var value: Value { isPlain ? Self.resolve(text) : .string }

    /// At most 60 characters on one line, for messages.
    package var excerpt: String {
        let line = text.prefix { !$0.isNewline }
        let cut = line.prefix(60)
        return cut.endIndex == text.endIndex ? String(cut) : cut + "…"
    }

    /// The first byte rules out almost everything, as most scalars of an inventory are plain strings.
    private static func resolve(_ text: String) -> Value {
        guard let first = text.utf8.first else { return .null }
        switch first {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"):
            return resolveNumber(text)
        case UInt8(ascii: "."):
            if [".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"].contains(text) { return .number }
            return isFloat(text.utf8) ? .number : .string
        case UInt8(ascii: "~"), UInt8(ascii: "n"), UInt8(ascii: "N"), UInt8(ascii: "t"), UInt8(ascii: "T"),
            UInt8(ascii: "f"), UInt8(ascii: "F"), UInt8(ascii: "y"), UInt8(ascii: "Y"), UInt8(ascii: "o"),
            UInt8(ascii: "O"):
            return text.utf8.count > 5 ? .string : words[text] ?? .string
        default: return .string
        }
    }

    private static let words: [String: Value] = {
        var words: [String: Value] = [:]
        for word in ["~", "null", "Null", "NULL"] { words[word] = .null }
        for word in ["true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"] {
            words[word] = .boolean(true)
        }
        for word in ["false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"] {
            words[word] = .boolean(false)
        }
        return words
    }()

    private static func resolveNumber(_ text: String) -> Value {
        let digits = text.utf8.contains(UInt8(ascii: "_")) ? text.filter { $0 != "_" } : text
        if let integer = parseGoInteger(digits) { return .integer(integer) }
        if ["+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF"].contains(text) { return .number }
        return isFloat(digits.utf8) ? .number : .string
    }

    /// Go's `ParseInt(text, 0, 64)` without underscores: `0x`, `0o`, `0b`, and a leading zero is octal.
    private static func parseGoInteger(_ text: String) -> Int? {
        var rest = text[...]
        var sign = ""
        if let first = rest.first, first == "-" || first == "+" {
            sign = String(first)
            rest = rest.dropFirst()
        }
        var radix = 10
        if rest.count > 1, rest.first == "0" {
            rest = rest.dropFirst()
            switch rest.first {
            case "x", "X": radix = 16
            case "o", "O": radix = 8
            case "b", "B": radix = 2
            default: radix = 0
            }
            if radix == 0 { radix = 8 } else { rest = rest.dropFirst() }
        }
        // Swift would take a second sign.
        guard let first = rest.utf8.first, first != UInt8(ascii: "-"), first != UInt8(ascii: "+") else { return nil }
        return Int(sign + rest, radix: radix)
    }

    /// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
    private static func isFloat(_ text: String.UTF8View) -> Bool {
        var rest = text[...]
        func isSign(_ byte: UInt8?) -> Bool { byte == UInt8(ascii: "-") || byte == UInt8(ascii: "+") }
        func takeDigits() -> Int {
            let digits = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            rest = rest.dropFirst(digits.count)
            return digits.count
        }
        if isSign(rest.first) { rest = rest.dropFirst() }
        let whole = takeDigits()
        var fraction = 0
        if rest.first == UInt8(ascii: ".") {
            rest = rest.dropFirst()
            fraction = takeDigits()
        }
        guard whole + fraction > 0 else { return false }
        if rest.first == UInt8(ascii: "e") || rest.first == UInt8(ascii: "E") {
            rest = rest.dropFirst()
            if isSign(rest.first) { rest = rest.dropFirst() }
            guard takeDigits() > 0 else { return false }
        }
        return rest.isEmpty
    }
}
