import Foundation

/// What `bpf/abi/weir_abi.h` says, comments included: that file's own style of C and no other.
struct ABIHeader {
    struct Field {
        var name: String
        /// `u32`, or `u8[16]`.
        var type: String
        var offset: Int
        var size: Int
        /// Of one element.
        var unit: Int
        var comment: String

        /// Byte arrays are addresses, digests and padding; a name that ends in `_be` is in network order.
        var byteOrder: String {
            if name.hasSuffix("_be") { return "network" }
            if type.hasPrefix("u8") { return type == "u8" ? "" : "bytes" }
            return "host"
        }
    }

    struct Structure {
        var name: String
        var comment: String
        var fields: [Field]
        var size: Int
    }

    struct Constant {
        var name: String
        var value: Int
        var comment: String
    }

    struct Enumeration {
        /// nil where it has none.
        var name: String?
        var comment: String
        var constants: [Constant]
    }

    private(set) var structures: [Structure] = []
    private(set) var enumerations: [Enumeration] = []
    /// `WEIR_ASSERT_SIZE` and `WEIR_ASSERT_AT`, as `structure` and `structure.field`.
    private(set) var asserted: [String: Int] = [:]
    private var values: [String: Int] = [:]

    init(_ text: String) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        var comment = ""
        var index = 0
        while index < lines.count {
            let line = lines[index]
            index += 1
            if line.hasPrefix("/*") {
                var block = [line]
                while !block[block.count - 1].contains("*/"), index < lines.count {
                    block.append(lines[index])
                    index += 1
                }
                comment = Self.words(of: block.joined(separator: "\n"))
                continue
            }
            if line.hasPrefix("struct ") || line.hasPrefix("enum ") {
                var body = [line]
                while !body[body.count - 1].contains("};"), index < lines.count {
                    body.append(lines[index])
                    index += 1
                }
                // A comment is about all that follows it without a gap, but constants need no second copy.
                if line.hasPrefix("struct ") {
                    addStructure(body, comment)
                } else {
                    let isNew = structures.last?.comment != comment && enumerations.last?.comment != comment
                    addEnumeration(body, isNew ? comment : "")
                }
            } else if line.hasPrefix("WEIR_ASSERT_") {
                addAssertion(line)
            } else if line.isEmpty {
                comment = ""
            }
        }
    }

    private mutating func addStructure(_ body: [String], _ comment: String) {
        let name = String(body[0].split(separator: " ")[1])
        var fields: [Field] = []
        var end = 0
        var alignment = 1
        for line in body.dropFirst().dropLast() {
            let (code, words) = Self.split(line)
            let parts = code.split(whereSeparator: { " ;".contains($0) }).map(String.init)
            let type = String(parts[0].dropFirst("weir_".count))
            let declared = parts[1].split(separator: "[").map { String($0.prefix { $0 != "]" }) }
            let unit = (Int(type.dropFirst()) ?? 0) / 8
            let count = declared.count > 1 ? value(of: declared[1]) : 1
            let offset = (end + unit - 1) / unit * unit
            fields.append(
                Field(
                    name: declared[0], type: declared.count > 1 ? "\(type)[\(count)]" : type, offset: offset,
                    size: unit * count, unit: unit, comment: words))
            end = offset + unit * count
            alignment = max(alignment, unit)
        }
        let size = (end + alignment - 1) / alignment * alignment
        structures.append(Structure(name: name, comment: comment, fields: fields, size: size))
    }

    private mutating func addEnumeration(_ body: [String], _ comment: String) {
        let head = body[0].prefix { $0 != "{" }.split(separator: " ")
        var constants: [Constant] = []
        let text = body.joined(separator: "\n").drop { $0 != "{" }.dropFirst().prefix { $0 != "}" }
        for line in text.split(separator: "\n") {
            let (code, words) = Self.split(String(line))
            let definitions = code.split(separator: ",").map { $0.split(separator: "=").map(Self.trimmed) }
            for definition in definitions where definition.count == 2 {
                let value = value(of: definition[1])
                values[definition[0]] = value
                constants.append(Constant(name: definition[0], value: value, comment: words))
            }
        }
        enumerations.append(
            Enumeration(name: head.count > 1 ? String(head[1]) : nil, comment: comment, constants: constants))
    }

    /// `WEIR_ASSERT_SIZE(struct weir_control, 24);` and `WEIR_ASSERT_AT(struct weir_control, confirm, 8);`
    private mutating func addAssertion(_ line: String) {
        let parts = line.split { "(), ;".contains($0) }.map(String.init)
        guard let value = parts.last.flatMap({ Int($0) }) else { return }
        asserted[parts[0] == "WEIR_ASSERT_SIZE" ? parts[2] : "\(parts[2]).\(parts[3])"] = value
    }

    /// Constant expressions, their operators from the weakest on.
    private func value(of expression: String) -> Int {
        for (sign, combine) in [
            ("|", { $0 | $1 }), ("+", { $0 + $1 }), ("<<", { $0 << $1 }), ("*", { $0 * $1 }),
        ] as [(String, (Int, Int) -> Int)] {
            let parts = expression.components(separatedBy: " \(sign) ")
            if parts.count > 1 { return parts.dropFirst().reduce(value(of: parts[0])) { combine($0, value(of: $1)) } }
        }
        let text = Self.trimmed(expression)
        if text.hasPrefix("0x") { return Int(text.dropFirst(2), radix: 16) ?? 0 }
        return Int(text) ?? values[text] ?? 0
    }

    /// A line's code, and the comment behind it.
    private static func split(_ line: String) -> (code: String, words: String) {
        let parts = line.components(separatedBy: "/*")
        return (trimmed(parts[0]), parts.count > 1 ? words(of: "/*" + parts[1]) : "")
    }

    private static func words(of comment: String) -> String {
        comment.split(separator: "\n").map { line in
            trimmed(trimmed(line).replacing("/*", with: "").replacing("*/", with: "").drop { $0 == "*" })
        }.filter { !$0.isEmpty }.joined(separator: " ")
    }

    private static func trimmed(_ text: some StringProtocol) -> String {
        let space: Set<Character> = [" ", "\t"]
        return String(text.drop { space.contains($0) }.reversed().drop { space.contains($0) }.reversed())
    }
}
