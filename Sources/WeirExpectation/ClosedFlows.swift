internal import WeirFlow
internal import WeirModel

/// What is allowed between ends beyond the flows that are listed.
struct ClosedFlows {
    /// Those with anything to say here, in the order of the file.
    private let listed: [FlowExpectation]
    private let sources: [Set<String>]
    private let destinations: [Set<String>]
    private let judge: PairJudge

    init(_ listed: [FlowExpectation], _ judge: PairJudge) {
        self.listed = listed
        sources = listed.map { Set($0.from.names) }
        destinations = listed.map { Set($0.to.names) }
        self.judge = judge
    }

    /// The flows that begin at an end, then, from `listed.count` on, those that go there: what tells ends of one class apart.
    func membership(_ peer: Flow.Peer) -> [Int] {
        let name = peer.name
        return listed.indices.filter { sources[$0].contains(name) }
            + listed.indices.filter { destinations[$0].contains(name) }.map { $0 + listed.count }
    }

    /// Every range that is allowed and not listed.
    func holes(_ meeting: EndPairs.Meeting, _ touched: inout Set<Int>) -> [(piece: Piece, problem: String)] {
        let from = Set(meeting.marks.first ?? [])
        let to = Set(meeting.marks.last ?? [])
        let flows = listed.indices.filter { from.contains($0) && to.contains($0 + listed.count) }.map { listed[$0] }
            .filter { $0.family == nil || $0.family == meeting.family }
        let mentioned = Set(
            flows.flatMap(\.ports).compactMap { choice -> IPProtocol? in
                guard case .range(let proto, _) = choice else { return nil }
                return proto
            })
        let pieces = Piece.everything(
            egress: judge.side(meeting.sides.egress), ingress: judge.side(meeting.sides.ingress),
            family: meeting.family, mentioned: mentioned)
        touched.formUnion(pieces.flatMap { [$0.egress, $0.ingress] }.compactMap { $0?.rules })
        return pieces.filter(\.isAllowed).flatMap { piece in
            uncovered(piece.ports, by: flows.flatMap { $0.ports(of: piece) }).map { ports in
                var hole = piece
                hole.ports = ports
                return (hole, "is allowed, and no flow of its document says so")
            }
        }
    }

    private func uncovered(
        _ ports: ClosedRange<UInt16>, by covers: [ClosedRange<UInt16>]
    ) -> [ClosedRange<UInt16>] {
        var left: [ClosedRange<UInt16>] = []
        var next = Int(ports.lowerBound)
        for cover in covers.sorted(by: { $0.lowerBound < $1.lowerBound }) where Int(cover.upperBound) >= next {
            guard cover.lowerBound <= ports.upperBound else { break }
            if Int(cover.lowerBound) > next { left.append(UInt16(next)...cover.lowerBound - 1) }
            next = Int(cover.upperBound) + 1
        }
        if next <= Int(ports.upperBound) { left.append(UInt16(next)...ports.upperBound) }
        return left
    }
}

extension Ends {
    var names: [String] { peers.map(\.name) + endpoints }
}
