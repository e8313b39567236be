internal import WeirDiagnostics
internal import WeirModel

/// How packets get from this node to another: where to, and how large they may be.
struct TunnelPaths {
    let own: TunnelNode
    let options: TunnelOptions
    /// Of the addresses that this node has outside of the tunnel; both where it names none.
    private let families: Set<AddressFamily>

    init(own: TunnelNode, options: TunnelOptions) {
        self.own = own
        self.options = options
        let known = Set(own.outerAddresses.map(\.family)).union(own.endpoint.map { [$0.address.family] } ?? [])
        families = known.isEmpty ? Set(AddressFamily.allCases) : known
    }

    /// The written one, else the first address of a family that this node has, too. nil, with a warning, where this node
    /// cannot begin: the peer still may.
    func endpoint(of peer: TunnelNode, _ diagnostics: inout DiagnosticsCollector) -> PeerEndpoint? {
        let candidates =
            peer.endpoint.map { [$0] }
            ?? peer.outerAddresses.map { PeerEndpoint(address: $0, port: options.listenPort) }
        if let found = candidates.first(where: { families.contains($0.address.family) }) { return found }
        if let other = candidates.first {
            diagnostics.warning(
                .unreachableFamily,
                "node \(peer.name) is reached at \(other), and node \(own.name) has no \(other.address.family.rawValue) "
                    + "address: only \(peer.name) can begin; give both nodes addresses of one family",
                at: peer.location)
        } else {
            diagnostics.warning(
                .missingEndpoint,
                "node \(peer.name) has no address outside of its pod networks: only it can begin; give it an endpoint",
                at: peer.location)
        }
        return nil
    }

    /// What WireGuard puts around a packet: IP, UDP 8, its own header 16, authentication 16. IPv6 where nobody knows.
    ///
    /// The content is padded to a multiple of 16, but never beyond the MTU of the route, so that nothing has to be
    /// rounded. (`wireguard-go` pads up to the MTU of its device: where paths differ, a full packet on a
    /// narrower one may leave up to 15 bytes larger, and in fragments.)
    static func overhead(_ family: AddressFamily?) -> Int { (family == .ipv4 ? 20 : 40) + 8 + 16 + 16 }

    /// The narrower of both ends, less the overhead.
    func mtu(to peer: TunnelNode, _ endpoint: PeerEndpoint?, _ diagnostics: inout DiagnosticsCollector) -> Int {
        let narrower = peer.underlayMTU < own.underlayMTU ? peer : own
        let mtu = narrower.underlayMTU - Self.overhead(endpoint?.address.family)
        let hasIPv6 = peer.podNetworks.contains { $0.family == .ipv6 }
        // What every IPv6 link, and every IPv4 host, must take: RFC 8200, RFC 791.
        let minimum = hasIPv6 ? 1280 : 576
        if mtu < minimum {
            diagnostics.error(
                .tunnelMTU,
                "an MTU of \(narrower.underlayMTU) at node \(narrower.name) leaves \(mtu) bytes in the tunnel to node "
                    + "\(peer.name), and \(hasIPv6 ? "IPv6" : "IPv4") needs \(minimum)",
                at: peer.location)
        }
        return mtu
    }
}
