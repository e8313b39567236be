internal import WeirMaps
internal import WeirModel

/// A flow that a node remembers, for people who know its ends. Encodes as in the JSON of `weir explain --live`.
package struct RememberedFlow: Hashable, Sendable, Encodable {
    /// As the endpoint sees it, with ports where the protocol has any.
    package var local: String
    package var remote: String
    package var state: FlowEntry.State
    /// Whether the policy in force allowed it; else its next packet is judged again.
    package var isCurrent: Bool
    package var ageSeconds: UInt64?
    package var egressPackets: UInt64
    package var egressBytes: UInt64
    package var ingressPackets: UInt64
    package var ingressBytes: UInt64
}

extension FlowEntry.State: Encodable {}

extension MapSource {
    /// The flows that the filter admits, in order of their keys.
    package func rememberedFlows(_ filter: FlowFilter) throws(Failure) -> [RememberedFlow] {
        let decoder = try decoder(members: false)
        return try entries(admittedBy: filter, decoder).map { flow in
            let hasPorts = IPProtocol.withPorts.contains(flow.protocol)
            func end(_ address: IPAddress, _ port: UInt16) -> String {
                hasPorts ? EntryDecoder.portText(address, port) : address.description
            }
            return RememberedFlow(
                local: end(flow.local, flow.localPort), remote: end(flow.remote, flow.remotePort),
                state: flow.state(at: decoder.moment), isCurrent: flow.isCurrent(decoder.moment),
                ageSeconds: decoder.moment.map { $0.seconds(flow.age($0)) }, egressPackets: flow.packets.egress,
                egressBytes: flow.bytes.egress, ingressPackets: flow.packets.ingress,
                ingressBytes: flow.bytes.ingress)
        }
    }

    /// From both tables of each family, each flow once.
    func entries(admittedBy filter: FlowFilter, _ decoder: EntryDecoder) throws(Failure) -> [FlowEntry] {
        var flows: [[UInt8]: FlowEntry] = [:]
        for map in FlowFilter.tables {
            for entry in try entries(.node(map)) ?? [] {
                guard let flow = FlowEntry(entry, in: .node(map)), filter.admits(flow, decoder) else { continue }
                flows[flow.key] = flow
            }
        }
        let order = MapName.node(.conntrack4).order
        return flows.map { (order($0.key), $0.value) }.sorted { $0.0.lexicographicallyPrecedes($1.0) }.map(\.1)
    }
}
