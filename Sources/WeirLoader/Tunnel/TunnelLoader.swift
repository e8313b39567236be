internal import Glibc
internal import WeirKernel
internal import WeirModel
internal import WeirNetlink
package import WeirWireGuard

/// Puts a compiled tunnel onto this node: one call does its work and returns, nothing of it stays resident.
///
/// From the first change of a route on nothing for other nodes' pods leaves in clear: the routes that refuse it come
/// before those through a device, and go after it. Every call belongs to the network namespace of its thread and blocks.
package struct TunnelLoader: Sendable {
    package struct Options: Sendable {
        /// Where the sockets of user-space devices are.
        package var socketDirectory = UserspaceDevice.socketDirectory
        /// Do what may interrupt traffic.
        package var isForced = false

        package init() {}
    }

    package struct Outcome: Hashable, Sendable, Codable {
        package enum Result: String, Hashable, Sendable, Codable { case unchanged, applied }
        package var result: Result
        /// As `weir wireguard plan` prints them.
        package var changes: [String]
        package var interfaces: [String]
        /// The one that this node sends on.
        package var sendingInterface: String
    }

    private let loader: Loader
    private let options: Options
    let directory: TunnelDirectory

    package init(_ loaderOptions: Loader.Options = Loader.Options(), options: Options = Options()) {
        loader = Loader(options: loaderOptions)
        self.options = options
        directory = TunnelDirectory(loader.state)
    }

    private func locked<Value>(_ body: () throws -> Value) throws(LoaderError) -> Value {
        try bordered { try loader.state.locked(timeout: loader.options.lockTimeout, body) }
    }

    // MARK: Keys

    /// nil where there is none yet.
    package func publicKey() throws(LoaderError) -> PublicKey? {
        try bordered { try directory.keys.publicKey(.current) }
    }
    package func nextPublicKey() throws(LoaderError) -> PublicKey? {
        try bordered { try directory.keys.publicKey(.next) }
    }

    /// The node's key, made where there is none: whether it was, and what to publish.
    package func ensureKey() throws(LoaderError) -> (publicKey: PublicKey, isNew: Bool) {
        try locked { try ensure(.current) }
    }

    /// The key to rotate to, made where there is none.
    package func startRotation() throws(LoaderError) -> (publicKey: PublicKey, isNew: Bool) {
        try locked {
            guard try directory.keys.publicKey(.current) != nil else {
                throw LoaderError.refused("this node has no key to rotate", hint: "weir wireguard key makes the first")
            }
            return try ensure(.next)
        }
    }

    private func ensure(_ name: KeyStore.Name) throws -> (publicKey: PublicKey, isNew: Bool) {
        if let key = try directory.keys.publicKey(name) { return (key, false) }
        return (try directory.keys.create(name), true)
    }

    /// Which private key belongs to a published one.
    private func keyName(of published: PublicKey) throws -> KeyStore.Name {
        let known = try KeyStore.Name.allCases.map { (name: $0, key: try directory.keys.publicKey($0)) }
        if let found = known.first(where: { $0.key == published }) { return found.name }
        guard let current = known.first(where: { $0.name == .current })?.key else {
            throw LoaderError.refused(
                "this node has no private key", hint: "weir wireguard key makes one; publish what it prints")
        }
        throw LoaderError.refused(
            "the inventory publishes the key \(published.base64) for this node, which has the one of \(current.base64)",
            hint: "publish that one")
    }

    // MARK: Plan and status

    /// What an apply would do. Changes nothing.
    package func plan(_ configuration: TunnelConfiguration) throws(LoaderError) -> TunnelChanges {
        try bordered {
            if let admission = loader.options.admission { try loader.state.requireNewEnough(admission) }
            return TunnelChanges(
                from: try survey(table: configuration.routingTable), to: configuration,
                applied: try directory.configuration(), try directory.load())
        }
    }

    func survey(table: UInt32) throws -> TunnelSurvey {
        try TunnelSurvey(
            table: table, names: loader.options.tunnelInterfaces, socketDirectory: options.socketDirectory)
    }

    private func requireSameNamespace(_ state: TunnelState, hint: String = "run there") throws {
        guard let recorded = state.namespace, try recorded != .current() else { return }
        throw LoaderError.refused(
            "the tunnel of \(directory.path) belongs to another network namespace", hint: hint)
    }

    // MARK: Apply

    package func apply(_ configuration: TunnelConfiguration) throws(LoaderError) -> Outcome {
        try locked {
            // What it has to be as new as is the bundle of the policies; a tunnel alone makes no other one old.
            if let admission = loader.options.admission { try loader.state.requireNewEnough(admission) }
            return try applyLocked(configuration)
        }
    }

    /// What was applied last, after the machine was started anew; nil where nothing was, or where it was taken down.
    package func restore() throws(LoaderError) -> Outcome? {
        try locked {
            guard let configuration = try directory.configuration() else { return nil }
            return try applyLocked(configuration)
        }
    }

    private func applyLocked(_ configuration: TunnelConfiguration) throws -> Outcome {
        var saved = try directory.load()
        var state = saved
        try requireSameNamespace(state, hint: "run there, or use another --state-dir")
        if let table = state.routingTable, let preference = state.rulePreference,
            (table, preference) != (configuration.routingTable, configuration.rulePreference)
        {
            throw LoaderError.refused(
                "the tunnel uses routing table \(table) and preference \(preference)",
                hint: "weir wireguard down, then apply with the others")
        }
        let keys = try configuration.lanes.map { try keyName(of: $0.publicKey) }
        let applied = try directory.configuration()
        try requireSendingOnOther(configuration, applied, state)
        let survey = try survey(table: configuration.routingTable)
        let changes = TunnelChanges(from: survey, to: configuration, applied: applied, state)
        let outcome = Outcome(
            result: changes.isEmpty ? .unchanged : .applied, changes: changes.lines,
            interfaces: configuration.interfaces, sendingInterface: configuration.interfaces[changes.sendingLane])
        try requireOwnInterfaces(survey, configuration, state)

        func remember() throws {
            if state != saved { try directory.save(state) }
            saved = state
        }
        state.namespace = try .current()
        state.boot = try BootID.current()
        state.createdInterfaces.formUnion(changes.lanes.filter(\.isCreated).map(\.name))
        state.sendingLane = changes.sendingLane
        state.routingTable = configuration.routingTable
        state.rulePreference = configuration.rulePreference
        try remember()
        try carryOut(changes, keys)
        if keys.first == .next { try directory.keys.promote() }
        state.createdInterfaces.subtract(changes.staleInterfaces)
        try remember()
        if applied != configuration { try directory.save(configuration) }
        return outcome
    }

    private func requireOwnInterfaces(
        _ survey: TunnelSurvey, _ configuration: TunnelConfiguration, _ state: TunnelState
    ) throws {
        for lane in survey.lanes.prefix(configuration.interfaces.count) {
            guard case .kernel = lane.presence, !state.createdInterfaces.contains(lane.name) else { continue }
            throw LoaderError.refused(
                "\(lane.name) is there already, and weir did not create it", hint: "ip link delete \(lane.name)")
        }
    }

    /// The first lane gets a new key only when nobody needs the old one: this node sends on the other lane.
    private func requireSendingOnOther(
        _ configuration: TunnelConfiguration, _ applied: TunnelConfiguration?, _ state: TunnelState
    ) throws {
        guard !options.isForced, let applied, applied.isRotating, state.sendingLane == 0 else { return }
        let former = Dictionary(applied.peers.map { ($0.node, $0) }) { first, _ in first }
        var switched = configuration.peers.filter { peer in
            former[peer.node].map { $0.publicKey != peer.publicKey && $0.nextPublicKey == peer.publicKey } ?? false
        }.map(\.node)
        if applied.publicKey != configuration.publicKey { switched.append(configuration.node) }
        guard switched.isEmpty else {
            throw LoaderError.refused(
                "the key of \(switched.sorted().joined(separator: ", ")) would change under the traffic of this node",
                hint: "weir wireguard rotate switch, then apply again; or --force")
        }
    }

    private func carryOut(_ changes: TunnelChanges, _ keys: [KeyStore.Name]) throws {
        let netlink = Netlink()
        let configuration = changes.configuration
        // First what this kernel may not have: until here nothing has changed for any packet.
        for lane in changes.lanes where lane.isCreated { try create(lane.name) }
        _ = try netlink.put(
            changes.unreachable.map { TunnelChanges.refusal(of: $0, configuration.routingTable) })
        for rule in changes.rules { _ = try netlink.add(rule) }

        for (lane, key) in zip(changes.lanes, keys) {
            let presence = try netlink.wireGuardDevice(lane.name, socketDirectory: options.socketDirectory)
            guard let device = presence.device, let interface = try netlink.interface(named: lane.name) else {
                throw LoaderError.refused("\(lane.name) is gone", hint: "apply again")
            }
            try configure(device, lane.plan, key)
            if lane.setsLink {
                _ = try netlink.setInterface(interface.index, isUp: true, mtu: UInt32(configuration.mtu))
            }
            for address in lane.addresses { _ = try netlink.add(InterfaceAddress(of: interface, address)) }
            try loosenReversePathFilter(lane.name)
        }
        try loader.refreshTunnelsLocked()

        let name = configuration.interfaces[changes.sendingLane]
        try route(changes.routed, configuration, through: name)
        _ = try netlink.delete(changes.staleRoutes)
        for rule in changes.staleRules { _ = try netlink.delete(rule) }
        for name in changes.staleInterfaces { try remove(name) }
        if !changes.staleInterfaces.isEmpty { try loader.refreshTunnelsLocked() }
    }

    private func route(
        _ routes: [TunnelConfiguration.Route], _ configuration: TunnelConfiguration, through name: String
    ) throws {
        guard !routes.isEmpty else { return }
        guard let interface = try Netlink().interface(named: name) else {
            throw LoaderError.refused("\(name) is gone", hint: "apply again")
        }
        _ = try Netlink().put(
            routes.map { TunnelChanges.route($0, configuration, through: interface.index) })
    }

    private func create(_ name: String) throws {
        switch try Netlink().createWireGuardInterface(name) {
        case .created: break
        case .nameTaken:
            throw LoaderError.refused("\(name) appeared meanwhile", hint: "apply again")
        case .unsupported:
            var state = try directory.load()
            state.createdInterfaces.remove(name)
            try directory.save(state)
            throw LoaderError.refused(
                "this kernel has no WireGuard, and no user-space device is called \(name)",
                hint: "run \(UserspaceDevice.command(for: name)) under your service manager, then apply again")
        }
    }

    private func configure(_ device: any WireGuardDevice, _ plan: DevicePlan, _ key: KeyStore.Name) throws {
        if plan.setsPrivateKey {
            guard let secret = try directory.keys.load(key) else {
                throw LoaderError.refused("\(directory.keys.path(key)) is gone", hint: "apply again")
            }
            try device.setPrivateKey(secret)
        }
        let known = Set(plan.status.peers.filter { $0.state != nil }.map(\.publicKey))
        for preshared in plan.presharedKeys {
            guard let file = preshared.file else {
                try device.removePresharedKey(of: preshared.publicKey)
                continue
            }
            guard let secret = try KeyStore.load(file) else {
                throw LoaderError.refused("there is no preshared key \(file)", hint: "wg genpsk makes one; mode 0600")
            }
            try device.setPresharedKey(
                secret, of: preshared.publicKey, creating: !known.contains(preshared.publicKey))
        }
        for change in plan.changes { try device.apply(change) }
    }

    /// What other nodes send comes in by a lane that this node may not send on, and from node addresses that are not
    /// routed there: the strict filter would drop it.
    private func loosenReversePathFilter(_ name: String) throws {
        let path = "/proc/sys/net/ipv4/conf/\(name)/rp_filter"
        guard let present = try Files.read(path), present.first != UInt8(ascii: "2") else { return }
        try Files.overwrite(Array("2\n".utf8), path)
    }

    // MARK: Down

    /// Takes away exactly what apply made: what goes to other nodes' pods is the main table's affair again, last of all.
    /// The keys stay.
    ///
    /// - Returns: what is gone; empty where there was nothing.
    package func down() throws(LoaderError) -> [String] {
        try locked {
            let state = try directory.load()
            let applied = try directory.configuration()
            var gone: [String] = []
            if let table = state.routingTable {
                try requireSameNamespace(state)
                let survey = try survey(table: table)
                for lane in survey.lanes {
                    if state.createdInterfaces.contains(lane.name), lane.interface != nil {
                        try remove(lane.name)
                        gone.append("interface \(lane.name)")
                    } else if case .userspace(let device) = lane.presence, let found = lane.device,
                        !found.peers.isEmpty, applied != nil
                    {
                        try device.apply(DeviceChange(peers: found.peers.map { PeerChange(.remove, $0.publicKey) }))
                        for address in lane.addresses where applied?.addresses.contains(address.address) == true {
                            _ = try Netlink().remove(address)
                        }
                        gone.append("peers of \(lane.name)")
                    }
                }
                try loader.refreshTunnelsLocked()
                let netlink = Netlink()
                for rule in survey.rules where rule.isPlain && rule.preference == state.rulePreference {
                    if try netlink.delete(rule) { gone.append("rule \(rule)") }
                }
                gone += try netlink.delete(try netlink.routes(inTable: table)).map(\.description)
            }
            try directory.clear()
            return gone
        }
    }

    private func remove(_ name: String) throws {
        guard let interface = try Netlink().interface(named: name), interface.kind == "wireguard" else { return }
        _ = try Netlink().deleteInterface(interface.index)
    }

    // MARK: Rotation

    /// Sends on another lane from now on. Both nodes of a pair accept on both lanes, so they may move at different times.
    ///
    /// Refused unless every peer has answered there lately.
    package func send(onLane lane: Int) throws(LoaderError) -> Outcome {
        try locked {
            guard let configuration = try directory.configuration() else {
                throw LoaderError.refused("no tunnel was applied", hint: "weir wireguard apply")
            }
            guard configuration.isRotating else {
                throw LoaderError.refused(
                    "no key is rotating",
                    hint: "publish the next key that weir wireguard rotate start prints, and apply on every node")
            }
            var state = try directory.load()
            try requireSameNamespace(state)
            let survey = try survey(table: configuration.routingTable)
            try requireAnswers(survey.lanes[lane], configuration.lanes[lane])
            let name = configuration.interfaces[lane]
            let former = state.sendingLane
            state.sendingLane = lane
            try directory.save(state)
            try route(configuration.routes.filter { !$0.isUnreachable }, configuration, through: name)
            return Outcome(
                result: former == lane ? .unchanged : .applied, changes: former == lane ? [] : ["~ sends on \(name)"],
                interfaces: configuration.interfaces, sendingInterface: name)
        }
    }

    /// WireGuard itself forgets a session after so many seconds.
    private static let sessionSeconds = 180

    private func requireAnswers(_ found: TunnelSurvey.Lane, _ lane: TunnelConfiguration.Lane) throws {
        guard !options.isForced else { return }
        let now = time(nil)
        let silent = lane.peers.filter { peer in
            guard let state = found.device?.peers.first(where: { $0.publicKey == peer.publicKey }) else { return true }
            return state.lastHandshake == 0 || now - Int(state.lastHandshake) > Self.sessionSeconds
        }
        guard silent.isEmpty else {
            throw LoaderError.refused(
                "on \(lane.interface) there was no answer from \(silent.map(\.node).joined(separator: ", "))",
                hint:
                    "apply there first, or wait \(TunnelConfiguration.rotationKeepalive) seconds; --force sends to them in vain"
            )
        }
    }
}

extension InterfaceAddress {
    /// The whole address, and nothing around it.
    fileprivate init(of interface: NetworkInterface, _ address: IPAddress) {
        self.init(interface: interface.index, address: address, prefixLength: address.family.bitWidth)
    }
}
