internal import SystemPackage
internal import WeirKernel
internal import WeirMaps
internal import WeirModel
internal import WeirNetlink

extension Loader {
    package struct DetachOutcome: Hashable, Sendable, Codable {
        /// `interface/direction (kind)`, sorted.
        package var detached: [String] = []
        /// Whether there was anything at all.
        package var wasPresent = false
        /// Names of interfaces that let nothing pass until then, sorted by index.
        package var allowed: [String] = []
        /// false: no `control` could be written, so that the hooks stopped enforcing one after the other.
        package var wasAtOnce = true
    }

    /// Takes away everything that this set made: programs off their hooks, clsact where weir made it and nobody else
    /// uses it, pins, state. Again is the same as once. Works with the pins of any version.
    ///
    /// One store of revision 0 ends enforcement for the whole node; only then hooks are let go. A run that ends in
    /// between leaves programs that pass everything, for the next detach or apply to take away.
    package func detach() throws(LoaderError) -> DetachOutcome {
        try bordered {
            guard try Files.exists(layout.root) || Files.exists(layout.staging) || Files.exists(state.path) else {
                return DetachOutcome()
            }
            return try state.locked(timeout: options.lockTimeout) {
                // Also what a detach that ended in between has left.
                let wasRestorable = try state.hasBundles()
                var outcome = try detachLocked()
                // Even where nothing was loaded, as after a reboot: nothing is to be enforced from now on.
                let denied = try state.denied()
                let present = Set(try Netlink().interfaces().map(\.index))
                outcome.allowed = denied.filter { present.contains($0.index) }.map(\.interface)
                do {
                    if outcome.wasPresent || wasRestorable || !denied.isEmpty { try state.forgetLastGood() }
                    try allow(Set(denied.map(\.index)))
                } catch { throw LoaderError.afterRelease(LoaderError(error)) }
                return outcome
            }
        }
    }

    /// After a detach: forgets endpoints, bundles and serials, as if weir had never been here. The directory stays where
    /// something else is in it, such as keys.
    package func forget() throws(LoaderError) {
        try bordered {
            guard try Files.exists(state.path) else { return }
            try state.locked(timeout: options.lockTimeout) {
                try state.removeLastGood()
                try state.removeAllRegistrations()
                try Files.removeFile(state.markPath)
            }
            try Files.removeFile(state.lockPath)
            if try Files.list(state.path)?.isEmpty == true { try Files.removeEmptyDirectory(state.path) }
        }
    }

    func detachLocked() throws -> DetachOutcome {
        var outcome = DetachOutcome(wasPresent: try Files.exists(layout.root) || Files.exists(layout.staging))
        guard try Files.exists(layout.root) else {
            try removePins()
            return outcome
        }
        try requireSameNamespace(try .current())
        let programs = try PinnedSet.programIDs(layout)
        let survey = try AttachmentSurvey(layout, ownPrograms: programs)
        // Also qdiscs that were made for a filter that never came.
        let qdiscs = try state.load().createdQdiscs.sorted()
        outcome.wasAtOnce = try release(programs)
        do {
            let attacher = Attacher(layout, state)
            for (hook, attachment) in survey.attached.sorted(by: { $0.key < $1.key }) {
                try attacher.detach(hook, attachment.kind, pin: attachment.pin)
                outcome.detached.append(describe(hook, attachment.kind, survey.names))
            }
            for interface in qdiscs { try attacher.removeQdiscIfOurs(interface) }
            try removePins()
        } catch {
            if outcome.wasAtOnce { throw LoaderError.afterRelease(LoaderError(error)) }
            throw error
        }
        return outcome
    }

    /// Stores revision 0 where these programs read it, and waits for those that still run with another. false where
    /// they read none that can be written.
    private func release(_ programs: Set<UInt32>) throws -> Bool {
        guard let map = try controlInUse(by: programs), try !map.isFrozen else { return false }
        let fence = try KernelMap.pinned(at: "\(layout.maps)/\(NodeMap.fence.rawValue)")
            .flatMap { NodeMap.fence.schema.differences(from: $0.schema).isEmpty ? try Fence($0) : nil }
        let control = try ControlWord(map)
        let word = control.load()
        control.store(word.withRevision(0))
        do { try fence?.wait() } catch { throw LoaderError.afterRelease(LoaderError(error)) }
        return true
    }

    /// The map that the pinned programs read, whatever is pinned as `control`; nil where they read none of our shape.
    private func controlInUse(by programs: Set<UInt32>) throws -> KernelMap? {
        for id in programs.sorted() {
            guard let program = try Program.withID(id) else { continue }
            for map in program.mapIDs {
                do throws(KernelError) {
                    let map = try KernelMap.withID(map)
                    if let map, NodeMap.control.schema.differences(from: map.schema).isEmpty { return map }
                } catch {
                    // A type of map that this weir has none of.
                    guard error.errno == .invalidArgument else { throw error }
                }
            }
        }
        return nil
    }

    /// Whether pins are there and no policy is in force: a first apply or a detach has ended half-way.
    func isReleased() throws -> Bool {
        guard let map = try controlInUse(by: try PinnedSet.programIDs(layout)) else { return false }
        return try !ControlState(reading: map).value.isCommitted
    }
}
