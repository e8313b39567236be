import WeirModel

/// One line of an expectation: `deny x/*, y/a -> x/b TCP/80 UDP IPv6`. Later lines overrule earlier ones.
struct ExpectationLine: Sendable {
    var isAllowed: Bool
    var from: [String]
    var to: [String]
    /// None: every protocol and port.
    var ports: [(protocol: IPProtocol, port: UInt16?)] = []
    /// nil: both.
    var family: AddressFamily?
    /// `path:line`.
    var place: String

    init(_ text: Substring, place: String) throws {
        self.place = place
        let sides = text.split(separator: "->", omittingEmptySubsequences: false)
        guard sides.count == 2 else { throw Situation.Malformed("\(place): expected FROM -> TO") }
        var left = Self.words(sides[0])
        var right = Self.words(sides[1])
        switch left.isEmpty ? "" : left.removeFirst() {
        case "allow": isAllowed = true
        case "deny": isAllowed = false
        default: throw Situation.Malformed("\(place): a line begins with allow or deny")
        }
        while let word = right.last, let port = Self.port(word) {
            ports.append(port)
            right.removeLast()
        }
        if let word = right.last, let named = AddressFamily.allCases.first(where: { $0.rawValue == word }) {
            family = named
            right.removeLast()
        }
        (from, to) = (left, right)
        guard !from.isEmpty, !to.isEmpty else { throw Situation.Malformed("\(place): an end is missing") }
    }

    private static func words(_ text: Substring) -> [String] {
        text.split { $0 == " " || $0 == "," }.map(String.init)
    }

    /// `TCP/80` or `TCP`; nil for what is no port.
    private static func port(_ word: String) -> (protocol: IPProtocol, port: UInt16?)? {
        let parts = word.split(separator: "/")
        guard let name = parts.first, let proto = IPProtocol.withPorts.first(where: { $0.description == name }) else {
            return nil
        }
        if parts.count == 1 { return (proto, nil) }
        guard parts.count == 2, let port = UInt16(parts[1]) else { return nil }
        return (proto, port)
    }

    func matches(_ probe: SituationRun.Probe) -> Bool {
        from.contains { probe.from.answers(to: $0) } && to.contains { probe.to.answers(to: $0) }
            && (family == nil || family == probe.family)
            && (ports.isEmpty
                || ports.contains { $0.protocol == probe.protocol && ($0.port == nil || $0.port == probe.port) })
    }
}
