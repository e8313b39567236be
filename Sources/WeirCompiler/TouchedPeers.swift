internal import OrderedCollections
internal import WeirModel

/// The distinct peers of rules, by a label that an endpoint must have to be one: an endpoint is compared only with those
/// that its labels touch.
struct TouchedPeers: Sendable {
    struct Match: Hashable, Sendable {
        /// Index among the distinct peers.
        var peers: Int
        var match: PeerMatch
    }

    private let distinct: OrderedSet<Peers>
    private var needing: [String: [String: [Int]]] = [:]
    /// They may be any endpoint.
    private var wide: [Int] = []

    init(_ peers: some Sequence<Peers>, _ inventory: Inventory) {
        distinct = OrderedSet(peers)
        var frequency: [String: [String: Int]] = [:]
        for endpoint in inventory.endpoints {
            for label in endpoint.labels.labels { frequency[label.key, default: [:]][label.value, default: 0] += 1 }
        }
        for (number, peers) in distinct.enumerated() {
            guard let needs = Self.needs(of: peers, frequency) else {
                wide.append(number)
                continue
            }
            for need in needs { needing[need.key, default: [:]][need.value, default: []].append(number) }
        }
    }

    private struct Need: Hashable {
        var key: String
        var value: String
    }

    /// Labels of which an endpoint has one, if it is one of the peers; nil where it need not have any.
    private static func needs(of peers: Peers, _ frequency: [String: [String: Int]]) -> Set<Need>? {
        guard case .list(let list) = peers else { return nil }
        var needs: Set<Need> = []
        for peer in list {
            switch peer {
            case .cidr, .nodes, .service: continue
            case .entity, .network: return nil
            case .selector(let selector):
                let rarest = selector.requirements.filter { $0.operator == .in }
                    .map { requirement in
                        let key = requirement.key.name
                        let count = requirement.values.reduce(0) { $0 + (frequency[key]?[$1] ?? 0) }
                        return (count: count, needs: requirement.values.map { Need(key: key, value: $0) })
                    }
                    .min { $0.count < $1.count }
                guard let rarest else { return nil }
                needs.formUnion(rarest.needs)
            }
        }
        return needs
    }

    /// Those that match, ascending.
    func matches(of candidate: PeerCandidate) -> [Match] {
        var touched = Set(wide)
        for label in candidate.labels.labels { touched.formUnion(needing[label.key]?[label.value] ?? []) }
        return touched.sorted().compactMap { number in
            let match = candidate.matches(distinct[number])
            return match == .no ? nil : Match(peers: number, match: match)
        }
    }
}
