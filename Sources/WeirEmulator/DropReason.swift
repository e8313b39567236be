/// Why a packet was dropped: `enum weir_reason` (a test compares the numbers).
package enum DropReason: UInt32, Error, Hashable, Sendable, CaseIterable {
    case none
    case policyDeny, policyDefaultDeny
    case noSlot, noVerdict
    case truncated, unknownEthertype, vlan, fragment
    case ipHeader, ipv4SourceRoute, ipv6Extension, ipv6Routing
    case sourceAddress, arp, neighbourDiscovery, routerControl
    case linkLocal, v4Mapped, martianSource
    case overlay, notForEndpoint, conntrackInsert, l4Header, unencrypted
}
