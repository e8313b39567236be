internal import WeirMaps

/// `BPF_MAP_TYPE_LPM_TRIE`, as the kernel builds it: a path-compressed binary trie whose inner nodes may
/// hold no entry.
///
/// A key is a prefix length (host byte order) and that many bits; the bits behind are compared by nobody
/// and kept as written: overwriting a prefix replaces them too. A lookup finds the longest prefix that is
/// no longer than its own.
final class EmulatedLPMTrie: EmulatedMap {
    private struct Node {
        var length: Int
        /// False for a node that only joins its children.
        var hasEntry: Bool
        var children: (Int, Int) = (none, none)
    }

    private static let none = -1
    private static let root = -2

    private let dataSize: Int
    private let maxLength: Int
    private var nodes: [Node] = []
    /// `dataSize` bytes for each node.
    private var data: [UInt8] = []
    private var values: [[UInt8]] = []
    private var free: [Int] = []
    private var rootNode = none
    private var count = 0

    override init(schema: MapSchema, id: UInt32, faults: FaultPlan?) {
        dataSize = schema.keySize - 4
        maxLength = dataSize * 8
        super.init(schema: schema, id: id, faults: faults)
    }

    override func load(_ key: [UInt8]) throws(MapError) -> [UInt8]? {
        let length = arrayIndex(key)
        guard length <= maxLength else { return nil }
        var found = Self.none
        var node = rootNode
        while node != Self.none {
            let matched = match(node, key, length)
            if matched < nodes[node].length { break }
            if nodes[node].hasEntry { found = node }
            if matched == maxLength { break }
            node = child(node, bit(key, nodes[node].length))
        }
        return found == Self.none ? nil : values[found]
    }

    override func store(_ key: [UInt8], _ value: [UInt8], flags: UInt64) throws(MapError) {
        let length = arrayIndex(key)
        guard !isUnknown(flags: flags), length <= maxLength else { throw .invalid }
        let place = find(key, length)
        guard place.node != Self.none else {
            try checkAdd(flags)
            setSlot(place.slot, make(length, key, value))
            return
        }
        let old = place.node
        if nodes[old].length == place.matched {
            if nodes[old].hasEntry {
                if flags == UpdateMode.noExist.rawValue { throw .exists }
            } else {
                try checkAdd(flags)
            }
            write(old, key, value)
            return
        }
        try checkAdd(flags)
        let new = make(length, key, value)
        if place.matched == length {
            setChild(new, dataBit(old, length), old)
            setSlot(place.slot, new)
        } else {
            let joint = make(place.matched, key, nil)
            let newBit = bit(key, place.matched)
            setChild(joint, newBit, new)
            setChild(joint, 1 - newBit, old)
            setSlot(place.slot, joint)
        }
    }

    override func erase(_ key: [UInt8]) throws(MapError) {
        let length = arrayIndex(key)
        guard length <= maxLength else { throw .invalid }
        let place = find(key, length)
        let node = place.node
        guard node != Self.none, nodes[node].length == length, place.matched == length, nodes[node].hasEntry else {
            throw .noEntry
        }
        count -= 1
        let children = nodes[node].children
        if children.0 != Self.none, children.1 != Self.none {
            nodes[node].hasEntry = false
            values[node] = []
            return
        }
        let only = children.0 != Self.none ? children.0 : children.1
        let parent = place.slot.node
        release(node)
        if only == Self.none, parent != Self.root, !nodes[parent].hasEntry {
            // A joint that has lost one of its two children is not needed any more.
            setSlot(place.parentSlot, child(parent, 1 - place.slot.bit))
            release(parent)
        } else {
            setSlot(place.slot, only)
        }
    }

    override func list() throws(MapError) -> [MapEntry] {
        var entries: [MapEntry] = []
        var pending = [rootNode]
        while let node = pending.popLast() {
            guard node != Self.none else { continue }
            if nodes[node].hasEntry {
                entries.append(
                    MapEntry(
                        key: wordBytes(UInt32(nodes[node].length)) + data[(node * dataSize)..<((node + 1) * dataSize)],
                        value: values[node]))
            }
            pending += [nodes[node].children.1, nodes[node].children.0]
        }
        return entries
    }

    // MARK: Walking

    /// Where a node hangs: a child of `node`, or the root.
    private struct Slot {
        var node: Int
        var bit: Int
    }

    /// The first node on the key's way that does not lie wholly above it, or `none` and the empty slot.
    private func find(_ key: [UInt8], _ length: Int) -> (node: Int, matched: Int, slot: Slot, parentSlot: Slot) {
        var parentSlot = Slot(node: Self.root, bit: 0)
        var slot = parentSlot
        var node = rootNode
        var matched = 0
        while node != Self.none {
            matched = match(node, key, length)
            if nodes[node].length != matched || nodes[node].length == length { break }
            parentSlot = slot
            slot = Slot(node: node, bit: bit(key, nodes[node].length))
            node = child(node, slot.bit)
        }
        return (node, matched, slot, parentSlot)
    }

    /// How many leading bits agree, at most the shorter of the two lengths.
    private func match(_ node: Int, _ key: [UInt8], _ length: Int) -> Int {
        let limit = min(nodes[node].length, length)
        var matched = 0
        var position = node * dataSize
        var index = 4
        while matched < limit {
            let difference = data[position] ^ key[index]
            if difference != 0 { return min(limit, matched + difference.leadingZeroBitCount) }
            matched += 8
            position += 1
            index += 1
        }
        return limit
    }

    private func bit(_ key: [UInt8], _ index: Int) -> Int { Int(key[4 + index / 8] >> UInt8(7 - index % 8) & 1) }

    private func dataBit(_ node: Int, _ index: Int) -> Int {
        Int(data[node * dataSize + index / 8] >> UInt8(7 - index % 8) & 1)
    }

    private func child(_ node: Int, _ bit: Int) -> Int { bit == 0 ? nodes[node].children.0 : nodes[node].children.1 }

    private func setChild(_ node: Int, _ bit: Int, _ child: Int) {
        if bit == 0 { nodes[node].children.0 = child } else { nodes[node].children.1 = child }
    }

    private func setSlot(_ slot: Slot, _ node: Int) {
        if slot.node == Self.root { rootNode = node } else { setChild(slot.node, slot.bit, node) }
    }

    // MARK: Nodes

    private func checkAdd(_ flags: UInt64) throws(MapError) {
        if flags == UpdateMode.exist.rawValue { throw .noEntry }
        if count >= schema.maxEntries { throw .noSpace }
        count += 1
    }

    /// Without a value: a node that joins two others.
    private func make(_ length: Int, _ key: [UInt8], _ value: [UInt8]?) -> Int {
        let node: Int
        if let reused = free.popLast() {
            nodes[reused] = Node(length: length, hasEntry: false)
            node = reused
        } else {
            nodes.append(Node(length: length, hasEntry: false))
            data += Array(repeating: 0, count: dataSize)
            values.append([])
            node = nodes.count - 1
        }
        for index in 0..<dataSize { data[node * dataSize + index] = key[4 + index] }
        if let value {
            nodes[node].hasEntry = true
            values[node] = value
        }
        return node
    }

    private func write(_ node: Int, _ key: [UInt8], _ value: [UInt8]) {
        for index in 0..<dataSize { data[node * dataSize + index] = key[4 + index] }
        nodes[node].hasEntry = true
        values[node] = value
    }

    private func release(_ node: Int) {
        nodes[node] = Node(length: 0, hasEntry: false)
        values[node] = []
        free.append(node)
    }
}
