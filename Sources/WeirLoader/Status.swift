internal import SystemPackage
internal import WeirABI
package import WeirImage
package import WeirKernel
internal import WeirMaps
package import WeirModel
internal import WeirNetlink

/// What a node enforces, read from the kernel. Encodes as the JSON of `weir status`.
package struct NodeStatus: Hashable, Sendable, Codable {
    package struct Slot: Hashable, Sendable, Codable {
        package enum State: String, Hashable, Sendable, Codable { case empty, building, ready, unknown }

        package var index: Int
        package var isActive: Bool
        package var state: State
        /// Hexadecimal SHA-256; empty in an empty slot.
        package var imageDigest: String
        package var nodeDigest: String
        package var generation: UInt64
    }

    package struct Hook: Hashable, Sendable, Codable {
        package var direction: Direction
        package var kind: AttachKind
        package var programID: UInt32
        /// From 0 among the programs of a tcx hook; nil for clsact.
        package var position: Int?
        package var chainLength: Int?
    }

    package struct Endpoint: Hashable, Sendable, Codable {
        package var name: String
        package var id: UInt32
        package var addresses: [String]
        /// nil: the policy knows no interface of it.
        package var interface: String?
        package var interfaceIndex: UInt32?
        /// Sorted by direction; two when everything is as it should be.
        package var hooks: [Hook]
    }

    package struct Drops: Hashable, Sendable, Codable {
        /// As in the ABI header, `policy-deny`.
        package var reason: String
        package var direction: Direction
        package var packets: UInt64
        package var bytes: UInt64
    }

    /// Flows or fragments that could not be recorded, by the kernel's error; the last number stands for all above.
    package struct InsertFailure: Hashable, Sendable, Codable {
        package var errno: Int32
        package var meaning: String
        package var packets: UInt64
    }

    package struct RuleCounter: Hashable, Sendable, Codable {
        package var rule: UInt32
        /// `path:line`, sorted.
        package var locations: [String]
        package var packets: UInt64
        package var bytes: UInt64
    }

    package struct MapFill: Hashable, Sendable, Codable {
        package var map: String
        package var entries: Int
        package var capacity: Int
    }

    package var pinPath: String
    /// Policy drops of the whole node are reported and pass.
    package var isAudited: Bool
    /// Until the policy in force goes away, unless it is confirmed; nil where it stays.
    package var secondsToConfirm: Double?
    /// 0: no policy is in force.
    package var revision: UInt64
    package var activeSlot: Int?
    package var node: String?
    package var slots: [Slot]
    package var endpoints: [Endpoint]
    /// Reasons that dropped something, in the order of the ABI.
    package var drops: [Drops]
    /// Empty as long as conntrack has room.
    package var insertFailures: [InsertFailure]
    /// Rules that decided something.
    package var rules: [RuleCounter]
    package var maps: [MapFill]
    package var local: LocalStatus
    /// Sentences about what is not as apply would leave it.
    package var problems: [String]
}

extension Loader {
    /// nil where nothing is loaded under the pin path and nothing is remembered. Changes nothing and takes no lock.
    package func status() throws(LoaderError) -> NodeStatus? {
        try bordered {
            guard try Files.exists(layout.root) else {
                let local = try localStatus(judged: [])
                guard !local.isEmpty else { return nil }
                var status = NodeStatus(
                    pinPath: layout.root, isAudited: false, revision: 0, activeSlot: nil, node: nil, slots: [],
                    endpoints: [], drops: [], insertFailures: [], rules: [], maps: [], local: local, problems: [])
                if local.policyAgeSeconds != nil {
                    status.problems.append("the policy that was applied is not in force: weir restore")
                }
                return status
            }
            let maps = try PinnedMaps(pinnedIn: layout.root)
            let control = try ControlState(reading: maps(.control))
            let word = try inForce(control)
            let slot = word.isCommitted ? word.activeSlot : nil
            var status = NodeStatus(
                pinPath: layout.root, isAudited: word.isAudited, revision: word.revision, activeSlot: slot, node: nil,
                slots: [], endpoints: [],
                drops: [], insertFailures: [], rules: [], maps: [], local: LocalStatus(), problems: [])
            try countDrops(maps, into: &status)
            for index in 0..<Int(WEIR_SLOT_COUNT) { status.slots.append(try slotStatus(maps, index, active: slot)) }
            if let deadline = control.deadline, deadline.concerns(control.value) {
                if word == control.value {
                    let tick = try pinnedPrograms().tick()
                    status.secondsToConfirm =
                        try Clock.duration(ticks: deadline.tick > tick ? deadline.tick - tick : 0) / .seconds(1)
                } else {
                    status.problems.append(
                        "revision \(control.value.revision) was not confirmed in time: the earlier policy is in force")
                }
            }
            let survey = try AttachmentSurvey(layout, ownPrograms: try PinnedSet.programIDs(layout))
            status.local = try localStatus(judged: Set(survey.attached.keys.map(\.interface)))
            guard let slot else {
                status.problems.append(
                    "no policy is in force, every packet passes: apply starts over, detach removes what is left")
                return status
            }
            let image = try activeImage(maps, word)
            if status.slots.contains(where: { $0.state == .building }) {
                status.problems.append("an apply did not end; apply again to complete it")
            }
            if image == nil { status.problems.append("the state directory has no image of the active slot") }
            if let image, let problem = try tunnelProblem(of: image, control.tunnels) {
                status.problems.append("\(problem): \(Self.tunnelRemedy)")
            }
            status.node = image?.node
            status.endpoints = try endpoints(maps, slot, image, survey, &status.problems)
            status.rules = try rules(maps, slot, image)
            status.maps = try fillLevels(maps, slot)
            return status
        }
    }

    /// What packets take for the word now.
    func inForce(_ control: ControlState) throws -> ControlValue {
        guard let deadline = control.deadline, deadline.concerns(control.value) else { return control.value }
        return control.inForce(at: try pinnedPrograms().tick())
    }

    /// The image that is in force; nil where nothing is, or where its file is lost.
    package func activeImage() throws(LoaderError) -> Image? {
        try bordered {
            guard try Files.exists(layout.root) else { return nil }
            let maps = try PinnedMaps(pinnedIn: layout.root)
            return try activeImage(maps, try inForce(try ControlState(reading: maps(.control))))
        }
    }

    func activeImage(_ maps: PinnedMaps, _ word: ControlValue) throws -> Image? {
        guard word.isCommitted else { return nil }
        return try state.image(digest: abiBytes(of: try maps.meta(slot: word.activeSlot).image_digest))
    }

    private func slotStatus(_ maps: PinnedMaps, _ index: Int, active: Int?) throws -> NodeStatus.Slot {
        let meta = try maps.meta(slot: index)
        let isEmpty = meta.state == WEIR_SLOT_EMPTY.rawValue
        let state: NodeStatus.Slot.State =
            switch meta.state {
            case WEIR_SLOT_EMPTY.rawValue: .empty
            case WEIR_SLOT_BUILDING.rawValue: .building
            case WEIR_SLOT_READY.rawValue: .ready
            default: .unknown
            }
        return NodeStatus.Slot(
            index: index, isActive: index == active, state: state,
            imageDigest: isEmpty ? "" : abiBytes(of: meta.image_digest).hexadecimal,
            nodeDigest: isEmpty ? "" : abiBytes(of: meta.node_digest).hexadecimal, generation: UInt64(meta.generation))
    }

    private func endpoints(
        _ maps: PinnedMaps, _ slot: Int, _ image: Image?, _ survey: AttachmentSurvey, _ problems: inout [String]
    ) throws -> [NodeStatus.Endpoint] {
        let interfaces = survey.names
        var byID: [UInt32: UInt32] = [:]
        for entry in try read(try maps(.endpoints), slot) {
            // Index 0 is the node, for its own endpoints.
            guard let value = weir_endpoint(abiBytes: entry.value), let index = UInt32(abiBytes: entry.key), index != 0
            else { continue }
            byID[value.id] = index
        }
        let known = Dictionary((image?.endpoints ?? []).map { ($0.id, $0) }) { $1 }
        return try Set(byID.keys).union(known.keys).sorted().map { id in
            let record = known[id]
            let index = byID[id]
            var endpoint = NodeStatus.Endpoint(
                name: record?.name ?? "", id: id, addresses: record?.addresses.map(\.description) ?? [],
                interface: index.flatMap { interfaces[$0] }, interfaceIndex: index, hooks: [])
            for direction in Direction.allCases.sorted() {
                guard let index, let attached = survey.attached[Hook(interface: index, direction: direction)] else {
                    problems.append("\(endpoint.name): nothing is attached for \(direction.rawValue)")
                    continue
                }
                let chain =
                    attached.kind == .tcx ? try TCXLink.chain(interface: index, direction: direction) : []
                endpoint.hooks.append(
                    NodeStatus.Hook(
                        direction: direction, kind: attached.kind, programID: attached.programID,
                        position: chain.firstIndex(of: attached.programID),
                        chainLength: chain.isEmpty ? nil : chain.count))
            }
            if index != nil, endpoint.interface == nil {
                problems.append("\(endpoint.name): its interface is gone; apply again")
            }
            return endpoint
        }
    }

    func read(_ outer: KernelMap, _ slot: Int) throws -> [MapEntry] {
        guard let inner = try outer.inner(at: slot) else { return [] }
        do throws(MapError) { return try inner.entries() } catch {
            throw KernelError("read", "map '\(outer.schema.name)'", error)
        }
    }

    private func countDrops(_ maps: PinnedMaps, into status: inout NodeStatus) throws {
        let entries: [MapEntry]
        do throws(MapError) { entries = try maps.node[.drops]?.entries() ?? [] } catch {
            throw KernelError("read", "map 'drops'", error)
        }
        let counters = entries.compactMap { entry in
            UInt32(abiBytes: entry.key).map { ($0, weir_counter(perCPU: entry.value)) }
        }
        for (index, counter) in counters.filter({ $0.1.packets > 0 }).sorted(by: { $0.0 < $1.0 }) {
            if index < UInt32(WEIR_DROPS_ERRNO) {
                status.drops.append(
                    NodeStatus.Drops(
                        reason: dropReasonName(index / 2),
                        direction: index % 2 == WEIR_EGRESS.rawValue ? .egress : .ingress,
                        packets: UInt64(counter.packets), bytes: UInt64(counter.bytes)))
            } else {
                let errno = Int32(index) - Int32(WEIR_DROPS_ERRNO)
                status.insertFailures.append(
                    NodeStatus.InsertFailure(
                        errno: errno, meaning: Errno(rawValue: errno).description, packets: UInt64(counter.packets)))
            }
        }
    }

    private func rules(_ maps: PinnedMaps, _ slot: Int, _ image: Image?) throws -> [NodeStatus.RuleCounter] {
        try maps.ruleCounters(slot: slot).sorted { $0.key < $1.key }.map { rule, counter in
            NodeStatus.RuleCounter(
                rule: rule, locations: image?.ruleLocations(RuleID(rawValue: rule)) ?? [],
                packets: UInt64(counter.packets), bytes: UInt64(counter.bytes))
        }
    }

    private func fillLevels(_ maps: PinnedMaps, _ slot: Int) throws -> [NodeStatus.MapFill] {
        var levels: [NodeStatus.MapFill] = []
        for name in SlotMap.allCases.sorted() {
            guard let inner = try maps(name).inner(at: slot) else { continue }
            let count = inner.schema.type == .array ? inner.schema.maxEntries : try read(try maps(name), slot).count
            levels.append(
                NodeStatus.MapFill(map: name.rawValue, entries: count, capacity: inner.schema.maxEntries))
        }
        for name in NodeMap.conntrack + [.fragments] {
            let map = try maps(name)
            do throws(MapError) {
                levels.append(
                    NodeStatus.MapFill(
                        map: name.rawValue, entries: try map.entries().count, capacity: map.schema.maxEntries))
            } catch { throw KernelError("read", "map '\(name.rawValue)'", error) }
        }
        return levels
    }
}
