internal import WeirMaps

/// `BPF_MAP_TYPE_HASH`: a new key in a full map is E2BIG, overwriting never fails for space.
final class EmulatedHash: EmulatedMap {
    private var values: [[UInt8]: [UInt8]] = [:]

    override func load(_ key: [UInt8]) throws(MapError) -> [UInt8]? { values[key] }

    override func store(_ key: [UInt8], _ value: [UInt8], flags: UInt64) throws(MapError) {
        if isUnknown(flags: flags) { throw .invalid }
        let isPresent = values[key] != nil
        try checkPresence(isPresent, flags: flags)
        if !isPresent, values.count >= schema.maxEntries { throw .tooBig }
        values[key] = value
    }

    override func erase(_ key: [UInt8]) throws(MapError) {
        if values.removeValue(forKey: key) == nil { throw .noEntry }
    }

    override func list() throws(MapError) -> [MapEntry] { values.map { MapEntry(key: $0.key, value: $0.value) } }
}

/// `BPF_MAP_TYPE_LRU_HASH`: an insert into a full map evicts and never fails.
///
/// The victim is the entry that was written or used by a program least recently; the kernel
/// only approximates this and may evict before the map is full, so nobody may rely on the choice.
final class EmulatedLRUHash: EmulatedMap {
    private struct Node {
        var key: [UInt8]
        var value: [UInt8]
        var newer: Int
        var older: Int
    }

    private var positions: [[UInt8]: Int] = [:]
    private var nodes: [Node] = []
    private var free: [Int] = []
    private static let end = -1
    private var newest = end
    private var oldest = end

    override func load(_ key: [UInt8]) throws(MapError) -> [UInt8]? { positions[key].map { nodes[$0].value } }

    override func find(_ key: [UInt8]) -> [UInt8]? {
        guard let position = positions[key] else { return nil }
        touch(position)
        return nodes[position].value
    }

    override func overwrite(_ key: [UInt8], _ value: [UInt8]) {
        if let position = positions[key] { nodes[position].value = value }
    }

    override func store(_ key: [UInt8], _ value: [UInt8], flags: UInt64) throws(MapError) {
        if isUnknown(flags: flags) { throw .invalid }
        let position = positions[key]
        try checkPresence(position != nil, flags: flags)
        if let position {
            nodes[position].value = value
            touch(position)
            return
        }
        if positions.count >= schema.maxEntries { remove(oldest) }
        let node = Node(key: key, value: value, newer: Self.end, older: Self.end)
        let new: Int
        if let reused = free.popLast() {
            nodes[reused] = node
            new = reused
        } else {
            nodes.append(node)
            new = nodes.count - 1
        }
        positions[key] = new
        link(new)
    }

    override func erase(_ key: [UInt8]) throws(MapError) {
        guard let position = positions[key] else { throw .noEntry }
        remove(position)
    }

    override func list() throws(MapError) -> [MapEntry] {
        positions.values.map { MapEntry(key: nodes[$0].key, value: nodes[$0].value) }
    }

    private func remove(_ position: Int) {
        unlink(position)
        positions[nodes[position].key] = nil
        nodes[position].value = []
        free.append(position)
    }

    private func touch(_ position: Int) {
        guard position != newest else { return }
        unlink(position)
        link(position)
    }

    private func link(_ position: Int) {
        nodes[position].newer = Self.end
        nodes[position].older = newest
        if newest == Self.end { oldest = position } else { nodes[newest].newer = position }
        newest = position
    }

    private func unlink(_ position: Int) {
        let node = nodes[position]
        if node.newer == Self.end { newest = node.older } else { nodes[node.newer].older = node.older }
        if node.older == Self.end { oldest = node.newer } else { nodes[node.older].newer = node.newer }
    }
}
