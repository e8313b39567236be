package import WeirDiagnostics
package import WeirModel

/// From an inventory to the tunnel of one node. Pure: no key, no file, no device is looked at.
package enum TunnelCompiler {
    /// nil, with an error, where anything of it cannot be as written: a cluster in which one node's traffic goes to
    /// another, or in clear, is worse than one that stays as it is.
    ///
    /// A remote node without a key is only warned about: its pods are out of reach, as their networks are routed to
    /// nowhere.
    package static func compile(
        inventory: Inventory, node name: String, options: TunnelOptions = TunnelOptions(),
        diagnostics: inout DiagnosticsCollector
    ) -> TunnelConfiguration? {
        var findings = DiagnosticsCollector()
        defer { diagnostics.append(contentsOf: findings.all) }
        guard inventory.node(named: name) != nil else {
            let place = inventory.nodes.first?.location.path ?? "inventory"
            findings.error(.unknownNode, "there is no node \"\(name)\"", at: SourceLocation(file: place))
            return nil
        }
        let pods = Dictionary(grouping: inventory.endpoints, by: \.node)
        let nodes = inventory.nodes.map { TunnelNode($0, pods: pods[$0.name] ?? [], options, &findings) }
        let overlaps = TunnelOverlaps(nodes: nodes)
        overlaps.checkKeys(&findings)
        overlaps.checkPrefixes(&findings)
        guard let own = nodes.first(where: { $0.name == name }) else { return nil }
        if own.node.wireGuard == nil {
            findings.error(
                .missingWireGuardKey, "node \(name), for which this is, has no WireGuard key; publish its public key",
                at: own.location)
        }
        let remote = nodes.filter { $0.name != name }
        let paths = TunnelPaths(own: own, options: options)
        let peers = remote.compactMap { peer($0, paths, &findings) }
        let routes = TunnelRoutes(own: own, remote: remote, peers: peers, options: options).compile(&findings)
        guard !findings.hasErrors, let publicKey = own.publicKey else { return nil }
        let isRotating = nodes.contains { $0.nextPublicKey != nil }
        return TunnelConfiguration(
            node: name,
            addresses: AddressFamily.allCases.compactMap { family in own.outerAddresses.first { $0.family == family } },
            publicKey: publicKey, nextPublicKey: own.nextPublicKey,
            interfaces: Array(TunnelConfiguration.interfaceNames.prefix(isRotating ? 2 : 1)),
            listenPort: options.listenPort, firewallMark: options.firewallMark, routingTable: options.routingTable,
            rulePreference: options.rulePreference,
            mtu: peers.map(\.mtu).max() ?? own.underlayMTU - TunnelPaths.overhead(nil), peers: peers, routes: routes)
    }

    private static func peer(
        _ node: TunnelNode, _ paths: TunnelPaths, _ findings: inout DiagnosticsCollector
    ) -> TunnelConfiguration.Peer? {
        guard node.node.wireGuard != nil else {
            if !node.podNetworks.isEmpty {
                findings.warning(
                    .missingWireGuardKey,
                    "node \(node.name) has no WireGuard key: its pods are unreachable from node \(paths.own.name) "
                        + "under encryption; publish its public key",
                    at: node.location)
            }
            return nil
        }
        guard let publicKey = node.publicKey else { return nil }
        if (node.presharedKeyFile == nil) != (paths.own.presharedKeyFile == nil) {
            let (with, without) = node.presharedKeyFile == nil ? (paths.own, node) : (node, paths.own)
            findings.warning(
                .oneSidedPresharedKey,
                "node \(with.name) has a presharedKeyFile and node \(without.name) has none: they will not understand "
                    + "each other; name a file for both",
                at: with.location)
        }
        let endpoint = paths.endpoint(of: node, &findings)
        return TunnelConfiguration.Peer(
            node: node.name, publicKey: publicKey, nextPublicKey: node.nextPublicKey, endpoint: endpoint,
            allowedIPs: node.allowedIPs, persistentKeepalive: node.persistentKeepalive,
            presharedKeyFile: node.presharedKeyFile, mtu: paths.mtu(to: node, endpoint, &findings))
    }
}
