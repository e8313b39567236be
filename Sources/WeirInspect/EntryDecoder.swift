internal import WeirABI
internal import WeirImage
package import WeirMaps
internal import WeirModel

/// What was so when the maps were read, for what is counted from there.
package struct Moment: Hashable, Sendable {
    /// The revision that packets take for the one in force.
    package var revision: UInt64
    /// The programs' clock.
    package var tick: UInt32
    package var secondsPerTick: Double

    package init(revision: UInt64, tick: UInt32, secondsPerTick: Double) {
        self.revision = revision
        self.tick = tick
        self.secondsPerTick = secondsPerTick
    }

    func seconds(_ ticks: UInt32) -> UInt64 { UInt64((Double(ticks) * secondsPerTick).rounded()) }
}

/// Map entries to rows, one kind of row for each map. Pure: bytes and names in, rows out.
///
/// An entry may make several rows (the words of an element of `peers`, a value for each CPU); one that is not of this
/// ABI makes one of hexadecimal bytes.
package struct EntryDecoder: Sendable {
    package let names: EntryNames
    /// nil where nothing is in force, or where the entries are an image's.
    let moment: Moment?

    package init(names: EntryNames, moment: Moment? = nil) {
        self.names = names
        self.moment = moment
    }

    package static func columns(of map: MapName) -> [String] {
        switch map {
        case .slot(.endpoints): endpointColumns
        case .slot(.ipcache4), .slot(.ipcache6): ["address", "endpoint"] + peerColumns
        case .slot(.cidrs4), .slot(.cidrs6): ["prefix"] + peerColumns
        case .slot(.peers): ["index", "users", "group", "members", "decision", "table", "rules"]
        case .slot(.verdicts): ["table", "protocol", "ports", "decision", "rules"]
        case .node(.conntrack4), .node(.conntrack4_new), .node(.conntrack6), .node(.conntrack6_new): flowColumns
        case .node(.fragments):
            ["endpoint", "interface", "direction", "protocol", "source", "destination", "id"] + [
                "headerEnd", "left", "current", "decision", "rules",
            ]
        case .node(.control): ["revision", "slot", "audit", "confirm", "tunnels"]
        case .node(.slot_meta): ["slot", "state", "image", "node", "generation", "abi"]
        case .node(.rule_counters): ["index", "slot", "packets", "bytes", "rules"]
        case .node(.drops): ["index", "reason", "direction", "packets", "bytes"]
        case .node(.monitor): ["kinds", "untilTick", "oneIn", "perTick"]
        case .node(.monitor_state): ["cpu", "tick", "made", "seen", "suppressed"]
        case .node(.events), .node(.fence): ["key", "value"]
        }
    }

    package func rows(_ entry: MapEntry, of map: MapName) -> [Row] {
        let rows: [Row]? =
            switch map {
            case .slot(.endpoints): endpoint(entry).map { [$0] }
            case .slot(.ipcache4), .slot(.ipcache6): address(entry).map { [$0] }
            case .slot(.cidrs4), .slot(.cidrs6): prefix(entry).map { [$0] }
            case .slot(.peers): words(entry)
            case .slot(.verdicts): verdict(entry).map { [$0] }
            case .node(.conntrack4), .node(.conntrack4_new), .node(.conntrack6), .node(.conntrack6_new):
                FlowEntry(entry, in: map).map { [row($0)] }
            case .node(.fragments): fragment(entry).map { [$0] }
            case .node(.control): control(entry).map { [$0] }
            case .node(.slot_meta): meta(entry).map { [$0] }
            case .node(.rule_counters): counter(entry).map { [$0] }
            case .node(.drops): drops(entry).map { [$0] }
            case .node(.monitor): monitor(entry).map { [$0] }
            case .node(.monitor_state): monitorState(entry)
            case .node(.events), .node(.fence): nil
            }
        if let rows { return rows }
        let unknown = [Cell](repeating: .none, count: Self.columns(of: map).count - 2)
        return [Row(Self.raw(entry) + unknown)]
    }

    /// Key and value as bytes, under `Self.rawColumns`.
    package static func raw(_ entry: MapEntry) -> [Cell] {
        [.text(entry.key.hexadecimal), .text(entry.value.hexadecimal)]
    }

    package static let rawColumns = ["key", "value"]

    // MARK: What several maps have

    /// Two cells, kind and rules, or for a table its number.
    func decision(_ word: UInt32, _ subject: inout Row.Subject) -> (kind: String, table: UInt32?, rules: [String]) {
        switch Action(rawValue: word) {
        case .table(let table): return ("table", table.rawValue, [])
        case .decided(let decision):
            subject.rules = names.image?.ruleLocations(decision.rule) ?? []
            return ((decision.isAudited ? "would-be " : "") + decision.kind.rawValue, nil, subject.rules)
        }
    }

    static func flags(_ word: UInt32, _ known: [(UInt32, String)]) -> Cell {
        let unknown = word & ~known.reduce(0) { $0 | $1.0 }
        return .list(
            known.filter { word & $0.0 != 0 }.map(\.1) + (unknown == 0 ? [] : ["0x" + String(unknown, radix: 16)]))
    }

    /// An address in the form that IPv4 has in sixteen bytes, or as it is.
    static func unmapped(_ bytes: [UInt8]) -> IPAddress? {
        guard let address = IPAddress(bytes: bytes) else { return nil }
        return address.isV4Mapped ? IPAddress(bytes: bytes.suffix(4)) : address
    }

    static func portText(_ address: IPAddress, _ port: UInt16) -> String {
        address.family == .ipv4 ? "\(address):\(port)" : "[\(address)]:\(port)"
    }
}
