internal import WeirABI
package import WeirImage
internal import WeirKernel
internal import WeirMaps
internal import WeirModel

/// The policies behind an image, so that a later apply can say what they mean for the pods of its day.
package struct PolicySource {
    /// Kept beside the image; only `recompile` reads them.
    package var bytes: [UInt8]
    /// The image that the bytes of an earlier apply give under this apply's inventory. What it throws is shown.
    package var recompile: ([UInt8]) throws -> Image

    package init(bytes: [UInt8], recompile: @escaping ([UInt8]) throws -> Image) {
        self.bytes = bytes
        self.recompile = recompile
    }
}

/// How one slot is taken to an image without filling another one.
struct Adjustment {
    let slot: Int
    /// In the slot's numbers.
    let image: Image
    let changes: OrderedChanges
    let meta: weir_slot_meta
    let formerMeta: weir_slot_meta

    /// Nothing has to be written, not even what the slot says of itself.
    var isNothing: Bool { changes.isEmpty && meta.abiBytes == formerMeta.abiBytes }
}

/// What becomes of the slot that is not in force.
enum OtherSlot {
    /// It is as it should be.
    case kept
    case adjusted(Adjustment, policy: [UInt8])
    /// No rollback can lead there any longer.
    case lost(reason: String)

    var isKept: Bool { if case .kept = self { true } else { false } }
}

/// Everything that a change in place works on.
struct AdjustmentRun {
    let active: Adjustment
    let other: OtherSlot
    let changes: AttachmentChanges
    /// What the other slot says of itself now.
    let formerOther: weir_slot_meta

    /// An earlier run did not end: flows may be remembered that it would have had judged again.
    var wasInterrupted: Bool { formerOther.state == WEIR_SLOT_BUILDING.rawValue }

    /// How many map elements will be written or removed, fences included.
    var writes: Int {
        var count = 2 + active.changes.mapWrites  // The mark, and what takes it away.
        if active.meta.abiBytes != active.formerMeta.abiBytes { count += 1 }
        if case .adjusted(let adjustment, _) = other { count += adjustment.changes.mapWrites }
        return wasInterrupted ? count + 1 : count
    }

    var rollbackRefusal: String? { if case .lost(let reason) = other { reason } else { nil } }
}

extension OrderedChanges {
    fileprivate var mapWrites: Int { steps.count { $0 != .advance } }
}

/// What an apply has to do.
enum InPlace {
    /// The image is in force, in the slot's numbers.
    case unchanged(Image)
    case possible(AdjustmentRun)
    /// nil where nothing is in force yet.
    case impossible(String?)
}

extension Loader {
    /// How the slot could take over the image, or why it cannot.
    ///
    /// What the slot holds is read from its maps: a run that ended half-way left neither the old entries nor the new.
    func adjustment(
        of slot: Int, to image: Image, _ maps: PinnedMaps, generation: UInt64
    ) throws -> Result<Adjustment, NotInPlace> {
        let former = try maps.meta(slot: slot)
        guard let inForce = try state.image(digest: abiBytes(of: former.image_digest)) else {
            return .failure(NotInPlace("the state directory has no image of slot \(slot)"))
        }
        guard former.abi_version == UInt32(WEIR_ABI_VERSION) else {
            return .failure(NotInPlace("slot \(slot) was filled for another ABI"))
        }
        let adopted: Image
        let changes: OrderedChanges
        do throws(NotInPlace) { adopted = try inForce.adopting(image) } catch { return .failure(error) }
        let node = try NodePart(adopted, devices: options.devices)
        let wanted = contents(endpoints: node.endpoints, ipcache: node.ipcache)
        let found = try contents(
            endpoints: read(try maps(.endpoints), slot),
            ipcache: [.ipcache4: read(try maps(.ipcache4), slot), .ipcache6: read(try maps(.ipcache6), slot)])
        do throws(NotInPlace) { changes = try OrderedChanges(from: found, to: wanted) } catch { return .failure(error) }
        for name in OrderedChanges.maps {
            let added = changes.writes.count { $0.map == name && $0.before == nil }
            guard let capacity = try maps(name).inner(at: slot)?.schema.maxEntries,
                (found[name]?.count ?? 0) + added <= capacity
            else { return .failure(NotInPlace("'\(name.rawValue)' of slot \(slot) is full")) }
        }
        var meta = former
        setABIBytes(&meta.image_digest, adopted.digest)
        setABIBytes(&meta.node_digest, node.digest)
        meta.generation = weir_u64(generation)
        meta.state = WEIR_SLOT_READY.rawValue
        return .success(
            Adjustment(slot: slot, image: adopted, changes: changes, meta: meta, formerMeta: former))
    }

    private func contents(endpoints: [MapEntry], ipcache: [SlotMap: [MapEntry]]) -> OrderedChanges.Contents {
        ipcache.merging([.endpoints: endpoints]) { $1 }
            .mapValues { Dictionary($0.map { ($0.key, $0.value) }) { $1 } }
    }

    /// What the slot that is not in force needs, so that a rollback knows today's pods.
    ///
    /// Its policy is compiled again under today's inventory and taken over like that of the slot in force. Where that
    /// cannot be, as with a bundle made without them, it is as good as before if the pods are, and lost if they are not.
    ///
    /// - Parameter order: what the node is to enforce now.
    func otherSlot(_ slot: Int, beside order: ApplyOrder, _ maps: PinnedMaps) throws -> OtherSlot {
        let meta = try maps.meta(slot: slot)
        let digest = abiBytes(of: meta.image_digest)
        guard meta.state != WEIR_SLOT_EMPTY.rawValue else { return .kept }
        guard let policy = order.policy, let kept = try state.policy(digest: digest) else {
            if meta.state == WEIR_SLOT_READY.rawValue,
                try state.image(digest: digest)?.knowsSamePeers(as: order.image) == true
            {
                return .kept
            }
            return .lost(
                reason: "the pods changed, and its policies are not known: a bundle made --without-sources has none")
        }
        let other: Image
        do { other = try policy.recompile(kept) } catch { return .lost(reason: "\(error)") }
        switch try adjustment(of: slot, to: other, maps, generation: order.generation) {
        case .failure(let reason): return .lost(reason: "with today's pods it would be another one: \(reason)")
        case .success(let adjustment): return adjustment.isNothing ? .kept : .adjusted(adjustment, policy: kept)
        }
    }

    /// Whether nothing has to be done, single writes will do, or another slot must be filled.
    func inPlace(
        _ order: ApplyOrder, _ checked: Checked, _ changes: AttachmentChanges, _ word: ControlValue, _ maps: PinnedMaps
    ) throws -> InPlace {
        let image = order.image
        guard word.isCommitted else { return .impossible(nil) }
        guard word.isAudited == options.isAudited else { return .impossible("audit mode changes with it") }
        guard options.confirmWithin == nil else { return .impossible("it is to be confirmed") }
        if order.policy == nil, changes.isEmpty, try isInForce(image, checked, word, maps) { return .unchanged(image) }
        let active: Adjustment
        switch try adjustment(of: word.activeSlot, to: image, maps, generation: order.generation) {
        case .failure(let reason): return .impossible(reason.description)
        case .success(let adjustment): active = adjustment
        }
        let run = AdjustmentRun(
            active: active,
            other: try otherSlot(1 - word.activeSlot, beside: order, maps),
            changes: changes, formerOther: try maps.meta(slot: 1 - word.activeSlot))
        guard active.isNothing, run.other.isKept, changes.isEmpty, !run.wasInterrupted else { return .possible(run) }
        return .unchanged(active.image)
    }
}

/// Makes ordered changes in one slot and counts every map write of a run.
struct SlotWriter {
    let maps: PinnedMaps
    private(set) var writes = 0

    init(_ maps: PinnedMaps) { self.maps = maps }

    mutating func setMeta(_ meta: weir_slot_meta, slot: Int) throws {
        try maps.setMeta(meta, slot: slot)
        writes += 1
    }

    mutating func fence() throws {
        try Fence(try maps(.fence)).wait()
        writes += 1
    }

    /// `advance` makes remembered flows be judged again; nobody remembers those of a slot that is not in force.
    mutating func perform(
        _ changes: OrderedChanges, in slot: Int, advance: () throws -> Void,
        written: () throws -> Void = {}, fenced: () throws -> Void = {}
    ) throws {
        for step in changes.steps {
            switch step {
            case .write(let change):
                try write(change, slot)
                try written()
            case .advance: try advance()
            case .fence:
                try fence()
                try fenced()
            }
        }
    }

    private mutating func write(_ change: EntryChange, _ slot: Int) throws {
        guard let inner = try maps(change.map).inner(at: slot) else {
            throw KernelError("find", "map '\(change.map.rawValue)' of slot \(slot)", errno: .noSuchFileOrDirectory)
        }
        do throws(MapError) {
            if let after = change.after {
                try inner.update(change.key, after, mode: change.before == nil ? .noExist : .exist)
            } else {
                try inner.delete(change.key)
            }
            writes += 1
        } catch { throw KernelError("change", "map '\(change.map.rawValue)' of slot \(slot)", error) }
    }
}
