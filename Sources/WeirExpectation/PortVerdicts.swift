internal import WeirFlow
internal import WeirImage
internal import WeirModel

/// What is decided about one protocol and port. The rules are a number of the `VerdictRegister`.
struct Ruling: Hashable {
    var kind: Decision.Kind
    /// Audit mode lets a refusal pass.
    var isAudited: Bool
    var rules: Int

    /// As a verdict has it: an audited refusal is an allow.
    var verdict: SideVerdict.Kind {
        switch kind {
        case .allow: .allow
        case .deny: isAudited ? .allow : .deny
        case .defaultDeny: isAudited ? .allow : .defaultDeny
        }
    }

    var passes: Bool { kind == .allow || isAudited }
}

/// One side of two ends: a ruling for every protocol and every port.
struct PortVerdicts: Hashable {
    struct Segment: Hashable {
        var ports: ClosedRange<UInt16>
        var ruling: Ruling
    }

    /// Of protocols without segments.
    var others: Ruling
    /// In order, without gaps, neighbours different.
    var protocols: [IPProtocol: [Segment]]

    func segments(_ proto: IPProtocol) -> [Segment] {
        protocols[proto] ?? [Segment(ports: proto.portDomain, ruling: others)]
    }
}

/// Both sides over a range in which neither changes; nil is a side without a managed endpoint.
struct Piece: Hashable {
    /// nil: every protocol that has no piece of its own.
    var proto: IPProtocol?
    var ports: ClosedRange<UInt16>
    var egress: Ruling?
    var ingress: Ruling?

    var isAllowed: Bool { (egress?.passes ?? true) && (ingress?.passes ?? true) }

    var text: String { proto.map { portText($0, ports) } ?? "every other protocol" }

    /// The sides over a range, cut wherever one of them changes.
    static func pieces(
        _ proto: IPProtocol, _ ports: ClosedRange<UInt16>, egress: PortVerdicts?, ingress: PortVerdicts?
    ) -> [Piece] {
        var pieces: [Piece] = []
        for left in sections(egress, proto, ports) {
            for right in sections(ingress, proto, ports) {
                let low = max(left.ports.lowerBound, right.ports.lowerBound)
                let high = min(left.ports.upperBound, right.ports.upperBound)
                guard low <= high else { continue }
                pieces.append(Piece(proto: proto, ports: low...high, egress: left.ruling, ingress: right.ruling))
            }
        }
        return pieces
    }

    private static func sections(
        _ side: PortVerdicts?, _ proto: IPProtocol, _ ports: ClosedRange<UInt16>
    ) -> [(ports: ClosedRange<UInt16>, ruling: Ruling?)] {
        guard let side else { return [(ports, nil)] }
        return side.segments(proto).filter { $0.ports.overlaps(ports) }.map { ($0.ports.clamped(to: ports), $0.ruling) }
    }

    /// Everything that may travel over a family.
    ///
    /// - Parameter mentioned: protocols that get pieces of their own in any case, as the common ones do.
    static func everything(
        egress: PortVerdicts?, ingress: PortVerdicts?, family: AddressFamily, mentioned: Set<IPProtocol> = []
    ) -> [Piece] {
        let known = mentioned.union(IPProtocol.common).union(egress?.protocols.keys.map(\.self) ?? [])
            .union(ingress?.protocols.keys.map(\.self) ?? [])
        let pieces = known.sorted().filter { $0.family == nil || $0.family == family }
            .flatMap { Self.pieces($0, $0.portDomain, egress: egress, ingress: ingress) }
        return pieces + [Piece(proto: nil, ports: 0...0, egress: egress?.others, ingress: ingress?.others)]
    }
}

/// Sets of rules and sides of flows by number, so that equal ones of different nodes are one.
///
/// A class because all nodes of a run write into one register.
final class VerdictRegister {
    private(set) var rules: [[RuleOrigin]] = []
    private var ruleNumbers: [[RuleOrigin]: Int] = [:]
    private(set) var sides: [PortVerdicts] = []
    private var sideNumbers: [PortVerdicts: Int] = [:]

    func number(_ origins: [RuleOrigin]) -> Int {
        if let known = ruleNumbers[origins] { return known }
        ruleNumbers[origins] = rules.count
        rules.append(origins)
        return rules.count - 1
    }

    func number(_ side: PortVerdicts) -> Int {
        if let known = sideNumbers[side] { return known }
        sideNumbers[side] = sides.count
        sides.append(side)
        return sides.count - 1
    }

    /// `path:line`, sorted, each once.
    func places(_ ruling: Ruling) -> [String] { rules[ruling.rules].places }
}
