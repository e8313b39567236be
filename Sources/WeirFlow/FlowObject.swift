internal import WeirJSON
internal import WeirModel

/// The ends that a list has named so far: lists name few ends in many lines, and parsing one costs more than
/// the rest of its line. Memory is bounded.
struct FlowPeers: Sendable {
    private static let limit = 1 << 16
    private var known: [String: Flow.Peer] = [:]

    mutating func peer(_ text: String) throws(FlowError) -> Flow.Peer {
        if let peer = known[text] { return peer }
        let peer = try Flow.Peer(text)
        if known.count == Self.limit { known.removeAll(keepingCapacity: true) }
        known[text] = peer
        return peer
    }
}

/// One line of a flow list: a JSON object of which the flow's fields are read, and which comes back in the
/// answer as it was written.
package struct FlowObject: Sendable {
    /// What a flow has, and what an answer adds.
    enum Field: String, CaseIterable {
        case from, to, `protocol`, port, family
        case egress, ingress, verdict, rules, audit, auditRules, error

        static let ofAnswer: [Field] = [.egress, .ingress, .verdict, .rules, .audit, .auditRules, .error]

        init?(name: String) { self.init(rawValue: name) }
    }

    enum Value: Hashable, Sendable {
        case string(String)
        /// As written.
        case number(Substring)
        case other
    }

    /// Index of the brace that ends the object: what an answer adds goes before it.
    package let closingBrace: Int
    /// Whether the object has no members at all.
    package let isEmpty: Bool
    private let values: [(field: Field, value: Value)]

    /// Reads a whole line; white space around the object is allowed, anything else is not.
    package init(line: [UInt8]) throws(FlowError) {
        if line.contains(where: { $0 >= 0x80 }), String(validating: line, as: UTF8.self) == nil {
            throw FlowError("not UTF-8")
        }
        do throws(JSONError) {
            (values, isEmpty, closingBrace) = try Self.read(line)
        } catch {
            throw FlowError(error.isTooDeep ? error.reason : "not a JSON object", column: error.offset + 1)
        }
    }

    private static func read(
        _ line: [UInt8]
    ) throws(JSONError) -> (values: [(field: Field, value: Value)], isEmpty: Bool, closingBrace: Int) {
        var scanner = JSONScanner(line)
        var values: [(field: Field, value: Value)] = []
        values.reserveCapacity(Field.allCases.count)
        let end = try scanner.object { scanner, name throws(JSONError) in
            guard let field = Field(name: try scanner.string(name)) else { return try scanner.skipValue() }
            switch scanner.peek() {
            case UInt8(ascii: "\""): values.append((field, .string(try scanner.string(try scanner.text()))))
            case let byte? where byte == UInt8(ascii: "-") || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte:
                values.append((field, .number(try scanner.number())))
            default:
                try scanner.skipValue()
                values.append((field, .other))
            }
        }
        guard scanner.peek() == nil else { throw scanner.unexpected() }
        return (values, end.isEmpty, end.closingBrace)
    }

    private subscript(field: Field) -> Value? { values.first { $0.field == field }?.value }

    /// Whether an `error` can be added without repeating the field.
    package var canTakeError: Bool { self[.error] == nil }

    /// As `flow(_:)`, for one line alone.
    package func flow() throws(FlowError) -> Flow {
        var peers = FlowPeers()
        return try flow(&peers)
    }

    /// The flow that the fields name. Fields that are not a flow's are ignored.
    func flow(_ peers: inout FlowPeers) throws(FlowError) -> Flow {
        for (index, entry) in values.enumerated() {
            let name = entry.field.rawValue
            // A line that has an answer's fields already is an answer, not a question.
            if Field.ofAnswer.contains(entry.field) { throw FlowError("field '\(name)' belongs to the answer") }
            if values[..<index].contains(where: { $0.field == entry.field }) {
                throw FlowError("field '\(name)' is there twice")
            }
        }
        let from = try peers.peer(try text(.from))
        let to = try peers.peer(try text(.to))
        let proto = try self.protocol()
        let port = try self.port(for: proto)
        return Flow(from: from, to: to, protocol: proto, port: port, family: try family())
    }

    private func text(_ field: Field) throws(FlowError) -> String {
        switch self[field] {
        case .string(let text): return text
        case nil: throw FlowError("field '\(field.rawValue)' is missing")
        default: throw FlowError("field '\(field.rawValue)' must be a string")
        }
    }

    private func family() throws(FlowError) -> AddressFamily? {
        guard self[.family] != nil else { return nil }
        let name = try text(.family)
        switch name {
        case "IPv4": return .ipv4
        case "IPv6": return .ipv6
        default:
            let lowercase = name.lowercased()
            guard let known = AddressFamily.allCases.first(where: { $0.rawValue.lowercased() == lowercase }) else {
                throw FlowError("family '\(name)' is neither IPv4 nor IPv6")
            }
            return known
        }
    }

    /// A name in any case, or a number.
    private func `protocol`() throws(FlowError) -> IPProtocol {
        switch self[.protocol] {
        case .string(let name):
            switch name {
            case "TCP": return .tcp
            case "UDP": return .udp
            default:
                let number = Self.integer(name[...]).flatMap { UInt8(exactly: $0) }.map(IPProtocol.init(rawValue:))
                guard let known = IPProtocol(name: name) ?? number else {
                    throw FlowError("unknown protocol '\(name)'")
                }
                return known
            }
        case .number(let text):
            if let number = Self.integer(text).flatMap({ UInt8(exactly: $0) }) { return IPProtocol(rawValue: number) }
        case nil: throw FlowError("field 'protocol' is missing")
        case .other: break
        }
        throw FlowError("field 'protocol' must be a name such as TCP, or a number up to 255")
    }

    /// A number, or a string of one as policies have it.
    private func port(for proto: IPProtocol) throws(FlowError) -> UInt16 {
        let limit: UInt16 = proto == .icmp || proto == .icmpv6 ? 255 : .max
        let number: Int?
        switch self[.port] {
        case .number(let text): number = Self.integer(text)
        case .string(let text): number = Self.integer(text[...])
        case .other: number = nil
        case nil:
            if proto.hasPorts || limit == 255 { throw FlowError("field 'port' is missing") }
            number = 0
        }
        guard let number, (0...Int(limit)).contains(number) else {
            throw FlowError("field 'port' must be a number from 0 to \(limit)")
        }
        return UInt16(number)
    }

    /// 443, and also 443.0 and 4.43e2, which JSON holds to be the same number.
    private static func integer(_ text: Substring) -> Int? {
        guard let first = text.utf8.first, first == UInt8(ascii: "-") || UInt8(ascii: "0")...UInt8(ascii: "9") ~= first
        else { return nil }
        return Int(text) ?? Double(text).flatMap { Int(exactly: $0) }
    }
}
