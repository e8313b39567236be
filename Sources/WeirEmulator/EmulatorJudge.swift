package import WeirFlow
package import WeirImage
internal import WeirMaps
internal import WeirModel

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
        return try walk.decide(
            row: endpoint.row(query.direction), group: peer.group, protocol: query.protocol.rawValue, port: query.port)
    }
}
