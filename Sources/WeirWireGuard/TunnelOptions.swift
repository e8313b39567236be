/// What an inventory does not say about the tunnel. All nodes of a cluster need the same, apart from `mtu`.
package struct TunnelOptions: Hashable, Sendable {
    /// What a peer may send from, and what is sent to it.
    package enum AllowedIPs: String, Hashable, Sendable, CaseIterable {
        /// Its pod networks; its pods' addresses where those lie elsewhere.
        case podCIDRs = "pod-cidrs"
        /// Its pods' addresses only, for clusters whose pod networks belong to no node.
        case pods
    }

    /// One above the port that the WireGuard documentation uses, and Cilium's: a firewall may have it open already.
    package static let defaultListenPort: UInt16 = 51871
    /// On the packets that WireGuard itself sends. Outside of kube-proxy's bits (0xc000), Cilium's (0xf00) and
    /// Calico's (0xffff0000).
    package static let defaultFirewallMark: UInt32 = 0x57
    /// Named like the port, so that `ip route show table 51871` is easily remembered.
    package static let defaultRoutingTable: UInt32 = 51871
    /// After `local` (0), before whatever else is on a node, `main` (32766) above all.
    package static let defaultRulePreference: UInt32 = 51
    package static let defaultUnderlayMTU = 1500

    /// Of the first lane; the second has the next one.
    package var listenPort: UInt16
    /// 0: none.
    package var firewallMark: UInt32
    package var routingTable: UInt32
    package var rulePreference: UInt32
    /// Of the network devices of nodes that do not say themselves.
    package var underlayMTU: Int
    /// Seconds, for nodes that do not say themselves; 0: none is sent.
    package var persistentKeepalive: UInt16
    package var allowedIPs: AllowedIPs

    package init(
        listenPort: UInt16 = defaultListenPort, firewallMark: UInt32 = defaultFirewallMark,
        routingTable: UInt32 = defaultRoutingTable, rulePreference: UInt32 = defaultRulePreference,
        underlayMTU: Int = defaultUnderlayMTU, persistentKeepalive: UInt16 = 0, allowedIPs: AllowedIPs = .podCIDRs
    ) {
        self.listenPort = listenPort
        self.firewallMark = firewallMark
        self.routingTable = routingTable
        self.rulePreference = rulePreference
        self.underlayMTU = underlayMTU
        self.persistentKeepalive = persistentKeepalive
        self.allowedIPs = allowedIPs
    }

    /// Why nothing can be compiled with these; nil where it can.
    package var problem: String? {
        if listenPort == 0 || listenPort == .max {
            return "the listen port must be 1 to 65534, as the second lane has the next one"
        }
        // unspec, default, main, local: <linux/rtnetlink.h>.
        if [0, 253, 254, 255].contains(routingTable) {
            return "the routing table must be one of weir's own, such as 51871"
        }
        if !(1...32765).contains(rulePreference) {
            return "the rule's preference must be 1 to 32765: after local, before main"
        }
        if !Self.underlayMTUs.contains(underlayMTU) { return "the MTU must be 576 to 65535" }
        return nil
    }

    static let underlayMTUs = 576...65535
}
