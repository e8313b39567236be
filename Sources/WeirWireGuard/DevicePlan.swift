internal import Crypto
internal import WeirModel

/// What makes a device the lane that it is to be, with nothing touched that is right already: such peers keep their
/// sessions and counters.
///
/// To be carried out in this order: the private key, the preshared keys, then `changes` one after the other. In them
/// 1. every prefix that a peer is to have is added to it. Where another peer has it, the kernel moves it in one store:
///    a packet is encrypted to the old peer or to the new one.
/// 2. a prefix that a staying peer is to lose and nobody gets is moved to a peer that is *nobody*: its key belongs to no
///    one, it has no endpoint, and what is sent to it is dropped. Then nobody is removed, and the prefix with it. (To
///    replace a peer's allowed IPs would take all of them away for a moment, and Linux before 6.16 cannot take away
///    one.)
/// 3. peers that go are removed, with what is left to them.
///
/// So at no moment is a prefix in nobody's allowed IPs that some peer had and some peer will have. In one case alone an
/// address is: a prefix that goes lies inside one that stays or comes, as in a change from pods' addresses to pod
/// networks. Between 2's two halves such a packet is dropped, as is any packet to a prefix that goes. No packet
/// leaves unencrypted at any moment: what has no peer is refused by the device. And no packet goes to a third peer, as
/// long as the device had no prefix of one peer inside another's, which weir never makes.
package struct DevicePlan: Hashable, Sendable {
    package struct PresharedKey: Hashable, Sendable {
        package var publicKey: PublicKey
        /// nil: taken away. Setting one makes the peer where the device does not have it.
        package var file: String?
    }

    /// What is to be put right.
    package let status: TunnelStatus
    /// Those to be set or taken away; a device does not tell whether one that is set is the one in the file.
    package let presharedKeys: [PresharedKey]
    /// None of them empty.
    package let changes: [DeviceChange]
    /// Peers whose endpoint is to be set.
    private let endpoints: Set<PublicKey>

    /// - Parameter applied: the lane as it was applied last. A peer whose configured endpoint has not changed since
    ///   keeps the one that the device learned from it; where nothing is known of last time, it gets the configured one.
    package init(
        from state: DeviceState, to lane: TunnelConfiguration.Lane, applied: TunnelConfiguration.Lane? = nil
    ) {
        let status = TunnelStatus(of: state, wanted: lane)
        let appliedEndpoints = Dictionary(
            (applied?.peers ?? []).map { ($0.publicKey, $0.endpoint) }
        ) { first, _ in first }
        var endpoints: Set<PublicKey> = []
        var presharedKeys: [PresharedKey] = []
        var first = DeviceChange()
        var last = DeviceChange()
        for difference in status.device {
            switch difference {
            case .publicKey: break
            case .listenPort(is: _, wanted: let port): first.listenPort = port
            case .firewallMark(is: _, wanted: let mark): first.firewallMark = mark
            }
        }
        var stale: [Prefix] = []
        for peer in status.peers {
            guard let wanted = peer.wanted else {
                last.peers.append(PeerChange(.remove, peer.publicKey))
                continue
            }
            guard peer.state != nil else {
                if let file = wanted.presharedKeyFile {
                    presharedKeys.append(PresharedKey(publicKey: peer.publicKey, file: file))
                }
                first.peers.append(
                    PeerChange(
                        .add, peer.publicKey, endpoint: wanted.endpoint,
                        persistentKeepalive: wanted.persistentKeepalive, allowedIPs: wanted.allowedIPs))
                continue
            }
            var change = PeerChange(.update, peer.publicKey)
            for difference in peer.differences {
                switch difference {
                case .endpoint(is: let present, wanted: let endpoint):
                    let isKnown = appliedEndpoints[peer.publicKey] == .some(.some(endpoint))
                    guard present == nil || !isKnown else { break }
                    change.endpoint = endpoint
                    endpoints.insert(peer.publicKey)
                case .allowedIPs(missing: let missing, extra: let extra):
                    change.allowedIPs = missing
                    stale += extra
                case .persistentKeepalive(is: _, wanted: let seconds): change.persistentKeepalive = seconds
                case .presharedKey(isSet: _):
                    presharedKeys.append(PresharedKey(publicKey: peer.publicKey, file: wanted.presharedKeyFile))
                }
            }
            if change != PeerChange(.update, peer.publicKey) { first.peers.append(change) }
        }
        let claimed = Set(lane.peers.flatMap(\.allowedIPs))
        stale.removeAll { claimed.contains($0) }
        if !stale.isEmpty {
            last.peers.removeAll { $0.publicKey == Self.nobody }
            last.peers.insert(
                contentsOf: [
                    PeerChange(.add, Self.nobody, allowedIPs: stale.sorted()), PeerChange(.remove, Self.nobody),
                ], at: 0)
        }
        self.status = status
        self.presharedKeys = presharedKeys
        self.endpoints = endpoints
        changes = [first, last].filter { !$0.isEmpty }
    }

    /// Whether the private key is to be set.
    package var setsPrivateKey: Bool {
        status.device.contains { if case .publicKey = $0 { true } else { false } }
    }

    package var isEmpty: Bool { !setsPrivateKey && presharedKeys.isEmpty && changes.isEmpty }

    /// Where prefixes go to be forgotten. A digest, so that nobody can know a private key of it.
    static let nobody: PublicKey = {
        guard let key = PublicKey(bytes: Array(SHA256.hash(data: Array("weir: nobody".utf8)))) else {
            preconditionFailure("SHA-256 has as many bytes as a public key")
        }
        return key
    }()
}

extension DevicePlan {
    /// What changes, for people: a line for each thing, `+` for what comes, `-` for what goes, `~` for what changes.
    /// Public keys are shortened; of secrets there is only whether they are set.
    package var lines: [String] {
        status.device.map(Self.line) + status.peers.compactMap(line)
    }

    private static func line(_ difference: TunnelStatus.DeviceDifference) -> String {
        switch difference {
        case .publicKey(is: nil, wanted: let wanted): "+ private key of \(wanted)"
        case .publicKey(is: let present?, wanted: let wanted): "~ private key: of \(present) -> of \(wanted)"
        case .listenPort(is: let present, wanted: let wanted): "~ listen port: \(present) -> \(wanted)"
        case .firewallMark(is: let present, wanted: let wanted):
            "~ firewall mark: 0x\(String(present, radix: 16)) -> 0x\(String(wanted, radix: 16))"
        }
    }

    /// nil where nothing is done about the peer.
    private func line(_ peer: TunnelStatus.Peer) -> String? {
        func words(_ sign: String, _ prefixes: [Prefix]) -> [String] { prefixes.map { sign + $0.description } }
        guard let wanted = peer.wanted else {
            return "- peer \(peer.publicKey)" + Self.suffix(words("", peer.state?.allowedIPs ?? []))
        }
        let name = "peer \(wanted.node.onOneLine) \(peer.publicKey)"
        guard peer.state != nil else {
            return "+ \(name)" + Self.suffix([wanted.endpoint?.description ?? "no endpoint"])
                + Self.suffix(words("", wanted.allowedIPs))
                + (wanted.persistentKeepalive > 0 ? ", keepalive \(wanted.persistentKeepalive) s" : "")
                + (wanted.presharedKeyFile == nil ? "" : ", preshared key")
        }
        let parts = peer.differences.compactMap { difference -> String? in
            switch difference {
            case .endpoint(is: let present, wanted: let endpoint):
                endpoints.contains(peer.publicKey)
                    ? "endpoint \(present?.description ?? "none") -> \(endpoint)" : nil
            case .allowedIPs(missing: let missing, extra: let extra):
                (words("+", missing) + words("-", extra)).joined(separator: " ")
            case .persistentKeepalive(is: let present, wanted: let seconds): "keepalive \(present) s -> \(seconds) s"
            case .presharedKey(isSet: let isSet): isSet ? "-preshared key" : "+preshared key"
            }
        }
        return parts.isEmpty ? nil : "~ \(name)" + Self.suffix([parts.joined(separator: ", ")])
    }

    private static func suffix(_ words: [String]) -> String { words.isEmpty ? "" : ", " + words.joined(separator: " ") }
}
