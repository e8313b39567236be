import Foundation
import WeirFlow

/// Prints answers as they come, so that a flow list of any length streams.
struct VerdictSink {
    private let format: VerdictCommand.Format
    private let file: OutputFileOptions
    private var buffer = Data()
    private var rows: [[String]] = []
    private(set) var failures = 0

    /// Standard output is written in pieces of this many bytes.
    private static let chunk = 1 << 16

    init(format: VerdictCommand.Format, file: OutputFileOptions) {
        self.format = format
        self.file = file
    }

    mutating func answer(_ line: String, _ flow: Flow, _ answer: FlowAnswer) throws {
        switch format {
        case .jsonl: try append(Self.merge(line, Self.fields(answer)))
        case .table:
            rows.append([
                Self.name(flow.from), Self.name(flow.to), "\(flow.protocol)/\(flow.port)",
                Self.cell(answer.egress), Self.cell(answer.ingress), answer.verdict,
            ])
        }
    }

    mutating func fail(_ line: String, number: Int, path: String?, _ message: String) throws {
        failures += 1
        let place = path.map { "\($0 == "-" ? "<stdin>" : $0):\(number):1: " } ?? ""
        Terminal.complain("\(place)error: \(message) [invalid-flow]")
        switch format {
        case .jsonl:
            let isObject = (try? JSONSerialization.jsonObject(with: Data(line.utf8))) is [String: Any]
            try append(
                isObject
                    ? Self.merge(line, "\"error\":\(Self.quote(message))")
                    : "{\"input\":\(Self.quote(line)),\"error\":\(Self.quote(message))}")
        case .table: rows.append(["?", "?", "?", "?", "?", "error: \(message)"])
        }
    }

    mutating func finish() throws {
        if format == .table {
            buffer = Data(table(["FROM", "TO", "PORT", "EGRESS", "INGRESS", "VERDICT"], rows).utf8)
        }
        try file.write(buffer)
        buffer.removeAll()
    }

    private mutating func append(_ line: String) throws {
        buffer.append(contentsOf: line.utf8)
        buffer.append(UInt8(ascii: "\n"))
        // A file appears complete or not at all, so only standard output is written as it comes.
        if file.path == nil, buffer.count >= Self.chunk {
            try file.write(buffer)
            buffer.removeAll(keepingCapacity: true)
        }
    }

    /// The user's own object with fields added before its closing brace: nothing of the input is rewritten.
    private static func merge(_ line: String, _ fields: String) -> String {
        var object = Substring(line)
        while object.last != "}", !object.isEmpty { object.removeLast() }
        object.removeLast()
        while object.last?.isWhitespace == true { object.removeLast() }
        let isEmpty = object.drop(while: \.isWhitespace) == "{"
        return object + (isEmpty ? "" : ",") + fields + "}"
    }

    private static func fields(_ answer: FlowAnswer) -> String {
        "\"egress\":\"\(answer.egress.kind.rawValue)\",\"ingress\":\"\(answer.ingress.kind.rawValue)\","
            + "\"verdict\":\"\(answer.verdict)\",\"rules\":{\"egress\":\(list(answer.egress.rules)),"
            + "\"ingress\":\(list(answer.ingress.rules))}"
    }

    private static func list(_ rules: [String]) -> String { "[\(rules.map(quote).joined(separator: ","))]" }

    private static func quote(_ text: String) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        guard let data = try? encoder.encode(text) else { return "\"\"" }
        return String(decoding: data, as: UTF8.self)
    }

    private static func cell(_ side: SideVerdict) -> String {
        side.rules.isEmpty ? side.kind.rawValue : "\(side.kind.rawValue) (\(side.rules.joined(separator: ", ")))"
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
