internal import WeirABI
package import WeirImage
internal import WeirKernel
internal import WeirMaps
internal import WeirModel

/// What an apply would change. Encodes as the JSON of `weir apply --dry-run`.
package struct Plan: Hashable, Sendable, Codable {
    package struct EndpointInterface: Hashable, Sendable, Codable {
        package var endpoint: String
        package var interface: String
        package var index: UInt32
    }

    /// false: an apply would say "unchanged".
    package var hasChanges: Bool
    /// Whether nothing is loaded yet.
    package var isFirst: Bool
    package var imageDigest: String
    package var activeDigest: String?
    package var endpoints: [EndpointInterface]
    /// `interface/direction (kind)`, sorted.
    package var attach: [String]
    package var detach: [String]
    package var swap: [String]
    /// Maps whose entries differ from those in force, in order of name.
    package var maps: [MapChange]
    /// An upper estimate for one slot.
    package var estimatedBytes: Int
    /// The slot in force would be changed by single writes; no other one is filled.
    package var inPlace = false
    /// Of a change in place: map elements written or removed, of both slots, fences included.
    package var mapWrites: Int?
    /// Why the slot in force cannot be changed in place.
    package var notInPlace: String?
    /// Why a rollback would be refused afterwards, where the other slot has to be given up.
    package var rollbackRefusal: String?
}

extension Loader {
    /// Checks everything that an apply checks beforehand and says what it would do. Changes nothing.
    package func plan(_ image: Image, policy: PolicySource? = nil) throws(LoaderError) -> Plan {
        try plan { _ in ApplyOrder(image: image, policy: policy) }
    }

    /// The same for what depends on this node's own endpoints.
    package func plan(preparing order: (NodeSession) throws -> ApplyOrder) throws(LoaderError) -> Plan {
        try bordered {
            let order = try order(NodeSession(loader: self))
            let image = order.image
            if let admission = options.admission { try state.requireNewEnough(admission) }
            let checked = try check(image)
            let names = checked.node.interfaces
            var plan = Plan(
                hasChanges: true, isFirst: true, imageDigest: image.digest.hexadecimal, activeDigest: nil,
                endpoints: image.endpoints.flatMap { record in
                    (record.isHost ? checked.node.devices : names[record.id].map { [$0] } ?? []).map {
                        Plan.EndpointInterface(endpoint: record.name, interface: $0.name, index: $0.index)
                    }
                }, attach: [], detach: [], swap: [], maps: [], estimatedBytes: checked.contents.estimatedBytes)
            guard try Files.exists(layout.root), try !isReleased() else {
                let kind: AttachKind = options.attachMode != .clsact && checked.features.hasTCX ? .tcx : .clsact
                plan.attach = checked.node.hooks.sorted { $0.key < $1.key }
                    .map { describe($0.key, kind, [$0.key.interface: $0.value.interface]) }
                plan.maps = changes(from: [:], of: nil, to: checked.contents, of: image)
                return plan
            }
            try requireSameNamespace(checked.node.namespace)
            try requireSameABI()
            plan.isFirst = false
            let maps = try PinnedMaps(pinnedIn: layout.root)
            let survey = try AttachmentSurvey(layout, ownPrograms: try PinnedSet.programIDs(layout))
            let digest = PinnedSet.digest(object: object, options: options.programs)
            let ids = try programIDs(in: "\(layout.programs)/\(digest)")
            let changes = AttachmentChanges(survey, checked, programs: ids, mode: options.attachMode)
            plan.attach = changes.missing.map { describe($0.hook, $0.kind, changes.names) }
            plan.detach = changes.stale.sorted { $0.key < $1.key }.map {
                describe($0.key, $0.value.kind, changes.names)
            }
            plan.swap = changes.outdated.sorted { $0.key < $1.key }.map {
                describe($0.key, $0.value.kind, changes.names)
            }
            let word = try ControlWord(try maps(.control)).load()
            if word.isCommitted {
                plan.activeDigest = abiBytes(of: try maps.meta(slot: word.activeSlot).image_digest).hexadecimal
            }
            var today = order
            today.generation = UInt64(try maps.meta(slot: word.activeSlot).generation)
            switch try inPlace(today, checked, changes, word, maps) {
            case .unchanged: plan.hasChanges = false
            case .possible(let run):
                plan.inPlace = true
                plan.mapWrites = run.writes
                plan.rollbackRefusal = run.rollbackRefusal
                plan.maps = self.changes(run.active)
            case .impossible(let reason):
                plan.notInPlace = reason
                plan.maps = self.changes(
                    from: word.isCommitted ? try present(maps, word.activeSlot) : [:], of: try activeImage(maps, word),
                    to: checked.contents, of: image)
            }
            return plan
        }
    }

    /// Empty where they are not loaded yet: then every hook runs another version.
    private func programIDs(in directory: String) throws -> [String: UInt32] {
        guard let programs = try Programs(pinnedIn: directory) else { return [:] }
        return programs.ids
    }

    private func present(_ maps: PinnedMaps, _ slot: Int) throws -> [SlotMap: [MapEntry]] {
        var present: [SlotMap: [MapEntry]] = [:]
        for name in SlotMap.allCases {
            let entries = try read(try maps(name), slot)
            present[name] = name == .peers ? Image.unpackActions(entries) : entries
        }
        return present
    }

    /// Both values are in the numbers of the slot in force, whose names are only added to.
    private func changes(_ adjustment: Adjustment) -> [MapChange] {
        let image = adjustment.image
        return Dictionary(grouping: adjustment.changes.writes, by: \.map).sorted { $0.key < $1.key }.map {
            name, writes in
            MapChange(
                writes.sorted { $0.key.lexicographicallyPrecedes($1.key) }, of: name, from: image, to: image)
        }
    }

    private func changes(
        from present: [SlotMap: [MapEntry]], of former: Image?, to contents: SlotContents, of image: Image
    ) -> [MapChange] {
        contents.maps.sorted { $0.key < $1.key }.compactMap { name, map in
            MapChange(
                from: present[name] ?? [], of: former ?? image,
                to: name == .peers ? Image.unpackActions(map.entries) : map.entries, of: image, map: name)
        }
    }
}
