package import WeirModel

/// The meaning of typed policies, said as plainly as possible: no groups, no tables, no regions.
/// Slow on purpose; shares no code with the compiler.
package struct PolicyOracle {
    package enum Answer: Equatable {
        /// The rules that could have decided.
        case allow(Set<RuleOrigin>)
        case deny(Set<RuleOrigin>)
        case defaultDeny

        package var letter: Character {
            switch self {
            case .allow: "A"
            case .deny: "D"
            case .defaultDeny: "N"
            }
        }
    }

    package struct Question: Hashable, CustomStringConvertible {
        package var endpoint: String
        package var direction: Direction
        package var peer: IPAddress
        /// Ingress only: from the node's own stack.
        package var fromHost: Bool
        package var `protocol`: IPProtocol
        package var port: UInt16

        package var description: String {
            "\(endpoint) \(direction.rawValue) \(fromHost ? "host:" : "")\(peer) \(`protocol`)/\(port)"
        }
    }

    package var policies: PolicySet
    package var inventory: Inventory
    package var options: PolicyOptions

    package init(policies: PolicySet, inventory: Inventory, options: PolicyOptions) {
        self.policies = policies
        self.inventory = inventory
        self.options = options
    }

    package func answer(_ question: Question) -> Answer {
        guard let me = inventory.endpoints.first(where: { $0.qualifiedName == question.endpoint }) else {
            fatalError("no endpoint \(question.endpoint)")
        }
        if options.enforcementMode == .never { return .allow([]) }
        let specs = policies.specs.filter { $0.subject.matches(me) }
        let peer = classify(question, node: me.node)
        var allows: Set<RuleOrigin> = []
        var denies: Set<RuleOrigin> = []
        for rule in specs.flatMap(\.rules) where rule.direction == question.direction {
            let certainty = covers(rule.peers, peer, question.peer)
            switch rule.action {
            case .allow:
                let applies = certainty == .certain && portsMatch(rule, peer, me, question)
                if applies, !(peer.isService && rule.ports != .any) { allows.insert(rule.origin) }
            case .deny:
                guard certainty != .excluded else { continue }
                if peer.isService || portsMatch(rule, peer, me, question) { denies.insert(rule.origin) }
            case .pass: continue
            }
        }
        if !denies.isEmpty { return .deny(denies) }
        if !allows.isEmpty { return .allow(allows) }
        let selected = specs.contains { $0.selects.contains(question.direction) }
        if case .host = peer, question.direction == .ingress, selected, options.allowLocalhost == .always {
            return .allow([])
        }
        let enforced =
            options.enforcementMode == .always || specs.contains { $0.enforces.contains(question.direction) }
        return enforced ? .defaultDeny : .allow([])
    }

    // MARK: Peers

    private enum PeerIdentity {
        case pod(Endpoint)
        case host(api: Bool)
        case node(api: Bool)
        case world(api: Bool)
        case unknownPod
        case masqueraded
        case service
        case multicast

        var isService: Bool { if case .service = self { true } else { false } }
    }

    private enum Certainty { case excluded, possible, certain }

    private func classify(_ question: Question, node: String) -> PeerIdentity {
        let servers = Set(inventory.kubeAPIServerAddresses)
        let own = inventory.nodes.first { $0.name == node }
        let ownServes = own.map { $0.isKubeAPIServer || $0.addresses.contains(where: servers.contains) } ?? false
        let address = question.peer
        if question.direction == .ingress, question.fromHost { return .host(api: ownServes) }
        if address.isMulticast || address.isBroadcast { return .multicast }
        if let pod = inventory.endpoints.first(where: { $0.addresses.contains(address) }) { return .pod(pod) }
        if let owner = inventory.nodes.first(where: { $0.addresses.contains(address) }) {
            if owner.name == node { return question.direction == .ingress ? .masqueraded : .host(api: ownServes) }
            return .node(api: owner.isKubeAPIServer || servers.contains(address))
        }
        if inventory.services.contains(where: { $0.addresses.contains(address) }) { return .service }
        // An API server's own address is known more exactly than the pod network around it only if it is outside.
        if inventory.nodes.contains(where: { $0.podCIDRs.contains { $0.contains(address) } }) { return .unknownPod }
        return .world(api: servers.contains(address))
    }

    private func covers(_ peers: Peers, _ identity: PeerIdentity, _ address: IPAddress) -> Certainty {
        guard case .list(let list) = peers else { return .certain }
        let all = list.map { covers($0, identity, address) }
        return all.contains(.certain) ? .certain : all.contains(.possible) ? .possible : .excluded
    }

    private func covers(_ peer: Peer, _ identity: PeerIdentity, _ address: IPAddress) -> Certainty {
        if case .entity(.all) = peer { return .certain }
        if case .entity(.none) = peer { return .excluded }
        let known: Bool = switch peer { case .network, .nodes, .service: false; default: true }
        if !known { return .excluded }
        switch identity {
        case .masqueraded, .service: return .possible
        case .multicast:
            switch peer {
            case .selector: return .excluded
            case .entity(let entity): return [.world, .worldIPv4, .worldIPv6].contains(entity) ? .possible : .excluded
            case .network, .nodes, .service: return .excluded
            case .cidr(let block):
                let spaces = ["224.0.0.0/4", "255.255.255.255/32", "ff00::/8"].compactMap { Prefix($0) }
                return spaces.contains { $0.contains(block.prefix) || block.prefix.contains($0) }
                    ? .possible : .excluded
            }
        case .unknownPod:
            switch peer {
            case .selector(let selector):
                return selector.requirements.contains { $0.key.source == "reserved" } ? .excluded : .possible
            case .entity(let entity):
                return [.world, .worldIPv4, .worldIPv6, .host, .remoteNode].contains(entity) ? .excluded : .possible
            case .cidr, .network, .nodes, .service: return .excluded
            }
        case .pod(let pod):
            switch peer {
            case .selector(let selector): return selector.matches(pod.labels) ? .certain : .excluded
            case .entity(let entity): return entity == .cluster || entity == .clusterMesh ? .certain : .excluded
            case .cidr, .network, .nodes, .service: return .excluded
            }
        case .host(let api):
            switch peer {
            case .selector(let selector): return selector.matches(labels(["host"], api)) ? .certain : .excluded
            case .entity(let entity): return inCluster(entity, .host, api)
            case .network, .nodes, .service: return .excluded
            case .cidr(let block):
                guard options.cidrMatchesNodes else { return .excluded }
                // The host is one identity with all its addresses.
                let own = inventory.nodes.first { $0.addresses.contains(address) }
                return (own?.addresses ?? [address]).contains { block.contains($0) } ? .certain : .excluded
            }
        case .node(let api):
            switch peer {
            case .selector(let selector): return selector.matches(labels(["remote-node"], api)) ? .certain : .excluded
            case .entity(let entity): return inCluster(entity, .remoteNode, api)
            case .network, .nodes, .service: return .excluded
            case .cidr(let block): return options.cidrMatchesNodes && block.contains(address) ? .certain : .excluded
            }
        case .world(let api):
            let family = address.family == .ipv4 ? "world-ipv4" : "world-ipv6"
            switch peer {
            case .selector(let selector):
                return selector.matches(labels(["world", family], api)) ? .certain : .excluded
            case .entity(let entity):
                switch entity {
                case .world: return .certain
                case .worldIPv4: return address.family == .ipv4 ? .certain : .excluded
                case .worldIPv6: return address.family == .ipv6 ? .certain : .excluded
                case .kubeAPIServer, .cluster, .clusterMesh: return api ? .certain : .excluded
                default: return .excluded
                }
            case .network, .nodes, .service: return .excluded
            case .cidr(let block): return block.contains(address) ? .certain : .excluded
            }
        }
    }

    private func inCluster(_ entity: Entity, _ itself: Entity, _ api: Bool) -> Certainty {
        switch entity {
        case itself, .cluster, .clusterMesh: .certain
        case .kubeAPIServer: api ? .certain : .excluded
        default: .excluded
        }
    }

    private func labels(_ reserved: [String], _ api: Bool) -> LabelSet {
        LabelSet((reserved + (api ? ["kube-apiserver"] : [])).map { Label(source: "reserved", key: $0, value: "") })
    }

    // MARK: Ports

    private func portsMatch(_ rule: Rule, _ peer: PeerIdentity, _ me: Endpoint, _ question: Question) -> Bool {
        guard case .list(let list) = rule.ports else { return true }
        return list.contains { match in
            switch match {
            case .range(let proto, let range): return proto == question.protocol && range.contains(question.port)
            case .named(let name, let protocols):
                guard protocols.contains(question.protocol) else { return false }
                let definitions: [NamedPort]
                if question.direction == .ingress {
                    definitions = me.ports
                } else if case .pod(let pod) = peer {
                    definitions = pod.ports
                } else {
                    switch peer {
                    case .unknownPod, .masqueraded:
                        definitions = rule.action == .deny ? inventory.endpoints.flatMap(\.ports) : []
                    default: definitions = []
                    }
                }
                return definitions.contains {
                    $0.name == name && $0.protocol == question.protocol && $0.port == question.port
                }
            }
        }
    }
}
