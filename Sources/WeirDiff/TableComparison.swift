internal import WeirCompiler
internal import WeirImage
internal import WeirModel

/// The same of two versions.
struct Versions<Value> {
    var old: Value
    var new: Value

    func map<Result>(_ body: (Value) -> Result) -> Versions<Result> { Versions<Result>(old: body(old), new: body(new)) }
}

extension Versions: Equatable where Value: Equatable {}
extension Versions: Hashable where Value: Hashable {}
extension Versions: Sendable where Value: Sendable {}

/// What changed between two, whoever they are.
struct Delta: Hashable {
    var effect: FlowChange.Effect
    var ports: [PortSpan]
    var before: [SideRuling]
    var after: [SideRuling]
}

/// Compares what decides about a flow on both of its sides, port by port, and remembers the answers.
struct TableComparison {
    /// The tables that both sides ask, as indices; nil is a side that is not judged.
    struct Meeting: Hashable {
        var egress: Versions<Int?>
        var ingress: Versions<Int?>
        var family: AddressFamily
    }

    private let matrices: Versions<VerdictMatrix>
    /// For each table what passes, as a number that means the same on both sides.
    private let shapes: Versions<[Int]>
    private var known: [Meeting: [Int]] = [:]
    private(set) var deltas: [Delta] = []
    private var numbers: [Delta: Int] = [:]

    init(_ matrices: Versions<VerdictMatrix>) {
        self.matrices = matrices
        // What is not judged passes.
        var numbers: [Shape: Int] = [Shape(passes: true, exceptions: []): 0]
        shapes = matrices.map { matrix in
            matrix.tables.map { table in
                let shape = Shape(table)
                let number = numbers[shape] ?? numbers.count
                numbers[shape] = number
                return number
            }
        }
    }

    /// Indices into `deltas`.
    mutating func compare(_ meeting: Meeting) -> [Int] {
        guard
            shape(meeting.egress.old, shapes.old) != shape(meeting.egress.new, shapes.new)
                || shape(meeting.ingress.old, shapes.old) != shape(meeting.ingress.new, shapes.new)
        else { return [] }
        if let answer = known[meeting] { return answer }
        var answer: [Int] = []
        for delta in differences(meeting) {
            let number = numbers[delta] ?? deltas.count
            if number == deltas.count {
                numbers[delta] = number
                deltas.append(delta)
            }
            answer.append(number)
        }
        known[meeting] = answer
        return answer
    }

    private func shape(_ table: Int?, _ shapes: [Int]) -> Int { table.map { shapes[$0] } ?? 0 }

    /// What passes a table, whoever decides.
    private struct Shape: Hashable {
        struct Range: Hashable {
            var `protocol`: IPProtocol
            var ports: ClosedRange<UInt16>
        }

        var passes: Bool
        /// Joined neighbours that get the other answer.
        var exceptions: [Range]

        init(passes: Bool, exceptions: [Range]) {
            self.passes = passes
            self.exceptions = exceptions
        }

        init(_ table: VerdictMatrix.Table) {
            passes = table.rest.passes
            exceptions = []
            for entry in table.entries where entry.ruling.passes != passes {
                if let last = exceptions.last, last.protocol == entry.protocol,
                    Int(last.ports.upperBound) + 1 == Int(entry.ports.lowerBound)
                {
                    exceptions[exceptions.count - 1].ports = last.ports.lowerBound...entry.ports.upperBound
                } else {
                    exceptions.append(Range(protocol: entry.protocol, ports: entry.ports))
                }
            }
        }
    }

    // MARK: One meeting

    /// What one port gets from both sides; nil is a side that is not judged.
    private struct Answer: Hashable {
        var egress: VerdictMatrix.Ruling?
        var ingress: VerdictMatrix.Ruling?

        var passes: Bool { (egress?.passes ?? true) && (ingress?.passes ?? true) }
    }

    private struct Reason: Hashable {
        var effect: FlowChange.Effect
        var before: [SideRuling]
        var after: [SideRuling]
    }

    private func differences(_ meeting: Meeting) -> [Delta] {
        let egress = Versions(
            old: meeting.egress.old.map { matrices.old.tables[$0] },
            new: meeting.egress.new.map { matrices.new.tables[$0] })
        let ingress = Versions(
            old: meeting.ingress.old.map { matrices.old.tables[$0] },
            new: meeting.ingress.new.map { matrices.new.tables[$0] })
        let tables = [egress.old, egress.new, ingress.old, ingress.new].compactMap(\.self)
        let foreign: IPProtocol = meeting.family == .ipv4 ? .icmpv6 : .icmp
        let protocols = Set(tables.flatMap(\.entries).map(\.protocol)).subtracting([foreign]).sorted()

        var spans: [Reason: [PortSpan]] = [:]
        for proto in protocols {
            let limit = PortSpan.limit(proto)
            let entries = tables.flatMap(\.entries).filter { $0.protocol == proto }
            let starts = Set(
                entries.flatMap { [Int($0.ports.lowerBound), Int($0.ports.upperBound) + 1] }.filter { $0 <= limit } + [
                    0
                ]
            ).sorted()
            for (index, start) in starts.enumerated() {
                let port = UInt16(start)
                let last = index + 1 < starts.count ? UInt16(starts[index + 1] - 1) : limit
                let answers = Versions(
                    old: Answer(egress: egress.old?.ruling(proto, port), ingress: ingress.old?.ruling(proto, port)),
                    new: Answer(egress: egress.new?.ruling(proto, port), ingress: ingress.new?.ruling(proto, port)))
                guard let reason = reason(answers) else { continue }
                if case .ports(proto, let range)? = spans[reason]?.last, Int(range.upperBound) + 1 == start {
                    spans[reason]?.removeLast()
                    spans[reason, default: []].append(.ports(proto, range.lowerBound...last))
                } else {
                    spans[reason, default: []].append(.ports(proto, port...last))
                }
            }
        }
        let rest = Versions(
            old: Answer(egress: egress.old?.rest, ingress: ingress.old?.rest),
            new: Answer(egress: egress.new?.rest, ingress: ingress.new?.rest))
        if let reason = reason(rest) {
            // Protocols of which all goes the same way need not be named.
            let whole = protocols.filter { spans[reason]?.contains(.ports($0, 0...PortSpan.limit($0))) == true }
            spans[reason]?.removeAll { span in whole.contains { span == .ports($0, 0...PortSpan.limit($0)) } }
            spans[reason, default: []].append(.everyProtocol(except: protocols.filter { !whole.contains($0) }))
        }
        return spans.map { reason, spans in
            Delta(effect: reason.effect, ports: spans.sorted(), before: reason.before, after: reason.after)
        }.sorted { ($0.effect, $0.ports.description) < ($1.effect, $1.ports.description) }
    }

    /// nil where nothing changes.
    private func reason(_ answers: Versions<Answer>) -> Reason? {
        guard answers.old.passes != answers.new.passes else { return nil }
        let refusing = answers.old.passes ? answers.new : answers.old
        var reason = Reason(effect: answers.old.passes ? .denied : .allowed, before: [], after: [])
        let sides: [(Direction, VerdictMatrix.Ruling?, VerdictMatrix.Ruling?, VerdictMatrix.Ruling?)] = [
            (.egress, refusing.egress, answers.old.egress, answers.new.egress),
            (.ingress, refusing.ingress, answers.old.ingress, answers.new.ingress),
        ]
        for (side, refusal, before, after) in sides where refusal?.passes == false {
            reason.before.append(SideRuling(side, before, matrices.old))
            reason.after.append(SideRuling(side, after, matrices.new))
        }
        return reason
    }
}

extension VerdictMatrix.Table {
    fileprivate func ruling(_ proto: IPProtocol, _ port: UInt16) -> VerdictMatrix.Ruling {
        entries.first { $0.protocol == proto && $0.ports.contains(port) }?.ruling ?? rest
    }
}

extension SideRuling {
    /// nil: that side is not judged. What audit mode lets pass is allowed.
    fileprivate init(_ side: Direction, _ ruling: VerdictMatrix.Ruling?, _ matrix: VerdictMatrix) {
        self.side = side
        rules = ruling.map { matrix.attributions[$0.attribution] } ?? []
        verdict =
            switch ruling {
            case nil: .none
            case let ruling? where ruling.passes: .allow
            case let ruling?: ruling.kind == .deny ? .deny : .defaultDeny
            }
    }
}
