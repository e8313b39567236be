internal import Glibc
internal import WeirModel
internal import WeirNetlink
package import WeirWireGuard

/// The tunnel as it is, beside the one that is wanted.
package struct TunnelReport: Hashable, Sendable, Codable {
    package struct Device: Hashable, Sendable, Codable {
        package var interface: String
        /// nil where there is no such interface.
        package var interfaceIndex: UInt32?
        /// "kernel" or "userspace"; nil where there is none.
        package var kind: String?
        package var publicKey: String?
        package var listenPort: UInt16?
        /// Whether this node sends on it.
        package var isInUse: Bool
        package var peers: [Peer]
    }

    package struct Peer: Hashable, Sendable, Codable {
        /// nil for one that nobody wants.
        package var node: String?
        package var publicKey: String
        package var endpoint: String?
        /// As the device has them.
        package var allowedIPs: [String]
        /// nil: none yet.
        package var handshakeAgeSeconds: Int?
        package var receivedBytes: UInt64
        package var sentBytes: UInt64
        /// "wanted" is not on the device, "unwanted" is only there, "differs" has something else than is wanted.
        package var state: State

        package enum State: String, Hashable, Sendable, Codable { case ok, wanted, unwanted, differs }
    }

    package var node: String
    package var devices: [Device]
    /// What an apply would do; empty where everything is as it is wanted.
    package var changes: [String]

    package var isInSync: Bool { changes.isEmpty }

    init(_ survey: TunnelSurvey, _ changes: TunnelChanges) {
        node = changes.configuration.node
        self.changes = changes.lines
        let now = time(nil)
        devices = zip(changes.lanes, survey.lanes).enumerated().map { index, pair in
            let (lane, found) = pair
            let kind: String? =
                switch found.presence {
                case .kernel: "kernel"
                case .userspace: "userspace"
                case .absent: nil
                }
            return Device(
                interface: lane.name, interfaceIndex: found.interface?.index, kind: kind,
                publicKey: found.device?.publicKey?.base64, listenPort: found.device?.listenPort,
                isInUse: index == changes.sendingLane,
                peers: lane.plan.status.peers.map { Peer($0, now: now) })
        }
    }
}

extension TunnelReport.Peer {
    fileprivate init(_ peer: TunnelStatus.Peer, now: Int) {
        node = peer.wanted?.node
        publicKey = peer.publicKey.base64
        endpoint = peer.state?.endpoint?.description
        allowedIPs = (peer.state?.allowedIPs ?? []).map(\.description)
        handshakeAgeSeconds = peer.state.flatMap { state in
            state.lastHandshake == 0 ? nil : max(0, now - Int(state.lastHandshake))
        }
        receivedBytes = peer.state?.receivedBytes ?? 0
        sentBytes = peer.state?.sentBytes ?? 0
        state = peer.wanted == nil ? .unwanted : peer.state == nil ? .wanted : peer.isInSync ? .ok : .differs
    }
}

extension TunnelLoader {
    /// - Parameter configuration: nil takes what was applied last; nil is returned where nothing was.
    package func report(_ configuration: TunnelConfiguration? = nil) throws(LoaderError) -> TunnelReport? {
        try bordered {
            guard let wanted = try configuration ?? directory.configuration() else { return nil }
            let survey = try survey(table: wanted.routingTable)
            return TunnelReport(
                survey,
                TunnelChanges(
                    from: survey, to: wanted, applied: try directory.configuration(), try directory.load()))
        }
    }
}
