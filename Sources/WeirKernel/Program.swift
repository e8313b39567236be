internal import CLibbpf
internal import SystemPackage
package import WeirModel

/// A loaded program of the datapath.
package struct Program: ~Copyable {
    let descriptor: OwnedDescriptor
    /// The kernel's id, unique while the program lives.
    package let id: UInt32
    package let name: String
    /// The ids of the maps it was loaded with, sorted.
    package let mapIDs: [UInt32]

    init(adopting descriptor: consuming OwnedDescriptor) throws(KernelError) {
        var info = bpf_prog_info()
        var maps = [UInt32](repeating: 0, count: 64)
        // SAFETY: the kernel writes `info` up to its size and at most 64 ids.
        let result = unsafe maps.withUnsafeMutableBufferPointer {
            unsafe weir_prog_info(descriptor.raw, &info, $0.baseAddress, UInt32($0.count))
        }
        guard result == 0 else { throw KernelError("inspect", "a program", result: result) }
        id = info.id
        name = cString(info.name)
        mapIDs = maps.prefix(Int(info.nr_map_ids)).sorted()
        self.descriptor = descriptor
    }

    package static func pinned(at path: String) throws(KernelError) -> Program? {
        guard let descriptor = try openPin(path) else { return nil }
        return try Program(adopting: descriptor)
    }

    /// The program with a kernel id; nil where it is gone.
    package static func withID(_ id: UInt32) throws(KernelError) -> Program? {
        let result = bpf_prog_get_fd_by_id(id)
        if result == -ENOENT { return nil }
        guard result >= 0 else { throw KernelError("open", "program with id \(id)", result: result) }
        return try Program(adopting: OwnedDescriptor(adopting: result))
    }

    package func pin(at path: String) throws(KernelError) { try createPin(path, descriptor) }

    /// Where an attached program's packets come from.
    package enum Ingress: Hashable, Sendable {
        /// The node's own stack.
        case local
        case interface(UInt32)
    }

    package struct TestRun: Hashable, Sendable {
        package var returnCode: Int32
        /// Mean over the repetitions.
        package var durationNanoseconds: UInt32
    }

    /// Runs the program on a frame, attached to nothing. The interface must exist; frames have at least 14 bytes.
    package func testRun(
        frame: [UInt8], interface: UInt32, ingress: Ingress, repetitions: Int32 = 1
    ) throws(KernelError) -> TestRun {
        let ingressIndex: UInt32 =
            switch ingress {
            case .local: 0
            case .interface(let index): index
            }
        var run = weir_test_run()
        // SAFETY: the kernel reads the frame's own bytes and writes only `run`.
        let result = unsafe frame.withUnsafeBytes {
            unsafe weir_test_run(
                descriptor.raw, $0.baseAddress, UInt32($0.count), interface, ingressIndex, repetitions, &run)
        }
        guard result == 0 else { throw KernelError("test-run", "program '\(name)'", result: result) }
        return TestRun(returnCode: run.return_code, durationNanoseconds: run.duration_ns)
    }
}

extension Direction {
    /// A packet from the endpoint enters the host at the interface's ingress hook, and the other way round.
    var usesEgressHook: Int32 { self == .ingress ? 1 : 0 }
}

/// How a program is held on its hook.
package enum AttachKind: String, Hashable, Sendable, Codable, CaseIterable {
    case tcx, clsact
}

/// A tcx link (kernel 6.6): a program on an interface's hook, at the head of the chain when created.
/// Dropping the handle detaches only what is not pinned.
package struct TCXLink: ~Copyable {
    let descriptor: OwnedDescriptor

    package struct State: Hashable, Sendable {
        /// 0 after the interface is gone.
        package var interface: UInt32
        package var direction: Direction
        package var programID: UInt32
    }

    /// EEXIST: this very program is already there.
    package init(_ program: borrowing Program, interface: UInt32, direction: Direction) throws(KernelError) {
        let result = weir_tcx_link_create(program.descriptor.raw, interface, direction.usesEgressHook)
        guard result >= 0 else {
            throw KernelError(
                "attach (tcx)", "\(program.name) to interface \(interface)", result: result,
                hint: result == -EINVAL ? "tcx needs Linux 6.6; use clsact" : nil)
        }
        descriptor = OwnedDescriptor(adopting: result)
    }

    private init(adopting descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }

    /// The link pinned at a path; nil where nothing is pinned.
    package static func pinned(at path: String) throws(KernelError) -> TCXLink? {
        guard let descriptor = try openPin(path) else { return nil }
        return TCXLink(adopting: descriptor)
    }

    package func pin(at path: String) throws(KernelError) { try createPin(path, descriptor) }

    package func state() throws(KernelError) -> State {
        var info = weir_link_info()
        // SAFETY: only `info` is written.
        let result = unsafe weir_link_info(descriptor.raw, &info)
        guard result == 0 else { throw KernelError("inspect", "a link", result: result) }
        guard info.type == UInt32(WEIR_BPF_LINK_TYPE_TCX) else {
            throw KernelError("use", "a link of type \(info.type)", errno: .invalidArgument, hint: "not a tcx link")
        }
        return State(
            interface: info.ifindex,
            direction: info.attach_type == UInt32(WEIR_BPF_TCX_EGRESS) ? .ingress : .egress,
            programID: info.program_id)
    }

    /// Swaps the program between two packets. ENOLINK: the interface is gone.
    package func update(_ program: borrowing Program) throws(KernelError) {
        let result = bpf_link_update(descriptor.raw, program.descriptor.raw, nil)
        guard result == 0 else { throw KernelError("update link to", program.name, result: result) }
    }

    /// Takes the program off its hook now, pinned or not. A link without an interface is already off.
    package func detach() throws(KernelError) {
        let result = bpf_link_detach(descriptor.raw)
        guard result == 0 || result == -ENOLINK else { throw KernelError("detach", "a link", result: result) }
    }

    /// The programs on a tcx hook in the order in which they run. Empty where the kernel has no tcx.
    package static func chain(interface: UInt32, direction: Direction) throws(KernelError) -> [UInt32] {
        var ids = [UInt32](repeating: 0, count: 64)
        var count = UInt32(ids.count)
        // SAFETY: the kernel writes at most `count` ids.
        let result = unsafe ids.withUnsafeMutableBufferPointer {
            unsafe weir_tcx_query(interface, direction.usesEgressHook, $0.baseAddress, &count)
        }
        if result == -ENOENT || result == -EINVAL { return [] }
        guard result == 0 else { throw KernelError("query tcx of interface", "\(interface)", result: result) }
        return Array(ids.prefix(Int(count)))
    }
}

/// A program as a direct-action filter of clsact, for kernels without tcx. Ours by priority and handle.
package enum ClassicFilter {
    /// Early, because the first filter that does not say "next" hides the others, but not first: 1 is what other
    /// tools take.
    package static let priority: UInt32 = 7
    /// "weir" in ASCII: the policy's program.
    package static let handle: UInt32 = 0x7765_6972
    /// "weiq": the quarantine's.
    package static let quarantineHandle: UInt32 = 0x7765_6971

    /// false where clsact (or ingress) was there already.
    package static func createQdisc(interface: UInt32) throws(KernelError) -> Bool {
        let (result, log) = LibbpfMessages.capture { weir_tc_hook_create(interface) }
        if result == -EEXIST { return false }
        guard result == 0 else {
            throw KernelError("create clsact on interface", "\(interface)", result: result, log: log)
        }
        return true
    }

    /// Deletes clsact with every filter in it: the caller makes sure that it is ours and empty.
    package static func destroyQdisc(interface: UInt32) throws(KernelError) {
        let (result, log) = LibbpfMessages.capture { weir_tc_hook_destroy(interface) }
        guard result == 0 || result == -ENODEV || result == -ENOENT || result == -EINVAL else {
            throw KernelError("delete clsact of interface", "\(interface)", result: result, log: log)
        }
    }

    /// EEXIST where the handle is taken and `replacing` is false.
    package static func attach(
        _ program: borrowing Program, interface: UInt32, direction: Direction, handle: UInt32 = handle, replacing: Bool
    ) throws(KernelError) {
        let raw = program.descriptor.raw
        let (result, log) = LibbpfMessages.capture {
            weir_tc_attach(interface, direction.usesEgressHook, raw, handle, priority, replacing ? 1 : 0)
        }
        guard result == 0 else {
            let hint: String? =
                switch result {
                case -EEXIST: "another filter has priority \(priority) and our handle"
                case -ENODEV: "the interface is gone"
                default: nil
                }
            throw KernelError(
                "attach (clsact)", "\(program.name) to interface \(interface)", result: result, hint: hint, log: log)
        }
    }

    /// false where it was not there.
    package static func detach(
        interface: UInt32, direction: Direction, handle: UInt32 = handle
    ) throws(KernelError) -> Bool {
        let (result, log) = LibbpfMessages.capture {
            weir_tc_detach(interface, direction.usesEgressHook, handle, priority)
        }
        if [-ENOENT, -ENODEV, -EINVAL].contains(result) { return false }
        guard result == 0 else {
            throw KernelError("detach (clsact) from interface", "\(interface)", result: result, log: log)
        }
        return true
    }

    /// The id of the program under our priority and handle; nil where there is none.
    package static func attachedProgram(
        interface: UInt32, direction: Direction, handle: UInt32 = handle
    ) throws(KernelError) -> UInt32? {
        var id: UInt32 = 0
        let (result, log) = LibbpfMessages.capture {
            // SAFETY: only `id` is written.
            unsafe weir_tc_query(interface, direction.usesEgressHook, handle, priority, &id)
        }
        if [-ENOENT, -ENODEV, -EINVAL].contains(result) { return nil }
        guard result == 0 else {
            throw KernelError("query clsact of interface", "\(interface)", result: result, log: log)
        }
        return id
    }
}
