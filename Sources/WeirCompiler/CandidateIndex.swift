internal import OrderedCollections
internal import WeirModel

/// Endpoints by their labels, so that selectors are asked only of candidates that have a label they need.
struct CandidateIndex {
    private let count: Int
    private var endpointsWithLabel: [String: [String: [Int]]] = [:]
    private var others: [Int] = []

    init(_ candidates: OrderedSet<PeerCandidate>) {
        count = candidates.count
        for (index, candidate) in candidates.enumerated() {
            guard candidate.kind == .endpoint else {
                others.append(index)
                continue
            }
            for label in candidate.labels.labels {
                endpointsWithLabel[label.key, default: [:]][label.value, default: []].append(index)
            }
        }
    }

    /// Every candidate that may match, some perhaps twice.
    func asked(by peers: Peers) -> [Int] {
        guard let needed = Self.neededLabels(peers) else { return Array(0..<count) }
        return others + needed.flatMap { endpointsWithLabel[$0.name]?[$0.value] ?? [] }
    }

    /// Labels of which an endpoint must have at least one to match, or nil where none is certain.
    private static func neededLabels(_ peers: Peers) -> [(name: String, value: String)]? {
        guard case .list(let list) = peers else { return nil }
        var needed: [(name: String, value: String)] = []
        for peer in list {
            switch peer {
            // Never an endpoint.
            case .cidr, .nodes, .service: continue
            case .entity, .network: return nil
            case .selector(let selector):
                let choices = selector.requirements.filter { $0.operator == .in }
                // The namespace is the widest of them, so it is the last choice.
                guard
                    let best = choices.first(where: { $0.key.name != WellKnownLabel.namespace }) ?? choices.first
                else { return nil }
                needed += best.values.map { (best.key.name, $0) }
            }
        }
        return needed
    }
}
