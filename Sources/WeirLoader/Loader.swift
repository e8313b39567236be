internal import SystemPackage
internal import WeirABI
package import WeirImage
internal import WeirKernel
package import WeirMaps
package import WeirModel
internal import WeirNetlink

package enum AttachMode: String, Hashable, Sendable, Codable, CaseIterable {
    /// tcx where the kernel has it; an interface that is attached stays as it is.
    case automatic = "auto"
    case tcx
    case clsact
}

/// The steps of an apply, in order. A step is reported when it is done; before `committed` the node still enforces
/// what it did before, from then on the new policy.
///
/// A change in place has no slot to fill and nothing to commit: it writes entry by entry.
package enum ApplyStep: String, Hashable, Sendable, CaseIterable {
    /// Privilege, file systems, features, interfaces, capacity.
    case checked
    /// The pins exist and fit.
    case pinned
    /// The new slot's maps exist, are full and were read back; nothing refers to them.
    case filled
    case imageSaved = "image-saved"
    case marked
    case placed
    case ready
    /// Reported once for each hook.
    case attached
    case committed
    /// In place only: reported once for each entry.
    case written
    /// In place only: remembered flows are judged again.
    case advanced
    case fenced
    /// Attachments of former endpoints are gone.
    case detached
    case saved
}

/// Loads images onto this node: one call does its work and returns, nothing of it stays resident.
///
/// Everything it makes lies under one pin path and one state directory; several sets on one machine do not meet.
/// Every call belongs to the network namespace of its thread and blocks: not for async functions.
package struct Loader: Sendable {
    package struct Options: Sendable {
        package var pinPath = "/sys/fs/bpf/weir"
        package var stateDirectory = "/var/lib/weir"
        package var attachMode = AttachMode.automatic
        package var lockTimeout = Duration.seconds(10)
        package var programs = DatapathOptions.defaults
        /// Use the programs that run, of whichever version: an endpoint that comes is no upgrade.
        package var keepsPrograms = false
        /// The node's devices under a host firewall; nil: those with its addresses or a default route.
        package var devices: [String]?
        /// Policy drops of the whole node are reported and pass.
        package var isAudited = false
        /// Apply a host policy that cuts the session it runs in, or an API server.
        package var isForced = false
        /// The session that must survive: SSH_CONNECTION of the environment, as sshd sets it.
        package var session: RemoteSession?
        /// API servers that the node must still reach.
        package var apiServers: [IPAddress] = []
        /// After this time without `confirm`, the programs go back to the policy before.
        package var confirmWithin: Duration?
        /// Of a trusted bundle: what is older than what was applied here before is refused.
        package var admission: BundleAdmission?
        /// At most two.
        package var tunnelInterfaces = Loader.tunnelInterfaces

        package init() {}
    }

    let object: [UInt8]
    let options: Options
    let layout: PinLayout
    let state: StateDirectory

    /// `object` is an ELF file with the programs and maps of the datapath.
    package init(options: Options = Options(), object: [UInt8] = EmbeddedObject.bytes) {
        self.object = object
        self.options = options
        layout = PinLayout(root: options.pinPath)
        state = StateDirectory(path: options.stateDirectory)
    }

    package struct Outcome: Hashable, Sendable, Codable {
        package enum Result: String, Hashable, Sendable, Codable {
            case unchanged, committed
            /// The slot in force was changed in place.
            case adjusted
        }

        package var result: Result
        package var revision: UInt64
        package var slot: Int
        /// `interface/direction`, sorted.
        package var attached: [String] = []
        package var detached: [String] = []
        /// Hooks whose program was replaced by another version.
        package var swapped: [String] = []
        /// Map elements written or removed, of both slots, fences included.
        package var mapWrites = 0
        /// Of a commit that was not the first: why the slot in force could not be changed in place.
        package var notInPlace: String?
        /// Why nothing passes between pods of different nodes, where the policy wants encryption.
        package var tunnelProblem: String?
        /// Why a rollback is refused from now on; nil where weir did not give the other slot up.
        package var rollbackRefusal: String?
        /// Registered interfaces that let nothing pass, because the policy does not know whose they are.
        package var denied: [DeniedInterface] = []
        /// Endpoints of this node that were left out because they have no interface, sorted.
        package var absent: [String] = []
    }

    // MARK: Apply

    /// Makes the node enforce the image: all of it between two packets, or, where only pods came, went or changed among
    /// the groups in force, by single writes in an order in which no packet is judged wider than before and after.
    ///
    /// - Parameter policy: lets the slot that is not in force be changed alike, so that a rollback knows today's pods.
    /// `onStep` is told of every step when it is done. What it throws fails the run at that point, as any other
    /// error would; a process that it ends leaves a node that the next apply completes.
    package func apply(
        _ image: Image, generation: UInt64 = 0, policy: PolicySource? = nil,
        onStep: (ApplyStep) throws -> Void = { _ in }
    ) throws(LoaderError) -> Outcome {
        try session { try $0.apply(ApplyOrder(image: image, generation: generation, policy: policy), onStep: onStep) }
    }

    func applyLocked(_ order: ApplyOrder, onStep: (ApplyStep) throws -> Void) throws -> Outcome {
        var outcome = try state.admitting(options.admission) { remember in
            var imposed: [DeniedInterface] = []
            do {
                return try enforce(order) { step in
                    // Nothing was changed yet, and nothing is known to be in the way.
                    if step == .checked {
                        try remember()
                        // Before the commit that would let go of them.
                        imposed = try deny(order.denied)
                    }
                    do { try onStep(step) } catch { throw LoaderError.stopped(step, reason: "\(error)") }
                }
            } catch {
                if case .afterCommit = LoaderError(error) { throw error }
                try? allow(Set(imposed.map(\.index)))
                throw error
            }
        }
        outcome.denied = order.denied
        outcome.absent = order.absent
        outcome.tunnelProblem = try tunnelProblem(of: order.image, try presentTunnels())
        return outcome
    }

    private func enforce(_ order: ApplyOrder, _ step: (ApplyStep) throws -> Void) throws -> Outcome {
        let checked = try check(order.image)
        try step(.checked)
        let outcome = try applyChecked(order, checked, step)
        do {
            // The policy before may not know an interface that this one knows, and may be in force again any moment.
            if try !NodeSession(loader: self).isPending() {
                try allow(except: order.denied, known: Set(checked.node.interfaces.values.map(\.index)))
            }
            try state.removeDeadRegistrations()
        } catch { throw LoaderError.afterCommit(revision: outcome.revision, LoaderError(error)) }
        return outcome
    }

    private func applyChecked(
        _ order: ApplyOrder, _ checked: Checked, _ step: (ApplyStep) throws -> Void
    ) throws -> Outcome {
        // Left-overs of a run that ended before it published its pins, or of a detach.
        try Files.removeTree(layout.staging)
        if try Files.exists(layout.root) {
            guard try isReleased() else { return try applyToPins(order, checked, step) }
            // A first apply or a detach ended half-way. Revisions begin again, so conntrack must, too.
            _ = try detachLocked()
        }
        return try tidying(where: { try? removePins() }) {
            // A state file without pins is of another boot, but for what it says of interfaces that are denied now.
            let denied = Set(try state.denied().map(\.index))
            let qdiscs = try state.load().createdQdiscs.intersection(denied)
            try state.save(NodeState(namespace: checked.node.namespace, createdQdiscs: qdiscs))
            try PinnedSet.create(object, options: options.programs, layout: layout)
            return try applyToPins(order, checked, step)
        }
    }

    /// What the body left is taken away where it fails and has committed nothing.
    private func tidying<Value>(where tidy: () -> Void, _ body: () throws -> Value) throws -> Value {
        do { return try body() } catch {
            if case .afterCommit = LoaderError(error) { throw error }
            tidy()
            throw error
        }
    }

    /// Nothing may be attached any longer. One rename hides the whole set; what a crash leaves of it is staging.
    func removePins() throws {
        try Files.removeTree(layout.staging)
        if try Files.exists(layout.root) { try Files.rename(layout.root, to: layout.staging) }
        try Files.removeTree(layout.staging)
        try state.clear()
    }

    private func applyToPins(
        _ order: ApplyOrder, _ checked: Checked, _ step: (ApplyStep) throws -> Void
    ) throws -> Outcome {
        try requireSameNamespace(checked.node.namespace)
        try requireSameABI()
        let pins =
            try options.keepsPrograms
            ? PinnedSet.present(object, options: options.programs, layout: layout)
            : PinnedSet.open(object, options: options.programs, layout: layout)
        return try tidying(where: { pins.removeIfNew() }) {
            try applyToPins(order, checked, pins, step)
        }
    }

    private func applyToPins(
        _ order: ApplyOrder, _ checked: Checked, _ pins: borrowing PinnedSet, _ step: (ApplyStep) throws -> Void
    ) throws -> Outcome {
        try step(.pinned)

        let control = try ControlWord(try pins.maps(.control))
        try settle(control, pins.maps, pins.programs)
        try storeTunnels(for: order.image, control)
        let word = control.load()
        var changes = try attachmentChanges(checked, pins)
        var reason: String?
        switch try inPlace(order, checked, changes, word, pins.maps) {
        case .unchanged(let image):
            try save(image, order)
            // Until it is confirmed, a restart of the machine goes back, too.
            if try !NodeSession(loader: self).isPending() {
                try state.markInForce(image.digest, isAudited: word.isAudited)
            }
            try tidy(pins)
            return Outcome(result: .unchanged, revision: word.revision, slot: word.activeSlot)
        case .possible(let run):
            try requireNothingPending(control)
            do { return try adjust(run, order, checked, pins, control, step) } catch let error
                as UnfinishedAdjustment
            {
                reason = "a change in place did not end: \(LoaderError(error.cause))"
                changes = try attachmentChanges(checked, pins)
                // The commit leaves a slot behind that is neither as it was nor as it says.
                var meta = try pins.maps.meta(slot: word.activeSlot)
                meta.state = WEIR_SLOT_BUILDING.rawValue
                try pins.maps.setMeta(meta, slot: word.activeSlot)
            }
        case .impossible(let why): reason = why
        }
        try requireNothingPending(control)
        try requireSameAuditMode(word)
        var outcome = try commit(order, checked, pins, control, changes, step)
        outcome.notInPlace = reason
        return outcome
    }

    private func attachmentChanges(_ checked: Checked, _ pins: borrowing PinnedSet) throws -> AttachmentChanges {
        let survey = try AttachmentSurvey(layout, ownPrograms: try PinnedSet.programIDs(layout))
        return AttachmentChanges(survey, checked, programs: pins.programs.ids, mode: options.attachMode)
    }

    private func commit(
        _ order: ApplyOrder, _ checked: Checked, _ pins: borrowing PinnedSet, _ control: borrowing ControlWord,
        _ changes: AttachmentChanges, _ step: (ApplyStep) throws -> Void
    ) throws -> Outcome {
        let image = order.image
        let before = control.load()
        var after = before.withRevision(before.revision + 1)
        after.isAudited = options.isAudited
        let slot = after.activeSlot
        let fence = try Fence(try pins.maps(.fence))
        let attacher = Attacher(layout, state)
        var outcome = Outcome(result: .committed, revision: after.revision, slot: slot)

        let created = try checked.contents.create(types: MapTypes(of: try pins.maps(.control)))
        try step(.filled)
        // A run that ended between its store and its fence may have left readers of the slot we write to now.
        try fence.wait()
        let formerMeta = try pins.maps.meta(slot: slot)
        var undo = Undo()
        do {
            if try !state.hasImage(digest: image.digest) {
                undo.add { [state] in try state.removeImage(digest: image.digest) }
            }
            let lastGood = try state.lastGood()
            undo.add { [state] in try state.restore(lastGood) }
            try save(image, order)
            try step(.imageSaved)
            undo.add { [maps = pins.maps] in try maps.setMeta(formerMeta, slot: slot) }
            var building = weir_slot_meta()
            building.state = WEIR_SLOT_BUILDING.rawValue
            building.abi_version = UInt32(WEIR_ABI_VERSION)
            try pins.maps.setMeta(building, slot: slot)
            try pins.maps.clearRuleCounters(slot: slot)
            try step(.marked)
            for (name, map) in created.sorted(by: { $0.key < $1.key }) {
                let outer = try pins.maps(name)
                let former = try outer.inner(at: slot)
                undo.add { try outer.restore(former, at: slot) }
                try pins.maps.place(map, as: name, slot: slot)
            }
            try step(.placed)
            let meta = checked.contents.meta(
                image: image, nodeDigest: checked.node.digest, generation: order.generation)
            try pins.maps.setMeta(meta, slot: slot)
            try step(.ready)

            try remember { saved in
                saved.namespace = checked.node.namespace
                saved.rollbackRefusal = nil
            }
            try change(changes, pins.programs, attacher, &undo, &outcome, step)
            if options.confirmWithin != nil, try pins.maps.meta(slot: 1 - slot).state != WEIR_SLOT_READY.rawValue {
                try placeNothing(in: 1 - slot, pins.maps, node: image.node)
            }
            control.store(try deadline(for: after, pins.programs))
        } catch {
            // The error that matters is the first; what cannot be taken back now is the next apply's to recover.
            undo.run()
            throw error
        }

        control.store(after)
        do {
            try step(.committed)
            if options.confirmWithin == nil { try state.markInForce(image.digest, isAudited: after.isAudited) }
            try fence.wait()
            try step(.fenced)
            try release(changes, attacher, &outcome)
            try step(.detached)
            outcome.mapWrites = checked.contents.maps.values.reduce(created.count + 4) { $0 + $1.entries.count }
            // What an unconfirmed policy goes back to stays as it is.
            if before.isCommitted, options.confirmWithin == nil {
                try renew(before.activeSlot, order, pins.maps, &outcome)
            }
            try tidy(pins)
            try step(.saved)
        } catch { throw LoaderError.afterCommit(revision: after.revision, LoaderError(error)) }
        return outcome
    }

    private func deadline(for value: ControlValue, _ programs: Programs) throws -> ConfirmDeadline? {
        guard let within = options.confirmWithin else { return nil }
        return ConfirmDeadline(revision: value.revision, tick: try programs.tick() + (try Clock.ticks(within)))
    }

    /// New programs on hooks that run an old one, and programs on hooks that run none.
    func change(
        _ changes: AttachmentChanges, _ programs: Programs, _ attacher: borrowing Attacher,
        _ undo: inout Undo, _ outcome: inout Outcome, _ step: (ApplyStep) throws -> Void
    ) throws {
        for (hook, attachment) in changes.outdated.sorted(by: { $0.key < $1.key }) {
            let (layout, state) = (self.layout, self.state)
            undo.add {
                guard let old = try Program.withID(attachment.programID) else { return }
                try Attacher(layout, state).swap(hook, attachment, to: old)
            }
            guard let plan = changes.plans[hook] else { continue }
            try programs.with(plan.program) { try attacher.swap(hook, attachment, to: $0) }
            outcome.swapped.append(describe(hook, attachment.kind, changes.names))
            try step(.attached)
        }
        for new in changes.missing {
            let (layout, state) = (self.layout, self.state)
            undo.add {
                try Attacher(layout, state).detach(new.hook, new.kind, pin: layout.link(new.plan.interface, new.hook))
            }
            try attacher.attach(programs, new.plan, to: new.hook, as: new.kind)
            outcome.attached.append(describe(new.hook, new.kind, changes.names))
            try step(.attached)
        }
    }

    // MARK: What is already so

    func isInForce(
        _ image: Image, _ checked: Checked, _ control: ControlValue, _ maps: PinnedMaps
    ) throws -> Bool {
        guard control.isCommitted, control.isAudited == options.isAudited else { return false }
        let meta = try maps.meta(slot: control.activeSlot)
        // A slot that is being built beside it may be the mark of a change in place that did not end.
        guard try maps.meta(slot: 1 - control.activeSlot).state != WEIR_SLOT_BUILDING.rawValue else { return false }
        return meta.state == WEIR_SLOT_READY.rawValue && abiBytes(of: meta.image_digest) == image.digest
            && abiBytes(of: meta.node_digest) == checked.node.digest
    }

    /// Forgets what no slot and no interface needs any longer.
    func tidy(_ pins: borrowing PinnedSet) throws {
        try pins.removeOldPrograms()
        let attacher = Attacher(layout, state)
        for interface in try state.load().createdQdiscs.sorted() { try attacher.removeQdiscIfOurs(interface) }
        let digests = try keptDigests(pins.maps)
        try state.removeLeftovers(except: digests)
        try state.removeOldBundles(except: digests)
    }

    func keptDigests(_ maps: PinnedMaps) throws -> [[UInt8]] {
        try (0..<Int(WEIR_SLOT_COUNT)).map { abiBytes(of: try maps.meta(slot: $0).image_digest) }
    }
}
