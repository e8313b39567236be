package import WeirMaps

/// What changes in one map of a slot, in words.
package struct MapChange: Hashable, Sendable, Codable {
    /// One entry; `before` is nil where it is new, `after` where it goes.
    package struct Entry: Hashable, Sendable, Codable {
        package var key: String
        package var before: String?
        package var after: String?
    }

    package var map: String
    package var added: Int
    package var changed: Int
    package var removed: Int
    /// In order of the key's bytes.
    package var entries: [Entry]

    /// - Parameter changes: in order of their keys; values as bytes.
    /// - Parameter former: the image that the values before belong to, as groups and rules are numbered by each image
    ///   for itself.
    package init(_ changes: some Collection<EntryChange>, of map: SlotMap, from former: Image, to image: Image) {
        self.map = map.rawValue
        added = changes.count { $0.before == nil }
        changed = changes.count { $0.before != nil && $0.after != nil }
        removed = changes.count { $0.after == nil }
        entries = changes.map { change in
            Entry(
                key: Image.describe(key: change.key, of: map),
                before: change.before.map { former.describe(value: $0, of: map) },
                after: change.after.map { image.describe(value: $0, of: map) })
        }
    }

    /// nil where nothing differs.
    package init?(
        from old: [MapEntry], of former: Image, to new: [MapEntry], of image: Image, map: SlotMap
    ) {
        let old = Dictionary(old.map { ($0.key, $0.value) }) { $1 }
        let new = Dictionary(new.map { ($0.key, $0.value) }) { $1 }
        let keys = Set(old.keys).union(new.keys).filter { old[$0] != new[$0] }
        guard !keys.isEmpty else { return nil }
        self.init(
            keys.sorted { $0.lexicographicallyPrecedes($1) }.map { key in
                EntryChange(map: map, key: key, before: old[key], after: new[key])
            }, of: map, from: former, to: image)
    }
}

extension Image {
    /// What applying another image would change, map by map; `endpoints` by id, because only a node has interfaces.
    package func changes(to other: Image) -> [MapChange] {
        SlotMap.allCases.sorted().compactMap { map in
            MapChange(
                from: recordEntries(map), of: self, to: other.recordEntries(map), of: other, map: map)
        }
    }

    private func recordEntries(_ map: SlotMap) -> [MapEntry] {
        map == .endpoints
            ? endpoints.map { MapEntry(key: $0.id.abiBytes, value: $0.value) } : entries(map)
    }
}
