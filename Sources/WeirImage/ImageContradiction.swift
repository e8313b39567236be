internal import WeirABI
internal import WeirMaps
internal import WeirModel

/// What the compiler never makes, but anybody could write.
extension Image {
    /// Why these numbers and names cannot belong together; nil for every image that was compiled.
    ///
    /// Digests say that bytes are as they were written, not that whoever wrote them was a compiler.
    package var contradiction: String? {
        guard attributions.first?.isEmpty == true, identities.first != nil else {
            return "its image does not begin with no rule and nobody"
        }
        guard endpoints.enumerated().allSatisfy({ $1.id == UInt32($0) + 1 }),
            Set(endpoints.map(\.name)).count == endpoints.count
        else { return "the endpoints of its image are not numbered one by one" }
        return mapContradiction ?? endpoints.lazy.compactMap(contradiction).first
    }

    private var mapContradiction: String? {
        guard maps[.endpoints] == nil else { return "its image knows interfaces, which only the node does" }
        for (map, entries) in maps.sorted(by: { $0.key < $1.key }) {
            guard
                zip(entries, entries.dropFirst()).allSatisfy({ $0.key.lexicographicallyPrecedes($1.key) })
                    || map == .peers
            else { return "the entries of '\(map.rawValue)' are out of order" }
        }
        let words = entries(.peers)
        guard words.enumerated().allSatisfy({ UInt32(abiBytes: $1.key) == UInt32($0) }) else {
            return "the entries of 'peers' have gaps"
        }
        guard groupCount > 0 || words.isEmpty, words.count.isMultiple(of: max(groupCount, 1)) else {
            return "the rows of 'peers' do not have \(groupCount) groups"
        }
        let tables = Set(entries(.verdicts).compactMap { weir_verdict_key(abiBytes: $0.key)?.table })
        for (map, entries) in [(SlotMap.peers, words), (.verdicts, entries(.verdicts))] {
            for entry in entries {
                guard let word = UInt32(abiBytes: entry.value) else { return "a decision has another size" }
                switch Action(rawValue: word) {
                case .decided(let decision):
                    guard Int(decision.rule.rawValue) < attributions.count else {
                        return "a decision of '\(map.rawValue)' names a rule that is not there"
                    }
                case .table(let table):
                    // A table that has no entry leaves everything open, and needs none.
                    guard map == .peers, tables.contains(table.rawValue) else {
                        return "'\(map.rawValue)' asks a table that is not there"
                    }
                }
            }
        }
        return peerContradiction
    }

    private var peerContradiction: String? {
        let families: [(SlotMap, AddressFamily?)] = [
            (.ipcache4, nil), (.ipcache6, nil), (.cidrs4, .ipv4), (.cidrs6, .ipv6),
        ]
        for (map, family) in families {
            for entry in entries(map) {
                guard let peer = weir_peer(abiBytes: entry.value), Int(peer.group) < max(groupCount, 1),
                    Int(peer.identity) < identities.count
                else { return "an entry of '\(map.rawValue)' names a group or somebody that is not there" }
                guard let family else { continue }
                guard let length = UInt32(abiBytes: Array(entry.key.prefix(4))), Int(length) <= family.bitWidth else {
                    return "a prefix of '\(map.rawValue)' is longer than an address"
                }
            }
        }
        return nil
    }

    private func contradiction(_ record: EndpointRecord) -> String? {
        guard let value = weir_endpoint(abiBytes: record.value), value.id == record.id else {
            return "the record of endpoint \(record.name) is of another one"
        }
        let words = entries(.peers).count
        guard [value.egress_row, value.ingress_row].allSatisfy({ Int($0) + groupCount <= words }) else {
            return "a row of endpoint \(record.name) is not there"
        }
        switch record.attachment {
        case .interface(let name), .networkNamespace(let name):
            // Both are names of files, too.
            guard !name.isEmpty, name != ".", name != "..", !name.utf8.contains(where: { $0 == 0 || $0 == 0x2f }) else {
                return "endpoint \(record.name) is at a place that cannot be"
            }
        case .byAddress: break
        case nil: guard record.isHost else { return "endpoint \(record.name) has no place" }
        }
        return nil
    }
}
