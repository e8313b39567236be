internal import WeirABI
internal import WeirMaps
internal import WeirModel

extension Image {
    /// What `other` says, in this image's numbers: the same verdict for every packet, with `endpoints`, `ipcache4` and
    /// `ipcache6` as the only maps that differ from this image's.
    ///
    /// For a slot in force, whose numbers are write-once. Groups and rows are matched by what they decide, so identities
    /// that no rule tells apart are at home in any group that decides alike; an entry that need not change does not.
    /// Endpoints keep their ids, new ones get new ids; names of identities are added at the end.
    ///
    /// Throws where `other` needs a group, row, table, prefix or attribution that this image does not have.
    package func adopting(_ other: Image) throws(NotInPlace) -> Image {
        guard node == other.node else { throw NotInPlace("it is the policy of node '\(other.node)', not '\(node)'") }
        guard self != other else { return self }
        let translation = Translation(from: other, to: self)
        let rows = try RowMatch(from: other, to: self, translation)
        let groups = GroupMatch(from: other, to: self, translation, rows)
        try groups.requireEqualRegions(old: self, new: other)

        var names = IdentityNames(identities)
        var result = self
        for map in [SlotMap.ipcache4, .ipcache6] {
            let known = Dictionary(entries(map).map { ($0.key, $0.value) }) { $1 }
            var entries: [MapEntry] = []
            for entry in other.entries(map) {
                let value = try groups.value(of: entry, in: map, replacing: known[entry.key], of: other, &names)
                entries.append(MapEntry(key: entry.key, value: value))
            }
            result.maps[map] = entries.isEmpty ? nil : entries
        }
        result.identities = names.all
        result.endpoints = adoptedEndpoints(of: other, rows)
        result.nodeAddresses = other.nodeAddresses
        result.relocate(to: other)
        return result
    }

    /// Whether both have the same endpoints, and the same name for every address.
    package func knowsSamePeers(as other: Image) -> Bool {
        func names(_ image: Image) -> [[UInt8]: String] {
            Dictionary(
                (image.entries(.ipcache4) + image.entries(.ipcache6)).map { entry in
                    let identity = weir_peer(abiBytes: entry.value).map { Int($0.identity) } ?? 0
                    return (entry.key, identity < image.identities.count ? image.identities[identity] : "unknown")
                }
            ) { $1 }
        }
        return names(self) == names(other) && Set(endpoints.map(\.name)) == Set(other.endpoints.map(\.name))
    }

    private func adoptedEndpoints(of other: Image, _ rows: RowMatch) -> [EndpointRecord] {
        let ids = Dictionary(endpoints.map { ($0.name, $0.id) }) { first, _ in first }
        var next = (endpoints.map(\.id).max() ?? 0) + 1
        return other.endpoints.map { record in
            var record = record
            guard var value = weir_endpoint(abiBytes: record.value) else { return record }
            if let id = ids[record.name] {
                value.id = id
            } else {
                value.id = next
                next += 1
            }
            (value.egress_row, value.ingress_row) = rows.rows(of: record)
            record.id = value.id
            record.value = value.abiBytes
            return record
        }
        .sorted { $0.id < $1.id }
    }

    /// Rules are where the newer image says they are.
    private mutating func relocate(to other: Image) {
        let places = Dictionary(other.attributions.joined().map { ($0.withoutLocation, $0.location) }) { $1 }
        for index in attributions.indices {
            for rule in attributions[index].indices {
                guard let place = places[attributions[index][rule].withoutLocation] else { continue }
                attributions[index][rule].location = place
            }
        }
    }
}

extension RuleOrigin {
    /// What identifies the rule, wherever it is written.
    fileprivate var withoutLocation: RuleOrigin {
        var origin = self
        origin.location.path = ""
        origin.location.line = 0
        origin.location.column = 0
        return origin
    }
}

/// The actions of one image in another's numbers.
private struct Translation {
    /// By the new number; nil where the old image has no such table or attribution.
    private let tables: [UInt32: UInt32]
    private let attributions: [UInt32?]
    /// `peers` of both, dense.
    let old: [UInt32]
    let new: [UInt32?]

    init(from newImage: Image, to oldImage: Image) {
        var known: [Image.Attribution: UInt32] = [:]
        for (number, attribution) in oldImage.attributions.enumerated() {
            known[attribution.map(\.withoutLocation)] = UInt32(number)
        }
        let attributions = newImage.attributions.map { known[$0.map(\.withoutLocation)] }
        var tableOfContent: [[MapEntry]: UInt32] = [:]
        for (table, content) in Self.contents(oldImage) { tableOfContent[content] = table }
        var tables: [UInt32: UInt32] = [:]
        for (table, content) in Self.contents(newImage) {
            var translated: [MapEntry] = []
            for entry in content {
                guard let word = UInt32(abiBytes: entry.value), let same = Self.decision(word, attributions) else {
                    break
                }
                translated.append(MapEntry(key: entry.key, value: same.abiBytes))
            }
            if translated.count == content.count { tables[table] = tableOfContent[translated] }
        }
        self.attributions = attributions
        self.tables = tables
        old = oldImage.entries(.peers).map { UInt32(abiBytes: $0.value) ?? 0 }
        new = newImage.entries(.peers).map { entry in
            guard let word = UInt32(abiBytes: entry.value) else { return nil }
            return switch Action(rawValue: word) {
            case .table(let table): tables[table.rawValue]
            case .decided: Self.decision(word, attributions)
            }
        }
    }

    private static func decision(_ word: UInt32, _ attributions: [UInt32?]) -> UInt32? {
        guard case .decided(var decision) = Action(rawValue: word), Int(decision.rule.rawValue) < attributions.count,
            let rule = attributions[Int(decision.rule.rawValue)]
        else { return nil }
        decision.rule = RuleID(rawValue: rule)
        return Action.decided(decision).rawValue
    }

    /// The entries of each table, with the number left out.
    private static func contents(_ image: Image) -> [UInt32: [MapEntry]] {
        var contents: [UInt32: [MapEntry]] = [:]
        for entry in image.entries(.verdicts) {
            guard var key = weir_verdict_key(abiBytes: entry.key) else { continue }
            let table = key.table
            key.table = 0
            contents[table, default: []].append(MapEntry(key: key.abiBytes, value: entry.value))
        }
        return contents.mapValues { $0.sorted() }
    }
}

/// For each row that an endpoint of the new image uses, the row of the old image that decides alike.
private struct RowMatch {
    struct Pair: Hashable {
        var new: UInt32
        var old: UInt32
    }

    /// Every pair in use, in order of first use.
    private(set) var pairs: [Pair] = []
    private var rowsOfEndpoint: [String: (egress: UInt32, ingress: UInt32)] = [:]

    /// Throws where an endpoint's rules decide about the fixed groups as no row of the old image does. What compiled
    /// groups there are helps to choose; whether it fits is `GroupMatch`'s to say.
    init(from new: Image, to old: Image, _ translation: Translation) throws(NotInPlace) {
        let anchors = Anchors(from: new, to: old)
        let former = Dictionary(
            old.endpoints.compactMap { record in weir_endpoint(abiBytes: record.value).map { (record.name, $0) } }
        ) { first, _ in first }
        let oldRows = stride(from: 0, to: translation.old.count, by: max(old.groupCount, 1)).map(UInt32.init)
        var exact: [[UInt32?]: UInt32] = [:]
        for row in oldRows.reversed() { exact[anchors.old(row, translation)] = row }
        var seen: Set<Pair> = []
        var chosen: [UInt32: UInt32] = [:]

        func match(_ row: UInt32, preferring own: UInt32?, of name: String) throws(NotInPlace) -> UInt32 {
            let wanted = anchors.new(row, translation)
            if let own, anchors.old(own, translation) == wanted { return own }
            if let known = chosen[row] { return known }
            let fixed = wanted.prefix(Anchors.fixed.count)
            let candidate =
                exact[wanted]
                ?? oldRows.map { (row: $0, elements: anchors.old($0, translation)) }
                .filter { $0.elements.prefix(fixed.count) == fixed }
                .min { different($0.elements, wanted) < different($1.elements, wanted) }?.row
            guard let candidate else {
                throw NotInPlace("\(name) is judged by rules that together judge no endpoint in force")
            }
            chosen[row] = candidate
            return candidate
        }
        func different(_ left: [UInt32?], _ right: [UInt32?]) -> Int { zip(left, right).count { $0 != $1 } }

        for record in new.endpoints {
            guard let value = weir_endpoint(abiBytes: record.value) else { continue }
            let own = former[record.name]
            let egress = try match(value.egress_row, preferring: own?.egress_row, of: record.name)
            let ingress = try match(value.ingress_row, preferring: own?.ingress_row, of: record.name)
            rowsOfEndpoint[record.name] = (egress, ingress)
            for pair in [
                Pair(new: value.egress_row, old: egress), Pair(new: value.ingress_row, old: ingress),
            ] where seen.insert(pair).inserted { pairs.append(pair) }
        }
    }

    func rows(of record: Image.EndpointRecord) -> (egress: UInt32, ingress: UInt32) {
        rowsOfEndpoint[record.name] ?? (0, 0)
    }
}

/// Groups that probably correspond: those with fixed numbers, and those that share most names.
private struct Anchors {
    static let fixed = Array(0..<WEIR_GROUP_FIRST_COMPILED.rawValue)

    private var pairs: [(new: UInt32, old: UInt32)] = fixed.map { ($0, $0) }
    private(set) var oldOfNew: [UInt32: UInt32] = [:]

    init(from new: Image, to old: Image) {
        let numberOfName = Dictionary(old.identities.enumerated().map { ($1, UInt32($0)) }) { first, _ in first }
        let sameIdentity = new.identities.map { numberOfName[$0] }
        var groupsOfIdentity: [UInt32: Set<UInt32>] = [:]
        for peer in old.peerValues { groupsOfIdentity[peer.identity, default: []].insert(peer.group) }
        var votes: [UInt32: [UInt32: Int]] = [:]
        for peer in new.peerValues where peer.group >= WEIR_GROUP_FIRST_COMPILED.rawValue {
            guard Int(peer.identity) < sameIdentity.count, let identity = sameIdentity[Int(peer.identity)] else {
                continue
            }
            for group in groupsOfIdentity[identity] ?? [] { votes[peer.group, default: [:]][group, default: 0] += 1 }
        }
        for (group, counts) in votes.sorted(by: { $0.key < $1.key }) {
            guard let best = counts.max(by: { ($0.value, $1.key) < ($1.value, $0.key) }) else { continue }
            pairs.append((group, best.key))
            oldOfNew[group] = best.key
        }
    }

    func old(_ row: UInt32, _ translation: Translation) -> [UInt32?] {
        pairs.map { element(translation.old, row, $0.old) }
    }

    func new(_ row: UInt32, _ translation: Translation) -> [UInt32?] {
        pairs.map { element(translation.new, row, $0.new) ?? nil }
    }
}

/// nil past the end: such a row or group is none of the compiler's.
private func element<Word>(_ peers: [Word], _ row: UInt32, _ group: UInt32) -> Word? {
    let index = Int(row) + Int(group)
    return index < peers.count ? peers[index] : nil
}

/// For each group of the new image those of the old one that every row in use treats alike.
private struct GroupMatch {
    private typealias Column = [UInt32?]

    private let oldColumns: [Column]
    private let newColumns: [Column]
    private var groupsOfColumn: [Column: [UInt32]] = [:]
    private let anchors: [UInt32: UInt32]

    init(from new: Image, to old: Image, _ translation: Translation, _ rows: RowMatch) {
        oldColumns = (0..<UInt32(old.groupCount)).map { group in
            rows.pairs.map { element(translation.old, $0.old, group) }
        }
        newColumns = (0..<UInt32(new.groupCount)).map { group in
            rows.pairs.map { element(translation.new, $0.new, group) ?? nil }
        }
        for (group, column) in oldColumns.enumerated() { groupsOfColumn[column, default: []].append(UInt32(group)) }
        anchors = Anchors(from: new, to: old).oldOfNew
    }

    private func areAlike(new: UInt32, old: UInt32) -> Bool {
        guard Int(new) < newColumns.count, Int(old) < oldColumns.count else { return false }
        let column = newColumns[Int(new)]
        return !column.contains(nil) && column == oldColumns[Int(old)]
    }

    /// The old group that decides as `group` does; the one it has, if that does.
    private func group(for group: UInt32, preferring own: UInt32?) -> UInt32? {
        if let own, areAlike(new: group, old: own) { return own }
        if group < WEIR_GROUP_FIRST_COMPILED.rawValue { return areAlike(new: group, old: group) ? group : nil }
        if let anchor = anchors[group], areAlike(new: group, old: anchor) { return anchor }
        guard Int(group) < newColumns.count else { return nil }
        let candidates = groupsOfColumn[newColumns[Int(group)]] ?? []
        return candidates.first { $0 >= WEIR_GROUP_FIRST_COMPILED.rawValue && areAlike(new: group, old: $0) }
    }

    /// The value that `entry` has in the old image's numbers.
    func value(
        of entry: MapEntry, in map: SlotMap, replacing known: [UInt8]?, of image: Image, _ names: inout IdentityNames
    ) throws(NotInPlace) -> [UInt8] {
        guard var peer = weir_peer(abiBytes: entry.value) else {
            throw NotInPlace("an entry of \(map.rawValue) is damaged")
        }
        let former = known.flatMap(weir_peer.init(abiBytes:))
        let name = image.identityName(peer.identity)
        guard let group = group(for: peer.group, preferring: former?.group) else {
            throw NotInPlace(
                "\(Image.describe(key: entry.key, of: map)) (\(name)) is a peer that the policy in force has no group for"
            )
        }
        peer.group = group
        peer.identity = names.number(of: name, preferring: former?.identity)
        return peer.abiBytes
    }

    /// Every address that no full entry names must be judged as before.
    func requireEqualRegions(old: Image, new: Image) throws(NotInPlace) {
        for map in [SlotMap.cidrs4, .cidrs6] {
            let (before, after) = (Regions(old.entries(map)), Regions(new.entries(map)))
            for prefix in Set(before.prefixes).union(after.prefixes).sorted() {
                guard let left = before.peer(around: prefix), let right = after.peer(around: prefix),
                    left.flags == right.flags, areAlike(new: right.group, old: left.group)
                else { throw NotInPlace("addresses in \(prefix) are judged otherwise than by the policy in force") }
            }
        }
    }
}

/// The prefixes of one family with their values.
private struct Regions {
    private var peers: [Prefix: weir_peer] = [:]

    init(_ entries: [MapEntry]) {
        for entry in entries {
            guard let prefix = Prefix(cidrKey: entry.key), let peer = weir_peer(abiBytes: entry.value) else { continue }
            peers[prefix] = peer
        }
    }

    var prefixes: [Prefix] { Array(peers.keys) }

    func peer(around prefix: Prefix) -> weir_peer? {
        for length in stride(from: prefix.length, through: 0, by: -1) {
            if let peer = peers[Prefix(prefix.address, length: length)] { return peer }
        }
        return nil
    }
}

/// Numbers of names; a name that is new gets the next number.
private struct IdentityNames {
    private(set) var all: [String]
    private var numbers: [String: UInt32]

    init(_ names: [String]) {
        all = names
        numbers = Dictionary(names.enumerated().map { ($1, UInt32($0)) }) { first, _ in first }
    }

    mutating func number(of name: String, preferring own: UInt32?) -> UInt32 {
        if let own, Int(own) < all.count, all[Int(own)] == name { return own }
        if let number = numbers[name] { return number }
        let number = UInt32(all.count)
        numbers[name] = number
        all.append(name)
        return number
    }
}

extension Image {
    /// Of every address and prefix.
    fileprivate var peerValues: [weir_peer] {
        [SlotMap.ipcache4, .ipcache6, .cidrs4, .cidrs6].flatMap(entries).compactMap { weir_peer(abiBytes: $0.value) }
    }
}
