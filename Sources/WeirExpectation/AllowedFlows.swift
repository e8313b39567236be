internal import WeirModel

/// Flows with the same ports between sets of marks.
struct AllowedFlows: Hashable {
    var from: Set<Int>
    var to: Set<Int>
    var ports: [String]
    /// nil: both.
    var family: AddressFamily?

    private struct Pair: Hashable {
        var from: Int
        var to: Int
    }

    /// What may be said in one sentence.
    private struct Sentence: Hashable {
        var from: Set<Int> = []
        var ports: [String]
        var family: AddressFamily?
    }

    /// Everything that is allowed, in few flows.
    ///
    /// - Parameter shortest: sources that mean the same for a destination, in fewer words.
    static func merged(
        _ meetings: [EndPairs.Meeting], _ judge: PairJudge, shortest: (Set<Int>, Int) -> Set<Int>
    ) -> [AllowedFlows] {
        var ports: [Pair: [AddressFamily: [String]]] = [:]
        for meeting in meetings {
            guard let from = meeting.marks.first?.first, let to = meeting.marks.last?.first else { continue }
            let pieces = Piece.everything(
                egress: judge.side(meeting.sides.egress), ingress: judge.side(meeting.sides.ingress),
                family: meeting.family)
            ports[Pair(from: from, to: to), default: [:]][meeting.family] = texts(pieces)
        }
        var sources: [Int: [Sentence: Set<Int>]] = [:]
        for (pair, families) in ports {
            for sentence in sentences(families) {
                sources[pair.to, default: [:]][sentence, default: []].insert(pair.from)
            }
        }
        var flows: [Sentence: Set<Int>] = [:]
        for (destination, sentences) in sources {
            for (sentence, from) in sentences {
                var whole = sentence
                whole.from = shortest(from, destination)
                flows[whole, default: []].insert(destination)
            }
        }
        return flows.map { AllowedFlows(from: $0.from, to: $1, ports: $0.ports, family: $0.family) }.sorted()
    }

    /// What the families say; once where they say the same, whatever only one of them can have.
    private static func sentences(_ families: [AddressFamily: [String]]) -> [Sentence] {
        let ipv4 = families[.ipv4] ?? []
        let ipv6 = families[.ipv6] ?? []
        func common(_ ports: [String], without name: String) -> [String] {
            ports.filter { $0 != name && !$0.hasSuffix("/\(name)") }
        }
        let isSame = common(ipv4, without: "icmp") == common(ipv6, without: "icmpv6")
        if families.count == 1 || isSame {
            let ports = ipv4 + ipv6.filter { !ipv4.contains($0) }
            return ports.isEmpty ? [] : [Sentence(ports: ports)]
        }
        return AddressFamily.allCases.compactMap { family in
            guard let ports = families[family], !ports.isEmpty else { return nil }
            return Sentence(ports: ports, family: family)
        }
    }

    /// The ports of what is allowed, as a file has them.
    private static func texts(_ pieces: [Piece]) -> [String] {
        if pieces.allSatisfy(\.isAllowed) { return ["any"] }
        var ranges: [(proto: IPProtocol, ports: ClosedRange<UInt16>)] = []
        for piece in pieces {
            guard let proto = piece.proto, piece.isAllowed else { continue }
            if let last = ranges.last, last.proto == proto,
                Int(last.ports.upperBound) + 1 == Int(piece.ports.lowerBound)
            {
                ranges[ranges.count - 1].ports = last.ports.lowerBound...piece.ports.upperBound
            } else {
                ranges.append((proto, piece.ports))
            }
        }
        func isUncommon(_ proto: IPProtocol) -> Bool { !IPProtocol.common.contains(proto) }
        guard pieces.contains(where: { $0.proto == nil && $0.isAllowed }) else {
            return ranges.map { portText($0.proto, $0.ports) }
        }
        let refused = Set(pieces.filter { !$0.isAllowed }.compactMap(\.proto).filter(isUncommon))
        let others =
            refused.isEmpty
            ? ["other"]
            : (0...UInt8.max).map(IPProtocol.init).filter { isUncommon($0) && !refused.contains($0) }
                .map { portText($0, $0.portDomain) }
        return ranges.filter { !isUncommon($0.proto) }.map { portText($0.proto, $0.ports) } + others
    }
}

extension AllowedFlows: Comparable {
    /// By destination, then by source.
    static func < (left: Self, right: Self) -> Bool {
        let leftEnds = left.to.sorted() + [-1] + left.from.sorted()
        let rightEnds = right.to.sorted() + [-1] + right.from.sorted()
        if leftEnds != rightEnds { return leftEnds.lexicographicallyPrecedes(rightEnds) }
        return (left.ports.joined(), left.family?.rawValue ?? "") < (right.ports.joined(), right.family?.rawValue ?? "")
    }
}
