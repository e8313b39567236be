package import WeirImage
package import WeirModel

/// One side of a flow, as the datapath of one endpoint sees the originator's first packet.
package struct FlowQuery: Hashable, Sendable {
    /// How the peer reaches the endpoint; only ingress tells the difference.
    package enum Path: Hashable, Sendable {
        /// From the node's own network stack (`ingress_ifindex` 0).
        case host
        /// From another interface.
        case forwarded
    }

    /// The image's id of the endpoint that is asked.
    package var endpoint: UInt32
    package var direction: Direction
    /// The endpoint's own address; of the peer's family.
    package var localAddress: IPAddress
    package var peerAddress: IPAddress
    package var path: Path
    package var `protocol`: IPProtocol
    /// Destination port; for ICMP and ICMPv6 the type; 0 for other protocols.
    package var port: UInt16

    package init(
        endpoint: UInt32, direction: Direction, localAddress: IPAddress, peerAddress: IPAddress, path: Path,
        protocol: IPProtocol, port: UInt16
    ) {
        self.endpoint = endpoint
        self.direction = direction
        self.localAddress = localAddress
        self.peerAddress = peerAddress
        self.path = path
        self.protocol = `protocol`
        self.port = port
    }
}

/// Judges flows with one image: the emulator, or the kernel's program through test runs.
package protocol FlowJudge: AnyObject {
    func judge(_ query: FlowQuery) throws -> Decision
}
