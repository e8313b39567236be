internal import CLibnl
internal import Glibc
internal import SystemPackage
package import WeirModel

/// A route of one table.
package struct TableRoute: Hashable, Sendable, Comparable {
    package enum Target: Hashable, Sendable {
        /// Straight through an interface, whoever is behind it; with the MTU of the path, if it is not the interface's.
        case interface(UInt32, mtu: UInt32? = nil)
        /// Refused, and the sender told.
        case unreachable
        /// Something else, which weir reads and never makes: the kernel's number of its kind.
        case other(UInt8)
    }

    package var table: UInt32
    package var destination: Prefix
    /// Of two routes to one destination the lower one is taken. The kernel makes 0 of IPv6 1024, and so does this.
    package private(set) var metric: UInt32
    package var target: Target
    /// Who made it, in the numbers of rtnetlink's `RTPROT_`: 4 is an administrator.
    package var origin: UInt8

    package init(
        to destination: Prefix, table: UInt32, metric: UInt32 = 0, target: Target,
        origin: UInt8 = UInt8(RTPROT_STATIC)
    ) {
        self.table = table
        self.destination = destination
        self.metric = metric == 0 && destination.family == .ipv6 ? 1024 : metric
        self.target = target
        self.origin = origin
    }

    package static func < (left: Self, right: Self) -> Bool {
        (left.table, left.destination, left.metric) < (right.table, right.destination, right.metric)
    }

    /// Where in its table it stands: the kernel has one route for each.
    struct Place: Hashable {
        var table: UInt32
        var destination: Prefix
        var metric: UInt32
    }

    var place: Place { Place(table: table, destination: destination, metric: metric) }
}

extension TableRoute: CustomStringConvertible {
    package var description: String {
        let place = "table \(table)" + (metric == 0 ? "" : " metric \(metric)")
        return switch target {
        case .interface(let index, nil): "\(destination) through interface \(index) in \(place)"
        case .interface(let index, let mtu?): "\(destination) through interface \(index), MTU \(mtu), in \(place)"
        case .unreachable: "unreachable \(destination) in \(place)"
        case .other(let kind): "\(destination) of kind \(kind) in \(place)"
        }
    }
}

extension Netlink {
    /// The routes of a table in both families, sorted; none where there is no such table.
    package func routes(inTable table: UInt32) throws(NetlinkError) -> [TableRoute] {
        var routes: [TableRoute] = []
        for length: Int32 in [4, 16] {
            var list: UnsafeMutablePointer<weir_nl_table_route>?
            var count = 0
            // SAFETY: the shim allocates `count` elements, which are copied before they are released.
            let result = unsafe weir_nl_table_routes(length, table, &list, &count)
            if [-EAFNOSUPPORT, -EOPNOTSUPP].contains(result) { continue }
            guard result == 0 else { throw NetlinkError("list routes of", "table \(table)", result: result) }
            defer { unsafe free(list) }
            routes += unsafe Array(UnsafeBufferPointer(start: list, count: count)).compactMap(TableRoute.init)
        }
        return routes.sorted()
    }

    /// Makes each route, or puts it in the place of the one with its table, destination and metric, in this order. Those
    /// that are there already are left alone; the others are returned. The first that is refused ends it.
    package func put(_ routes: [TableRoute]) throws(NetlinkError) -> [TableRoute] {
        var present: Set<TableRoute> = []
        for table in Set(routes.map(\.table)) { present.formUnion(try self.routes(inTable: table)) }
        let wanting = routes.filter { !present.contains($0) }
        guard !wanting.isEmpty else { return [] }
        var messages = try NetlinkMessages(wanting)
        let (accepted, result) = messages.send(NETLINK_ROUTE)
        guard result == 0 else {
            let object = accepted < wanting.count ? wanting[accepted].description : "of \(wanting.count)"
            throw NetlinkError("put route", object, result: result)
        }
        return wanting
    }

    /// Deletes those that are there exactly so, in this order, and returns them.
    package func delete(_ routes: [TableRoute]) throws(NetlinkError) -> [TableRoute] {
        var present: Set<TableRoute> = []
        for table in Set(routes.map(\.table)) { present.formUnion(try self.routes(inTable: table)) }
        var deleted: [TableRoute] = []
        for route in routes where present.contains(route) {
            // SAFETY: `encode` appends to the messages.
            let refusal = try unsafe change("delete route", route.description, unchanged: [.noSuchProcess]) {
                unsafe route.encode(WEIR_NL_ROUTE_DELETE, &$0)
            }
            if refusal == nil { deleted.append(route) }
        }
        return deleted
    }
}

extension NetlinkMessages {
    /// One message for each: made, or put in the place of another.
    package init(_ routes: [TableRoute]) throws(NetlinkError) {
        try unsafe self.init("put", "\(routes.count) routes") { messages in
            for route in routes {
                let result = unsafe route.encode(WEIR_NL_ROUTE_REPLACE, &messages)
                if result != 0 { return result }
            }
            return 0
        }
    }
}

extension TableRoute {
    /// nil for what no address stands for.
    init?(_ raw: weir_nl_table_route) {
        guard let address = IPAddress(bytes: bytes(of: raw.bytes, count: Int(raw.length))),
            Int(raw.prefix_length) <= address.family.bitWidth
        else { return nil }
        let mtu = raw.mtu == 0 ? nil : raw.mtu
        let target: Target =
            switch Int(raw.kind) {
            case RTN_UNICAST where raw.is_direct != 0 && raw.ifindex != 0: .interface(raw.ifindex, mtu: mtu)
            case RTN_UNREACHABLE: .unreachable
            default: .other(raw.kind)
            }
        self.init(
            to: Prefix(address, length: Int(raw.prefix_length)), table: raw.table, metric: raw.metric, target: target,
            origin: raw.protocol)
    }

    func encode(_ change: weir_nl_route_change, _ messages: inout weir_nl_messages) -> Int32 {
        var raw = weir_nl_table_route()
        raw.length = UInt8(destination.family.bitWidth / 8)
        raw.prefix_length = UInt8(destination.length)
        setBytes(&raw.bytes, destination.address.bytes)
        raw.table = table
        raw.metric = metric
        raw.protocol = origin
        switch target {
        case .interface(let index, let mtu):
            raw.kind = UInt8(RTN_UNICAST)
            raw.ifindex = index
            raw.mtu = mtu ?? 0
        case .unreachable: raw.kind = UInt8(RTN_UNREACHABLE)
        case .other: return -EINVAL
        }
        // SAFETY: the shim reads `raw` and appends to the messages.
        return unsafe weir_nl_encode_route(change, &raw, &messages)
    }
}
