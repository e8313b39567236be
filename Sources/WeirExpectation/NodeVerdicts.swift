internal import WeirABI
internal import WeirEmulator
internal import WeirFlow
internal import WeirImage
internal import WeirModel

/// The emulator of one node, asked about all ports at once: at the ends of every range that the image's tables have.
///
/// A class because it keeps what it was asked.
final class NodeVerdicts {
    private let judge: EmulatorJudge
    private let register: VerdictRegister
    private let subjects: [String: Subject]
    /// The words of `peers`, by row and group.
    private let words: [UInt32]
    /// For each table the protocols that it knows, and where their ports begin to differ.
    private let tables: [UInt32: [IPProtocol: Set<UInt16>]]
    /// The register's number of each attribution.
    private let rules: [Int]
    private var known: [Cell: Int] = [:]

    struct Subject {
        var id: UInt32
        var isAudited: Bool
    }

    /// What `peers` holds for a row and group, and what its tables leave open.
    private struct Cell: Hashable {
        var word: UInt32
        var fallback: UInt32
        var isAudited: Bool
    }

    init(_ image: Image, _ register: VerdictRegister) throws {
        judge = try EmulatorJudge(image: image)
        self.register = register
        subjects = Dictionary(
            image.endpoints.map { ($0.name, Subject(id: $0.id, isAudited: $0.isAudited)) },
            uniquingKeysWith: { first, _ in first })
        words = image.entries(.peers).compactMap { UInt32(abiBytes: $0.value) }
        rules = image.attributions.map(register.number)
        var tables: [UInt32: [IPProtocol: Set<UInt16>]] = [:]
        for entry in image.entries(.verdicts) {
            guard let key = weir_verdict_key(abiBytes: entry.key),
                key.prefix_length >= UInt32(WEIR_VERDICT_PREFIX_PROTOCOL)
            else { continue }
            let first = Int(key.port_be.0) << 8 | Int(key.port_be.1)
            let size = 1 << (UInt32(WEIR_VERDICT_PREFIX_PORT) - key.prefix_length)
            let starts = [first, first + size].compactMap { UInt16(exactly: $0) }
            tables[key.table, default: [:]][IPProtocol(rawValue: key.protocol), default: []].formUnion(starts)
        }
        self.tables = tables
    }

    /// nil where the image does not have the endpoint.
    func subject(_ name: String) -> Subject? { subjects[name] }

    /// The register's number of what a side says.
    func verdicts(_ side: FlowResolver.Side) throws -> Int {
        guard let subject = subjects[side.endpoint] else {
            throw FlowError("\(side.endpoint) is not in the image of node \(side.node)")
        }
        let query = FlowQuery(
            endpoint: subject.id, direction: side.direction, localAddress: side.localAddress,
            peerAddress: side.peerAddress, path: side.path, protocol: .tcp, port: 0)
        return try verdicts(at: try judge.meeting(query), isAudited: subject.isAudited)
    }

    /// Where an endpoint of this node and a pod elsewhere meet.
    func meeting(
        _ subject: Subject, _ direction: Direction, local: IPAddress, peer: IPAddress
    ) throws -> EmulatorJudge.Meeting {
        try judge.meeting(
            FlowQuery(
                endpoint: subject.id, direction: direction, localAddress: local, peerAddress: peer, path: .forwarded,
                protocol: .tcp, port: 0))
    }

    func verdicts(at meeting: EmulatorJudge.Meeting, isAudited: Bool) throws -> Int {
        let word = words[Int(meeting.row + meeting.group)]
        let cell = Cell(
            word: word, fallback: words[Int(meeting.row + WEIR_GROUP_DEFAULT.rawValue)], isAudited: isAudited)
        if let number = known[cell] { return number }
        func ruling(_ proto: IPProtocol, _ port: UInt16) throws -> Ruling {
            let decision = try judge.decide(meeting, protocol: proto, port: port)
            return Ruling(
                kind: decision.kind, isAudited: decision.kind != .allow && (decision.isAudited || isAudited),
                rules: rules[Int(decision.rule.rawValue)])
        }
        var starts: [IPProtocol: Set<UInt16>] = [:]
        if case .table(let table) = Action(rawValue: word) { starts = tables[table.rawValue] ?? [:] }
        let unknown = (0...UInt8.max).reversed().first { starts[IPProtocol(rawValue: $0)] == nil } ?? 255
        var verdicts = PortVerdicts(others: try ruling(IPProtocol(rawValue: unknown), 0), protocols: [:])
        for (proto, starts) in starts {
            let domain = proto.portDomain
            let firsts = starts.union([0]).filter { domain.contains($0) }.sorted()
            var segments: [PortVerdicts.Segment] = []
            for (index, first) in firsts.enumerated() {
                let last = index + 1 < firsts.count ? firsts[index + 1] - 1 : domain.upperBound
                let ruling = try ruling(proto, first)
                if let before = segments.last, before.ruling == ruling {
                    segments[segments.count - 1].ports = before.ports.lowerBound...last
                } else {
                    segments.append(PortVerdicts.Segment(ports: first...last, ruling: ruling))
                }
            }
            if segments.map(\.ruling) != [verdicts.others] { verdicts.protocols[proto] = segments }
        }
        let number = register.number(verdicts)
        known[cell] = number
        return number
    }
}
