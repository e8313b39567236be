package import WeirModel
package import WeirNetlink
package import WeirWireGuard

/// What is there of a tunnel: devices by lane, and what lies in the routing table.
struct TunnelSurvey {
    struct Lane {
        var name: String
        var addresses: [InterfaceAddress] = []
        /// nil where no interface has the lane's name.
        var interface: NetworkInterface?
        var presence = WireGuardPresence.absent
        var device: DeviceState?
    }

    /// Of both lanes, be they wanted or not.
    var lanes: [Lane]
    var routes: Set<TableRoute>
    var rules: [RoutingRule]

    init(table: UInt32, names: [String], socketDirectory: String) throws {
        let netlink = Netlink()
        let interfaces = try netlink.interfaces()
        let addresses = try netlink.addresses()
        lanes = try names.map { name in
            guard let interface = interfaces.first(where: { $0.name == name }) else { return Lane(name: name) }
            let presence = try netlink.wireGuardDevice(name, socketDirectory: socketDirectory)
            return Lane(
                name: name, addresses: addresses.filter { $0.interface == interface.index }, interface: interface,
                presence: presence, device: try presence.device?.state())
        }
        routes = Set(try netlink.routes(inTable: table))
        rules = try netlink.rules().filter { $0.table == table }
    }
}

/// The difference between the tunnel that is there and the one that is wanted.
package struct TunnelChanges: Sendable {
    package struct LaneChange: Sendable {
        package var name: String
        package var isCreated: Bool
        package var plan: DevicePlan
        /// Whether the interface is to be brought up, or has another MTU.
        package var setsLink: Bool
        package var addresses: [IPAddress]

        package var isEmpty: Bool { !isCreated && plan.isEmpty && !setsLink && addresses.isEmpty }
    }

    /// In the order of the lanes that are wanted.
    package var lanes: [LaneChange]
    /// Remote networks that are to be refused where no tunnel leads to them.
    package var unreachable: [Prefix]
    package var rules: [RoutingRule]
    /// Networks that are to be sent through the lane in use.
    package var routed: [TunnelConfiguration.Route]
    /// Each network's device route before the one that refuses it.
    package var staleRoutes: [TableRoute]
    package var staleRules: [RoutingRule]
    package var staleInterfaces: [String]
    let configuration: TunnelConfiguration
    let sendingLane: Int

    package var isEmpty: Bool {
        lanes.allSatisfy(\.isEmpty) && unreachable.isEmpty && rules.isEmpty
            && routed.isEmpty && staleRoutes.isEmpty && staleRules.isEmpty && staleInterfaces.isEmpty
    }

    init(
        from survey: TunnelSurvey, to configuration: TunnelConfiguration, applied: TunnelConfiguration?,
        _ state: TunnelState
    ) {
        self.configuration = configuration
        let sendingLane = configuration.isRotating ? state.sendingLane : 0
        self.sendingLane = sendingLane
        let formerLanes = applied?.lanes ?? []
        lanes = configuration.lanes.enumerated().map { index, lane in
            let found = survey.lanes[index]
            let device = found.device ?? DeviceState(interfaceIndex: 0)
            return LaneChange(
                name: lane.interface, isCreated: found.interface == nil,
                plan: DevicePlan(
                    from: device, to: lane,
                    applied: formerLanes.indices.contains(index) ? formerLanes[index] : nil),
                setsLink: found.interface?.isUp != true || found.interface?.mtu != UInt32(lane.mtu),
                addresses: configuration.addresses.filter { wanted in
                    !found.addresses.contains { $0.address == wanted }
                })
        }
        let table = configuration.routingTable
        let refusals = configuration.routes.map { Self.refusal(of: $0.destination, table) }
        unreachable = refusals.filter { !survey.routes.contains($0) }.map(\.destination)
        let kept = Set(refusals)
        let families = Set(configuration.routes.map(\.destination.family)).sorted()
        let wantedRules = families.map {
            RoutingRule($0, preference: configuration.rulePreference, table: table)
        }
        rules = wantedRules.filter { !survey.rules.contains($0) }
        let interface = survey.lanes[sendingLane].interface?.index
        let wanted = configuration.routes.filter { !$0.isUnreachable }
        routed = wanted.filter { route in
            guard let interface else { return true }
            return !survey.routes.contains(Self.route(route, configuration, through: interface))
        }
        let places = Set(wanted.map { Place(destination: $0.destination, metric: Self.deviceMetric) })
        staleRoutes =
            survey.routes.filter { route in
                !kept.contains(route)
                    && !places.contains(Place(destination: route.destination, metric: route.metric))
            }.sorted()
        staleRules = survey.rules.filter {
            $0.isPlain && $0.preference == configuration.rulePreference && !wantedRules.contains($0)
        }
        staleInterfaces = survey.lanes.dropFirst(configuration.interfaces.count)
            .filter { state.createdInterfaces.contains($0.name) && $0.interface != nil }.map(\.name)
    }

    private struct Place: Hashable {
        var destination: Prefix
        var metric: UInt32
    }

    /// Below every metric that IPv6 takes for a default.
    private static let deviceMetric: UInt32 = 1

    /// At the worst metric: it counts when the device's route is gone.
    static func refusal(of destination: Prefix, _ table: UInt32) -> TableRoute {
        TableRoute(to: destination, table: table, metric: .max, target: .unreachable)
    }

    static func route(
        _ route: TunnelConfiguration.Route, _ configuration: TunnelConfiguration, through interface: UInt32
    ) -> TableRoute {
        let mtu = route.mtu.flatMap { $0 < configuration.mtu ? UInt32($0) : nil }
        return TableRoute(
            to: route.destination, table: configuration.routingTable, metric: deviceMetric,
            target: .interface(interface, mtu: mtu))
    }

    /// A line for each change: `+` for what comes, `-` for what goes, `~` for what changes. No secrets.
    package var lines: [String] {
        var lines: [String] = []
        for lane in lanes where !lane.isEmpty {
            lines.append(
                "\(lane.isCreated ? "+" : "~") interface \(lane.name)\(lane.setsLink ? ", up, MTU \(configuration.mtu)" : "")"
            )
            lines += lane.addresses.map { "  + address \($0)" }
            lines += lane.plan.lines.map { "  " + $0 }
        }
        lines += unreachable.map { "+ unreachable \($0), unless a tunnel leads there" }
        lines += rules.map { "+ rule \($0)" }
        let name = configuration.interfaces[sendingLane]
        lines += routed.map { "+ \($0.destination) through \(name), MTU \($0.mtu ?? configuration.mtu)" }
        lines += staleRoutes.map { "- \($0)" } + staleRules.map { "- rule \($0)" }
        return lines + staleInterfaces.map { "- interface \($0)" }
    }
}
