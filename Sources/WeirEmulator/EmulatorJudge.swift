package import WeirFlow
package import WeirImage
internal import WeirMaps
package import WeirModel

/// Judges flows by the policy walk over emulated maps, without packets.
///
/// Only policy is asked: a query for a packet that the link checks would drop (an overlay to a node, a
/// link-local destination) is answered by what the rules say.
package final class EmulatorJudge: FlowJudge {
    private let node: EmulatedNode

    /// Endpoint ids stand for interface indexes.
    package init(image: Image) throws(EmulatedNode.Failure) {
        node = try EmulatedNode(
            image: image, interfaces: Dictionary(uniqueKeysWithValues: image.endpoints.map { ($0.id, $0.id) }),
            hostDevices: image.endpoint(named: Image.hostName).map { [$0.id] } ?? [])
    }

    package func judge(_ query: FlowQuery) throws -> Decision { try decide(query) }

    /// As `judge`; the only error is a broken promise of the compiler.
    package func decide(_ query: FlowQuery) throws(BrokenInvariant) -> Decision {
        try decide(try meeting(query), protocol: query.protocol, port: query.port)
    }

    /// Where an endpoint's direction and a peer meet in `peers`: flows that meet there get equal answers.
    package struct Meeting: Hashable, Sendable {
        package var row: UInt32
        package var group: UInt32

        package init(row: UInt32, group: UInt32) {
            self.row = row
            self.group = group
        }
    }

    /// What a query asks, its protocol and port aside.
    package func meeting(_ query: FlowQuery) throws(BrokenInvariant) -> Meeting {
        let slot = Slot(node: node, index: Int(node.revision & 1))
        let key = wordBytes(query.endpoint)
        guard let value = slot.endpoints?.find(key), let endpoint = LocalEndpoint(value) else {
            throw BrokenInvariant(map: .endpoints, problem: .missing, key: key)
        }
        let walk = PolicyWalk(slot: slot)
        let peer = try walk.peer(
            of: endpoint, query.direction, remote: query.peerAddress,
            destination: query.direction == .egress ? query.peerAddress : query.localAddress,
            isFromHost: query.path == .host)
        return Meeting(row: endpoint.row(query.direction), group: peer.group)
    }

    /// What is decided there about one protocol and port.
    package func decide(
        _ meeting: Meeting, protocol: IPProtocol, port: UInt16
    ) throws(BrokenInvariant) -> Decision {
        try PolicyWalk(slot: Slot(node: node, index: Int(node.revision & 1))).decide(
            row: meeting.row, group: meeting.group, protocol: `protocol`.rawValue, port: port)
    }
}
