internal import Glibc
internal import SystemPackage
package import WeirModel

/// An endpoint's host-side interface could not be told. Nothing was guessed.
package struct InterfaceNotFound: Error, Hashable, Sendable, CustomStringConvertible {
    package var endpoint: String
    package var reason: String
    /// What was looked at, in order.
    package var tried: [String]
    /// Where it may be any of several: their indexes, sorted.
    package var candidates: [UInt32]

    package init(endpoint: String, reason: String, tried: [String], candidates: [UInt32] = []) {
        self.endpoint = endpoint
        self.reason = reason
        self.tried = tried
        self.candidates = candidates
    }

    package var description: String {
        "no interface for endpoint \(endpoint): \(reason)"
            + (tried.isEmpty ? "" : "; tried: " + tried.joined(separator: "; "))
    }
}

/// Finds the host-side interfaces of endpoints in the calling thread's network namespace.
///
/// A class because namespaces are looked through once for all endpoints, and only if one needs it. Use it on the
/// thread that made it.
package final class InterfaceFinder {
    private let netlink = Netlink()
    private let interfaces: [UInt32: NetworkInterface]
    private let ownAddresses: Set<IPAddress>
    private let uplinks: Set<UInt32>
    private let namespace: NamespaceIdentity
    /// Where the owners of addresses in other namespaces are.
    private var owners: [IPAddress: [Owner]]?
    private let runDirectory: String
    private let procDirectory: String

    /// An interface with an address, in another namespace.
    private struct Owner: Hashable {
        var namespacePath: String
        var interface: NetworkInterface
        /// Our number for that namespace; nil: none of our interfaces has its peer there.
        var namespaceID: Int32?
    }

    package init(runDirectory: String = "/run/netns", procDirectory: String = "/proc") throws(NetlinkError) {
        interfaces = Dictionary(try netlink.interfaces().map { ($0.index, $0) }) { first, _ in first }
        ownAddresses = Set(try netlink.addresses().map(\.address))
        uplinks = try netlink.defaultRouteInterfaces()
        namespace = try .current()
        self.runDirectory = runDirectory
        self.procDirectory = procDirectory
    }

    /// - Throws: `InterfaceNotFound`, or `NetlinkError` where the kernel could not be asked.
    package func interface(
        of endpoint: String, addresses: [IPAddress], attachment: Endpoint.Attachment
    ) throws -> NetworkInterface {
        switch attachment {
        case .interface(let name):
            guard let interface = interfaces.values.first(where: { $0.name == name }) else {
                throw InterfaceNotFound(
                    endpoint: endpoint, reason: "there is no interface '\(name)' in this network namespace", tried: [])
            }
            return interface
        case .networkNamespace(let name): return try inNamespace(named: name, endpoint, addresses)
        case .byAddress: return try byAddress(endpoint, addresses)
        }
    }

    // MARK: A named namespace

    private func inNamespace(
        named name: String, _ endpoint: String, _ addresses: [IPAddress]
    ) throws -> NetworkInterface {
        let path = "\(runDirectory)/\(name)"
        guard let identity = NamespaceIdentity(path: path) else {
            throw InterfaceNotFound(
                endpoint: endpoint, reason: "there is no network namespace '\(name)'", tried: [path])
        }
        guard identity != namespace else {
            throw InterfaceNotFound(
                endpoint: endpoint, reason: "network namespace '\(name)' is the node's own", tried: [path])
        }
        let found = try owners(in: path).filter { addresses.contains($0.address) }.map(\.owner)
        return try theOne(endpoint, addresses, Array(Set(found)), tried: [path])
    }

    // MARK: A container's interface

    /// The host side of an interface by its name in the network namespace that a path stands for, wherever that lies.
    ///
    /// - Throws: `InterfaceNotFound` where there is none, as for macvlan and ipvlan; `NetlinkError` where the kernel could
    ///   not be asked.
    package func hostSide(of name: String, inNamespaceAt path: String) throws -> NetworkInterface {
        let endpoint = "behind '\(name)' in \(path)"
        func notFound(_ reason: String) -> InterfaceNotFound {
            InterfaceNotFound(endpoint: endpoint, reason: reason, tried: [])
        }
        guard let identity = NamespaceIdentity(path: path) else { throw notFound("there is no network namespace") }
        guard identity != namespace else { throw notFound("that is the node's own network namespace") }
        let other = try NetworkNamespace(path: path)
        guard let interface = try other.run({ try netlink.interfaces() }).first(where: { $0.name == name }) else {
            throw notFound("there is no interface of that name")
        }
        let owner = Owner(namespacePath: path, interface: interface, namespaceID: try netlink.namespaceID(of: other))
        return try hostEnd(of: owner).mapError { notFound($0.text) }.get()
    }

    // MARK: A whole namespace

    /// What leads from a network namespace to this one.
    package struct Connection: Hashable, Sendable {
        package var hostSide: NetworkInterface
        /// Of the other side, without link-local ones; sorted.
        package var addresses: [IPAddress]
    }

    /// The pairs between this namespace and the one that a path stands for, by index of their host sides.
    package func connections(ofNamespaceAt path: String) throws -> [Connection] {
        guard let identity = NamespaceIdentity(path: path) else {
            throw InterfaceNotFound(endpoint: "of \(path)", reason: "there is no network namespace", tried: [])
        }
        guard identity != namespace else {
            throw InterfaceNotFound(
                endpoint: "of \(path)", reason: "that is the node's own network namespace", tried: [])
        }
        var found: [UInt32: Connection] = [:]
        for (address, owner) in try owners(in: path) where !address.isLinkLocal {
            guard case .success(let end) = hostEnd(of: owner) else { continue }
            found[end.index, default: Connection(hostSide: end, addresses: [])].addresses.append(address)
        }
        return found.values.map { Connection(hostSide: $0.hostSide, addresses: $0.addresses.sorted()) }
            .sorted { $0.hostSide.index < $1.hostSide.index }
    }

    // MARK: By address

    private func byAddress(_ endpoint: String, _ addresses: [IPAddress]) throws -> NetworkInterface {
        if let own = addresses.first(where: ownAddresses.contains) {
            throw InterfaceNotFound(
                endpoint: endpoint, reason: "\(own) is an address of the node itself", tried: [])
        }
        var tried: [String] = []
        var routed: Set<UInt32> = []
        for address in addresses {
            let (index, remark) = try interfaceByRoute(to: address)
            if let index { routed.insert(index) } else { tried.append(remark) }
        }
        guard routed.count <= 1 else {
            let names = routed.compactMap { interfaces[$0]?.name }.sorted().joined(separator: ", ")
            throw InterfaceNotFound(
                endpoint: endpoint, reason: "its addresses have routes to \(names)", tried: tried,
                candidates: routed.sorted())
        }
        if let index = routed.first, let interface = interfaces[index] { return interface }

        let owners = try allOwners()
        let found = addresses.flatMap { owners[$0] ?? [] }
        tried.append("interfaces in other network namespaces (\(runDirectory), \(procDirectory)/*/ns/net)")
        return try theOne(endpoint, addresses, Array(Set(found)), tried: tried)
    }

    /// A route tells the interface only if everything it covers is behind one end of a pair: a host route, or the
    /// link prefix of a point-to-point pair (no more than two hosts). A bridge, an uplink, a gateway or a wider
    /// prefix reaches others as well, and attaching there would judge their packets as this endpoint's.
    private func interfaceByRoute(to address: IPAddress) throws(NetlinkError) -> (UInt32?, String) {
        guard let route = try netlink.route(to: address) else { return (nil, "no route to \(address)") }
        func refuse(_ why: String) -> (UInt32?, String) { (nil, "route to \(address) \(why)") }
        guard route.isUnicast, let index = route.interface, let interface = interfaces[index] else {
            return refuse("has no single output interface")
        }
        let name = interface.name
        if route.hasGateway { return refuse("goes through a gateway on \(name)") }
        if !interface.isPairEnd { return refuse("leads to \(name), which is \(interface.kind ?? "no veth")") }
        if interface.master != nil { return refuse("leads to \(name), which is a bridge port") }
        if interface.peerNamespaceID == nil { return refuse("leads to \(name), whose peer is in this namespace") }
        if uplinks.contains(index) { return refuse("leads to \(name), which carries a default route") }
        if route.prefixLength < address.family.bitWidth - 2 {
            return refuse("is a /\(route.prefixLength) on \(name), which may reach others")
        }
        return (index, "")
    }

    // MARK: The other end

    /// The host-side ends of the owners' pairs, if it is one and the same.
    private func theOne(
        _ endpoint: String, _ addresses: [IPAddress], _ owners: [Owner], tried: [String]
    ) throws(InterfaceNotFound) -> NetworkInterface {
        let list = addresses.map(\.description).joined(separator: " and ")
        guard !owners.isEmpty else {
            throw InterfaceNotFound(endpoint: endpoint, reason: "nothing has the address \(list)", tried: tried)
        }
        var ends: [UInt32: NetworkInterface] = [:]
        var remarks: [String] = []
        for owner in owners.sorted(by: { $0.namespacePath < $1.namespacePath }) {
            switch hostEnd(of: owner) {
            case .success(let end): ends[end.index] = end
            case .failure(let remark): remarks.append(remark.text)
            }
        }
        guard ends.count <= 1 else {
            let paths = Set(owners.map(\.namespacePath)).sorted().joined(separator: ", ")
            let names = ends.values.map(\.name).sorted().joined(separator: ", ")
            throw InterfaceNotFound(
                endpoint: endpoint, reason: "\(list) is ambiguous: owned in \(paths), behind \(names)", tried: tried,
                candidates: ends.keys.sorted())
        }
        guard let end = ends.values.first else {
            throw InterfaceNotFound(
                endpoint: endpoint, reason: remarks.joined(separator: ", and "), tried: tried)
        }
        return end
    }

    private struct Remark: Error { var text: String }

    /// Our interface whose peer is the owner's; both ends must say so of each other.
    private func hostEnd(of owner: Owner) -> Result<NetworkInterface, Remark> {
        let there = "'\(owner.interface.name)' in \(owner.namespacePath)"
        guard owner.interface.isPairEnd, let peerIndex = owner.interface.peerIndex else {
            return .failure(Remark(text: "\(there) is \(owner.interface.kind ?? "a device"), which has no host side"))
        }
        guard let identifier = owner.namespaceID, let end = interfaces[peerIndex], end.isPairEnd,
            end.peerIndex == owner.interface.index, end.peerNamespaceID == identifier
        else { return .failure(Remark(text: "the peer of \(there) is not in this network namespace")) }
        return .success(end)
    }

    // MARK: Other namespaces

    private func allOwners() throws -> [IPAddress: [Owner]] {
        if let owners { return owners }
        var all: [IPAddress: [Owner]] = [:]
        for path in namespacePaths() {
            do {
                for (address, owner) in try owners(in: path) { all[address, default: []].append(owner) }
            } catch let error as NetlinkError
                where error.errno == .noSuchFileOrDirectory || error.errno == .invalidArgument
            {
                // The process has ended, or the file under /run/netns is a left-over that stands for no namespace.
            }
        }
        owners = all
        return all
    }

    /// One file for each network namespace other than ours; named ones first, so that messages use their names.
    private func namespacePaths() -> [String] {
        var seen: Set<NamespaceIdentity> = [namespace]
        let named = directoryNames(runDirectory).map { "\(runDirectory)/\($0)" }
        let processes = directoryNames(procDirectory).filter { $0.allSatisfy(\.isNumber) }
            .map { "\(procDirectory)/\($0)/ns/net" }
        return (named + processes).filter { path in
            NamespaceIdentity(path: path).map { seen.insert($0).inserted } ?? false
        }
    }

    private func owners(in path: String) throws -> [(address: IPAddress, owner: Owner)] {
        let other = try NetworkNamespace(path: path)
        let (interfaces, addresses) = try other.run { (try netlink.interfaces(), try netlink.addresses()) }
        let identifier = try netlink.namespaceID(of: other)
        let byIndex = Dictionary(interfaces.map { ($0.index, $0) }) { first, _ in first }
        return addresses.compactMap { entry in
            guard !entry.address.isLoopback, let interface = byIndex[entry.interface] else { return nil }
            return (
                entry.address, Owner(namespacePath: path, interface: interface, namespaceID: identifier)
            )
        }
    }
}

/// Sorted; empty where there is no such directory.
private func directoryNames(_ path: String) -> [String] {
    // SAFETY: the directory is open from here to the end of the function; each name is copied before the next call.
    guard let directory = unsafe opendir(path) else { return [] }
    defer { unsafe _ = closedir(directory) }
    var names: [String] = []
    while let entry = unsafe readdir(directory) {
        let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) {
            unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
}
