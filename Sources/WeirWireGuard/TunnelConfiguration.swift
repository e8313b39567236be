package import WeirModel

/// The tunnel of one node: everything that is to be on it, but for secrets.
///
/// Equal inventories give equal configurations, and equal configurations equal bytes, whatever the order of the input.
package struct TunnelConfiguration: Hashable, Sendable {
    package struct Peer: Hashable, Sendable, Codable {
        package var node: String
        package var publicKey: PublicKey
        /// nil where none is published.
        package var nextPublicKey: PublicKey?
        /// Of the first lane; nil where only the peer can begin.
        package var endpoint: PeerEndpoint?
        /// Sorted, none inside another.
        package var allowedIPs: [Prefix]
        /// Seconds; 0: none is sent.
        package var persistentKeepalive: UInt16
        /// An absolute path on this node.
        package var presharedKeyFile: String?
        /// The largest inner packet that fits into one outer packet on the way to it.
        package var mtu: Int

        package init(
            node: String, publicKey: PublicKey, nextPublicKey: PublicKey? = nil, endpoint: PeerEndpoint? = nil,
            allowedIPs: [Prefix], persistentKeepalive: UInt16 = 0, presharedKeyFile: String? = nil, mtu: Int
        ) {
            self.node = node
            self.publicKey = publicKey
            self.nextPublicKey = nextPublicKey
            self.endpoint = endpoint
            self.allowedIPs = allowedIPs.sorted()
            self.persistentKeepalive = persistentKeepalive
            self.presharedKeyFile = presharedKeyFile
            self.mtu = mtu
        }
    }

    /// A network of remote pods, which is reached through the tunnel or not at all.
    package struct Route: Hashable, Sendable, Codable {
        package var destination: Prefix
        /// Whose pods are there.
        package var node: String
        /// Of the peer behind it; nil where there is none and the route is `unreachable`.
        package var mtu: Int?

        package init(destination: Prefix, node: String, mtu: Int?) {
            self.destination = destination
            self.node = node
            self.mtu = mtu
        }

        package var isUnreachable: Bool { mtu == nil }
    }

    package var node: String
    /// Of this node, at most one of each family: what it sends itself to other nodes' pods bears it, and a device
    /// without any address takes nothing from them where the kernel filters by reverse paths.
    package var addresses: [IPAddress]
    /// What the private key on the node must belong to.
    package var publicKey: PublicKey
    package var nextPublicKey: PublicKey?
    /// One for each lane; a second exists while any node of the cluster publishes a next key.
    package var interfaces: [String]
    package var listenPort: UInt16
    package var firewallMark: UInt32
    package var routingTable: UInt32
    package var rulePreference: UInt32
    /// Of the interfaces: the largest of all paths. Routes say what is less.
    package var mtu: Int
    /// Sorted by node.
    package var peers: [Peer]
    /// Sorted by destination, each once.
    package var routes: [Route]

    package init(
        node: String, addresses: [IPAddress] = [], publicKey: PublicKey, nextPublicKey: PublicKey?,
        interfaces: [String], listenPort: UInt16,
        firewallMark: UInt32, routingTable: UInt32, rulePreference: UInt32, mtu: Int, peers: [Peer], routes: [Route]
    ) {
        self.node = node
        self.addresses = addresses.sorted()
        self.publicKey = publicKey
        self.nextPublicKey = nextPublicKey
        self.interfaces = interfaces
        self.listenPort = listenPort
        self.firewallMark = firewallMark
        self.routingTable = routingTable
        self.rulePreference = rulePreference
        self.mtu = mtu
        self.peers = peers.sorted { $0.node < $1.node }
        self.routes = routes.sorted { $0.destination < $1.destination }
    }

    /// Of the lanes, in their order.
    package static let interfaceNames = ["weir-wg0", "weir-wg1"]
}

extension TunnelConfiguration {
    /// What one device is to be. The first lane has the keys in use; the second, next to it during a rotation, the
    /// next ones where they are published, and ports one higher.
    package struct Lane: Hashable, Sendable {
        package struct Peer: Hashable, Sendable {
            package var node: String
            package var publicKey: PublicKey
            package var endpoint: PeerEndpoint?
            /// Sorted.
            package var allowedIPs: [Prefix]
            package var persistentKeepalive: UInt16
            package var presharedKeyFile: String?
        }

        package var interface: String
        /// What the device's private key must belong to.
        package var publicKey: PublicKey
        package var listenPort: UInt16
        package var firewallMark: UInt32
        package var mtu: Int
        /// Sorted by node; no key and no prefix twice.
        package var peers: [Peer]
    }

    /// Seconds. While keys rotate, a lane must have answered before anything is sent on it, so each asks by itself.
    package static let rotationKeepalive: UInt16 = 25

    package var isRotating: Bool { interfaces.count > 1 }

    package var lanes: [Lane] {
        interfaces.enumerated().map { index, interface in
            func key(_ current: PublicKey, _ next: PublicKey?) -> PublicKey { index == 0 ? current : next ?? current }
            let offset = UInt16(index)
            return Lane(
                interface: interface, publicKey: key(publicKey, nextPublicKey), listenPort: listenPort &+ offset,
                firewallMark: firewallMark, mtu: mtu,
                peers: peers.map { peer in
                    Lane.Peer(
                        node: peer.node, publicKey: key(peer.publicKey, peer.nextPublicKey),
                        endpoint: peer.endpoint.map { PeerEndpoint(address: $0.address, port: $0.port &+ offset) },
                        allowedIPs: peer.allowedIPs,
                        persistentKeepalive: isRotating && peer.persistentKeepalive == 0
                            ? Self.rotationKeepalive : peer.persistentKeepalive,
                        presharedKeyFile: peer.presharedKeyFile)
                })
        }
    }
}
