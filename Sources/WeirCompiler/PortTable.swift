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

/// The normal form of one peer's policy: what every protocol gets, and where ports differ from it.
///
/// Invariant: `ranges` are disjoint, sorted, maximal, and never say what holds anyway; so for any packet at
/// most one of them matches, and if none does `everything` decides, and if that is nil the rule set's
/// fallback does. Tiers and deny precedence are settled here and nowhere later.
///
/// Worked example: allow tcp/80–90, deny tcp/80, default deny. `everything` is nil and `ranges` is
/// deny 80–80, allow 81–90.
struct PortTable: Hashable, Sendable {
    struct Entry: Hashable, Sendable {
        var `protocol`: IPProtocol
        var ports: ClosedRange<UInt16>
        var ruling: Ruling
    }

    private(set) var everything: Ruling?
    private(set) var ranges: [Entry] = []

    init(_ inputs: [AppliedInput], _ decision: AuditedDecision) {
        let inputs = inputs.sorted { ($0.tier, $0.spec, $0.origin) < ($1.tier, $1.spec, $1.origin) }
        everything = Self.unless(decision.decide(inputs.filter { $0.ports.ranges == nil }), decision.fallback)

        // A network-tier deny of everything: nothing narrower can change it. An audited one gives way to those in force.
        let isDenied = everything?.kind == .deny && everything?.isAudited == false
        if isDenied, inputs.allSatisfy({ $0.tier == .network }) { return }
        let protocols = Set(inputs.flatMap { $0.ports.ranges ?? [] }.map(\.protocol)).sorted()
        for proto in protocols { sweep(proto, inputs, decision) }
    }

    /// The table of a Service address: what its ports get, and what holds elsewhere.
    init(everything: Ruling?, ports: [(protocol: IPProtocol, port: UInt16, ruling: Ruling)], fallback: Ruling) {
        self.everything = Self.unless(everything, fallback)
        for port in ports.sorted(by: { ($0.protocol, $0.port) < ($1.protocol, $1.port) }) {
            add(port.ruling, port.protocol, port.port...port.port, fallback)
        }
    }

    /// nil where the fallback decides.
    func ruling(_ proto: IPProtocol, _ port: UInt16) -> Ruling? {
        ranges.first { $0.protocol == proto && $0.ports.contains(port) }?.ruling ?? everything
    }

    /// Cuts the port space at every boundary and decides each piece.
    private mutating func sweep(_ proto: IPProtocol, _ inputs: [AppliedInput], _ decision: AuditedDecision) {
        let matching = inputs.map { input in
            (input: input, ports: input.ports.ranges?.filter { $0.protocol == proto }.map(\.ports))
        }.filter { $0.ports?.isEmpty != true }
        let bounds = matching.flatMap { $0.ports ?? [] }
        let starts = Set(bounds.flatMap { [UInt32($0.lowerBound), UInt32($0.upperBound) + 1] }).sorted()
        for (start, next) in zip(starts, starts.dropFirst()) {
            let covering = matching.filter { entry in
                entry.ports?.contains { $0.lowerBound <= start && UInt32($0.upperBound) >= start } ?? true
            }
            add(
                decision.decide(covering.map(\.input)), proto, UInt16(start)...UInt16(next - 1), decision.fallback)
        }
    }

    /// Joins equal neighbours and leaves out what holds anyway.
    private mutating func add(
        _ ruling: Ruling?, _ proto: IPProtocol, _ ports: ClosedRange<UInt16>, _ fallback: Ruling
    ) {
        let ruling = ruling ?? fallback
        guard ruling != everything ?? fallback else { return }
        if let last = ranges.last, last.protocol == proto, last.ruling == ruling,
            UInt32(last.ports.upperBound) + 1 == UInt32(ports.lowerBound)
        {
            ranges[ranges.count - 1].ports = last.ports.lowerBound...ports.upperBound
        } else {
            ranges.append(Entry(protocol: proto, ports: ports, ruling: ruling))
        }
    }

    private static func unless(_ ruling: Ruling?, _ fallback: Ruling) -> Ruling? { ruling == fallback ? nil : ruling }
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
