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
    /// The node's own, under a host firewall; sorted by index.
    let devices: [NetworkInterface]
    /// Sorted `endpoints` entries.
    let endpoints: [MapEntry]
    /// The image's `ipcache4` and `ipcache6` with the node's addresses, sorted.
    let ipcache: [SlotMap: [MapEntry]]

    /// Throws every endpoint whose interface is not found, not only the first.
    init(_ image: Image, devices named: [String]?) throws {
        namespace = try .current()
        let finder = try InterfaceFinder()
        var found: [UInt32: NetworkInterface] = [:]
        var owners: [UInt32: String] = [:]
        var failures: [InterfaceNotFound] = []
        for record in image.endpoints {
            guard let attachment = record.attachment else { continue }
            do {
                let interface = try finder.interface(
                    of: record.name, addresses: record.addresses, attachment: attachment)
                if let other = owners[interface.index] {
                    throw InterfaceNotFound(
                        endpoint: record.name, reason: "'\(interface.name)' is already that of \(other)", tried: [])
                }
                try Self.requireKeyable(interface)
                owners[interface.index] = record.name
                found[record.id] = interface
            } catch let failure as InterfaceNotFound { failures.append(failure) }
        }
        guard failures.isEmpty else { throw LoaderError.interfaces(failures) }
        interfaces = found
        devices =
            image.endpoints.contains(where: \.isHost)
            ? try Self.devices(named, nodeAddresses: image.nodeAddresses, endpoints: Set(found.values.map(\.index)))
            : []
        endpoints = image.endpointEntries(
            interfaces: found.mapValues(\.index), hostDevices: devices.map(\.index))
        ipcache = try Self.ipcache(image, nodeAddresses: Self.ownAddresses())
    }

    /// Those asked for, or those that have one of the node's addresses or a default route.
    private static func devices(
        _ named: [String]?, nodeAddresses: [IPAddress], endpoints: Set<UInt32>
    ) throws -> [NetworkInterface] {
        let netlink = Netlink()
        let present = try netlink.interfaces()
        let chosen: [NetworkInterface]
        if let named {
            chosen = try named.map { name in
                guard let interface = present.first(where: { $0.name == name }) else {
                    throw LoaderError.refused("there is no device '\(name)'", hint: "see ip link, and --devices")
                }
                return interface
            }
        } else {
            let addresses = Set(nodeAddresses)
            let indexes = try netlink.defaultRouteInterfaces()
                .union(try netlink.addresses().filter { addresses.contains($0.address) }.map(\.interface))
            chosen = present.filter {
                indexes.contains($0.index) && $0.link != .loopback && !endpoints.contains($0.index)
            }
        }
        guard !chosen.isEmpty else {
            throw LoaderError.refused(
                "no device has an address of the node or a default route", hint: "name them: --devices eth0")
        }
        for device in chosen {
            try requireKeyable(device)
            switch device.link {
            case .ethernet, .none: break
            case .loopback:
                throw LoaderError.refused(
                    "'\(device.name)' is the loopback, which no host policy may cut", hint: "leave it out of --devices")
            case .other:
                throw LoaderError.refused(
                    "'\(device.name)' has a link layer that weir cannot read", hint: "leave it out of --devices")
            }
            guard !endpoints.contains(device.index) else {
                throw LoaderError.refused(
                    "'\(device.name)' is an endpoint's interface", hint: "leave it out of --devices")
            }
        }
        return chosen.sorted { $0.index < $1.index }
    }

    /// A flow's key has 24 bits for the interface's index.
    private static func requireKeyable(_ interface: NetworkInterface) throws {
        guard interface.index <= UInt32(WEIR_INTERFACE_MAX) else {
            throw LoaderError.refused(
                "the index of '\(interface.name)', \(interface.index), is above \(WEIR_INTERFACE_MAX)",
                hint: "make the interface again, with a lower index: ip link add … index …")
        }
    }

    /// Addresses that peers know the node by: loopback and link-local ones mean something else on every machine.
    private static func ownAddresses() throws -> Set<IPAddress> {
        Set(
            try Netlink().addresses().map(\.address)
                .filter { !$0.isLoopback && !$0.isLinkLocal && !$0.isUnspecified && !$0.isMulticast })
    }

    /// The node's addresses are the host's, whatever else the image says of them, but an endpoint's stays its own.
    static func ipcache(_ image: Image, nodeAddresses: Set<IPAddress>) -> [SlotMap: [MapEntry]] {
        let endpointAddresses = Set(image.endpoints.filter { !$0.isHost }.flatMap(\.addresses))
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

    /// Both hooks of every endpoint's interface and of every device of the node's.
    var hooks: [Hook: HookPlan] {
        var hooks: [Hook: HookPlan] = [:]
        for direction in Direction.allCases {
            for interface in interfaces.values {
                hooks[Hook(interface: interface.index, direction: direction)] = HookPlan(
                    interface: interface.name, program: ProgramName.judging(direction, hasEthernet: true))
            }
            for device in devices {
                // What an endpoint sends enters the host at its interface; what the node sends leaves by its device.
                hooks[Hook(interface: device.index, direction: direction)] = HookPlan(
                    interface: device.name,
                    program: ProgramName.judging(
                        direction == .egress ? .ingress : .egress, hasEthernet: device.link == .ethernet))
            }
        }
        return hooks
    }
}

/// What should run on a hook.
struct HookPlan: Hashable {
    /// Its name.
    var interface: String
    /// The program's name.
    var program: String
}
