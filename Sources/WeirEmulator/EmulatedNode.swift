internal import WeirABI
package import WeirImage
package import WeirMaps
internal import WeirModel

/// A node's maps: those that outlive a policy, and two slots of those that do not.
///
/// A class because datapath, judge and test look into the same maps.
package final class EmulatedNode {
    /// A map call of a commit or rollback failed; the active slot is untouched.
    package struct Failure: Error, Hashable, Sendable {
        package var map: String
        package var error: MapError

        package init(map: String, error: MapError) {
            self.map = map
            self.error = error
        }
    }

    package let factory: EmulatedMapFactory
    let control: EmulatedArray
    let slotMeta: EmulatedArray
    let fragments: EmulatedMap
    let ruleCounters: EmulatedArray
    let drops: EmulatedArray
    let events: EmulatedRingBuffer
    let monitor: EmulatedArray
    let monitorState: EmulatedArray
    private let conntrack4: (established: EmulatedMap, new: EmulatedMap)
    private let conntrack6: (established: EmulatedMap, new: EmulatedMap)
    private let fence: EmulatedArrayOfMaps
    /// In the order of `SlotMap.allCases`.
    private let slots: [EmulatedArrayOfMaps]

    /// Empty maps, revision 0: nothing was ever committed.
    package init(factory: EmulatedMapFactory = EmulatedMapFactory()) throws(Failure) {
        self.factory = factory
        control = try Self.make(.control, factory)
        slotMeta = try Self.make(.slot_meta, factory)
        conntrack4 = (try Self.make(.conntrack4, factory), try Self.make(.conntrack4_new, factory))
        conntrack6 = (try Self.make(.conntrack6, factory), try Self.make(.conntrack6_new, factory))
        fragments = try Self.make(.fragments, factory)
        ruleCounters = try Self.make(.rule_counters, factory)
        monitor = try Self.make(.monitor, factory)
        monitorState = try Self.make(.monitor_state, factory)
        drops = try Self.make(.drops, factory)
        events = try Self.make(.events, factory)
        let token = MapSchema(name: "fence_token", type: .array, keySize: 4, valueSize: 4, maxEntries: 1)
        fence = try Self.array(NodeMap.fence.schema, inner: token, factory)
        var slots: [EmulatedArrayOfMaps] = []
        for map in SlotMap.allCases {
            let outer = MapSchema(
                name: map.rawValue, type: .arrayOfMaps, keySize: 4, valueSize: 4, maxEntries: Int(WEIR_SLOT_COUNT))
            slots.append(try Self.array(outer, inner: map.schema, factory))
        }
        self.slots = slots
    }

    /// A node that enforces an image; `interfaces` is endpoint id → interface index.
    package convenience init(
        image: Image, interfaces: [UInt32: UInt32], hostDevices: [UInt32] = [],
        factory: EmulatedMapFactory = EmulatedMapFactory()
    ) throws(Failure) {
        try self.init(factory: factory)
        try commit(image, interfaces: interfaces, hostDevices: hostDevices)
    }

    // MARK: Maps

    package func map(_ map: NodeMap) -> any BPFMap {
        switch map {
        case .control: control
        case .slot_meta: slotMeta
        case .conntrack4: conntrack4.established
        case .conntrack4_new: conntrack4.new
        case .conntrack6: conntrack6.established
        case .conntrack6_new: conntrack6.new
        case .fragments: fragments
        case .rule_counters: ruleCounters
        case .monitor: monitor
        case .monitor_state: monitorState
        case .drops: drops
        case .events: events
        case .fence: fence
        }
    }

    /// The array of maps that holds a map's two slots.
    package func slots(of map: SlotMap) -> EmulatedArrayOfMaps {
        let position =
            switch map {
            case .endpoints: 0
            case .ipcache4: 1
            case .ipcache6: 2
            case .cidrs4: 3
            case .cidrs6: 4
            case .peers: 5
            case .verdicts: 6
            }
        return slots[position]
    }

    /// The map of one slot; nil where nothing was built.
    package func map(_ map: SlotMap, slot: Int) -> (any BPFMap)? { element(map, slot) }

    /// Takes the records of `events`, each the bytes of a `weir_event`, oldest first.
    package func drainEvents() -> [[UInt8]] { events.drain() }

    func conntrack(_ family: AddressFamily) -> (established: EmulatedMap, new: EmulatedMap) {
        family == .ipv4 ? conntrack4 : conntrack6
    }

    /// The stored revision, 56 bits; 0: no policy is in force.
    package var revision: UInt64 { UInt64(committed.word) & Self.revisionMask }

    /// What a packet at that tick takes for the revision: an unconfirmed one past its deadline is the next.
    package func revisionInForce(at tick: UInt32) -> UInt64 {
        let committed = committed
        let revision = UInt64(committed.word) & Self.revisionMask
        let confirm = UInt64(committed.confirm)
        guard confirm != 0,
            UInt32(truncatingIfNeeded: confirm >> UInt64(WEIR_CONFIRM_REVISION_SHIFT))
                == UInt32(truncatingIfNeeded: revision), tick > UInt32(truncatingIfNeeded: confirm)
        else { return revision }
        return revision + 1
    }

    /// Audit mode of the whole node.
    var isAudited: Bool { UInt64(committed.word) >> UInt64(WEIR_CONTROL_AUDIT_BIT) & 1 == 1 }

    /// Interfaces whose traffic is encrypted, as the loader would store them: 0 for none at all, WEIR_TUNNEL_ABSENT for
    /// one that is missing.
    package func setTunnels(_ first: UInt32, _ second: UInt32) throws(Failure) {
        var next = committed
        next.tunnels = (first, second)
        try store(next)
    }

    /// The interfaces whose traffic is encrypted; nil where nothing is to be.
    func tunnels() -> Tunnels? { Tunnels(committed) }

    struct Tunnels {
        private let interfaces: [UInt32]

        fileprivate init?(_ control: weir_control) {
            guard control.tunnels.0 != 0 else { return nil }
            interfaces = [control.tunnels.0, control.tunnels.1]
        }

        func contain(_ interface: UInt32) -> Bool { interface != 0 && interfaces.contains(interface) }
    }

    private static let revisionMask = UInt64(1) << UInt64(WEIR_REVISION_BITS) - 1

    private var committed: weir_control { control.find(index: 0).flatMap { weir_control(abiBytes: $0) } ?? .init() }

    /// A program's lookup in the array of maps.
    func element(_ map: SlotMap, _ index: Int) -> EmulatedMap? { slots(of: map).element(index) }

    // MARK: Policy

    /// Builds the image in the inactive slot and makes it the node's policy with one store. On an error the
    /// active slot enforces what it did before.
    package func commit(
        _ image: Image, interfaces: [UInt32: UInt32], hostDevices: [UInt32] = []
    ) throws(Failure) {
        let revision = revision &+ 1
        let slot = Int(revision & 1)
        var meta = weir_slot_meta()
        meta.state = WEIR_SLOT_BUILDING.rawValue
        try write(meta, slot)

        clearRuleCounters(slot)
        meta.abi_version = UInt32(WEIR_ABI_VERSION)
        setABIBytes(&meta.image_digest, image.digest)
        for (map, outer) in zip(SlotMap.allCases, slots) {
            let entries =
                map == .endpoints
                ? image.endpointEntries(interfaces: interfaces, hostDevices: hostDevices) : image.mapEntries(map)
            do throws(MapError) {
                let inner = try factory.makeMap(map.schema.withMaxEntries(entries.count))
                try inner.updateBatch(entries)
                try outer.update(wordBytes(UInt32(slot)), wordBytes(inner.id), mode: .any)
            } catch {
                throw Failure(map: map.rawValue, error: error)
            }
        }
        meta.state = WEIR_SLOT_READY.rawValue
        try write(meta, slot)
        try store(revision)
    }

    /// Makes the other slot's policy the node's again; nothing happens (ENOENT) where that slot is not ready.
    package func rollback() throws(Failure) {
        let revision = revision &+ 1
        guard let bytes = slotMeta.find(index: Int(revision & 1)), let meta = weir_slot_meta(abiBytes: bytes),
            meta.state == WEIR_SLOT_READY.rawValue
        else { throw Failure(map: NodeMap.slot_meta.rawValue, error: .noEntry) }
        try store(revision)
    }

    /// Flags above the revision are kept. The fence waits for nobody here, but can fail.
    private func store(_ revision: UInt64) throws(Failure) {
        var next = committed
        next.word = weir_u64(UInt64(next.word) & ~Self.revisionMask | revision & Self.revisionMask)
        try store(next)
    }

    private func store(_ next: weir_control) throws(Failure) {
        do throws(MapError) { try control.update(wordBytes(0), next.abiBytes, mode: .any) } catch {
            throw Failure(map: NodeMap.control.rawValue, error: error)
        }
    }

    private func clearRuleCounters(_ slot: Int) {
        ruleCounters.clear(from: slot * Int(WEIR_RULES_MAX), count: Int(WEIR_RULES_MAX))
    }

    private func write(_ meta: weir_slot_meta, _ slot: Int) throws(Failure) {
        do throws(MapError) { try slotMeta.update(wordBytes(UInt32(slot)), meta.abiBytes, mode: .any) } catch {
            throw Failure(map: NodeMap.slot_meta.rawValue, error: error)
        }
    }

    // MARK: Making maps

    private static func make<Map: EmulatedMap>(_ map: NodeMap, _ factory: EmulatedMapFactory) throws(Failure) -> Map {
        do throws(MapError) {
            guard let made = try factory.makeMap(map.schema) as? Map else { throw .invalid }
            return made
        } catch {
            throw Failure(map: map.rawValue, error: error)
        }
    }

    private static func array(
        _ schema: MapSchema, inner: MapSchema, _ factory: EmulatedMapFactory
    ) throws(Failure) -> EmulatedArrayOfMaps {
        do throws(MapError) { return try factory.makeArrayOfMaps(schema, inner: inner) } catch {
            throw Failure(map: schema.name, error: error)
        }
    }
}
