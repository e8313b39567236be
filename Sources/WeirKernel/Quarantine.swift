internal import CLibbpf
internal import SystemPackage
internal import WeirABI
internal import WeirImage
internal import WeirMaps
package import WeirModel

/// Denies an interface every packet in both directions, ARP and neighbour discovery included, until it is lifted.
///
/// No process, no pin and no map of a policy holds it: it ends with `lift` or with the interface. Ours is every program
/// with our name whose one map has our name and shape, whichever version of weir attached it. Interfaces are those of
/// the calling thread's network namespace.
package enum Quarantine {
    /// What denies an interface now.
    package struct State: Hashable, Sendable, Codable {
        package struct Hook: Hashable, Sendable, Codable {
            package var direction: Direction
            package var kind: AttachKind
            /// Dropped since it was imposed; the bytes as the hook sees them, link-layer header included.
            package var packets: UInt64
            package var bytes: UInt64
        }

        /// Sorted by direction, tcx first. A direction without one is not denied.
        package var hooks: [Hook]

        package var deniesBothDirections: Bool { Set(hooks.map(\.direction)).count == Direction.allCases.count }
    }

    /// From its return on nothing passes; a hook that is denied already stays as it is. If it fails, what it attached is
    /// taken back.
    ///
    /// tcx: at the head, in front of whatever is there; one that is behind others is moved and keeps its counts.
    /// clsact: the caller has created it, and filters of an earlier priority decide before ours.
    package static func impose(on interface: UInt32, kind: AttachKind) throws(KernelError) {
        var imposed: [Direction] = []
        do throws(KernelError) {
            for direction in Direction.allCases {
                let isNew =
                    switch kind {
                    case .tcx: try imposeByTCX(on: interface, direction)
                    case .clsact: try imposeByFilter(on: interface, direction)
                    }
                if isNew { imposed.append(direction) }
            }
        } catch {
            var refused = error
            for direction in imposed {
                do throws(KernelError) {
                    for found in try find(on: interface, direction) where found.kind == kind {
                        try takeOff(found, of: interface)
                    }
                } catch {
                    let stays = "its \(direction.rawValue) stays denied: \(error)"
                    refused.hint = refused.hint.map { "\($0); \(stays)" } ?? stays
                }
            }
            throw refused
        }
    }

    /// Takes ours off both hooks, of either kind, and nobody else's; false where there was none, or no such interface.
    @discardableResult
    package static func lift(from interface: UInt32) throws(KernelError) -> Bool {
        var wasThere = false
        for direction in Direction.allCases {
            for found in try find(on: interface, direction) {
                try takeOff(found, of: interface)
                wasThere = true
            }
        }
        return wasThere
    }

    /// nil where nothing of ours is on either hook, or no such interface.
    package static func state(of interface: UInt32) throws(KernelError) -> State? {
        var hooks: [State.Hook] = []
        for direction in Direction.allCases {
            for found in try find(on: interface, direction) {
                let dropped: [UInt8]?
                do throws(MapError) { dropped = try found.denied.lookup(UInt32(0).abiBytes) } catch {
                    throw KernelError("read", "map '\(schema.name)'", error)
                }
                let sum = weir_counter(perCPU: dropped ?? [])
                hooks.append(
                    State.Hook(
                        direction: direction, kind: found.kind, packets: UInt64(sum.packets), bytes: UInt64(sum.bytes)))
            }
        }
        return hooks.isEmpty ? nil : State(hooks: hooks)
    }

    // MARK: What is ours

    private static let schema = MapSchema(
        name: "weir_denied", type: .perCPUArray, keySize: 4, valueSize: MemoryLayout<weir_counter>.size, maxEntries: 1)

    /// One of ours on a hook.
    private struct Found {
        var direction: Direction
        var kind: AttachKind
        var programID: UInt32
        var denied: KernelMap
    }

    private static func find(on interface: UInt32, _ direction: Direction) throws(KernelError) -> [Found] {
        var found: [Found] = []
        for id in try chain(of: interface, direction) {
            guard let denied = try counters(ofProgram: id) else { continue }
            found.append(Found(direction: direction, kind: .tcx, programID: id, denied: denied))
        }
        let filter = try ClassicFilter.attachedProgram(
            interface: interface, direction: direction, handle: ClassicFilter.quarantineHandle)
        if let filter, let denied = try counters(ofProgram: filter) {
            found.append(Found(direction: direction, kind: .clsact, programID: filter, denied: denied))
        }
        return found
    }

    /// The map of a program of ours; nil for anybody else's.
    private static func counters(ofProgram id: UInt32) throws(KernelError) -> KernelMap? {
        guard let program = try Program.withID(id), program.name == ProgramName.quarantine, program.mapIDs.count == 1
        else {
            return nil
        }
        let map: KernelMap?
        do throws(KernelError) { map = try KernelMap.withID(program.mapIDs[0]) } catch {
            // A map of a type that no weir has.
            guard error.errno == .invalidArgument else { throw error }
            return nil
        }
        guard let map, map.schema.name == schema.name, schema.differences(from: map.schema).isEmpty else { return nil }
        return map
    }

    /// An interface that is gone has nothing on its hooks.
    private static func chain(of interface: UInt32, _ direction: Direction) throws(KernelError) -> [UInt32] {
        do throws(KernelError) { return try TCXLink.chain(interface: interface, direction: direction) } catch {
            guard error.errno == .operationNotSupportedByDevice else { throw error }
            return []
        }
    }

    // MARK: Hooks

    /// false where the hook was denied before.
    private static func imposeByTCX(on interface: UInt32, _ direction: Direction) throws(KernelError) -> Bool {
        let former = try find(on: interface, direction).filter { $0.kind == .tcx }
        let first = try chain(of: interface, direction).first
        if let first, former.first?.programID == first { return false }
        let program = try loaded(counting: former.first?.denied)
        let result = weir_tcx_attach(program.descriptor.raw, interface, direction.usesEgressHook)
        guard result == 0 else {
            let hint: String? =
                switch result {
                case -EINVAL: "tcx needs Linux 6.6; use clsact"
                case -ENODEV: "the interface is gone"
                case -ERANGE: "the hook has as many programs as it takes; detach one: bpftool net"
                default: nil
                }
            throw KernelError(
                "attach (tcx)", "\(ProgramName.quarantine) to interface \(interface)", result: result, hint: hint)
        }
        for found in former { try takeOff(found, of: interface) }
        return former.isEmpty
    }

    /// false where the hook was denied before.
    private static func imposeByFilter(on interface: UInt32, _ direction: Direction) throws(KernelError) -> Bool {
        if try find(on: interface, direction).contains(where: { $0.kind == .clsact }) { return false }
        try ClassicFilter.attach(
            try loaded(counting: nil), interface: interface, direction: direction,
            handle: ClassicFilter.quarantineHandle, replacing: false)
        return true
    }

    /// A program of its own for each hook, which tells the directions' counts apart.
    private static func loaded(counting denied: KernelMap?) throws(KernelError) -> Program {
        let object = try BPFObject(bytes: EmbeddedObject.quarantine, name: ProgramName.quarantine)
        if let denied { try object.share(denied, as: schema.name) }
        try object.load()
        return try object.program(ProgramName.quarantine)
    }

    /// One that is gone meanwhile, alone or with its interface, is off.
    private static func takeOff(_ found: Found, of interface: UInt32) throws(KernelError) {
        switch found.kind {
        case .tcx:
            guard let program = try Program.withID(found.programID) else { return }
            let result = weir_tcx_detach(program.descriptor.raw, interface, found.direction.usesEgressHook)
            guard [0, -ENOENT, -ENODEV].contains(result) else {
                throw KernelError(
                    "detach (tcx)", "\(ProgramName.quarantine) from interface \(interface)", result: result)
            }
        case .clsact:
            _ = try ClassicFilter.detach(
                interface: interface, direction: found.direction, handle: ClassicFilter.quarantineHandle)
        }
    }
}
