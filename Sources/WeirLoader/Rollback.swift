internal import WeirABI
internal import WeirImage
internal import WeirKernel
internal import WeirMaps

extension Loader {
    package struct RollbackOutcome: Hashable, Sendable, Codable {
        package var revision: UInt64
        package var slot: Int
        /// Hexadecimal SHA-256 of the image that is in force now.
        package var imageDigest: String
    }

    /// Makes the policy of the other slot the one in force again: one store, whatever its size.
    ///
    /// Every apply takes that slot to today's pods. Refused where it could not, where the slot is not complete, was made
    /// from an older inventory, or knows other interfaces than the active one: an interface that a policy does not know
    /// passes everything. Twice is where it began.
    package func rollback() throws(LoaderError) -> RollbackOutcome {
        try bordered { try state.locked(timeout: options.lockTimeout) { try rollbackLocked() } }
    }

    private func rollbackLocked() throws -> RollbackOutcome {
        guard try Files.exists(layout.root) else {
            throw LoaderError.refused("nothing is loaded under \(layout.root)", hint: "apply a policy first")
        }
        try requireSameNamespace(try .current())
        let maps = try PinnedMaps(pinnedIn: layout.root)
        let control = try ControlWord(try maps(.control))
        try settle(control, maps, try pinnedPrograms())
        let before = control.load()
        guard before.isCommitted else {
            throw LoaderError.refused("no policy was ever committed", hint: "apply a policy first")
        }
        let after = before.withRevision(before.revision + 1)
        let (former, active) = (try maps.meta(slot: after.activeSlot), try maps.meta(slot: before.activeSlot))
        guard former.state != WEIR_SLOT_BUILDING.rawValue else {
            throw LoaderError.refused("an apply did not end", hint: "apply again to complete it")
        }
        guard former.state == WEIR_SLOT_READY.rawValue, former.abi_version == UInt32(WEIR_ABI_VERSION) else {
            if let reason = try state.load().rollbackRefusal {
                throw LoaderError.refused("the earlier policy was given up: \(reason)", hint: "apply the one you want")
            }
            throw LoaderError.refused("there is no earlier policy to go back to", hint: "apply the one you want")
        }
        guard former.generation >= active.generation else {
            throw LoaderError.refused(
                "the earlier policy is of inventory generation \(former.generation), this one of \(active.generation)",
                hint: "compile it with today's inventory and apply it")
        }
        let interfaces = try [before, after].map { word in
            Set(try read(try maps(.endpoints), word.activeSlot).map(\.key))
        }
        guard interfaces[0] == interfaces[1] else {
            throw LoaderError.refused(
                "the earlier policy knows other endpoints than the node has now", hint: "apply the one you want")
        }
        control.store(nil as ConfirmDeadline?)
        control.store(after)
        do {
            try state.markInForce(abiBytes(of: former.image_digest), isAudited: after.isAudited)
            try Fence(try maps(.fence)).wait()
        } catch {
            throw LoaderError.afterCommit(revision: after.revision, LoaderError(error))
        }
        return RollbackOutcome(
            revision: after.revision, slot: after.activeSlot,
            imageDigest: abiBytes(of: former.image_digest).hexadecimal)
    }
}
