import WeirCompiler
import WeirModel

/// The layout that others use: for each local endpoint a table with an entry for each identity, protocol and port that its
/// policies allow or deny, prefixes outside the cluster counted as an identity each.
package enum PerEndpointLayout {
    private struct Key: Hashable {
        var direction: Direction
        /// Index of the peers that an entry stands for.
        var peers: Int
        var ports: String
    }

    /// How many entries the endpoints of a node need together.
    ///
    /// - Parameter unmentioned: a label that no policy asks for; identities that only differ in it are counted together.
    package static func entries(_ typed: Workload.Typed, node: String, unmentioned: String) -> Int {
        var members: [LabelSet: Int] = [:]
        for endpoint in typed.inventory.endpoints {
            members[LabelSet(endpoint.labels.labels.filter { $0.key != unmentioned }), default: 0] += 1
        }
        let classes = members.sorted { $0.key < $1.key }
        var matchesOfPeers: [Peers: [Int]] = [:]
        var prefixes: [CIDRBlock: Int] = [:]
        var total = 0
        for endpoint in typed.inventory.endpoints where endpoint.node == node {
            var keys: Set<Key> = []
            for rule in typed.policies.specs.filter({ $0.subject.matches(endpoint) }).flatMap(\.rules) {
                let peers =
                    matchesOfPeers[rule.peers]
                    ?? Self.peers(rule.peers, classes: classes.map(\.key), prefixes: &prefixes)
                matchesOfPeers[rule.peers] = peers
                for ports in Self.ports(rule.ports) {
                    keys.formUnion(peers.map { Key(direction: rule.direction, peers: $0, ports: ports) })
                }
            }
            total += keys.reduce(0) { $0 + ($1.peers < classes.count ? classes[$1.peers].value : 1) }
        }
        return total
    }

    private static func peers(_ peers: Peers, classes: [LabelSet], prefixes: inout [CIDRBlock: Int]) -> [Int] {
        guard case .list(let list) = peers else { return [] }
        return list.flatMap { peer -> [Int] in
            switch peer {
            case .selector(let selector): return classes.indices.filter { selector.matches(classes[$0]) }
            case .cidr(let block):
                let number = prefixes[block, default: classes.count + prefixes.count]
                prefixes[block] = number
                return [number]
            default: return []
            }
        }
    }

    /// One for each prefix of ports.
    private static func ports(_ ports: Ports) -> [String] {
        guard case .list(let list) = ports else { return ["any"] }
        return list.flatMap { match -> [String] in
            guard case .range(let proto, let range) = match else { return [] }
            return portPrefixes(range).map { "\(proto.rawValue) \($0.value)/\($0.length)" }
        }
    }
}
