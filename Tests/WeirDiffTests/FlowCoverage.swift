import WeirCompiler
import WeirDiff
import WeirModel

/// A flow between two ends as a difference names them.
struct EndedFlow: CustomStringConvertible {
    var from: FlowEnd
    var to: FlowEnd
    var `protocol`: IPProtocol
    var port: UInt16
    var family: AddressFamily

    var description: String { "\(from) -> \(to) \(port)/\(`protocol`) \(family.rawValue)" }
}

extension FlowDifference {
    /// What it says became of a flow, looked up as a reader would.
    func effects(on flow: EndedFlow) -> Set<FlowChange.Effect> {
        Set(
            changes.filter { change in
                change.ports.contains { $0.contains(flow.protocol, flow.port) }
                    && change.flows.contains { flows in
                        flows.families.contains(flow.family) && flows.from.contains { $0.isSame(as: flow.from) }
                            && flows.to.contains { $0.isSame(as: flow.to) }
                    }
            }.map(\.effect))
    }
}

extension PortSpan {
    fileprivate func contains(_ proto: IPProtocol, _ port: UInt16) -> Bool {
        switch self {
        case .everyProtocol(let excepted): !excepted.contains(proto)
        case .ports(let named, let range): named == proto && range.contains(port)
        }
    }
}

extension FlowEnd {
    /// Labels are for people.
    fileprivate func isSame(as other: FlowEnd) -> Bool {
        switch (self, other) {
        case (.address(let left, _), .address(let right, _)): left == right
        case (.region(let left, _), .region(let right, _)): left == right
        default: self == other
        }
    }
}

extension VerdictMatrix {
    /// The end that an address is which no endpoint and no host has, beside the regions of another matrix.
    static func end(of address: IPAddress, _ matrices: [VerdictMatrix]) -> FlowEnd {
        if address.isMulticast || address.isBroadcast { return .multicast }
        if matrices.contains(where: { $0.addresses[address] != nil }) { return .address(address, label: "") }
        let prefixes = matrices.flatMap { $0.regions.keys }.filter { $0.contains(address) }
        return .region(prefixes.max { $0.length < $1.length } ?? Prefix(all: address.family), label: "")
    }
}
