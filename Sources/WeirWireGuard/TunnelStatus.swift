package import WeirModel

/// How a device differs from the lane that it is to be.
package struct TunnelStatus: Hashable, Sendable {
    package enum DeviceDifference: Hashable, Sendable {
        /// nil: the device has no private key.
        case publicKey(is: PublicKey?, wanted: PublicKey)
        case listenPort(is: UInt16, wanted: UInt16)
        case firewallMark(is: UInt32, wanted: UInt32)
    }

    package enum PeerDifference: Hashable, Sendable {
        /// nil: none is known.
        case endpoint(is: PeerEndpoint?, wanted: PeerEndpoint)
        /// Both sorted, not both empty.
        case allowedIPs(missing: [Prefix], extra: [Prefix])
        case persistentKeepalive(is: UInt16, wanted: UInt16)
        case presharedKey(isSet: Bool)

        /// A peer that speaks from another address than its own has *roamed*, and WireGuard answers it there: that is
        /// how it works, not something to put right.
        package var isRoaming: Bool {
            if case .endpoint(is: .some, wanted: _) = self { true } else { false }
        }
    }

    package struct Peer: Hashable, Sendable {
        package var publicKey: PublicKey
        /// nil where the device has it and nobody wants it.
        package var wanted: TunnelConfiguration.Lane.Peer?
        /// nil where it is wanted and not there. Not both nil.
        package var state: PeerState?
        /// Empty where one of the two is nil.
        package var differences: [PeerDifference]

        package var isInSync: Bool {
            wanted != nil && state != nil && differences.allSatisfy(\.isRoaming)
        }
    }

    package var interface: String
    package var device: [DeviceDifference]
    /// The wanted ones by node, then the others by key.
    package var peers: [Peer]

    package init(of state: DeviceState, wanted lane: TunnelConfiguration.Lane) {
        interface = lane.interface
        device = []
        if state.publicKey != lane.publicKey {
            device.append(.publicKey(is: state.publicKey, wanted: lane.publicKey))
        }
        if state.listenPort != lane.listenPort {
            device.append(.listenPort(is: state.listenPort, wanted: lane.listenPort))
        }
        if state.firewallMark != lane.firewallMark {
            device.append(.firewallMark(is: state.firewallMark, wanted: lane.firewallMark))
        }
        var unmatched = Dictionary(state.peers.map { ($0.publicKey, $0) }) { first, _ in first }
        peers = lane.peers.map { wanted in
            let found = unmatched.removeValue(forKey: wanted.publicKey)
            return Peer(
                publicKey: wanted.publicKey, wanted: wanted, state: found,
                differences: found.map { Self.differences(of: $0, wanted: wanted) } ?? [])
        }
        peers += unmatched.values.sorted { $0.publicKey < $1.publicKey }.map {
            Peer(publicKey: $0.publicKey, wanted: nil, state: $0, differences: [])
        }
    }

    /// Whether the device is what it is to be; peers may have roamed.
    package var isInSync: Bool { device.isEmpty && peers.allSatisfy(\.isInSync) }

    private static func differences(
        of state: PeerState, wanted: TunnelConfiguration.Lane.Peer
    ) -> [PeerDifference] {
        var differences: [PeerDifference] = []
        if let endpoint = wanted.endpoint, state.endpoint != endpoint {
            differences.append(.endpoint(is: state.endpoint, wanted: endpoint))
        }
        let (present, asked) = (Set(state.allowedIPs), Set(wanted.allowedIPs))
        if present != asked {
            differences.append(
                .allowedIPs(
                    missing: asked.subtracting(present).sorted(), extra: present.subtracting(asked).sorted()))
        }
        if state.persistentKeepalive != wanted.persistentKeepalive {
            differences.append(
                .persistentKeepalive(is: state.persistentKeepalive, wanted: wanted.persistentKeepalive))
        }
        if state.hasPresharedKey != (wanted.presharedKeyFile != nil) {
            differences.append(.presharedKey(isSet: state.hasPresharedKey))
        }
        return differences
    }
}
