internal import WeirJSON
internal import WeirSyntax

/// A value to be written as YAML or JSON; keys keep their order.
indirect enum WrittenValue {
    case text(String)
    case number(Int)
    case boolean(Bool)
    case list([WrittenValue])
    case object([(key: String, value: WrittenValue)])

    /// In flow style on one line; YAML leaves out quotes where no reader of YAML 1.1 or 1.2 needs them.
    func append(to bytes: inout [UInt8], asYAML: Bool) {
        func open(_ bracket: Character) { bytes += String(bracket).utf8 }
        switch self {
        case .text(let text): Self.append(text, to: &bytes, asYAML: asYAML)
        case .number(let number): bytes += String(number).utf8
        case .boolean(let boolean): bytes += String(boolean).utf8
        case .list(let items):
            open("[")
            for (index, item) in items.enumerated() {
                if index > 0 { bytes += ", ".utf8 }
                item.append(to: &bytes, asYAML: asYAML)
            }
            open("]")
        case .object(let members):
            open("{")
            for (index, member) in members.enumerated() {
                if index > 0 { bytes += ", ".utf8 }
                Self.append(member.key, to: &bytes, asYAML: asYAML)
                bytes += ": ".utf8
                member.value.append(to: &bytes, asYAML: asYAML)
            }
            open("}")
        }
    }

    private static func append(_ text: String, to bytes: inout [UInt8], asYAML: Bool) {
        bytes += (asYAML && isPlain(text) ? text : text.quoted).utf8
    }

    /// A word that is nothing but text to any reader; of what begins with a digit, dotted quads and prefixes.
    static func isPlain(_ text: String) -> Bool {
        guard let first = text.utf8.first, Scalar(text, isPlain: true).value == .string else { return false }
        let isDigit = (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first)
        if isDigit, text.utf8.count(where: { $0 == UInt8(ascii: ".") }) < 3 { return false }
        if ["y", "n", "Y", "N"].contains(text) { return false }
        return isDigit && text.utf8.allSatisfy(isQuadByte)
            || !isDigit && first != UInt8(ascii: "-")
                && first != UInt8(ascii: ".") && first != UInt8(ascii: "/") && text.utf8.allSatisfy(isWordByte)
    }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "/"):
            true
        default: false
        }
    }

    private static func isQuadByte(_ byte: UInt8) -> Bool {
        isWordByte(byte) && byte <= UInt8(ascii: "9") && byte != UInt8(ascii: "-")
    }
}
