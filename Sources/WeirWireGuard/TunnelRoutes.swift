internal import WeirDiagnostics
internal import WeirModel

/// Which networks are reached through the tunnel, or not at all.
struct TunnelRoutes {
    let own: TunnelNode
    let remote: [TunnelNode]
    let peers: [TunnelConfiguration.Peer]
    let options: TunnelOptions

    /// All networks of remote pods, also of nodes without a key.
    ///
    /// Where only pods' addresses are allowed IPs, the pod networks around them are closed, so that nothing leaves in
    /// clear to a pod that the inventory does not have yet.
    func compile(_ diagnostics: inout DiagnosticsCollector) -> [TunnelConfiguration.Route] {
        let mtus = Dictionary(peers.map { ($0.node, $0.mtu) }) { first, _ in first }
        var routes: [Prefix: TunnelConfiguration.Route] = [:]
        for node in remote {
            for network in node.podNetworks {
                routes[network] = TunnelConfiguration.Route(
                    destination: network, node: node.name, mtu: mtus[node.name])
            }
        }
        if options.allowedIPs == .pods {
            let outside =
                own.allowedIPs + own.node.podCIDRs + remote.flatMap(\.outerAddresses).map { Prefix(host: $0) }
                + peers.compactMap { $0.endpoint.map { Prefix(host: $0.address) } }
            for node in remote { close(node, around: outside, &routes, &diagnostics) }
        }
        checkEndpoints(routes, &diagnostics)
        return Array(routes.values)
    }

    /// - Parameter outside: what must be reached outside of the tunnel.
    private func close(
        _ node: TunnelNode, around outside: [Prefix], _ routes: inout [Prefix: TunnelConfiguration.Route],
        _ diagnostics: inout DiagnosticsCollector
    ) {
        for network in node.node.podCIDRs where routes[network] == nil {
            if let inside = outside.first(where: { $0.contains(network) || network.contains($0) }) {
                diagnostics.warning(
                    .tunnelOverlap,
                    "\(network) of node \(node.name) overlaps \(inside), which is not behind the tunnel: only known "
                        + "pods in it are encrypted",
                    at: node.location)
            } else {
                routes[network] = TunnelConfiguration.Route(destination: network, node: node.name, mtu: nil)
            }
        }
    }

    /// An encrypted packet that is routed into the tunnel again would never arrive. (Of the addresses that were chosen,
    /// `TunnelOverlaps` says it.)
    private func checkEndpoints(
        _ routes: [Prefix: TunnelConfiguration.Route], _ diagnostics: inout DiagnosticsCollector
    ) {
        let lengths = Dictionary(grouping: routes.keys, by: \.family).mapValues { Set($0.map(\.length)).sorted() }
        for node in remote {
            guard let endpoint = node.endpoint,
                let route = lengths[endpoint.address.family, default: []].lazy
                    .map({ Prefix(endpoint.address, length: $0) }).first(where: { routes[$0] != nil })
            else { continue }
            diagnostics.error(
                .invalidEndpoint,
                "the endpoint \(endpoint) of node \(node.name) lies in the pod network \(route), which is behind the "
                    + "tunnel itself",
                at: node.location)
        }
    }
}
