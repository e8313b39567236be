internal import WeirModel

/// Endpoints by their labels, so that selectors are asked only of candidates that have a label they need.
struct CandidateIndex {
    private let count: Int
    private var endpointsWithLabel: [String: [String: [Int]]] = [:]
    private var others: [Int] = []

    init(_ candidates: [PeerCandidate]) {
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
        guard case .list(let list) = peers else { return Array(0..<count) }
        var asked = others
        for peer in list {
            switch peer {
            // Never an endpoint.
            case .cidr, .nodes, .service: continue
            case .entity, .network: return Array(0..<count)
            case .selector(let selector):
                guard let few = endpoints(neededBy: selector) else { return Array(0..<count) }
                asked += few
            }
        }
        return asked
    }

    /// The endpoints that have a label of the requirement that fewest have; nil where no label is needed.
    private func endpoints(neededBy selector: LabelSelector) -> [Int]? {
        var fewest: [[Int]]?
        for requirement in selector.requirements where requirement.operator == .in {
            let buckets = requirement.values.map { endpointsWithLabel[requirement.key.name]?[$0] ?? [] }
            if let known = fewest, known.joined().count <= buckets.joined().count { continue }
            fewest = buckets
        }
        return fewest.map { Array($0.joined()) }
    }
}
