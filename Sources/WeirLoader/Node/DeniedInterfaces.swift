internal import WeirKernel
internal import WeirModel
internal import WeirNetlink

/// An interface that lets nothing pass, because nobody can say yet what may.
package struct DeniedInterface: Hashable, Sendable, Codable {
    package var interface: String
    package var index: UInt32
    /// nil: nobody said whose it is.
    package var endpoint: String?
    package var reason: String
    /// Until a policy knows the interface, or somebody lets it go: an apply that does not know it changes nothing.
    package var isKept: Bool

    package init(interface: String, index: UInt32, endpoint: String? = nil, reason: String, isKept: Bool = false) {
        self.interface = interface
        self.index = index
        self.endpoint = endpoint
        self.reason = reason
        self.isKept = isKept
    }
}

/// Which interfaces this set has quarantined: only those are ever let go. Written before they are.
struct DeniedState: RememberedState, Equatable {
    /// 1: first version.
    static let currentFormat = 1

    var format = Self.currentFormat
    var boot = ""
    var namespace: NamespaceIdentity?
    /// Sorted by index.
    var interfaces: [DeniedInterface] = []
}

extension StateDirectory {
    private var deniedPath: String { "\(path)/denied.json" }

    /// Those of this boot and namespace, whether the interface still exists or not.
    func denied() throws -> [DeniedInterface] {
        let saved = try loadDenied()
        guard saved.boot == (try BootID.current()), saved.namespace == (try .current()) else { return [] }
        return saved.interfaces
    }

    /// Throws where the file has interfaces of another network namespace, which saving ours would forget.
    func requireDeniedHere() throws {
        let saved = try loadDenied()
        guard saved.boot == (try BootID.current()), let namespace = saved.namespace, !saved.interfaces.isEmpty,
            namespace != (try .current())
        else { return }
        throw LoaderError.refused(
            "\(path) has denied interfaces of another network namespace", hint: "run there, or use another --state-dir")
    }

    private func loadDenied() throws -> DeniedState {
        try DeniedState.load(
            deniedPath, remedy: "remove it; quarantines that it lists then stay until their interfaces are gone")
    }

    func save(denied interfaces: [DeniedInterface]) throws {
        guard !interfaces.isEmpty else {
            try Files.removeFile(deniedPath)
            return
        }
        let state = DeniedState(
            boot: try BootID.current(), namespace: try .current(), interfaces: interfaces.sorted { $0.index < $1.index }
        )
        try state.save(deniedPath)
    }
}

extension Loader {
    /// Lets nothing pass at these interfaces, whatever else is attached there. Again is the same as once. All or none.
    ///
    /// - Returns: those that let something pass before.
    @discardableResult
    func deny(_ wanted: [DeniedInterface]) throws -> [DeniedInterface] {
        guard !wanted.isEmpty else { return [] }
        try state.requireDeniedHere()
        let former = try state.denied()
        let present = Set(try Netlink().interfaces().map(\.index))
        var denied = Dictionary(former.filter { present.contains($0.index) }.map { ($0.index, $0) }) { $1 }
        for entry in wanted { denied[entry.index] = entry }
        try state.save(denied: Array(denied.values))
        // Whatever the policy's programs use: tcx comes before clsact.
        let hasTCX = try KernelFeatures.probe().hasTCX
        let attacher = Attacher(layout, state)
        var imposed: [DeniedInterface] = []
        do {
            for entry in wanted {
                if try Quarantine.state(of: entry.index)?.deniesBothDirections == true { continue }
                imposed.append(entry)
                do {
                    if !hasTCX { try attacher.ensureClsact(entry.index) }
                    try Quarantine.impose(on: entry.index, kind: hasTCX ? .tcx : .clsact)
                } catch let error as KernelError where error.errno == .noSuchDevice {
                    // Nothing passes at an interface that is gone.
                    imposed.removeLast()
                }
            }
        } catch {
            try? allow(Set(imposed.map(\.index)))
            try? state.save(denied: former)
            throw error
        }
        return imposed
    }

    /// Lets go of interfaces that `deny` took. Those that are gone, or that it never took, are nothing to do.
    func allow(_ interfaces: Set<UInt32>) throws {
        let denied = try state.denied()
        let attacher = Attacher(layout, state)
        for entry in denied where interfaces.contains(entry.index) {
            if try Quarantine.lift(from: entry.index) { try attacher.removeQdiscIfOurs(entry.index) }
        }
        let kept = denied.filter { !interfaces.contains($0.index) }
        if kept.count != denied.count { try state.save(denied: kept) }
    }

    /// After an apply: lets go of every interface but these and those that are kept and that the policy does not know.
    func allow(except denied: [DeniedInterface], known: Set<UInt32>) throws {
        let stay = Set(denied.map(\.index))
        let present = Set(try Netlink().interfaces().map(\.index))
        let gone = try state.denied().filter { entry in
            !present.contains(entry.index)
                || !stay.contains(entry.index) && (!entry.isKept || known.contains(entry.index))
        }
        try allow(Set(gone.map(\.index)))
    }
}
