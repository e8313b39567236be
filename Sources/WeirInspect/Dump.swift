internal import WeirImage
internal import WeirMaps
package import WeirModel

/// Which entries are wanted. Empty: all.
package struct EntryFilter: Hashable, Sendable {
    package var address: IPAddress?
    package var group: UInt32?
    /// `path:line`; the end of the path is enough.
    package var rule: String?
    /// `namespace/name`.
    package var endpoint: String?

    package init() {}

    /// A number, or the name of a group that every image has, such as `world-ipv4`.
    package static func group(_ text: String) -> UInt32? {
        UInt32(text) ?? (0..<16).first { EntryNames.fixedGroup($0) == text }
    }

    /// Options that ask for what entries of this map do not have.
    package func meaningless(for map: MapName) -> [String] {
        let flows = NodeMap.conntrack.map { MapName.node($0) } + [.node(.fragments)]
        let peers = MapName.peerMaps.map { MapName.slot($0) }
        let asked: [(String, Bool, [MapName])] = [
            ("--address", address != nil, [.slot(.endpoints)] + peers + flows),
            ("--group", group != nil, [.slot(.peers)] + peers),
            ("--rule", rule != nil, [.slot(.peers), .slot(.verdicts), .node(.rule_counters)] + flows),
            (
                "--endpoint", endpoint != nil,
                [.slot(.endpoints), .slot(.ipcache4), .slot(.ipcache6), .slot(.peers)] + flows
            ),
        ]
        return asked.filter { $0.1 && !$0.2.contains(map) }.map(\.0)
    }

    package func admits(_ row: Row) -> Bool {
        if let address {
            guard row.subject.addresses.contains(address) || row.subject.prefix?.contains(address) == true else {
                return false
            }
        }
        if let group, row.subject.group != group { return false }
        if let rule, !row.subject.rules.contains(where: { $0 == rule || $0.hasSuffix("/" + rule) }) { return false }
        if let endpoint, !row.subject.endpoints.contains(endpoint) { return false }
        return true
    }
}

/// What `weir map dump` shows.
package struct Dump: Sendable {
    package struct Request: Hashable, Sendable {
        package var filter = EntryFilter()
        package var limit: Int?
        /// Bytes instead of names.
        package var isRaw = false
        /// Also elements of arrays that are all zero.
        package var hasZeros = false

        package init() {}
    }

    package var listing: Listing
    /// How many there were before the limit.
    package var matched: Int
}

extension MapSource {
    /// nil where the source has no such map.
    package func dump(_ map: MapName, _ request: Dump.Request) throws(Failure) -> Dump? {
        guard var entries = try entries(map) else { return nil }
        if map.isArray, !request.hasZeros { entries.removeAll { $0.value.allSatisfy { $0 == 0 } } }
        let ordered = entries.map { (map.order($0.key), $0) }.sorted { $0.0.lexicographicallyPrecedes($1.0) }
        let decoder = try decoder(members: map == .slot(.peers) && !request.isRaw)
        var dump = Dump(
            listing: Listing(
                columns: request.isRaw ? EntryDecoder.rawColumns : EntryDecoder.columns(of: map), rows: []),
            matched: 0)
        let isFiltered = request.filter != EntryFilter()
        for (_, entry) in ordered {
            var rows: [Row]
            if request.isRaw {
                let isAdmitted = !isFiltered || decoder.rows(entry, of: map).contains(where: request.filter.admits)
                rows = isAdmitted ? [Row(EntryDecoder.raw(entry))] : []
            } else {
                rows = decoder.rows(entry, of: map)
                if isFiltered { rows.removeAll { !request.filter.admits($0) } }
            }
            let room = request.limit.map { max(0, $0 - dump.listing.rows.count) } ?? rows.count
            dump.matched += rows.count
            dump.listing.rows += rows.prefix(room)
        }
        return dump
    }
}
