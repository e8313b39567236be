internal import WeirABI
internal import WeirImage
internal import WeirModel

/// Whether a peer of a rule covers a candidate.
enum PeerMatch: Hashable, Sendable {
    case no
    /// The candidate stands for traffic whose true peer is not known; it may be covered. Allows
    /// ignore it, denies take it as covered: nothing is ever widened.
    case possibly
    case yes
}

/// Something that policy can tell apart from something else: an identity, a node, a region of the
/// outside, or one of the fixed groups.
struct PeerCandidate: Hashable, Sendable {
    enum Kind: Hashable, Sendable {
        case endpoint
        /// This node, with all its addresses.
        case host
        /// One address of this node, where network rules tell them apart: for egress only, as to the endpoint a packet
        /// of the node's own is known by where it comes from.
        case hostAddress
        case remoteNode
        case outside(AddressFamily)
        /// In a pod network, not in the inventory: some pod, nobody knows which.
        case unknownPod
        /// A forwarded packet with a node's source: anybody.
        case masqueraded
        /// A Service address before translation. What answers beyond its `frontends`, nobody knows.
        case service
        case multicast

        /// The group of everything outside in the same family.
        var world: PeerGroup? {
            switch self {
            case .outside(.ipv4): PeerGroup(WEIR_GROUP_WORLD_IPV4)
            case .outside(.ipv6): PeerGroup(WEIR_GROUP_WORLD_IPV6)
            default: nil
            }
        }
    }

    var kind: Kind
    /// Of an endpoint those that a rule may ask for.
    var labels = LabelSet([])
    /// What CIDR rules are compared with: the region of an outside candidate; a node's addresses
    /// where CIDR rules match nodes; a Service's address.
    var prefixes: [Prefix] = []
    /// What an egress rule's named ports mean at this peer, where a rule has some. Sorted.
    var ports: [NamedPort] = []
    /// Of a node, where a rule asks for them.
    var nodeLabels: LabelSet?
    /// What network rules are compared with, of pods and nodes: for each address the longest prefix of such
    /// a rule that contains it. Empty where none does; of the host as a whole one for each of its addresses.
    var networks: [Prefix] = []
    /// Of a Service address. Sorted.
    var frontends: [Frontend] = []

    /// The group number that the ABI fixes for this candidate.
    var fixedGroup: PeerGroup? {
        switch kind {
        case .endpoint, .hostAddress, .remoteNode, .service: nil
        case .outside(let family): prefixes == [Prefix(all: family)] ? kind.world : nil
        case .host: PeerGroup(WEIR_GROUP_HOST)
        case .unknownPod: PeerGroup(WEIR_GROUP_UNKNOWN_POD)
        case .masqueraded: PeerGroup(WEIR_GROUP_MASQUERADED)
        case .multicast: PeerGroup(WEIR_GROUP_MULTICAST)
        }
    }

    func matches(_ peers: Peers) -> PeerMatch {
        switch peers {
        case .any: return .yes
        case .list(let list):
            var best = PeerMatch.no
            for peer in list {
                switch matches(peer) {
                case .yes: return .yes
                case .possibly: best = .possibly
                case .no: break
                }
            }
            return best
        }
    }

    private func matches(_ peer: Peer) -> PeerMatch {
        switch peer {
        case .entity(let entity): matches(entity)
        case .selector(let selector): matches(selector)
        case .cidr(let block): matches(block)
        case .network(let block): matches(network: block)
        case .nodes(let selector, let scope): matches(nodes: selector, scope)
        case .service: .no  // `PolicySet.resolvingServices` leaves none
        }
    }

    private func matches(_ selector: LabelSelector) -> PeerMatch {
        switch kind {
        case .endpoint, .host, .hostAddress, .remoteNode, .outside: selector.matches(labels) ? .yes : .no
        case .unknownPod:
            selector.requirements.contains { $0.key.source == WellKnownLabel.reservedSource } ? .no : .possibly
        case .masqueraded, .service: .possibly
        case .multicast: .no
        }
    }

    private func matches(_ block: CIDRBlock) -> PeerMatch {
        switch kind {
        case .endpoint, .unknownPod: .no
        case .host, .hostAddress, .remoteNode, .outside:
            prefixes.contains { prefix in
                block.prefix.contains(prefix) && !block.except.contains { $0.contains(prefix) }
            } ? .yes : .no
        case .masqueraded: .possibly
        case .service: prefixes.contains { block.prefix.contains($0) } ? .possibly : .no
        case .multicast:
            prefixes.contains { $0.contains(block.prefix) || block.prefix.contains($0) } ? .possibly : .no
        }
    }

    private func matches(network block: CIDRBlock) -> PeerMatch {
        func covers(_ prefix: Prefix) -> Bool {
            block.prefix.contains(prefix) && !block.except.contains { $0.contains(prefix) }
        }
        switch kind {
        case .endpoint, .hostAddress, .remoteNode: return networks.contains(where: covers) ? .yes : .no
        case .host:
            let covered = networks.count(where: covers)
            return covered == 0 ? .no : covered == networks.count ? .yes : .possibly
        case .outside: return prefixes.contains(where: covers) ? .yes : .no
        case .unknownPod, .masqueraded: return .possibly
        case .multicast, .service: return matches(block)
        }
    }

    private func matches(nodes selector: LabelSelector, _ scope: NodeScope) -> PeerMatch {
        switch kind {
        case .host, .hostAddress: scope == .any && nodeLabels.map(selector.matches) == true ? .yes : .no
        case .remoteNode: nodeLabels.map(selector.matches) == true ? .yes : .no
        case .endpoint, .outside, .unknownPod, .multicast: .no
        case .masqueraded, .service: .possibly
        }
    }

    private func matches(_ entity: Entity) -> PeerMatch {
        if entity == .all { return .yes }
        if entity == .none { return .no }
        switch kind {
        case .endpoint: return entity == .cluster || entity == .clusterMesh ? .yes : .no
        case .masqueraded, .service: return .possibly
        case .multicast: return [.world, .worldIPv4, .worldIPv6].contains(entity) ? .possibly : .no
        case .unknownPod:
            let foreign: Set<Entity> = [.world, .worldIPv4, .worldIPv6, .host, .remoteNode]
            return foreign.contains(entity) ? .no : .possibly
        case .host, .hostAddress, .remoteNode, .outside:
            let servesAPI = labels.labels.contains(.reserved(.kubeAPIServer))
            let isOutside: Bool
            switch entity {
            case .host: return kind == .host || kind == .hostAddress ? .yes : .no
            case .remoteNode: return kind == .remoteNode ? .yes : .no
            case .kubeAPIServer: return servesAPI ? .yes : .no
            case .worldIPv4: return kind == .outside(.ipv4) ? .yes : .no
            case .worldIPv6: return kind == .outside(.ipv6) ? .yes : .no
            case .world, .cluster, .clusterMesh:
                if case .outside = kind { isOutside = true } else { isOutside = false }
                return entity == .world ? (isOutside ? .yes : .no) : (!isOutside || servesAPI ? .yes : .no)
            case .all, .none, .`init`, .health, .unmanaged, .ingress: return .no
            }
        }
    }
}

extension Label {
    /// `reserved:host` and its like.
    static func reserved(_ entity: Entity) -> Label {
        Label(source: WellKnownLabel.reservedSource, key: entity.rawValue, value: "")
    }
}
