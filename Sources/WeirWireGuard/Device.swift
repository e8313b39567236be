package import WeirModel

/// A UDP endpoint of a peer.
package struct PeerEndpoint: Hashable, Sendable, Comparable {
    package var address: IPAddress
    package var port: UInt16

    package init(address: IPAddress, port: UInt16) {
        self.address = address
        self.port = port
    }

    package static func < (left: Self, right: Self) -> Bool {
        (left.address, left.port) < (right.address, right.port)
    }
}

extension PeerEndpoint: CustomStringConvertible {
    package var description: String { address.family == .ipv4 ? "\(address):\(port)" : "[\(address)]:\(port)" }
}

/// A WireGuard device as it is, without its private key.
package struct DeviceState: Hashable, Sendable {
    package var interfaceIndex: UInt32
    /// nil where no private key is set.
    package var publicKey: PublicKey?
    package var listenPort: UInt16
    /// 0: none.
    package var firewallMark: UInt32
    /// Sorted by public key, each key once.
    package var peers: [PeerState]

    package init(
        interfaceIndex: UInt32, publicKey: PublicKey? = nil, listenPort: UInt16 = 0, firewallMark: UInt32 = 0,
        peers: [PeerState] = []
    ) {
        self.interfaceIndex = interfaceIndex
        self.publicKey = publicKey
        self.listenPort = listenPort
        self.firewallMark = firewallMark
        self.peers = peers.sorted { $0.publicKey < $1.publicKey }
    }
}

package struct PeerState: Hashable, Sendable {
    package var publicKey: PublicKey
    package var hasPresharedKey: Bool
    package var endpoint: PeerEndpoint?
    /// Sorted.
    package var allowedIPs: [Prefix]
    /// Seconds; 0: none is sent.
    package var persistentKeepalive: UInt16
    /// Seconds since 1970; 0: never.
    package var lastHandshake: UInt64
    package var receivedBytes: UInt64
    package var sentBytes: UInt64

    package init(
        publicKey: PublicKey, hasPresharedKey: Bool = false, endpoint: PeerEndpoint? = nil, allowedIPs: [Prefix] = [],
        persistentKeepalive: UInt16 = 0, lastHandshake: UInt64 = 0, receivedBytes: UInt64 = 0, sentBytes: UInt64 = 0
    ) {
        self.publicKey = publicKey
        self.hasPresharedKey = hasPresharedKey
        self.endpoint = endpoint
        self.allowedIPs = allowedIPs.sorted()
        self.persistentKeepalive = persistentKeepalive
        self.lastHandshake = lastHandshake
        self.receivedBytes = receivedBytes
        self.sentBytes = sentBytes
    }
}

/// What is to be changed in a device; nil stays as it is. Secrets are set by calls of their own.
package struct DeviceChange: Hashable, Sendable {
    package var listenPort: UInt16?
    /// 0 takes the mark away.
    package var firewallMark: UInt32?
    /// Applied in this order.
    package var peers: [PeerChange]

    package init(listenPort: UInt16? = nil, firewallMark: UInt32? = nil, peers: [PeerChange] = []) {
        self.listenPort = listenPort
        self.firewallMark = firewallMark
        self.peers = peers
    }

    package var isEmpty: Bool { listenPort == nil && firewallMark == nil && peers.isEmpty }
}

package struct PeerChange: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        /// The device does not have it yet.
        case add
        /// Never adds a peer that is gone meanwhile.
        case update
        case remove
    }

    package var publicKey: PublicKey
    package var kind: Kind
    package var endpoint: PeerEndpoint?
    package var persistentKeepalive: UInt16?
    /// Whether `allowedIPs` are all that it has afterwards, or come beside what it has.
    package var replacesAllowedIPs: Bool
    /// One that another peer has moves to this one at once.
    package var allowedIPs: [Prefix]

    package init(
        _ kind: Kind, _ publicKey: PublicKey, endpoint: PeerEndpoint? = nil, persistentKeepalive: UInt16? = nil,
        replacesAllowedIPs: Bool = false, allowedIPs: [Prefix] = []
    ) {
        self.kind = kind
        self.publicKey = publicKey
        self.endpoint = endpoint
        self.persistentKeepalive = persistentKeepalive
        self.replacesAllowedIPs = replacesAllowedIPs
        self.allowedIPs = allowedIPs
    }
}
