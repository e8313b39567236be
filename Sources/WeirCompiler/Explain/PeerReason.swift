internal import WeirModel

/// Why a peer of a rule covers somebody or not, in words.
extension PeerCandidate {
    /// - Parameter labels: all that it has; nil where it is no endpoint.
    func reason(_ match: PeerMatch, for peers: Peers, labels: LabelSet?) -> String {
        guard case .list(let list) = peers else { return "any peer" }
        switch match {
        case .possibly: return "nobody can know who it is"
        case .yes:
            let matching = list.filter { matches(.list([$0])) == .yes }
            return matching.map(\.words).joined(separator: " or ")
        case .no:
            if list.isEmpty { return "matches nobody" }
            return list.map { missing($0, labels) }.joined(separator: "; ")
        }
    }

    private func missing(_ peer: Peer, _ labels: LabelSet?) -> String {
        switch peer {
        case .selector(let selector):
            let known = labels ?? self.labels
            let failing = selector.requirements.filter { !$0.matches(known) }
            guard let first = failing.first else { return peer.words }
            let values = Array(known.values(of: first.key))
            let has = values.isEmpty ? "it has no \(first.key)" : "it has \(values.joined(separator: ", "))"
            return "wants \(failing.map(\.words).joined(separator: " and ")), \(has)"
        case .cidr(let block):
            let isNode = kind == .host || kind == .hostAddress || kind == .remoteNode
            if kind == .endpoint || kind == .unknownPod {
                return "\(block.words) is about the outside of the cluster only"
            }
            return isNode && prefixes.isEmpty
                ? "\(block.words) does not match nodes (--policy-cidr-match-mode=nodes)" : "not in \(block.words)"
        case .network(let block): return "not in \(block.words)"
        case .entity(let entity): return "is not \(entity.rawValue)"
        case .nodes: return "is not such a node"
        case .service: return peer.words
        }
    }
}

extension Peer {
    fileprivate var words: String {
        switch self {
        case .selector(let selector):
            selector.requirements.isEmpty
                ? "any endpoint" : selector.requirements.map(\.words).joined(separator: " and ")
        case .entity(let entity): entity.rawValue
        case .cidr(let block), .network(let block): block.words
        case .nodes(let selector, _):
            "nodes" + selector.requirements.map { " " + $0.words }.joined(separator: " and")
        case .service: "a Service"
        }
    }
}

extension CIDRBlock {
    fileprivate var words: String {
        "\(prefix)" + (except.isEmpty ? "" : " less \(except.map(\.description).joined(separator: ", "))")
    }
}

extension LabelSelector.Requirement {
    /// As `kubectl` writes selectors.
    fileprivate var words: String {
        switch self.operator {
        case .in: values.count == 1 ? "\(key)=\(values.joined())" : "\(key) in (\(values.joined(separator: ", ")))"
        case .notIn: "\(key) notin (\(values.joined(separator: ", ")))"
        case .exists: "\(key)"
        case .doesNotExist: "!\(key)"
        }
    }
}
