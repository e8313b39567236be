internal import Crypto
internal import WeirABI
internal import WeirImage
internal import WeirKernel
internal import WeirMaps
internal import WeirModel
internal import WeirNetlink

/// What an image lacks because only the node knows it: which interface is whose, and the node's own addresses.
struct NodePart {
    let namespace: NamespaceIdentity
    /// By endpoint id.
    let interfaces: [UInt32: NetworkInterface]
    /// Sorted `endpoints` entries.
    let endpoints: [MapEntry]
    /// The image's `ipcache4` and `ipcache6` with the node's addresses, sorted.
    let ipcache: [SlotMap: [MapEntry]]

    /// Throws every endpoint whose interface is not found, not only the first.
    init(_ image: Image) throws {
        namespace = try .current()
        let finder = try InterfaceFinder()
        var found: [UInt32: NetworkInterface] = [:]
        var owners: [UInt32: String] = [:]
        var failures: [InterfaceNotFound] = []
        for record in image.endpoints {
            guard let attachment = record.attachment else {
                throw LoaderError.refused(
                    "the image has a host firewall, which this weir judges but does not load",
                    hint: "leave out --host-firewall; compile and verdict take it")
            }
            do {
                let interface = try finder.interface(
                    of: record.name, addresses: record.addresses, attachment: attachment)
                if let other = owners[interface.index] {
                    throw InterfaceNotFound(
                        endpoint: record.name, reason: "'\(interface.name)' is already that of \(other)", tried: [])
                }
                owners[interface.index] = record.name
                found[record.id] = interface
            } catch let failure as InterfaceNotFound { failures.append(failure) }
        }
        guard failures.isEmpty else { throw LoaderError.interfaces(failures) }
        interfaces = found
        endpoints = image.endpointEntries(interfaces: found.mapValues(\.index))
        ipcache = try Self.ipcache(image, nodeAddresses: Self.ownAddresses())
    }

    /// Addresses that peers know the node by: loopback and link-local ones mean something else on every machine.
    private static func ownAddresses() throws -> Set<IPAddress> {
        Set(
            try Netlink().addresses().map(\.address)
                .filter { !$0.isLoopback && !$0.isLinkLocal && !$0.isUnspecified && !$0.isMulticast })
    }

    /// The node's addresses are the host's, whatever else the image says of them, but an endpoint's stays its own.
    static func ipcache(_ image: Image, nodeAddresses: Set<IPAddress>) -> [SlotMap: [MapEntry]] {
        let endpointAddresses = Set(image.endpoints.flatMap(\.addresses))
        var result: [SlotMap: [MapEntry]] = [:]
        for (map, family) in [(SlotMap.ipcache4, AddressFamily.ipv4), (.ipcache6, .ipv6)] {
            var entries = Dictionary(image.entries(map).map { ($0.key, $0.value) }) { $1 }
            for address in nodeAddresses.subtracting(endpointAddresses) where address.family == family {
                let known = entries[address.bytes].flatMap(weir_peer.init(abiBytes:))
                // The compiler may tell the host's addresses apart.
                if let known, known.flags & WEIR_PEER_OWN_NODE.rawValue != 0 { continue }
                var peer = weir_peer()
                peer.group = WEIR_GROUP_HOST.rawValue
                peer.flags = WEIR_PEER_NODE.rawValue | WEIR_PEER_OWN_NODE.rawValue
                if let known { peer.identity = known.identity }
                entries[address.bytes] = peer.abiBytes
            }
            result[map] = entries.map { MapEntry(key: $0.key, value: $0.value) }.sorted()
        }
        return result
    }

    /// SHA-256 of everything above: equal image and node digests mean equal maps.
    var digest: [UInt8] {
        var hash = SHA256()
        hash.update(data: UInt64(namespace.inode).abiBytes)
        for entries in [endpoints, ipcache[.ipcache4] ?? [], ipcache[.ipcache6] ?? []] {
            hash.update(data: UInt32(entries.count).abiBytes)
            for entry in entries {
                hash.update(data: entry.key)
                hash.update(data: entry.value)
            }
        }
        return Array(hash.finalize())
    }

    /// Both hooks of every endpoint's interface, with the interface's name.
    var hooks: [Hook: String] {
        var hooks: [Hook: String] = [:]
        for interface in interfaces.values {
            for direction in Direction.allCases {
                hooks[Hook(interface: interface.index, direction: direction)] = interface.name
            }
        }
        return hooks
    }
}
