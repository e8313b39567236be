internal import WeirABI
package import WeirMaps
internal import WeirModel

/// One element of one map of a slot: nil is "not there".
package struct EntryChange: Hashable, Sendable {
    package var map: SlotMap
    package var key: [UInt8]
    package var before: [UInt8]?
    package var after: [UInt8]?
}

/// Writes that take `endpoints`, `ipcache4` and `ipcache6` of a slot in force from one content to another, in an order
/// in which no packet sees a verdict wider than both.
///
/// A flow is judged where it leaves a pod, by that pod's row and the peer's group, and where it enters one. As long as
/// only one of these lookups changes, every packet is judged as before or as after. Where several change, the order
/// sees to it:
///
/// * An endpoint that comes is published before any address of it: until then its interface passes everything, so
///   nothing is wider than before. Its addresses come last of all addresses.
/// * An endpoint that goes is removed after its addresses: what follows is an interface that passes everything, so
///   nothing is wider than after.
/// * Anything else, as a pod whose new labels change both its own rules and what others make of it, is refused: it needs
///   the one store that changes everything.
///
/// An address that changes is overwritten, never removed and added: in between it would be whatever its region is, and
/// that may be wider than both. Flows that are remembered are judged again when the revision advances, before
/// another lookup of theirs can change.
///
/// The kernel gives the memory of an element that was overwritten or removed to the next one at once, under the eyes
/// of a packet that has just found it. So nothing is written into a map after that without a fence.
package struct OrderedChanges: Hashable, Sendable {
    package enum Step: Hashable, Sendable {
        case write(EntryChange)
        /// Flows that are remembered are judged again from here on.
        case advance
        /// No packet that began before is still being judged.
        case fence
    }

    /// Entries by key.
    package typealias Contents = [SlotMap: [[UInt8]: [UInt8]]]

    /// The maps that change in place.
    package static let maps: [SlotMap] = [.endpoints, .ipcache4, .ipcache6]

    /// More waits than this, and a new slot is as fast.
    private static let maximumFences = 8

    package private(set) var steps: [Step] = []

    package var writes: [EntryChange] {
        steps.compactMap { if case .write(let change) = $0 { change } else { nil } }
    }

    package var isEmpty: Bool { steps.isEmpty }

    /// Throws where no order of single writes is safe, or too many would have to wait.
    package init(from old: Contents, to new: Contents) throws(NotInPlace) {
        let endpoints = EndpointChanges(old[.endpoints] ?? [:], new[.endpoints] ?? [:])
        let addresses = [SlotMap.ipcache4, .ipcache6].map { map in
            AddressChanges(map, old[map] ?? [:], new[map] ?? [:], endpoints)
        }
        try Self.requireOneLookup(endpoints, addresses)

        var batch = Batch()
        batch.write(endpoints.added)
        for family in addresses { batch.write(family.renamed) }
        for family in addresses { batch.write(family.foreign.filter { $0.before != nil && $0.after != nil }) }
        for family in addresses { batch.write(family.foreign.filter { $0.after == nil }) }
        batch.write(endpoints.changed)
        for family in addresses { batch.write(family.ofStaying) }
        for family in addresses { batch.write(family.foreign.filter { $0.before == nil }) }
        batch.advance()
        for family in addresses { batch.write(family.ofComing) }
        batch.advance()
        batch.write(endpoints.removed)
        batch.finish()
        steps = batch.steps
        let fences = steps.count { $0 == .fence }
        guard fences <= Self.maximumFences else {
            throw NotInPlace("\(fences) entries would have to be replaced one after the other")
        }
    }

    private static func requireOneLookup(
        _ endpoints: EndpointChanges, _ addresses: [AddressChanges]
    ) throws(NotInPlace) {
        if !endpoints.changed.isEmpty {
            guard endpoints.changed.count == 1 else {
                throw NotInPlace("other rules select \(endpoints.changed.count) endpoints at once")
            }
            guard addresses.allSatisfy({ $0.foreign.isEmpty && $0.ofStaying.isEmpty && $0.ofComing.isEmpty }) else {
                throw NotInPlace("other rules select an endpoint, and what it may meet changes at the same time")
            }
        }
        for family in addresses where !family.ofStaying.isEmpty {
            guard family.ofStaying.count == 1 else {
                throw NotInPlace("\(family.ofStaying.count) endpoints of this node become other peers at once")
            }
            let others = family.foreign.filter { !family.isLeaving($0) } + family.ofComing.filter { $0.before != nil }
            guard others.isEmpty else {
                throw NotInPlace("an endpoint of this node becomes another peer at the same time as others")
            }
        }
    }

    /// Puts advances and fences where the writes need them.
    private struct Batch {
        var steps: [Step] = []
        private var freed: Set<SlotMap> = []
        private var isPending = false

        mutating func write(_ changes: [EntryChange]) {
            for change in changes {
                if change.after != nil, freed.contains(change.map) { fence() }
                steps.append(.write(change))
                if change.before != nil { freed.insert(change.map) }
                if change.isJudgedOtherwise { isPending = true }
                // Another pod may have the address: the sooner its flows are judged again, the better.
                if change.before != nil, change.after != nil { advance() }
            }
        }

        mutating func advance() {
            guard isPending else { return }
            steps.append(.advance)
            isPending = false
        }

        mutating func finish() { if !freed.isEmpty { fence() } }

        private mutating func fence() {
            advance()
            steps.append(.fence)
            freed = []
        }
    }
}

extension EntryChange {
    /// Whether remembered flows may be judged otherwise now. Those of an interface that comes or goes are nobody's.
    fileprivate var isJudgedOtherwise: Bool {
        map == .endpoints ? before != nil && after != nil : !isOnlyName
    }

    /// An address whose group stays: no verdict changes.
    fileprivate var isOnlyName: Bool {
        guard map != .endpoints, let before = before.flatMap(weir_peer.init(abiBytes:)),
            let after = after.flatMap(weir_peer.init(abiBytes:))
        else { return false }
        return before.group == after.group && before.flags == after.flags
    }

    /// Node addresses stand for more than one peer: for the node, and for what it forwards.
    fileprivate var isOfNode: Bool {
        let ofNodes = WEIR_PEER_NODE.rawValue | WEIR_PEER_OWN_NODE.rawValue
        return [before, after].contains {
            $0.flatMap(weir_peer.init(abiBytes:)).map { $0.flags & ofNodes != 0 } ?? false
        }
    }
}

/// Every key that differs, sorted.
private func differences(_ map: SlotMap, _ old: [[UInt8]: [UInt8]], _ new: [[UInt8]: [UInt8]]) -> [EntryChange] {
    var changes: [EntryChange] = []
    for (key, value) in new where old[key] != value {
        changes.append(EntryChange(map: map, key: key, before: old[key], after: value))
    }
    for (key, value) in old where new[key] == nil {
        changes.append(EntryChange(map: map, key: key, before: value, after: nil))
    }
    return changes.sorted { $0.key.lexicographicallyPrecedes($1.key) }
}

private struct EndpointChanges {
    var added: [EntryChange] = []
    /// The interface stays.
    var changed: [EntryChange] = []
    var removed: [EntryChange] = []
    var addressesOfAdded: Set<[UInt8]> = []
    var addressesOfStaying: Set<[UInt8]> = []
    var addressesOfRemoved: Set<[UInt8]> = []

    init(_ old: [[UInt8]: [UInt8]], _ new: [[UInt8]: [UInt8]]) {
        for change in differences(.endpoints, old, new) {
            switch (change.before, change.after) {
            case (nil, let after?):
                added.append(change)
                addressesOfAdded.formUnion(Self.addresses(after))
            case (let before?, nil):
                removed.append(change)
                addressesOfRemoved.formUnion(Self.addresses(before))
            default: changed.append(change)
            }
        }
        for (interface, value) in new {
            guard let former = old[interface] else { continue }
            addressesOfStaying.formUnion(Self.addresses(value) + Self.addresses(former))
        }
    }

    private static func addresses(_ value: [UInt8]) -> [[UInt8]] {
        guard let endpoint = weir_endpoint(abiBytes: value) else { return [] }
        var addresses: [[UInt8]] = []
        if endpoint.flags & WEIR_ENDPOINT_HAS_IPV4.rawValue != 0 { addresses.append(abiBytes(of: endpoint.ipv4)) }
        if endpoint.flags & WEIR_ENDPOINT_HAS_IPV6.rawValue != 0 { addresses.append(abiBytes(of: endpoint.ipv6)) }
        return addresses
    }
}

/// What changes among the addresses of one family, by whose they are.
private struct AddressChanges {
    /// No verdict changes.
    var renamed: [EntryChange] = []
    /// Of endpoints whose interface stays, and of nodes.
    var ofStaying: [EntryChange] = []
    /// Of endpoints that come.
    var ofComing: [EntryChange] = []
    /// Of nobody on this node, or not any longer.
    var foreign: [EntryChange] = []
    private let leaving: Set<[UInt8]>

    init(_ map: SlotMap, _ old: [[UInt8]: [UInt8]], _ new: [[UInt8]: [UInt8]], _ endpoints: EndpointChanges) {
        leaving = endpoints.addressesOfRemoved
        for change in differences(map, old, new) {
            if change.isOnlyName {
                renamed.append(change)
            } else if change.isOfNode || endpoints.addressesOfStaying.contains(change.key) {
                ofStaying.append(change)
            } else if endpoints.addressesOfAdded.contains(change.key) {
                ofComing.append(change)
            } else {
                foreign.append(change)
            }
        }
    }

    /// It goes with its endpoint.
    func isLeaving(_ change: EntryChange) -> Bool { change.after == nil && leaving.contains(change.key) }
}
