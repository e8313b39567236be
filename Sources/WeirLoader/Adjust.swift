internal import WeirABI
internal import WeirImage
internal import WeirKernel
internal import WeirMaps
internal import WeirModel

/// A change in place that began and did not come to its end. Its entries are in force, old and new mixed, each judged as
/// before or after; a commit through the other slot, or the next apply, completes it.
struct UnfinishedAdjustment: Error {
    var cause: any Error
}

extension Loader {
    /// Takes the slot in force to the image by single writes, and the other slot after it.
    ///
    /// The mark comes first: a slot that is being built beside means that nobody vouches for the entries in force, and
    /// the next apply compares them. Only when both slots are complete is it taken away.
    func adjust(
        _ run: AdjustmentRun, _ order: ApplyOrder, _ checked: Checked, _ pins: borrowing PinnedSet,
        _ control: borrowing ControlWord, _ step: (ApplyStep) throws -> Void
    ) throws -> Outcome {
        let (active, maps) = (run.active, pins.maps)
        let passive = 1 - active.slot
        let formerOther = run.formerOther
        let attacher = Attacher(layout, state)
        var outcome = Outcome(result: .adjusted, revision: control.load().revision, slot: active.slot)
        var writer = SlotWriter(maps)
        var undo = Undo()
        do {
            let lastGood = try state.lastGood()
            undo.add { [state] in try state.restore(lastGood) }
            try save(active.image, order)
            if case .adjusted(let other, let policy) = run.other { try save(other, policy) }
            try step(.imageSaved)
            undo.add { try maps.setMeta(formerOther, slot: passive) }
            var mark = formerOther
            mark.state = WEIR_SLOT_BUILDING.rawValue
            try writer.setMeta(mark, slot: passive)
            if active.meta.abiBytes != active.formerMeta.abiBytes {
                undo.add { try maps.setMeta(active.formerMeta, slot: active.slot) }
                try writer.setMeta(active.meta, slot: active.slot)
            }
            try step(.marked)
            try remember { $0.namespace = checked.node.namespace }
            try change(run.changes, pins.programs, attacher, &undo, &outcome, step)
        } catch {
            undo.run()
            throw error
        }

        do {
            func advance() throws {
                let word = control.load()
                control.store(word.withRevision(word.revision + UInt64(WEIR_SLOT_COUNT)))
                try step(.advanced)
            }
            try writer.perform(
                active.changes, in: active.slot, advance: advance, written: { try step(.written) },
                fenced: { try step(.fenced) })
            if run.wasInterrupted {
                try advance()
                try writer.fence()
                try step(.fenced)
            }
            outcome.revision = control.load().revision
            try state.markInForce(active.image.digest, isAudited: control.load().isAudited)
            try release(run.changes, attacher, &outcome)
            try step(.detached)
            try finish(run.other, passive, formerOther, &writer, &outcome)
            try tidy(pins)
            try step(.saved)
        } catch { throw UnfinishedAdjustment(cause: error) }
        outcome.mapWrites = writer.writes
        return outcome
    }

    /// After a commit: the slot that is no longer in force knows today's pods, too, or is given up.
    func renew(
        _ slot: Int, _ order: ApplyOrder, _ maps: PinnedMaps, _ outcome: inout Outcome
    ) throws {
        let other = try otherSlot(slot, beside: order, maps)
        guard !other.isKept else { return }
        let former = try maps.meta(slot: slot)
        var writer = SlotWriter(maps)
        if case .adjusted(let adjustment, let policy) = other { try save(adjustment, policy) }
        var mark = former
        mark.state = WEIR_SLOT_BUILDING.rawValue
        try writer.setMeta(mark, slot: slot)
        try finish(other, slot, former, &writer, &outcome)
        outcome.mapWrites += writer.writes
    }

    /// Brings the other slot to what was planned for it and takes its mark away.
    ///
    /// - Parameter former: what it said of itself before it was marked.
    private func finish(
        _ other: OtherSlot, _ slot: Int, _ former: weir_slot_meta, _ writer: inout SlotWriter, _ outcome: inout Outcome
    ) throws {
        switch other {
        case .kept: try writer.setMeta(former, slot: slot)
        case .adjusted(let adjustment, _):
            try writer.perform(adjustment.changes, in: slot, advance: {})
            try writer.setMeta(adjustment.meta, slot: slot)
        case .lost(let reason):
            try remember { $0.rollbackRefusal = reason }
            try writer.setMeta(weir_slot_meta(), slot: slot)
            outcome.rollbackRefusal = reason
        }
    }

    /// Lets go of interfaces that are no endpoint's any longer.
    func release(
        _ changes: AttachmentChanges, _ attacher: borrowing Attacher,
        _ outcome: inout Outcome
    ) throws {
        for (hook, attachment) in changes.stale.sorted(by: { $0.key < $1.key }) {
            try attacher.detach(hook, attachment.kind, pin: attachment.pin)
            outcome.detached.append(describe(hook, attachment.kind, changes.names))
        }
        for pin in changes.deadPins { try Files.removeFile(pin) }
    }

    func save(_ image: Image, _ order: ApplyOrder) throws {
        try state.save(image)
        if let policy = order.policy { try state.save(policy: policy.bytes, of: image.digest) }
        if let bundle = order.bundle {
            try state.keep(bundle, of: image, as: options, absent: order.absent)
        }
    }

    /// Of the slot that is not in force.
    private func save(_ other: Adjustment, _ policy: [UInt8]) throws {
        try state.save(other.image)
        try state.save(policy: policy, of: other.image.digest)
        try state.carryBundle(of: abiBytes(of: other.formerMeta.image_digest), to: other.image)
    }

    func remember(_ change: (inout NodeState) -> Void) throws {
        let before = try state.load()
        var after = before
        change(&after)
        if after != before { try state.save(after) }
    }
}
