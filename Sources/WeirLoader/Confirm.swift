internal import WeirABI
internal import WeirImage
internal import WeirKernel
internal import WeirMaps

/// A policy that goes away by itself unless somebody confirms it.
///
/// The deadline stands beside the revision in `control`, and the programs honour it: past it they read revision R as
/// R + 1, whose slot is the other one. No process has to survive. Whoever works on the node next makes that so.
extension Loader {
    package struct ConfirmOutcome: Hashable, Sendable, Codable {
        package var revision: UInt64
        /// false: nothing waited to be confirmed.
        package var wasPending: Bool
    }

    /// Makes the policy in force stay. Refused where its time is over: then the earlier one is in force.
    package func confirm() throws(LoaderError) -> ConfirmOutcome {
        try bordered { try state.locked(timeout: options.lockTimeout) { try confirmLocked() } }
    }

    private func confirmLocked() throws -> ConfirmOutcome {
        guard try Files.exists(layout.root) else {
            throw LoaderError.refused("nothing is loaded under \(layout.root)", hint: "apply a policy first")
        }
        try requireSameNamespace(try .current())
        let maps = try PinnedMaps(pinnedIn: layout.root)
        let control = try ControlWord(try maps(.control))
        let value = control.load()
        guard let deadline = control.loadDeadline(), deadline.concerns(value) else {
            return ConfirmOutcome(revision: value.revision, wasPending: false)
        }
        let programs = try pinnedPrograms()
        if try programs.tick() <= deadline.tick {
            control.store(nil as ConfirmDeadline?)
            var confirmed = value
            // Packets may have met the deadline while this process slept: R + 1 is used up then, R + 2 is this slot's.
            if try programs.tick() > deadline.tick {
                confirmed = value.withRevision(value.revision + 2)
                control.store(confirmed)
                try Fence(try maps(.fence)).wait()
            }
            do {
                let digest = abiBytes(of: try maps.meta(slot: value.activeSlot).image_digest)
                try state.markInForce(digest, isAudited: value.isAudited)
            } catch {
                throw LoaderError.afterCommit(revision: confirmed.revision, LoaderError(error))
            }
            return ConfirmOutcome(revision: confirmed.revision, wasPending: true)
        }
        try settle(control, maps, programs)
        throw LoaderError.refused(
            "revision \(value.revision) was not confirmed in time: the earlier policy is in force again",
            hint: "apply it once more, and confirm in time")
    }

    /// Makes the end of an unconfirmed policy what `control` says. Nothing changes for any packet.
    func settle(_ control: borrowing ControlWord, _ maps: PinnedMaps, _ programs: Programs) throws {
        let value = control.load()
        guard let deadline = control.loadDeadline(), deadline.concerns(value), try programs.tick() > deadline.tick
        else {
            return
        }
        control.store(value.withRevision(value.revision + 1))
        control.store(nil as ConfirmDeadline?)
        try Fence(try maps(.fence)).wait()
    }

    /// Throws while a policy waits to be confirmed: the slot that would be filled is the one to go back to.
    func requireNothingPending(_ control: borrowing ControlWord) throws {
        guard let deadline = control.loadDeadline(), deadline.concerns(control.load()) else { return }
        throw LoaderError.refused(
            "revision \(control.load().revision) waits to be confirmed",
            hint: "weir confirm to keep it, weir rollback to go back at once")
    }

    /// Audit mode stands beside the revision, not in a slot: going back by itself would leave the former policy in the
    /// mode of the new one, which may be open.
    func requireSameAuditMode(_ word: ControlValue) throws {
        guard options.confirmWithin != nil, word.isCommitted, word.isAudited != options.isAudited else { return }
        throw LoaderError.refused(
            "audit mode of the node would stay as it is now when an unconfirmed policy goes away",
            hint: "change --policy-audit-mode in an apply of its own, without --confirm-within")
    }

    /// Programs of any version that are pinned.
    func pinnedPrograms() throws -> Programs {
        for name in try Files.list(layout.programs) ?? [] {
            if let programs = try Programs(pinnedIn: "\(layout.programs)/\(name)") { return programs }
        }
        throw LoaderError.refused("no programs are pinned in \(layout.programs)", hint: "apply again")
    }

    /// What a first policy goes back to where it is not confirmed: a slot that knows no interface, so that everything
    /// passes, as before weir came.
    func placeNothing(in slot: Int, _ maps: PinnedMaps, node: String) throws {
        let nothing = Image(
            node: node, nodeAddresses: [], endpoints: [],
            maps: [
                .peers: [MapEntry(key: UInt32(0).abiBytes, value: Action.decided(Decision(.allow)).rawValue.abiBytes)]
            ],
            attributions: [[]], identities: ["unknown"], groupCount: 1)
        let contents = try SlotContents(image: nothing, endpoints: [], extraRoom: false)
        let types = MapTypes(of: try maps(.control))
        for (name, map) in try contents.create(types: types).sorted(by: { $0.key < $1.key }) {
            try maps.place(map, as: name, slot: slot)
        }
        try state.save(nothing)
        let meta = contents.meta(image: nothing, nodeDigest: [UInt8](repeating: 0, count: 32), generation: 0)
        try maps.setMeta(meta, slot: slot)
    }
}
