internal import WeirModel

/// An allow or deny rule's ports with every name resolved: nil is every protocol.
struct ResolvedPorts: Hashable, Sendable {
    struct Range: Hashable, Sendable {
        var `protocol`: IPProtocol
        var ports: ClosedRange<UInt16>
    }

    /// nil: every protocol, with or without ports.
    var ranges: [Range]?

    /// - Parameter named: what a named port means here, for the protocols asked.
    init(_ ports: Ports, named: (String, [IPProtocol]) -> [NamedPort]) {
        switch ports {
        case .any: ranges = nil
        case .list(let list):
            ranges = list.flatMap { match -> [Range] in
                switch match {
                case .range(let proto, let range): [Range(protocol: proto, ports: range)]
                case .named(let name, let protocols):
                    named(name, protocols).map { Range(protocol: $0.protocol, ports: $0.port...$0.port) }
                }
            }
        }
    }
}

/// A decision before rule ids are numbered: who decided is a sorted list of indices into the
/// compiler's origins.
struct Ruling: Hashable, Sendable {
    enum Kind: Int, Hashable, Sendable { case allow, deny, defaultDeny }
    var kind: Kind
    var origins: [Int]
}

/// The normal form of one peer's policy: what every protocol gets, and where ports differ from it.
///
/// Invariant: `ranges` are disjoint, sorted, maximal, and never say what `everything` already says; so
/// for any packet at most one of them matches, and if none does `everything` decides, and if that
/// is nil the rule set's default does. Deny precedence is settled here and nowhere later.
///
/// Worked example: allow tcp/80–90, deny tcp/80, default deny. `everything` is nil and `ranges` is
/// deny 80–80, allow 81–90.
struct PortTable: Hashable, Sendable {
    struct Entry: Hashable, Sendable {
        var `protocol`: IPProtocol
        var ports: ClosedRange<UInt16>
        var ruling: Ruling
    }

    struct Input: Hashable, Sendable {
        var origin: Int
        var action: RuleAction
        var ports: ResolvedPorts
    }

    var everything: Ruling?
    var ranges: [Entry] = []

    /// - Parameter base: what decides where no rule does, if not the rule set's default.
    init(_ inputs: [Input], base: Ruling?) {
        let wide = inputs.filter { $0.ports.ranges == nil }
        let wideDenies = wide.filter { $0.action == .deny }.map(\.origin)
        if !wideDenies.isEmpty {
            // Nothing narrower can change this: a deny beats every allow, however narrow.
            everything = Ruling(kind: .deny, origins: Self.unique(wideDenies))
            return
        }
        let wideAllows = wide.map(\.origin)
        everything = wideAllows.isEmpty ? base : Ruling(kind: .allow, origins: Self.unique(wideAllows))

        var byProtocol: [IPProtocol: [(ports: ClosedRange<UInt16>, input: Input)]] = [:]
        for input in inputs {
            for range in input.ports.ranges ?? [] {
                byProtocol[range.protocol, default: []].append((range.ports, input))
            }
        }
        for proto in byProtocol.keys.sorted() {
            sweep(proto, byProtocol[proto] ?? [], wideAllows: !wideAllows.isEmpty)
        }
    }

    /// Cuts the port space at every boundary, decides each piece, joins equal neighbours.
    private mutating func sweep(
        _ proto: IPProtocol, _ rules: [(ports: ClosedRange<UInt16>, input: Input)], wideAllows: Bool
    ) {
        let starts = Set(rules.flatMap { [UInt32($0.ports.lowerBound), UInt32($0.ports.upperBound) + 1] }).sorted()
        var last: Entry?
        for (start, next) in zip(starts, starts.dropFirst()) {
            let covering = rules.filter { $0.ports.lowerBound <= start && UInt32($0.ports.upperBound) >= start }
            let denies = covering.filter { $0.input.action == .deny }.map(\.input.origin)
            let allows = covering.filter { $0.input.action == .allow }.map(\.input.origin)
            let ruling: Ruling? =
                if !denies.isEmpty {
                    Ruling(kind: .deny, origins: Self.unique(denies))
                } else if wideAllows || allows.isEmpty {
                    nil  // what `everything` or the default says
                } else {
                    Ruling(kind: .allow, origins: Self.unique(allows))
                }
            guard let ruling else { continue }
            let ports = UInt16(start)...UInt16(next - 1)
            if let open = last, open.ruling == ruling, UInt32(open.ports.upperBound) + 1 == start {
                last?.ports = open.ports.lowerBound...ports.upperBound
            } else {
                if let open = last { ranges.append(open) }
                last = Entry(protocol: proto, ports: ports, ruling: ruling)
            }
        }
        if let open = last { ranges.append(open) }
    }

    private static func unique(_ origins: [Int]) -> [Int] { Set(origins).sorted() }
}

/// A range as the fewest prefixes: `(value, length)` with length 0...16.
///
/// Worst case 30 prefixes (1–65534); 1024–65535 is 6.
package func portPrefixes(_ range: ClosedRange<UInt16>) -> [(value: UInt16, length: Int)] {
    var result: [(value: UInt16, length: Int)] = []
    var low = UInt32(range.lowerBound)
    let end = UInt32(range.upperBound) + 1
    while low < end {
        var size = low == 0 ? UInt32(1) << 16 : low & (~low + 1)
        while size > end - low { size >>= 1 }
        result.append((UInt16(low), 16 - size.trailingZeroBitCount))
        low += size
    }
    return result
}
