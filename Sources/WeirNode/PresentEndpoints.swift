internal import WeirInventory
internal import WeirLoader
internal import WeirModel

/// What an inventory is once this node has said which endpoints it has.
struct PresentEndpoints {
    let inventory: Inventory
    /// Nobody registered anything, and nothing is left out.
    let isAsItWas: Bool
    let denied: [DeniedInterface]
    /// Names of those that are left out.
    let missing: Set<String>

    init(
        _ sources: NodePolicy.Sources, node: String, _ registrations: [Registration], in session: NodeSession,
        _ absent: AbsentEndpoints, _ removed: Set<String> = []
    ) throws {
        let local = LocalEndpoints(
            sources.inventory, registrations: registrations, node: node, clusterName: sources.clusterName)
        let isLocal: (Endpoint) -> Bool = { $0.node == node && local.published[$0.qualifiedName] == nil }
        let places = try EndpointPlaces(
            local.inventory.endpoints.filter(isLocal).map(SoughtEndpoint.init),
            displaced: local.displaced.map(SoughtEndpoint.init), registrations, in: session, absent, removed)
        let missing = places.missing
        inventory =
            missing.isEmpty
            ? local.inventory
            : local.inventory.with(
                endpoints: local.inventory.endpoints.filter { !missing.contains($0.qualifiedName) })
        isAsItWas = registrations.isEmpty && missing.isEmpty
        denied = local.denied.map { $0.registration.denied($0.reason) } + places.denied
        self.missing = missing
    }
}

/// What becomes of endpoints of this node that the policy has and nobody registered.
struct EndpointPlaces {
    /// Names of those that are left out.
    var missing: Set<String> = []
    /// Interfaces where one of them is or may be, and that are nobody else's: let go, they would be open.
    var denied: [DeniedInterface] = []

    /// - Parameter displaced: those whose name, address or interface a registration has taken.
    init(
        _ endpoints: [SoughtEndpoint], displaced: [SoughtEndpoint], _ registrations: [Registration],
        in session: NodeSession, _ absent: AbsentEndpoints, _ removed: Set<String>
    ) throws {
        guard absent == .leaveOut || !registrations.isEmpty else { return }
        let located = try session.locate(endpoints)
        let registered = Set(registrations.map(\.interfaceIndex))
        var suspects: [(name: String, interface: NetworkInterfaceName, reason: String)] = []
        for endpoint in endpoints {
            if removed.contains(endpoint.name) {
                // Its interface is denied already, as it was a registration's.
                missing.insert(endpoint.name)
            } else if let interface = located.interfaces[endpoint.name] {
                if registered.contains(interface.index) { missing.insert(endpoint.name) }
            } else if absent == .leaveOut {
                missing.insert(endpoint.name)
                for interface in located.candidates[endpoint.name] ?? [] {
                    suspects.append((endpoint.name, interface, "it cannot be told whether this is its interface"))
                }
            }
        }
        let former = try session.locate(displaced)
        for endpoint in displaced {
            let interfaces = former.interfaces[endpoint.name].map { [$0] } ?? former.candidates[endpoint.name] ?? []
            for interface in interfaces {
                suspects.append((endpoint.name, interface, "another endpoint was added under its name or address"))
            }
        }
        let known = registered.union(located.interfaces.filter { !missing.contains($0.key) }.values.map(\.index))
        denied = suspects.filter { !known.contains($0.interface.index) }.map {
            // The next apply may no longer see why.
            DeniedInterface(
                interface: $0.interface.name, index: $0.interface.index, endpoint: $0.name, reason: $0.reason,
                isKept: true)
        }
    }
}

extension Registration {
    /// What is left of one that was removed.
    init?(_ denied: DeniedInterface) {
        let parts = (denied.endpoint ?? "").split(separator: "/")
        guard parts.count == 2 else { return nil }
        self.init(
            key: .endpoint(parts.joined(separator: "/")), namespace: String(parts[0]), name: String(parts[1]),
            addresses: [], interface: denied.interface, interfaceIndex: denied.index)
    }

    func denied(_ reason: String, isKept: Bool = false) -> DeniedInterface {
        DeniedInterface(
            interface: interface, index: interfaceIndex, endpoint: qualifiedName, reason: reason, isKept: isKept)
    }
}
