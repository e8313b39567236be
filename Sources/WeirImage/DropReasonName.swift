internal import WeirABI

/// Of every reason, in the order of the ABI.
package let dropReasonNames = (1..<UInt32(WEIR_REASON_COUNT.rawValue)).map(dropReasonName)

/// The names of `enum weir_reason`, in lower case with hyphens.
package func dropReasonName(_ reason: UInt32) -> String {
    switch weir_reason(rawValue: reason) {
    case WEIR_REASON_NONE: "none"
    case WEIR_REASON_POLICY_DENY: "policy-deny"
    case WEIR_REASON_POLICY_DEFAULT_DENY: "policy-default-deny"
    case WEIR_REASON_NO_SLOT: "no-slot"
    case WEIR_REASON_NO_VERDICT: "no-verdict"
    case WEIR_REASON_TRUNCATED: "truncated"
    case WEIR_REASON_UNKNOWN_ETHERTYPE: "unknown-ethertype"
    case WEIR_REASON_VLAN: "vlan"
    case WEIR_REASON_FRAGMENT: "fragment"
    case WEIR_REASON_IP_HEADER: "ip-header"
    case WEIR_REASON_IPV4_SOURCE_ROUTE: "ipv4-source-route"
    case WEIR_REASON_IPV6_EXTENSION: "ipv6-extension"
    case WEIR_REASON_IPV6_ROUTING: "ipv6-routing"
    case WEIR_REASON_SOURCE_ADDRESS: "source-address"
    case WEIR_REASON_ARP: "arp"
    case WEIR_REASON_NEIGHBOUR_DISCOVERY: "neighbour-discovery"
    case WEIR_REASON_ROUTER_CONTROL: "router-control"
    case WEIR_REASON_LINK_LOCAL: "link-local"
    case WEIR_REASON_V4_MAPPED: "v4-mapped"
    case WEIR_REASON_MARTIAN_SOURCE: "martian-source"
    case WEIR_REASON_OVERLAY: "overlay"
    case WEIR_REASON_NOT_FOR_ENDPOINT: "not-for-endpoint"
    case WEIR_REASON_CONNTRACK_INSERT: "conntrack-insert"
    case WEIR_REASON_L4_HEADER: "l4-header"
    case WEIR_REASON_UNENCRYPTED: "unencrypted"
    default: "reason-\(reason)"
    }
}
