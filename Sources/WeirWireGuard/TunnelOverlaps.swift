internal import WeirDiagnostics
internal import WeirModel

/// What several nodes claim, which only one can have.
struct TunnelOverlaps {
    /// Sorted by name.
    let nodes: [TunnelNode]

    /// In either lane one key is one node.
    func checkKeys(_ diagnostics: inout DiagnosticsCollector) {
        var owners: [PublicKey: TunnelNode] = [:]
        for node in nodes {
            for key in Set([node.publicKey, node.nextPublicKey].compactMap(\.self)).sorted() {
                guard let first = owners[key] else {
                    owners[key] = node
                    continue
                }
                diagnostics.error(
                    .duplicateWireGuardKey,
                    "nodes \(first.name) and \(node.name) have the same WireGuard key; each needs one of its own",
                    at: node.location, notes: [Diagnostic.Note("\(first.name) is here", at: first.location)])
            }
        }
    }

    /// Every prefix of one node lies apart from those of all others. The kernel would move an equal one from peer to
    /// peer without a word, and a packet from inside two would be believed from one of them only.
    func checkPrefixes(_ diagnostics: inout DiagnosticsCollector) {
        let claims = nodes.indices.flatMap { index in nodes[index].allowedIPs.map { (prefix: $0, owner: index) } }
            .sorted { ($0.prefix, $0.owner) < ($1.prefix, $1.owner) }
        var enclosing: [(prefix: Prefix, owner: Int)] = []
        var reported: Set<[Int]> = []
        for claim in claims {
            while let last = enclosing.last, !last.prefix.contains(claim.prefix) { enclosing.removeLast() }
            if let outer = enclosing.last, outer.owner != claim.owner {
                let (first, second) = (nodes[outer.owner], nodes[claim.owner])
                if reported.insert([outer.owner, claim.owner]).inserted {
                    diagnostics.error(
                        .tunnelOverlap,
                        "\(claim.prefix) of node \(second.name) lies in \(outer.prefix) of node \(first.name), and a "
                            + "packet goes to one of them; correct the pod networks, or use --allowed-ips pods where "
                            + "they belong to no node",
                        at: second.node.location,
                        notes: [Diagnostic.Note("\(first.name) is here", at: first.node.location)])
                }
            }
            enclosing.append(claim)
        }
    }
}
