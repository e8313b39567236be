package import WeirImage
package import WeirInspect
package import WeirABI
internal import WeirKernel
package import WeirMaps
internal import WeirModel
internal import WeirNetlink

/// Which slot's maps are looked into.
package enum SlotChoice: Hashable, Sendable {
    /// That of the revision which packets take for the one in force.
    case active
    case inactive
    case number(Int)
}

/// The pinned maps of this node, read as they are. Nothing is changed and nothing is locked: what somebody changes
/// meanwhile is seen before or after.
package struct LiveMaps: MapSource {
    private let maps: PinnedMaps
    private let images: [Int: Image]
    private let interfaces: [UInt32: String]
    private let slotInForce: Int?
    private let moment: Moment?
    /// nil: no policy is in force, and no slot was asked for by number.
    package let slot: Int?
    package let revision: UInt64

    fileprivate init(_ loader: Loader, _ choice: SlotChoice) throws {
        maps = try PinnedMaps(pinnedIn: loader.layout.root)
        let word = try loader.inForce(try ControlState(reading: maps(.control)))
        revision = word.revision
        slotInForce = word.isCommitted ? word.activeSlot : nil
        slot =
            switch choice {
            case .active: slotInForce
            case .inactive: slotInForce.map { 1 - $0 }
            case .number(let number): number
            }
        var images: [Int: Image] = [:]
        for number in 0..<Int(WEIR_SLOT_COUNT) {
            let meta = try maps.meta(slot: number)
            guard meta.state != WEIR_SLOT_EMPTY.rawValue else { continue }
            images[number] = try loader.state.image(digest: abiBytes(of: meta.image_digest))
        }
        self.images = images
        // In another network namespace the same numbers are other interfaces.
        let recorded = try loader.state.load().namespace
        let isHere = try recorded == nil || recorded == .current()
        interfaces = isHere ? Dictionary(try Netlink().interfaces().map { ($0.index, $0.name) }) { $1 } : [:]
        moment =
            word.isCommitted
            ? Moment(
                revision: word.revision, tick: try loader.pinnedPrograms().tick(),
                secondsPerTick: try Clock.duration(ticks: 1) / .seconds(1)) : nil
    }

    package var image: Image? { slot.flatMap { images[$0] } }

    private func kernelMap(_ map: MapName) throws -> KernelMap? {
        switch map {
        case .slot(let map): try slot.flatMap { try maps(map).inner(at: $0) }
        case .node(let map): try maps(map)
        }
    }

    func read(_ map: MapName) throws -> [MapEntry]? {
        guard map.hasEntries, let open = try kernelMap(map) else { return nil }
        do throws(MapError) { return try open.entries() } catch {
            throw KernelError("read", "map '\(map)'", error)
        }
    }

    package func entries(_ map: MapName) throws(LoaderError) -> [MapEntry]? { try bordered { try read(map) } }

    package func lookup(_ map: MapName, _ key: [UInt8]) throws(LoaderError) -> [UInt8]? {
        try bordered {
            guard let open = try kernelMap(map) else { return nil }
            do throws(MapError) { return try open.lookup(key) } catch {
                throw KernelError("look into", "map '\(map)'", error)
            }
        }
    }

    package func decoder(members: Bool) throws(LoaderError) -> EntryDecoder {
        try bordered {
            let peers = members ? try MapName.peerMaps.flatMap { try read(.slot($0)) ?? [] } : []
            let names = EntryNames(
                image: image, inForce: slotInForce.flatMap { images[$0] }, slots: images, interfaces: interfaces,
                endpoints: try read(.slot(.endpoints)) ?? [], peers: peers)
            return EntryDecoder(names: names, moment: moment)
        }
    }

    package func summaries() throws(LoaderError) -> [MapSummary] {
        try bordered {
            try MapName.allCases.compactMap { name in
                guard let map = try kernelMap(name) else { return nil }
                let count: Int?
                do throws(MapError) { count = map.schema.type == .ringBuffer ? nil : try map.count() } catch {
                    throw KernelError("read", "map '\(name)'", error)
                }
                return MapSummary(name, map.schema, entries: count, memoryBytes: map.chargedBytes, id: map.id)
            }
        }
    }

    /// The counters of the slot's rules that counted something; nil where no slot is looked at.
    package func ruleCounters() throws(LoaderError) -> [UInt32: weir_counter]? {
        try bordered { try slot.map { try maps.ruleCounters(slot: $0) } }
    }

    /// Removes flows that the filter admits, from both tables of their family; how many it were.
    fileprivate func flush(_ filter: FlowFilter) throws -> Int {
        let decoder = try decoder(members: false)
        var keys: Set<[UInt8]> = []
        for table in FlowFilter.tables {
            for entry in try read(.node(table)) ?? [] {
                guard let flow = FlowEntry(entry, in: .node(table)), filter.admits(flow, decoder) else { continue }
                keys.insert(flow.key)
            }
        }
        var removed: Set<[UInt8]> = []
        // A flow that is promoted meanwhile is in the second table before it leaves the first.
        for table in FlowFilter.tables {
            let map = try maps(table)
            for key in keys where key.count == map.schema.keySize {
                do throws(MapError) {
                    try map.delete(key)
                    removed.insert(key)
                } catch .noEntry {
                } catch { throw KernelError("remove a flow from", "map '\(table.rawValue)'", error) }
            }
        }
        return removed.count
    }
}

extension Loader {
    /// nil where nothing is loaded.
    package func liveMaps(_ slot: SlotChoice = .active) throws(LoaderError) -> LiveMaps? {
        try bordered { try Files.exists(layout.root) ? try LiveMaps(self, slot) : nil }
    }

    /// What a flush did. Encodes as the JSON of `weir ct flush`.
    package struct FlushOutcome: Hashable, Sendable, Codable {
        package var removed: Int
    }

    /// Forgets flows, each in both tables. Every packet of them is judged by itself again.
    ///
    /// nil where nothing is loaded.
    package func flushFlows(_ filter: FlowFilter) throws(LoaderError) -> FlushOutcome? {
        try bordered {
            guard try Files.exists(layout.root) else { return nil }
            return try state.locked(timeout: options.lockTimeout) {
                guard try Files.exists(layout.root) else { return nil }
                return FlushOutcome(removed: try LiveMaps(self, .active).flush(filter))
            }
        }
    }
}
