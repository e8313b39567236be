package import WeirModel

/// The meaning of typed policies, said as plainly as possible: no groups, no tables, no regions.
/// Slow on purpose; shares no code with the compiler.
package struct PolicyOracle {
    package enum Answer: Equatable {
        /// The rules that could have decided.
        case allow(Set<RuleOrigin>)
        case deny(Set<RuleOrigin>)
        case defaultDeny
        /// Allowed; policies in audit mode would refuse it.
        case wouldDeny(Set<RuleOrigin>)
        case wouldDefaultDeny

        package var letter: Character {
            switch self {
            case .allow: "A"
            case .deny: "D"
            case .defaultDeny: "N"
            case .wouldDeny: "d"
            case .wouldDefaultDeny: "n"
            }
        }
    }

    package struct Question: Hashable, CustomStringConvertible {
        /// `namespace/name`, or `host`.
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
    /// The node of the subjects.
    package var node: String

    package init(policies: PolicySet, inventory: Inventory, options: PolicyOptions, node: String = "node-a") {
        self.policies = policies
        self.inventory = inventory
        self.options = options
        self.node = node
    }

    /// What is asked of policy; an endpoint in audit mode lets pass what is refused.
    package func answer(_ question: Question) -> Answer {
        var inForce = self
        inForce.policies = PolicySet(specs: policies.specs.filter { !$0.isAudited })
        let real = inForce.answerOfAll(question)
        guard case .allow = real else { return real }
        switch answerOfAll(question) {
        case .deny(let rules): return .wouldDeny(rules)
        case .defaultDeny: return .wouldDefaultDeny
        default: return real
        }
    }

    /// As if none of the policies were in audit mode.
    private func answerOfAll(_ question: Question) -> Answer {
        if options.enforcementMode == .never { return .allow([]) }
        let peer = classify(question)
        guard case .service(let frontends) = peer, question.direction == .egress else {
            return judge(question, peer)
        }
        guard let backends = frontends.first(where: { $0.0 == question.protocol && $0.1 == question.port })?.2 else {
            return judge(question, peer)
        }
        // A Service port: everyone behind it must be allowed.
        let answers = backends.map { backend in
            var behind = question
            behind.peer = backend.address
            behind.port = backend.port
            return judge(behind, classify(behind))
        }
        if answers.isEmpty {
            return isEnforced(question) ? .defaultDeny : judge(question, peer)
        }
        var allows: Set<RuleOrigin> = []
        var denies: Set<RuleOrigin> = []
        for case .allow(let rules) in answers { allows.formUnion(rules) }
        for case .deny(let rules) in answers { denies.formUnion(rules) }
        if answers.contains(where: { $0.letter == "D" }) { return .deny(denies) }
        return answers.contains(.defaultDeny) ? .defaultDeny : .allow(allows)
    }

    // MARK: Subjects

    private var hostNode: Node? { inventory.nodes.first { $0.name == node } }

    private func selects(_ spec: PolicySpec, _ question: Question) -> Bool {
        switch spec.subject {
        case .nodes(let selector):
            guard question.endpoint == "host", let hostNode else { return false }
            return selector.matches(nodeLabels(hostNode))
        case .endpoints(let selector):
            guard let me = inventory.endpoints.first(where: { $0.qualifiedName == question.endpoint }) else {
                return false
            }
            return selector.matches(me.labels)
        }
    }

    private func isEnforced(_ question: Question) -> Bool {
        options.enforcementMode == .always
            || policies.specs.contains { selects($0, question) && $0.enforces.contains(question.direction) }
    }

    private func nodeLabels(_ node: Node) -> LabelSet {
        LabelSet(
            node.labels.map { Label(source: "k8s", key: $0.key, value: $0.value) }
                + [Label(source: "reserved", key: "host", value: "")])
    }

    // MARK: Tiers

    /// What a rule means for the packet: it matches, it does not, or nobody can tell.
    private func judge(_ question: Question, _ peer: PeerIdentity) -> Answer {
        let specs = policies.specs.filter { selects($0, question) }
        let answers = worlds(specs, question, peer).map { matching in
            decide(specs, question, peer) { matching.contains($0) }
        }
        // Doubt: of all that is possible, what refuses most.
        let rank: [Character: Int] = ["A": 0, "N": 1, "D": 2]
        let worst = answers.map(\.letter).max { (rank[$0] ?? 0) < (rank[$1] ?? 0) }
        var rules: Set<RuleOrigin> = []
        for answer in answers where answer.letter == worst {
            switch answer {
            case .allow(let some), .deny(let some): rules.formUnion(some)
            default: return .defaultDeny
            }
        }
        return worst == "D" ? .deny(rules) : .allow(rules)
    }

    /// Every way in which the doubtful passes may turn out. Doubtful allows never match, doubtful denies always.
    private func worlds(_ specs: [PolicySpec], _ question: Question, _ peer: PeerIdentity) -> [Set<RuleOrigin>] {
        var worlds: [Set<RuleOrigin>] = [[]]
        for rule in specs.flatMap(\.rules) where rule.direction == question.direction {
            switch (certainty(rule, peer, question), rule.action) {
            case (.excluded, _), (.possible, .allow): continue
            case (.certain, _), (.possible, .deny): worlds = worlds.map { $0.union([rule.origin]) }
            case (.possible, .pass): worlds += worlds.map { $0.union([rule.origin]) }
            }
        }
        return worlds
    }

    private func decide(
        _ specs: [PolicySpec], _ question: Question, _ peer: PeerIdentity, matches: (RuleOrigin) -> Bool
    ) -> Answer {
        func rules(_ spec: PolicySpec) -> [Rule] {
            spec.rules.filter { $0.direction == question.direction && matches($0.origin) }
        }
        /// nil where the tier says nothing or passes.
        func ordered(_ isInTier: (Tier) -> Int?) -> Answer? {
            let priorities = Set(specs.compactMap { isInTier($0.tier) }).sorted()
            for priority in priorities {
                let level = specs.filter { isInTier($0.tier) == priority }
                let first = level.compactMap { spec in rules(spec).min { $0.origin < $1.origin } }
                let denies = first.filter { $0.action == .deny }.map(\.origin)
                if !denies.isEmpty { return .deny(Set(denies)) }
                if first.contains(where: { $0.action == .pass }) { return nil }
                let allows = first.filter { $0.action == .allow }.map(\.origin)
                if !allows.isEmpty { return .allow(Set(allows)) }
            }
            return nil
        }
        if let answer = ordered({ if case .admin(let priority) = $0 { priority } else { nil } }) { return answer }

        let network = specs.filter { $0.tier == .network }
        let matching = network.flatMap(rules)
        let denies = matching.filter { $0.action == .deny }.map(\.origin)
        if !denies.isEmpty { return .deny(Set(denies)) }
        let allows = matching.filter { $0.action == .allow }.map(\.origin)
        if !allows.isEmpty { return .allow(Set(allows)) }
        let selected = network.contains { $0.selects.contains(question.direction) }
        if case .host = peer, question.direction == .ingress, question.endpoint != "host", selected,
            options.allowLocalhost == .always
        {
            return .allow([])
        }
        if isEnforced(question) { return .defaultDeny }
        return ordered { if case .baseline(let priority) = $0 { priority } else { nil } } ?? .allow([])
    }

    // MARK: Peers

    private typealias ServiceFrontend = (IPProtocol, UInt16, [Service.Backend])

    private enum PeerIdentity {
        case pod(Endpoint)
        /// As a whole, or by one of its addresses.
        case host(api: Bool, whole: Bool)
        case node(Node, api: Bool)
        case world(api: Bool)
        case unknownPod
        case masqueraded
        case service([ServiceFrontend])
        case multicast
    }

    private enum Certainty { case excluded, possible, certain }

    private func classify(_ question: Question) -> PeerIdentity {
        let servers = Set(inventory.kubeAPIServerAddresses)
        let ownServes =
            hostNode.map { $0.isKubeAPIServer || $0.addresses.contains(where: servers.contains) } ?? false
        let address = question.peer
        if question.direction == .ingress, question.fromHost, question.endpoint != "host" {
            return .host(api: ownServes, whole: true)
        }
        if address.isMulticast || address.isBroadcast { return .multicast }
        if let pod = inventory.endpoints.first(where: { $0.addresses.contains(address) }) { return .pod(pod) }
        if let owner = inventory.nodes.first(where: { $0.addresses.contains(address) }) {
            if owner.name == node {
                let isForwarded = question.direction == .ingress && question.endpoint != "host"
                return isForwarded ? .masqueraded : .host(api: ownServes, whole: false)
            }
            return .node(owner, api: owner.isKubeAPIServer || servers.contains(address))
        }
        let services = inventory.services.filter { $0.addresses.contains(address) }
        if !services.isEmpty {
            var frontends: [ServiceFrontend] = []
            for port in services.flatMap(\.ports) {
                let own = port.backends.filter { $0.address.family == address.family }
                if let known = frontends.firstIndex(where: { $0.0 == port.protocol && $0.1 == port.port }) {
                    frontends[known].2 += own
                } else {
                    frontends.append((port.protocol, port.port, own))
                }
            }
            return .service(frontends)
        }
        // An API server's own address is known more exactly than the pod network around it only if it is outside.
        if inventory.nodes.contains(where: { $0.podCIDRs.contains { $0.contains(address) } }) { return .unknownPod }
        return .world(api: servers.contains(address))
    }

    private func certainty(_ rule: Rule, _ peer: PeerIdentity, _ question: Question) -> Certainty {
        let who = covers(rule.peers, peer, question.peer)
        guard who != .excluded else { return .excluded }
        if case .service = peer, rule.ports != .any { return rule.action == .allow ? .excluded : .possible }
        guard portsMatch(rule, peer, question) else { return .excluded }
        return who
    }

    private func covers(_ peers: Peers, _ identity: PeerIdentity, _ address: IPAddress) -> Certainty {
        guard case .list(let list) = peers else { return .certain }
        let all = list.map { covers($0, identity, address) }
        return all.contains(.certain) ? .certain : all.contains(.possible) ? .possible : .excluded
    }

    private func covers(_ peer: Peer, _ identity: PeerIdentity, _ address: IPAddress) -> Certainty {
        switch peer {
        case .entity(let entity): return covers(entity, identity, address)
        case .selector(let selector): return covers(selector, identity, address)
        case .cidr(let block): return covers(block, identity, address)
        case .network(let block):
            switch identity {
            case .pod, .node, .world, .host(_, whole: false): return block.contains(address) ? .certain : .excluded
            case .host(_, whole: true):
                let covered = (hostNode?.addresses ?? [address]).map { block.contains($0) }
                return !covered.contains(true) ? .excluded : covered.contains(false) ? .possible : .certain
            case .unknownPod, .masqueraded: return .possible
            case .multicast, .service: return covers(block, identity, address)
            }
        case .nodes(let selector, let scope):
            switch identity {
            case .node(let node, _): return selector.matches(nodeLabels(node)) ? .certain : .excluded
            case .host:
                guard scope == .any, let hostNode else { return .excluded }
                return selector.matches(nodeLabels(hostNode)) ? .certain : .excluded
            case .masqueraded, .service: return .possible
            case .pod, .world, .unknownPod, .multicast: return .excluded
            }
        case .service(let reference): return covers(reference, identity, address)
        }
    }

    private func covers(_ reference: ServiceReference, _ identity: PeerIdentity, _ address: IPAddress) -> Certainty {
        let services = inventory.services.filter { service in
            switch reference {
            case .named(let namespace, let name):
                return service.name == name && (namespace == nil || namespace == service.namespace)
            case .selected(let selector, let namespace):
                guard namespace == nil || namespace == service.namespace else { return false }
                return selector.matches(
                    LabelSet(service.labels.map { Label(source: "k8s", key: $0.key, value: $0.value) }))
            }
        }
        var best = Certainty.excluded
        for service in services {
            if let selector = service.selector {
                switch identity {
                case .pod(let pod):
                    let mine = selector.allSatisfy { key, value in
                        pod.labels.labels.contains { $0.key == key && $0.value == value }
                    }
                    if mine, pod.namespace == service.namespace { return .certain }
                case .unknownPod, .masqueraded, .service: best = .possible
                case .host, .node, .world, .multicast: break
                }
            } else {
                for backend in service.ports.flatMap(\.backends) {
                    switch covers(CIDRBlock(Prefix(host: backend.address)), identity, address) {
                    case .certain: return .certain
                    case .possible: best = .possible
                    case .excluded: break
                    }
                }
            }
        }
        return best
    }

    private func covers(_ selector: LabelSelector, _ identity: PeerIdentity, _ address: IPAddress) -> Certainty {
        switch identity {
        case .masqueraded, .service: .possible
        case .multicast: .excluded
        case .unknownPod: selector.requirements.contains { $0.key.source == "reserved" } ? .excluded : .possible
        case .pod(let pod): selector.matches(pod.labels) ? .certain : .excluded
        case .host(let api, _): selector.matches(labels(["host"], api)) ? .certain : .excluded
        case .node(_, let api): selector.matches(labels(["remote-node"], api)) ? .certain : .excluded
        case .world(let api):
            selector.matches(labels(["world", address.family == .ipv4 ? "world-ipv4" : "world-ipv6"], api))
                ? .certain : .excluded
        }
    }

    private func covers(_ block: CIDRBlock, _ identity: PeerIdentity, _ address: IPAddress) -> Certainty {
        switch identity {
        case .masqueraded: return .possible
        // Without its port the address is what it says, and who knows what routes make of it.
        case .service: return block.prefix.contains(address) ? .possible : .excluded
        case .multicast:
            let spaces = ["224.0.0.0/4", "255.255.255.255/32", "ff00::/8"].compactMap { Prefix($0) }
            return spaces.contains { $0.contains(block.prefix) || block.prefix.contains($0) } ? .possible : .excluded
        case .unknownPod, .pod: return .excluded
        case .host:
            guard options.cidrMatchesNodes else { return .excluded }
            // The host is one identity with all its addresses.
            let own = inventory.nodes.first { $0.addresses.contains(address) }
            return (own?.addresses ?? [address]).contains { block.contains($0) } ? .certain : .excluded
        case .node: return options.cidrMatchesNodes && block.contains(address) ? .certain : .excluded
        case .world: return block.contains(address) ? .certain : .excluded
        }
    }

    private func covers(_ entity: Entity, _ identity: PeerIdentity, _ address: IPAddress) -> Certainty {
        if entity == .all { return .certain }
        if entity == .none { return .excluded }
        switch identity {
        case .masqueraded, .service: return .possible
        case .multicast: return [.world, .worldIPv4, .worldIPv6].contains(entity) ? .possible : .excluded
        case .unknownPod:
            return [.world, .worldIPv4, .worldIPv6, .host, .remoteNode].contains(entity) ? .excluded : .possible
        case .pod: return entity == .cluster || entity == .clusterMesh ? .certain : .excluded
        case .host(let api, _): return inCluster(entity, .host, api)
        case .node(_, let api): return inCluster(entity, .remoteNode, api)
        case .world(let api):
            switch entity {
            case .world: return .certain
            case .worldIPv4: return address.family == .ipv4 ? .certain : .excluded
            case .worldIPv6: return address.family == .ipv6 ? .certain : .excluded
            case .kubeAPIServer, .cluster, .clusterMesh: return api ? .certain : .excluded
            default: return .excluded
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

    private func portsMatch(_ rule: Rule, _ peer: PeerIdentity, _ question: Question) -> Bool {
        guard case .list(let list) = rule.ports else { return true }
        let me = inventory.endpoints.first { $0.qualifiedName == question.endpoint }
        return list.contains { match in
            switch match {
            case .range(let proto, let range): return proto == question.protocol && range.contains(question.port)
            case .named(let name, let protocols):
                guard protocols.contains(question.protocol) else { return false }
                let definitions: [NamedPort]
                if question.direction == .ingress {
                    definitions = me?.ports ?? []
                } else if case .pod(let pod) = peer {
                    definitions = pod.ports
                } else {
                    switch peer {
                    case .unknownPod, .masqueraded:
                        definitions = rule.action == .allow ? [] : inventory.endpoints.flatMap(\.ports)
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
