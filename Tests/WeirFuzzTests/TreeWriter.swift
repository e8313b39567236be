/// Writes trees as text: JSON, flow YAML, or block YAML with flow values here and there.
struct TreeWriter {
    enum Style: CaseIterable { case json, flow, block }

    var style: Style
    /// Share of block values that are written on one line, in tenths.
    var flowTenths = 0

    func write(_ documents: [Tree], random: inout some RandomNumberGenerator) -> String {
        switch style {
        case .json where documents.count != 1: return write([Self.list(of: documents)], random: &random)
        case .json, .flow: return documents.map { flow($0) + "\n" }.joined(separator: "---\n")
        case .block: return documents.map { block($0, indent: 0, &random) + "\n" }.joined(separator: "---\n")
        }
    }

    /// Several documents in one JSON value, as kubectl prints them.
    private static func list(of documents: [Tree]) -> Tree {
        .object(("apiVersion", .text("v1")), ("kind", .text("List")), ("items", .list(documents)))
    }

    private func flow(_ tree: Tree) -> String {
        switch tree {
        case .null: "null"
        case .bool(let value): value ? "true" : "false"
        case .number(let digits): digits
        case .text(let text): scalar(text)
        case .list(let items): "[" + items.map(flow).joined(separator: ", ") + "]"
        case .map(let members):
            "{" + members.map { "\(scalar($0.key)): \(flow($0.value))" }.joined(separator: ", ") + "}"
        case .anchored(let name, let value): style == .json ? flow(value) : "&\(name) \(flow(value))"
        case .alias(let name): style == .json ? "null" : "*\(name) "
        }
    }

    /// Without the line break at its end.
    private func block(_ tree: Tree, indent: Int, _ random: inout some RandomNumberGenerator) -> String {
        let margin = String(repeating: " ", count: indent)
        if indent > 0, Int.random(in: 0..<10, using: &random) < flowTenths { return flow(tree) }
        switch tree {
        case .list(let items) where !items.isEmpty:
            var text = ""
            for item in items { text += "\n\(margin)- \(block(item, indent: indent + 2, &random))" }
            return text
        case .map(let members) where !members.isEmpty:
            var text = ""
            for member in members {
                text += "\n\(margin)\(scalar(member.key)): \(block(member.value, indent: indent + 2, &random))"
            }
            return text
        case .anchored(let name, let value): return "&\(name) \(block(value, indent: indent, &random))"
        default: return flow(tree)
        }
    }

    /// Plain where that says the same in YAML, else in double quotes, whose escapes JSON and YAML share.
    private func scalar(_ text: String) -> String {
        let isPlain =
            style != .json && text.first?.isLetter == true && text.utf8.count < 40
            && text.utf8.allSatisfy {
                (0x61...0x7a).contains($0) || (0x41...0x5a).contains($0) || $0 == 0x2f || $0 == 0x2d
            }
            && !["null", "true", "false", "yes", "no", "on", "off"].contains(text.lowercased())
        if isPlain { return text }
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
