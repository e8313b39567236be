import WeirFlow
import WeirModel

/// Who talks: a pod of the inventory, one of its nodes, or one of two machines outside.
struct End: Sendable, Hashable {
    enum Kind: Sendable, Hashable {
        /// With the node it runs on.
        case pod(node: String)
        case node
        case outside
    }

    /// `x/a`, `node/one`, `outside/near`.
    var name: String
    var kind: Kind
    var addresses: [IPAddress]

    static func all(in inventory: Inventory) throws -> [End] {
        let pods = inventory.endpoints.map {
            End(name: $0.qualifiedName, kind: .pod(node: $0.node), addresses: $0.addresses)
        }
        let nodes = inventory.nodes.map { End(name: "node/\($0.name)", kind: .node, addresses: $0.addresses) }
        return try pods + nodes + [
            outside("near", "203.0.113.10", "2001:db8:113::10"), outside("far", "198.51.100.20", "2001:db8:100::20"),
        ]
    }

    private static func outside(_ name: String, _ addresses: String...) throws -> End {
        End(
            name: "outside/\(name)", kind: .outside,
            addresses: try addresses.map { text in
                guard let address = IPAddress(text) else { throw Situation.Malformed("\(text) is no address") }
                return address
            })
    }

    /// `*` is everybody, `pods` every pod, `x/*` a namespace, `*/a` the pods of a name, else the name itself.
    func answers(to pattern: String) -> Bool {
        if pattern == "*" || pattern == name { return true }
        let isPod = if case .pod = kind { true } else { false }
        if pattern == "pods" { return isPod }
        let parts = pattern.split(separator: "/")
        guard parts.count == 2 else { return false }
        if parts[1] == "*" { return name.hasPrefix("\(parts[0])/") }
        return isPod && parts[0] == "*" && name.hasSuffix("/\(parts[1])")
    }

    /// Whether anybody is asked: what an end says to itself never leaves it, at least one end is a pod, and a node may
    /// always reach its own pods.
    func isAsked(to other: End) -> Bool {
        if self == other { return false }
        switch (kind, other.kind) {
        case (.pod, _): return true
        case (.node, .pod(let node)): return name != "node/\(node)"
        case (.outside, .pod): return true
        case (.node, _), (.outside, _): return false
        }
    }

    func flowEnd(_ family: AddressFamily, isSource: Bool) throws -> Flow.Peer {
        guard let address = addresses.first(where: { $0.family == family }) else {
            throw Situation.Malformed("\(name) has no \(family.rawValue) address")
        }
        switch kind {
        case .pod: return .endpoint(name)
        case .node where isSource: return .remoteNode(address)
        case .node, .outside: return .address(address)
        }
    }
}
