package import WeirMaps

/// A map by its name in the kernel: one that each slot has for itself, or one that outlives a policy.
package enum MapName: Hashable, Sendable, CaseIterable, Comparable, CustomStringConvertible {
    case slot(SlotMap)
    case node(NodeMap)

    package init?(_ name: String) {
        if let map = SlotMap(rawValue: name) {
            self = .slot(map)
        } else if let map = NodeMap(rawValue: name) {
            self = .node(map)
        } else {
            return nil
        }
    }

    /// Those of a slot, then those of the node, each by name.
    package static let allCases: [MapName] =
        SlotMap.allCases.sorted().map { .slot($0) } + NodeMap.allCases.sorted().map { .node($0) }

    package var description: String {
        switch self {
        case .slot(let map): map.rawValue
        case .node(let map): map.rawValue
        }
    }

    /// Of a slot's map with a placeholder for the size.
    package var schema: MapSchema {
        switch self {
        case .slot(let map): map.schema
        case .node(let map): map.schema
        }
    }

    /// Whether every index has an element from the beginning.
    package var isArray: Bool { schema.type == .array || schema.type == .perCPUArray }

    /// Whether its elements can be asked for: a ring buffer has none, and those of `fence` say nothing.
    package var hasEntries: Bool { schema.type != .ringBuffer && schema.type != .arrayOfMaps }

    package static func < (left: Self, right: Self) -> Bool {
        switch (left, right) {
        case (.slot(let left), .slot(let right)): left < right
        case (.node(let left), .node(let right)): left < right
        case (.slot, .node): true
        case (.node, .slot): false
        }
    }

    /// Bytes in whose order entries are shown: numbers by size, prefixes by address and then by length.
    package func order(_ key: [UInt8]) -> [UInt8] {
        switch self {
        case .slot(.cidrs4), .slot(.cidrs6): Array(key.dropFirst(4)) + key.prefix(4).reversed()
        case .slot(.verdicts) where key.count == 12:
            key[4..<8].reversed() + [key[0] > 32 ? 1 : 0] + key[8..<11] + key.prefix(4).reversed()
        case .slot(.ipcache4), .slot(.ipcache6), .node(.fragments): key
        default: key.prefix(4).reversed() + key.dropFirst(4)
        }
    }
}
