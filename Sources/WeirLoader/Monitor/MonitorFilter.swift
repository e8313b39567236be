package import WeirModel

/// Which events are shown: those that every condition admits. An empty list admits all.
package struct MonitorFilter: Hashable, Sendable {
    /// Who is on the other side.
    package enum Peer: Hashable, Sendable {
        case name(String)
        case prefix(Prefix)
        /// `app=api`.
        case label(String)
        /// `host`, `world`, `remote-node`, `kube-apiserver`.
        case entity(String)
    }

    package struct Port: Hashable, Sendable {
        package var number: UInt16
        package var `protocol`: IPProtocol

        package init(number: UInt16, protocol: IPProtocol) {
            self.number = number
            self.protocol = `protocol`
        }
    }

    package var endpoints: Set<String> = []
    package var peers: [Peer] = []
    package var ports: Set<Port> = []
    package var reasons: Set<String> = []
    package var direction: Direction?
    package var outcomes: Set<MonitorEvent.Outcome> = []

    package init() {}

    package func admits(_ event: MonitorEvent) -> Bool {
        (endpoints.isEmpty || event.endpoint.map(endpoints.contains) ?? false)
            && (peers.isEmpty || peers.contains { $0.admits(event.peer) })
            && (ports.isEmpty || ports.contains { "\($0.protocol)" == event.protocol && $0.number == event.port })
            && (reasons.isEmpty || event.reason.map(reasons.contains) ?? false)
            && (direction == nil || direction == event.direction)
            && (outcomes.isEmpty || outcomes.contains(event.outcome))
    }
}

extension MonitorFilter.Peer {
    package static let entities = ["host", "kube-apiserver", "remote-node", "world"]

    /// `namespace/pod`, an address or prefix, a label with its value, or an entity; nil for anything else.
    package init?(_ text: String) {
        let bare = text.hasPrefix("ip:") ? String(text.dropFirst(3)) : text
        if let address = IPAddress(bare) {
            self = .prefix(Prefix(host: address))
        } else if let prefix = Prefix(bare) {
            self = .prefix(prefix)
        } else if text.contains("=") {
            self = .label(text.hasPrefix("k8s:") ? String(text.dropFirst(4)) : text)
        } else if Self.entities.contains(text) {
            self = .entity(text)
        } else if text.split(separator: "/", omittingEmptySubsequences: false).count == 2, !text.hasPrefix("/"),
            !text.hasSuffix("/")
        {
            self = .name(text)
        } else {
            return nil
        }
    }

    func admits(_ peer: MonitorEvent.Peer) -> Bool {
        func hasLabel(_ label: String) -> Bool {
            peer.identity?.split(separator: ",").contains { $0 == label } ?? false
        }
        return switch self {
        case .name(let name): peer.name == name
        case .prefix(let prefix): peer.address.map(prefix.contains) ?? false
        case .label(let label): hasLabel("k8s:\(label)")
        case .entity("world"): hasLabel("reserved:world") || peer.identity?.hasPrefix("cidr:") ?? false
        case .entity(let entity): hasLabel("reserved:\(entity)")
        }
    }
}
