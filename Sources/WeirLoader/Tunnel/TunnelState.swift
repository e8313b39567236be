internal import WeirNetlink
internal import WeirWireGuard

/// What weir remembers of the tunnel between runs: what it made, and what it was told last.
struct TunnelState: RememberedState, Equatable {
    /// 1: first version.
    static let currentFormat = 1

    var format = Self.currentFormat
    /// Interfaces are this network namespace's.
    var namespace: NamespaceIdentity?
    /// Which start of the machine this is about; nil in the state of an earlier weir.
    var boot: String?
    /// Interfaces that weir created. Written before they are.
    var createdInterfaces: Set<String> = []
    /// The lane on which this node sends.
    var sendingLane = 0
    /// The routing table that weir filled; nil before the first apply.
    var routingTable: UInt32?
    var rulePreference: UInt32?
}

/// The directory of keys and of the tunnel's state, inside the state directory.
struct TunnelDirectory {
    let path: String

    init(_ state: StateDirectory) { path = "\(state.path)/wireguard" }

    var keys: KeyStore { KeyStore(directory: path) }
    private var statePath: String { "\(path)/tunnel.json" }
    private var configurationPath: String { "\(path)/configuration.json" }

    /// Fresh where there is none. After a reboot interfaces and namespaces are others.
    func load() throws -> TunnelState {
        var state = try TunnelState.load(statePath, remedy: "take the interfaces down by hand and remove it")
        if let boot = state.boot, boot != (try BootID.current()) {
            state.namespace = nil
            state.createdInterfaces = []
        }
        return state
    }

    func save(_ state: TunnelState) throws {
        try Files.makeDirectories(path)
        try state.save(statePath)
    }

    /// What was applied last; nil where nothing was.
    func configuration() throws -> TunnelConfiguration? {
        guard let bytes = try Files.read(configurationPath) else { return nil }
        do throws(TunnelEncodingError) { return try TunnelConfiguration(encoded: bytes) } catch {
            throw LoaderError.refused(
                "\(configurationPath): \(error)", hint: "remove it and apply again; endpoints are set anew then")
        }
    }

    func save(_ configuration: TunnelConfiguration) throws {
        try Files.write(configuration.encoded(), to: configurationPath)
    }

    /// Keys stay.
    func clear() throws {
        try Files.removeFile(configurationPath)
        try Files.removeFile(statePath)
    }
}
