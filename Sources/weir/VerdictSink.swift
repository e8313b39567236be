import WeirDiagnostics
import WeirFlow

/// Prints answers as they come, so that a flow list of any length streams.
struct VerdictSink: ~Copyable {
    private let format: VerdictCommand.Format
    private var output: OutputFile
    private let width: Int?
    private var buffer: [UInt8] = []
    private var rows: [[String]] = []
    private(set) var failures = 0

    /// Output is written in pieces of this many bytes.
    private static let chunk = 1 << 16

    init(format: VerdictCommand.Format, file: OutputFileOptions) throws(Refusal) {
        self.format = format
        width = file.tableWidth
        output = try OutputFile(path: file.path)
        buffer.reserveCapacity(Self.chunk + 4096)
    }

    /// `object` is what was read from `line`.
    mutating func answer(_ line: [UInt8], _ object: FlowObject, _ flow: Flow, _ answer: FlowAnswer) throws(Refusal) {
        switch format {
        case .jsonl:
            open(line, object)
            add("\"egress\":\"")
            add(answer.egress.kind.rawValue)
            add("\",\"ingress\":\"")
            add(answer.ingress.kind.rawValue)
            add("\",\"verdict\":\"")
            add(answer.verdict)
            add("\",\"rules\":{\"egress\":")
            add(list: answer.egress.rules)
            add(",\"ingress\":")
            add(list: answer.ingress.rules)
            add("}")
            addAudit(answer)
            try close()
        case .table:
            rows.append([
                Self.name(flow.from), Self.name(flow.to), "\(flow.protocol)/\(flow.port)",
                Self.cell(answer.egress), Self.cell(answer.ingress), answer.verdict,
            ])
        }
    }

    /// A line that cannot be judged. `line` is nil where it was too long to keep, `object` where it is none.
    mutating func fail(_ place: FlowPlace, _ line: [UInt8]?, _ object: FlowObject?, _ error: FlowError) throws(Refusal)
    {
        failures += 1
        Terminal.complain("\(place.prefix(column: error.column))error: \(error) [\(DiagnosticID.invalidFlow.rawValue)]")
        switch format {
        case .jsonl:
            if let line, let object, object.canTakeError {
                open(line, object)
            } else if let line {
                add("{\"input\":")
                add(quoted: String(decoding: line, as: UTF8.self))
                add(",")
            } else {
                add("{")
            }
            add("\"error\":")
            add(quoted: error.description)
            try close()
        case .table: rows.append([place.number.map { "line \($0)" } ?? "-", "-", "-", "-", "-", "error: \(error)"])
        }
    }

    mutating func finish() throws(Refusal) {
        if format == .table { add(table(["FROM", "TO", "PORT", "EGRESS", "INGRESS", "VERDICT"], rows, width: width)) }
        try flush()
        try output.commit()
    }

    /// The user's own object up to its closing brace: nothing of the input is rewritten.
    private mutating func open(_ line: [UInt8], _ object: FlowObject) {
        buffer += line[..<object.closingBrace]
        if !object.isEmpty { add(",") }
    }

    private mutating func close() throws(Refusal) {
        add("}\n")
        if buffer.count >= Self.chunk { try flush() }
    }

    private mutating func flush() throws(Refusal) {
        try output.write(buffer)
        buffer.removeAll(keepingCapacity: true)
    }

    private mutating func add(_ text: String) { buffer += text.utf8 }

    private mutating func add(list rules: [String]) {
        add("[")
        for (index, rule) in rules.enumerated() {
            if index > 0 { add(",") }
            add(quoted: rule)
        }
        add("]")
    }

    /// What audit mode lets pass, of the sides where it does.
    private mutating func addAudit(_ answer: FlowAnswer) {
        let refusals = [("egress", answer.egress.wouldBe), ("ingress", answer.ingress.wouldBe)]
            .compactMap { side, refusal in refusal.map { (side, $0) } }
        guard !refusals.isEmpty else { return }
        add(",\"audit\":{")
        for (index, (side, refusal)) in refusals.enumerated() {
            add("\(index > 0 ? "," : "")\"\(side)\":\"\(refusal.kind.rawValue)\"")
        }
        add("},\"auditRules\":{")
        for (index, (side, refusal)) in refusals.enumerated() {
            add("\(index > 0 ? "," : "")\"\(side)\":")
            add(list: refusal.rules)
        }
        add("}")
    }

    private mutating func add(quoted text: String) {
        add("\"")
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): buffer += [UInt8(ascii: "\\"), byte]
            case ..<0x20: add("\\u00" + [byte].hexadecimal)
            default: buffer.append(byte)
            }
        }
        add("\"")
    }

    private static func cell(_ side: SideVerdict) -> String {
        func cell(_ kind: String, _ rules: [String]) -> String {
            rules.isEmpty ? kind : "\(kind) (\(rules.joined(separator: ", ")))"
        }
        let audit = side.wouldBe.map { ", audit: \(cell($0.kind.rawValue, $0.rules))" } ?? ""
        return cell(side.kind.rawValue, side.rules) + audit
    }

    private static func name(_ peer: Flow.Peer) -> String {
        switch peer {
        case .endpoint(let name): name
        case .address(let address): "ip:\(address)"
        case .host(let address): address.map { "host:\($0)" } ?? "host"
        case .remoteNode(let address): "remote-node:\(address)"
        }
    }
}

/// Where a flow was written: a line of a list, or the options.
struct FlowPlace {
    var path: String?
    /// From 1; nil for the flow of the options.
    var number: Int?

    func prefix(column: Int) -> String {
        guard let path, let number else { return "weir: " }
        return "\(path):\(number):\(column): "
    }
}
