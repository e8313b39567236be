internal import CLibnl
internal import Glibc
internal import SystemPackage
package import WeirModel

/// What comes before the IP header of a frame.
package enum LinkLayer: Hashable, Sendable {
    case ethernet
    /// The packet begins with IP: WireGuard, TUN, PPP and the like.
    case none
    case loopback
    /// Something that weir cannot read.
    case other

    /// ARPHRD_ETHER, _LOOPBACK, _NONE and _RAWIP of <linux/if_arp.h>.
    init(hardware: UInt32) {
        self =
            switch hardware {
            case 1: .ethernet
            case 772: .loopback
            case 0xfffe, 519: .none
            default: .other
            }
    }
}

/// An interface of one network namespace.
package struct NetworkInterface: Hashable, Sendable {
    /// Unique in its namespace; never reused while the namespace lives.
    package var index: UInt32
    package var name: String
    /// "veth", "bridge" …; nil for a device of its own.
    package var kind: String?
    package var isUp: Bool
    package var link: LinkLayer
    /// The other end of a veth or netkit pair, as an index in the peer's namespace.
    package var peerIndex: UInt32?
    /// This namespace's number for the peer's namespace; nil: the peer is in this one.
    package var peerNamespaceID: Int32?
    /// The bridge or bond it belongs to.
    package var master: UInt32?
    package var mtu: UInt32

    /// Whether it is one end of a pair: what goes in here comes out at exactly one other interface.
    package var isPairEnd: Bool { (kind == "veth" || kind == "netkit") && peerIndex != nil }
}

/// An address of an interface.
package struct InterfaceAddress: Hashable, Sendable {
    package var interface: UInt32
    package var address: IPAddress
    package var prefixLength: Int

    package init(interface: UInt32, address: IPAddress, prefixLength: Int) {
        self.interface = interface
        self.address = address
        self.prefixLength = prefixLength
    }
}

/// What the kernel would do with a packet to an address.
package struct Route: Hashable, Sendable {
    /// nil where the route has several next hops, or none.
    package var interface: UInt32?
    /// Of the route that matched, not of the address.
    package var prefixLength: Int
    package var hasGateway: Bool
    package var isUnicast: Bool
}

/// A filter of clsact, of anybody.
package struct TrafficFilter: Hashable, Sendable {
    package var priority: UInt32
    package var handle: UInt32
    /// "bpf", "flower" …
    package var kind: String
    /// As whoever made it called it; empty for other kinds than "bpf".
    package var name: String
    /// Of a filter of kind "bpf".
    package var programID: UInt32?
    /// Its answer is the verdict: unless it is "go on", no later filter runs.
    package var isDirectAction: Bool
}

/// rtnetlink of the calling thread's network namespace. Every call asks the kernel anew.
package struct Netlink: Sendable {
    package init() {}

    /// Sorted by index.
    package func interfaces() throws(NetlinkError) -> [NetworkInterface] {
        var list: UnsafeMutablePointer<weir_nl_link>?
        var count = 0
        // SAFETY: the shim allocates `count` elements, which are copied before they are released.
        let result = unsafe weir_nl_links(&list, &count)
        guard result == 0 else { throw NetlinkError("list", "interfaces", result: result) }
        defer { unsafe free(list) }
        let links = unsafe Array(UnsafeBufferPointer(start: list, count: count))
        return links.map { link in
            let kind = text(link.kind)
            return NetworkInterface(
                index: link.ifindex, name: text(link.name), kind: kind.isEmpty ? nil : kind,
                isUp: link.flags & UInt32(IFF_UP) != 0, link: LinkLayer(hardware: link.hardware),
                peerIndex: link.peer_ifindex == 0 ? nil : link.peer_ifindex,
                peerNamespaceID: link.peer_netns_id < 0 ? nil : link.peer_netns_id,
                master: link.master == 0 ? nil : link.master, mtu: link.mtu)
        }
        .sorted { $0.index < $1.index }
    }

    /// Every address of every interface, sorted.
    package func addresses() throws(NetlinkError) -> [InterfaceAddress] {
        var list: UnsafeMutablePointer<weir_nl_address>?
        var count = 0
        // SAFETY: the shim allocates `count` elements, which are copied before they are released.
        let result = unsafe weir_nl_addresses(&list, &count)
        guard result == 0 else { throw NetlinkError("list", "addresses", result: result) }
        defer { unsafe free(list) }
        return unsafe Array(UnsafeBufferPointer(start: list, count: count))
            .compactMap { entry in
                // SAFETY: the closure only copies the field's own bytes.
                let bytes = unsafe withUnsafeBytes(of: entry.bytes) { unsafe Array($0.prefix(Int(entry.length))) }
                return IPAddress(bytes: bytes).map {
                    InterfaceAddress(interface: entry.ifindex, address: $0, prefixLength: Int(entry.prefix_length))
                }
            }
            .sorted { ($0.address, $0.interface) < ($1.address, $1.interface) }
    }

    /// nil where no route leads to the address.
    package func route(to address: IPAddress) throws(NetlinkError) -> Route? {
        var route = weir_nl_route()
        let bytes = address.bytes
        // SAFETY: the shim reads the address's own bytes and writes only `route`.
        let result = unsafe bytes.withUnsafeBufferPointer {
            unsafe weir_nl_route_to($0.baseAddress, $0.count, &route)
        }
        switch result {
        case 0: break
        case -ENETUNREACH, -EHOSTUNREACH, -ESRCH, -ENOENT, -EINVAL, -EACCES: return nil
        default: throw NetlinkError("look up route to", "\(address)", result: result)
        }
        return Route(
            interface: route.ifindex == 0 ? nil : route.ifindex, prefixLength: Int(route.prefix_length),
            hasGateway: route.has_gateway != 0, isUnicast: route.is_unicast != 0)
    }

    /// The interfaces that carry a default route: the node's uplinks.
    package func defaultRouteInterfaces() throws(NetlinkError) -> Set<UInt32> {
        var list: UnsafeMutablePointer<UInt32>?
        var count = 0
        // SAFETY: the shim allocates `count` elements, which are copied before they are released.
        let result = unsafe weir_nl_default_route_interfaces(&list, &count)
        guard result == 0 else { throw NetlinkError("list", "default routes", result: result) }
        defer { unsafe free(list) }
        return unsafe Set(UnsafeBufferPointer(start: list, count: count))
    }

    package func hasClsact(interface: UInt32) throws(NetlinkError) -> Bool {
        let result = weir_nl_has_clsact(interface)
        guard result >= 0 else { throw NetlinkError("list qdiscs of interface", "\(interface)", result: result) }
        return result != 0
    }

    /// Whether clsact carries a filter of anybody on either hook; an interface that is gone has none.
    package func hasFilters(interface: UInt32) throws(NetlinkError) -> Bool {
        for egressHook: Int32 in [0, 1] {
            let result = weir_nl_has_filters(interface, egressHook)
            if [-ENODEV, -ENOENT, -EINVAL].contains(result) { continue }
            guard result >= 0 else { throw NetlinkError("list filters of interface", "\(interface)", result: result) }
            if result > 0 { return true }
        }
        return false
    }

    /// The filters of one hook of clsact in the order in which they run; none where the interface has no clsact.
    package func filters(interface: UInt32, egressHook: Bool) throws(NetlinkError) -> [TrafficFilter] {
        var list: UnsafeMutablePointer<weir_nl_filter>?
        var count = 0
        // SAFETY: the shim allocates `count` elements, which are copied before they are released.
        let result = unsafe weir_nl_filters(interface, egressHook ? 1 : 0, &list, &count)
        if [-ENODEV, -ENOENT, -EINVAL].contains(result) { return [] }
        guard result == 0 else { throw NetlinkError("list filters of interface", "\(interface)", result: result) }
        defer { unsafe free(list) }
        return unsafe Array(UnsafeBufferPointer(start: list, count: count)).map { filter in
            TrafficFilter(
                priority: filter.priority, handle: filter.handle, kind: text(filter.kind), name: text(filter.name),
                programID: filter.program_id == 0 ? nil : filter.program_id, isDirectAction: filter.direct_action != 0)
        }
    }

    /// This namespace's number for another; nil: it has none, so no interface here has its peer there.
    func namespaceID(of namespace: borrowing NetworkNamespace) throws(NetlinkError) -> Int32? {
        var id: Int32 = -1
        // SAFETY: only `id` is written.
        let result = unsafe weir_nl_namespace_id(namespace.descriptor, &id)
        guard result == 0 else { throw NetlinkError("look up the number of", namespace.path, result: result) }
        return id < 0 ? nil : id
    }
}

/// The text of a C array field.
private func text<Field>(_ field: Field) -> String {
    // SAFETY: the closure only reads the field's own bytes.
    unsafe withUnsafeBytes(of: field) { unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}
