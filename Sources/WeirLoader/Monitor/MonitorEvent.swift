package import WeirModel

/// One record of `events`, with names. Encodes as a line of `weir monitor --output jsonl`.
///
/// A line with `from` and `to` is a flow as well: none of its other fields has the name of one that an answer adds.
package struct MonitorEvent: Hashable, Sendable, Encodable {
    package enum Outcome: String, Hashable, Sendable, Codable, CaseIterable {
        case drop, allow
        /// It passed, because of audit mode alone.
        case audit
    }

    /// Who is not the endpoint that was asked.
    package struct Peer: Hashable, Sendable {
        /// Of a local endpoint.
        package var name: String?
        package var address: IPAddress?
        /// As the image names its identity; nil where nothing tells.
        package var identity: String?
    }

    /// RFC 3339 with milliseconds.
    package var time: String
    package var outcome: Outcome
    /// As the endpoint sees it.
    package var direction: Direction
    /// Whose interface it was: `namespace/pod`, or the host.
    package var endpoint: String?
    /// nil where it is gone.
    package var interface: String?
    /// The ends as a flow names them; nil where the packet was not parsed so far.
    package var from: String?
    package var to: String?
    package var `protocol`: String?
    /// As a flow has it: the destination's, or the type of ICMP.
    package var port: UInt16?
    package var sourcePort: UInt16?
    package var family: AddressFamily?
    /// The labels of the peer's identity, or what stands for them.
    package var peerLabels: String? { peer.identity }
    /// nil for an allow.
    package var reason: String?
    /// `path:line`, sorted; empty where no rule decided.
    package var decidingRules: [String]
    /// Of the packet, in bytes.
    package var length: UInt32
    /// Why an allowed flow could not be recorded.
    package var insertError: String?
    /// Events that were not made, or lost, between the one printed before and this.
    package var leftOut: UInt64
    /// It came while the policy changed, and the policies before and after name it differently: what differs is left out.
    package var isDoubtful: Bool

    package var peer: Peer
    /// The ends for people.
    package var fromText: String
    package var toText: String

    private enum CodingKeys: String, CodingKey {
        case time, outcome, direction, endpoint, interface, from, to, `protocol`, port, sourcePort, family, peerLabels
        case reason, decidingRules, length, insertError, leftOut
        case isDoubtful = "doubtful"
    }

    package func encode(to encoder: any Encoder) throws {
        var fields = encoder.container(keyedBy: CodingKeys.self)
        try fields.encode(time, forKey: .time)
        try fields.encode(outcome, forKey: .outcome)
        try fields.encode(direction, forKey: .direction)
        try fields.encodeIfPresent(endpoint, forKey: .endpoint)
        try fields.encodeIfPresent(interface, forKey: .interface)
        try fields.encodeIfPresent(from, forKey: .from)
        try fields.encodeIfPresent(to, forKey: .to)
        try fields.encodeIfPresent(`protocol`, forKey: .protocol)
        try fields.encodeIfPresent(port, forKey: .port)
        try fields.encodeIfPresent(sourcePort, forKey: .sourcePort)
        try fields.encodeIfPresent(family, forKey: .family)
        try fields.encodeIfPresent(peerLabels, forKey: .peerLabels)
        try fields.encodeIfPresent(reason, forKey: .reason)
        try fields.encode(decidingRules, forKey: .decidingRules)
        try fields.encode(length, forKey: .length)
        try fields.encodeIfPresent(insertError, forKey: .insertError)
        if leftOut > 0 { try fields.encode(leftOut, forKey: .leftOut) }
        if isDoubtful { try fields.encode(true, forKey: .isDoubtful) }
    }
}

extension MonitorEvent {
    /// `5432/tcp`, `8/icmp`, `gre`; `-` where the packet was not parsed so far.
    package var portText: String {
        guard let name = `protocol`?.lowercased() else { return "-" }
        guard let port else { return name }
        return "\(port)/\(name)"
    }
}
