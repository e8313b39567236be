package import WeirABI
internal import WeirImage
package import WeirMaps
package import WeirModel

/// What `weir endpoint list`, `identity list`, `rule list` and `ct list` show.
extension MapSource {
    /// The endpoints of the slot in order of name, with what becomes of packets that no rule is about.
    package func endpoints() throws(Failure) -> Listing {
        let decoder = try decoder(members: false)
        let names = decoder.names
        let present = try entries(.slot(.endpoints)) ?? []
        let words = Image.unpackActions(try entries(.slot(.peers)) ?? [])
        let actions = Dictionary(words.map { (UInt32(abiBytes: $0.key) ?? 0, UInt32(abiBytes: $0.value) ?? 0) }) { $1 }
        var rows: [(String, UInt32?, Row)] = []
        for entry in present {
            guard let value = weir_endpoint(abiBytes: entry.value) else { continue }
            let index = UInt32(abiBytes: entry.key)
            // What the node and its pods say to each other is the node's record once more.
            guard index != 0, var row = decoder.endpoint(entry) else { continue }
            let name = names.endpoint(id: value.id)
            var labels: String?
            var group: UInt32?
            for address in row.subject.addresses {
                let map: SlotMap = address.family == .ipv4 ? .ipcache4 : .ipcache6
                guard let bytes = try lookup(.slot(map), address.bytes), let peer = weir_peer(abiBytes: bytes) else {
                    continue
                }
                group = peer.group
                labels = names.identity(peer.identity)
            }
            func otherwise(_ row: UInt32) -> Cell {
                guard case .decided(let decision) = actions[row].map({ Action(rawValue: $0) }) else { return .none }
                return .text(decision.kind.rawValue)
            }
            row.cells = [
                Cell(name), .number(UInt64(value.id)), .list(row.subject.addresses.map(\.description)),
                Cell(index.map { names.interface($0) }), Cell(index), otherwise(value.egress_row),
                otherwise(value.ingress_row), .flag(value.flags & WEIR_ENDPOINT_AUDIT.rawValue != 0), Cell(group),
                Cell(labels: labels),
            ]
            rows.append((name ?? "", index, row))
        }
        return Listing(
            columns: [
                "endpoint", "id", "addresses", "interface", "index", "egress", "ingress", "audit", "group", "labels",
            ],
            rows: rows.sorted { ($0.0, $0.1 ?? 0) < ($1.0, $1.1 ?? 0) }.map(\.2))
    }

    /// Who peers are: each identity once for each group that has it, by number, with its addresses and prefixes.
    package func identities() throws(Failure) -> Listing {
        let decoder = try decoder(members: false)
        var owned: [IdentityInGroup: [MapEntry]] = [:]
        for map in MapName.peerMaps {
            let name = MapName.slot(map)
            for entry in try entries(name) ?? [] {
                guard let peer = weir_peer(abiBytes: entry.value) else { continue }
                owned[IdentityInGroup(number: peer.identity, group: peer.group), default: []].append(entry)
            }
        }
        func addresses(_ entries: [MapEntry]) -> [Row.Subject] {
            entries.compactMap { entry in
                entry.key.count == 4 || entry.key.count == 16
                    ? decoder.address(entry)?.subject : decoder.prefix(entry)?.subject
            }
        }
        let sorted = owned.sorted { ($0.key.number, $0.key.group) < ($1.key.number, $1.key.group) }
        return Listing(
            columns: ["identity", "labels", "group", "addresses"],
            rows: sorted.map { identity, entries in
                let parts = addresses(entries)
                let single = parts.flatMap(\.addresses).sorted().map(\.description)
                let prefixes = parts.compactMap(\.prefix).sorted().map(\.description)
                return Row([
                    .number(UInt64(identity.number)), Cell(labels: decoder.names.identity(identity.number)),
                    .number(UInt64(identity.group)), .list(single + prefixes),
                ])
            })
    }

    /// Every rule that decides something on the node, by place. A set of rules that decide together has one counter, so
    /// a rule's sum is that of all sets that have it, and sums of several rules must not be added.
    ///
    /// - Parameters:
    ///   - counters: by rule attribution; nil where nobody counts.
    ///   - unused: only those whose sets never counted a packet.
    package func rules(counters: [UInt32: weir_counter]?, unused: Bool = false) -> Listing {
        var uses: [RuleOrigin: (sets: UInt64, packets: UInt64, bytes: UInt64)] = [:]
        for (number, origins) in (image?.attributions ?? []).enumerated() {
            let counter = counters?[UInt32(number)]
            for origin in Set(origins) {
                var use = uses[origin] ?? (0, 0, 0)
                use.sets += 1
                use.packets &+= UInt64(counter?.packets ?? 0)
                use.bytes &+= UInt64(counter?.bytes ?? 0)
                uses[origin] = use
            }
        }
        let sorted = uses.filter { !unused || $0.value.packets == 0 }.sorted {
            ($0.key.location, $0.key.description) < ($1.key.location, $1.key.description)
        }
        return Listing(
            columns: ["location", "packets", "bytes", "sets", "rule"],
            rows: sorted.map { origin, use in
                Row([
                    .text(origin.location.lineDescription), counters == nil ? .none : .number(use.packets),
                    counters == nil ? .none : .number(use.bytes), .number(use.sets), .text(origin.description),
                ])
            })
    }

    /// Remembered flows, each once, in order of their keys.
    package func flows(_ filter: FlowFilter) throws(Failure) -> Listing {
        let decoder = try decoder(members: false)
        return Listing(
            columns: EntryDecoder.flowColumns,
            rows: try entries(admittedBy: filter, decoder).map { decoder.row($0) })
    }
}

private struct IdentityInGroup: Hashable {
    var number: UInt32
    var group: UInt32
}

/// Which flows are meant. Empty: all.
package struct FlowFilter: Hashable, Sendable {
    /// Whose flows: `namespace/name`, or `host`.
    package var endpoint: String?
    package var peers: Set<IPAddress>?
    /// The endpoint's own address.
    package var local: IPAddress?
    /// The originator's, as the endpoint sees it.
    package var direction: Direction?
    /// That policy was asked for: the originator's destination port.
    package var port: UInt16?
    package var `protocol`: IPProtocol?
    package var state: FlowEntry.State?

    package init() {}

    /// In an order in which a flow that is promoted meanwhile is met at least once: it is in the second table before it
    /// leaves the first.
    package static let tables: [NodeMap] = [.conntrack4_new, .conntrack4, .conntrack6_new, .conntrack6]

    package func admits(_ flow: FlowEntry, _ decoder: EntryDecoder) -> Bool {
        if let endpoint, decoder.owner(flow.interface) != endpoint { return false }
        if let peers, !peers.contains(flow.remote) { return false }
        if let local, flow.local != local { return false }
        if let direction, flow.direction != direction { return false }
        if let port, flow.port != port { return false }
        if let `protocol`, flow.protocol != `protocol` { return false }
        if let state, flow.state(at: decoder.moment) != state { return false }
        return true
    }
}
