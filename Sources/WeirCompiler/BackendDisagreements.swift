package import WeirDiagnostics
package import WeirModel

/// Services that are denied on some node because policy allows some of their backends and not others: what compiling
/// for each node would warn of, each port of a Service once.
///
/// Only the backends are looked at, and only of Services whose backends can differ; so this costs little where
/// compiling for every node would cost much.
package struct BackendDisagreements {
    private var found: [FrontendFindings.ServicePort: Diagnostic] = [:]
    private let everyPort: [NamedPort]

    /// - Parameter node: sources on this node only; nil is every endpoint.
    package init(policies: PolicySet, inventory: Inventory, node: String?, options: PolicyOptions) {
        everyPort = inventory.everyPort
        let networksMatter = policies.specs.contains { spec in
            spec.rules.contains { rule in
                if case .list(let list) = rule.peers { list.contains(where: \.isNetwork) } else { false }
            }
        }
        let mixed = MixedAddresses(inventory, networksMatter: networksMatter)
        let services = inventory.services.filter(mixed.contains)
        guard !services.isEmpty else { return }
        let policies = policies.resolvingServices(inventory)
        let backends = Set(services.flatMap(\.ports).flatMap(\.backends).map(\.address))
        let reduced = Inventory(
            endpoints: inventory.endpoints.filter { !backends.isDisjoint(with: $0.addresses) },
            nodes: inventory.nodes, kubeAPIServerAddresses: inventory.kubeAPIServerAddresses, services: services)
        let sources = inventory.endpoints.filter { node == nil || $0.node == node }
        let hosts = options.hostFirewall ? inventory.nodes.filter { node == nil || $0.name == node } : []

        // A backend is its own node's host, and a remote node to all others.
        let serving = inventory.nodes.filter { !backends.isDisjoint(with: $0.addresses) }.map(\.name)
        for name in serving where node == nil || node == name {
            collect(
                policies, reduced, name, sources.filter { $0.node == name }, hosts.filter { $0.name == name }, options)
        }
        let rest = Set(serving)
        collect(
            policies, reduced, nil, sources.filter { !rest.contains($0.node) },
            hosts.filter { !rest.contains($0.name) }, options)
    }

    package var diagnostics: [Diagnostic] { found.values.sorted { $0.location < $1.location } }

    private mutating func collect(
        _ policies: PolicySet, _ inventory: Inventory, _ node: String?, _ sources: [Endpoint], _ hosts: [Node],
        _ options: PolicyOptions
    ) {
        guard !sources.isEmpty || !hosts.isEmpty else { return }
        let resolution = RuleSetResolution(policies: policies, endpoints: sources, hosts: hosts, options: options)
        let catalogue = PeerCatalogue(
            inventory: inventory, node: node, distinctions: resolution.distinctions, options: options)
        let matrix = DecisionMatrix(resolution: resolution, catalogue: catalogue, everyPort: everyPort)
        let findings = FrontendFindings(
            inventory: inventory, local: sources, resolution: resolution, catalogue: catalogue, matrix: matrix)
        for (port, finding) in findings.byPort where found[port] == nil { found[port] = finding }
    }
}

/// Service addresses that have a port whose backends policy may tell apart.
private struct MixedAddresses {
    private struct Frontend: Hashable {
        var address: IPAddress
        var `protocol`: IPProtocol
        var port: UInt16
    }

    /// What policy can tell a backend by, besides its address if that is nobody's we know.
    private struct Backend: Hashable {
        var labels: LabelSet?
        var ports: [NamedPort]?
        var address: IPAddress?
        var port: UInt16
    }

    private var mixed: Set<IPAddress> = []

    /// Services that share an address share its frontends.
    init(_ inventory: Inventory, networksMatter: Bool) {
        let owners = Dictionary(
            inventory.endpoints.flatMap { endpoint in endpoint.addresses.map { ($0, endpoint) } }
        ) { first, _ in first }
        var backends: [Frontend: Set<Backend>] = [:]
        for service in inventory.services {
            for address in service.addresses {
                for port in service.ports {
                    let own = port.backends.filter { $0.address.family == address.family }
                    backends[
                        Frontend(address: address, protocol: port.protocol, port: port.port), default: []
                    ].formUnion(
                        own.map { backend in
                            let owner = networksMatter ? nil : owners[backend.address]
                            return Backend(
                                labels: owner?.labels, ports: owner?.ports,
                                address: owner == nil ? backend.address : nil, port: backend.port)
                        })
                }
            }
        }
        for (frontend, backends) in backends where backends.count > 1 { mixed.insert(frontend.address) }
    }

    func contains(_ service: Service) -> Bool { service.addresses.contains(where: mixed.contains) }
}

extension Peer {
    fileprivate var isNetwork: Bool { if case .network = self { true } else { false } }
}
