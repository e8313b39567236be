internal import SystemPackage
internal import WeirABI
internal import WeirImage
internal import WeirKernel
internal import WeirMaps
internal import WeirNetlink

/// What is pinned, and what the state directory says about it.
extension Loader {
    private static let applyAgain = "weir apply … again"

    func examinePins(_ report: inout DoctorReport) throws {
        report.isLoaded = try Files.exists(layout.root)
        try examineStaging(&report)
        try examinePrograms(&report)
        guard report.isLoaded else {
            if try Files.exists(state.statePath) {
                report.add(
                    .error, .notLoaded,
                    "\(state.path) tells of a policy, and nothing is pinned at \(layout.root): nothing is enforced",
                    remedy: "weir restore, as after every boot; or weir detach, to forget it")
            }
            return
        }
        guard try examineState(&report) else { return }
        let maps: PinnedMaps
        do { maps = try PinnedMaps(pinnedIn: layout.root) } catch LoaderError.incompatible(let differences, _) {
            for difference in differences {
                report.add(
                    .error, .pinsIncompatible, "the maps in \(layout.root) are of another weir: \(difference)",
                    remedy: "weir detach, then weir apply …")
            }
            return
        }
        if try maps(.control).isFrozen {
            report.add(
                .error, .controlFrozen, "'control' is frozen: no policy can be committed any more",
                remedy: "weir detach, then weir apply …")
        }
        let word = try inForce(try ControlState(reading: maps(.control)))
        guard word.isCommitted else {
            report.add(
                .error, .notEnforcing, "no policy is in force: a first apply or a detach ended half-way",
                remedy: "weir apply … or weir detach")
            return
        }
        try examineSlots(maps, word, &report)
        try examineHooks(maps, word, &report)
        try examineCounters(&report)
    }

    private func examineStaging(_ report: inout DoctorReport) throws {
        var leftovers = try Files.exists(layout.staging) ? [layout.staging] : []
        leftovers += try (Files.list(layout.programs) ?? []).filter { $0.hasSuffix("_new") }
            .map { "\(layout.programs)/\($0)" }
        for path in leftovers {
            report.add(
                .warning, .stagingLeft, "\(path) is what a run that ended early has left", remedy: Self.applyAgain)
        }
    }

    /// Whether the verifier takes our programs, where none of them runs yet.
    private func examinePrograms(_ report: inout DoctorReport) throws {
        let digest = PinnedSet.digest(object: object, options: options.programs)
        guard try !Files.exists("\(layout.programs)/\(digest)") else { return }
        do {
            let loaded = try BPFObject(bytes: object)
            try loaded.setOptions(options.programs)
            try loaded.load()
        } catch {
            report.add(
                .error, .programsRefused, "this kernel does not take weir's programs: \(error)",
                remedy: "weir apply --log-level debug … prints what the verifier says")
        }
    }

    /// false where interface indexes mean something else here than they did to apply.
    private func examineState(_ report: inout DoctorReport) throws -> Bool {
        guard try Files.exists(state.statePath) else {
            report.add(
                .warning, .stateMissing,
                "\(state.statePath) is gone: a clsact that weir made would be left behind by detach",
                remedy: Self.applyAgain)
            return true
        }
        do {
            try requireSameNamespace(try .current())
        } catch LoaderError.refused(let reason, let hint) {
            guard (try? state.load()) != nil else {
                report.add(.error, .stateDamaged, reason, remedy: "rm \(state.statePath), then \(Self.applyAgain)")
                return true
            }
            report.add(.error, .stateElsewhere, reason, remedy: hint)
            return false
        }
        return true
    }

    private func examineSlots(_ maps: PinnedMaps, _ word: ControlValue, _ report: inout DoctorReport) throws {
        var digests: [[UInt8]] = []
        for slot in 0..<Int(WEIR_SLOT_COUNT) {
            let meta = try maps.meta(slot: slot)
            let isActive = slot == word.activeSlot
            digests.append(abiBytes(of: meta.image_digest))
            if isActive, meta.state != WEIR_SLOT_READY.rawValue {
                report.add(
                    .error, .slotNotReady, "slot \(slot) is in force and not complete", remedy: Self.applyAgain)
            } else if meta.state == WEIR_SLOT_BUILDING.rawValue {
                report.add(
                    .warning, .slotBuilding, "slot \(slot) is half built: an apply ended early; the other one rules",
                    remedy: Self.applyAgain)
            }
            if isActive, meta.abi_version != UInt32(WEIR_ABI_VERSION) {
                report.add(
                    .error, .otherABI,
                    "the policy in force was loaded by a weir of ABI \(meta.abi_version), this one is of "
                        + "\(WEIR_ABI_VERSION)", remedy: "weir detach, then weir apply …")
            }
            guard isActive else { continue }
            if let image = try state.image(digest: abiBytes(of: meta.image_digest)) {
                let known = try ControlState(reading: maps(.control)).tunnels
                if let problem = try tunnelProblem(of: image, known) {
                    report.add(.error, .tunnelMissing, problem, remedy: Self.tunnelRemedy)
                }
            } else {
                report.add(
                    .warning, .imageMissing,
                    "\(state.path) has no image of the policy in force: names and lines are unknown",
                    remedy: Self.applyAgain)
            }
        }
        for name in try state.leftovers(except: digests) {
            report.add(
                .warning, .stateLeftovers, "\(state.path)/\(name) belongs to nothing any more",
                remedy: Self.applyAgain)
        }
    }

    private func examineCounters(_ report: inout DoctorReport) throws {
        guard let status = try status() else { return }
        for drops in status.drops {
            let count = "\(drops.packets) packets (\(drops.direction.rawValue))"
            switch drops.reason {
            case dropReasonName(WEIR_REASON_NO_SLOT.rawValue):
                report.add(
                    .error, .dropsNoSlot, "\(count) were dropped for want of a complete slot",
                    remedy: "\(Self.applyAgain); it counts since the last detach")
            case dropReasonName(WEIR_REASON_NO_VERDICT.rawValue):
                report.add(
                    .error, .dropsNoVerdict, "\(count) found no verdict, which every packet should have",
                    remedy: "\(Self.applyAgain); it counts since the last detach. If it grows, it is a bug of weir's")
            case dropReasonName(WEIR_REASON_CONNTRACK_INSERT.rawValue):
                report.add(
                    .warning, .dropsConntrackInsert, "\(count) were allowed, but their flow could not be recorded",
                    remedy: "free kernel memory; it counts since the last detach")
            default: break
            }
        }
        for fill in status.maps where fill.map.hasPrefix("conntrack") && fill.entries * 10 >= fill.capacity * 9 {
            report.add(
                .warning, .conntrackFull,
                "'\(fill.map)' has \(fill.entries) of \(fill.capacity) flows: new ones displace the oldest",
                remedy: "look for who opens them: weir status has the rules that count most packets")
        }
    }
}
