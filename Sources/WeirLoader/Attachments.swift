internal import WeirKernel
internal import WeirModel
internal import WeirNetlink

/// What the kernel runs for us now.
struct Attachment: Hashable {
    var kind: AttachKind
    var programID: UInt32
    /// Of a tcx link.
    var pin: String?
}

/// Every attachment of one weir, read from the kernel: links by their pins, filters by priority, handle and program.
struct AttachmentSurvey {
    private(set) var attached: [Hook: Attachment] = [:]
    /// Pins of links whose interface is gone.
    private(set) var deadPins: [String] = []
    /// Of every interface, for people.
    private(set) var names: [UInt32: String] = [:]

    init(_ layout: PinLayout, ownPrograms: Set<UInt32>) throws {
        for interface in try Netlink().interfaces() {
            names[interface.index] = interface.name
            for direction in Direction.allCases {
                // Another set of weir uses the same handle: only the program tells whose filter it is.
                guard
                    let program = try ClassicFilter.attachedProgram(
                        interface: interface.index, direction: direction), ownPrograms.contains(program)
                else { continue }
                attached[Hook(interface: interface.index, direction: direction)] = Attachment(
                    kind: .clsact, programID: program)
            }
        }
        for name in try Files.list(layout.links) ?? [] {
            let pin = "\(layout.links)/\(name)"
            guard let link = try TCXLink.pinned(at: pin) else { continue }
            let state = try link.state()
            if state.interface == 0 {
                deadPins.append(pin)
            } else {
                attached[Hook(interface: state.interface, direction: state.direction)] = Attachment(
                    kind: .tcx, programID: state.programID, pin: pin)
            }
        }
    }
}

/// `veth-1/egress (tcx)`.
func describe(_ hook: Hook, _ kind: AttachKind, _ names: [UInt32: String]) -> String {
    "\(names[hook.interface] ?? "interface \(hook.interface)")/\(hook.direction.rawValue) (\(kind.rawValue))"
}

/// Changes attachments one at a time and knows how to take each change back.
struct Attacher: ~Copyable {
    private let layout: PinLayout
    private let state: StateDirectory
    private let netlink = Netlink()

    init(_ layout: PinLayout, _ state: StateDirectory) {
        self.layout = layout
        self.state = state
    }

    func attach(_ programs: Programs, _ plan: HookPlan, to hook: Hook, as kind: AttachKind) throws {
        switch kind {
        case .tcx:
            let pin = layout.link(plan.interface, hook)
            try programs.with(plan.program) { program in
                let link = try TCXLink(program, interface: hook.interface, direction: hook.direction)
                // A pin of that name belongs to a link that a survey did not count: its interface is gone.
                try Files.removeFile(pin)
                try link.pin(at: pin)
            }
        case .clsact:
            try ensureClsact(hook.interface)
            try programs.with(plan.program) { program in
                try ClassicFilter.attach(
                    program, interface: hook.interface, direction: hook.direction, replacing: false)
            }
        }
    }

    /// Makes clsact where there is none, and remembers it before.
    func ensureClsact(_ interface: UInt32) throws {
        guard try !netlink.hasClsact(interface: interface) else { return }
        var saved = try state.load()
        saved.createdQdiscs.insert(interface)
        try state.save(saved)
        if try !ClassicFilter.createQdisc(interface: interface) {
            saved.createdQdiscs.remove(interface)
            try state.save(saved)
        }
    }

    /// Another program in the place of the one that is attached; no packet is without either.
    func swap(_ hook: Hook, _ attachment: Attachment, to program: borrowing Program) throws {
        switch attachment.kind {
        case .tcx:
            guard let pin = attachment.pin, let link = try TCXLink.pinned(at: pin) else { return }
            try link.update(program)
        case .clsact:
            try ClassicFilter.attach(program, interface: hook.interface, direction: hook.direction, replacing: true)
        }
    }

    /// Takes a program off its hook, and clsact with it where weir made it and nobody else uses it.
    func detach(_ hook: Hook, _ kind: AttachKind, pin: String?) throws {
        switch kind {
        case .tcx:
            guard let pin else { return }
            if let link = try TCXLink.pinned(at: pin) { try link.detach() }
            try Files.removeFile(pin)
        case .clsact:
            // Another set uses the same handle; after a refused attach the filter there may be theirs.
            let attached = try ClassicFilter.attachedProgram(interface: hook.interface, direction: hook.direction)
            if let attached, try PinnedSet.programIDs(layout).contains(attached) {
                _ = try ClassicFilter.detach(interface: hook.interface, direction: hook.direction)
            }
            try removeQdiscIfOurs(hook.interface)
        }
    }

    func removeQdiscIfOurs(_ interface: UInt32) throws {
        var saved = try state.load()
        guard saved.createdQdiscs.contains(interface), try !netlink.hasFilters(interface: interface) else { return }
        if try netlink.hasClsact(interface: interface) { try ClassicFilter.destroyQdisc(interface: interface) }
        saved.createdQdiscs.remove(interface)
        try state.save(saved)
    }
}
