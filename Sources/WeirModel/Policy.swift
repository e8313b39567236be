package import WeirDiagnostics

/// The API kinds that carry rules. Raw values order policies in the canonical image.
package enum PolicyKind: String, Hashable, Sendable, Comparable, CaseIterable, Codable {
    case adminNetworkPolicy = "AdminNetworkPolicy"
    case baselineAdminNetworkPolicy = "BaselineAdminNetworkPolicy"
    case ciliumClusterwideNetworkPolicy = "CiliumClusterwideNetworkPolicy"
    case ciliumNetworkPolicy = "CiliumNetworkPolicy"
    case clusterNetworkPolicy = "ClusterNetworkPolicy"
    case networkPolicy = "NetworkPolicy"

    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// Which way a packet goes, as the endpoint sees it.
package enum Direction: String, Hashable, Sendable, Comparable, CaseIterable, Codable {
    case egress, ingress

    package static func < (left: Self, right: Self) -> Bool { left == .egress && right == .ingress }
}

package enum RuleAction: String, Hashable, Sendable, Codable {
    case allow, deny
    /// Leaves the tier: what comes after it decides. Only in the admin and baseline tiers.
    case pass
}

/// When a spec is asked. The first tier that decides is final; in the end, an unenforced direction allows.
package enum Tier: Hashable, Sendable, Comparable, Codable {
    /// AdminNetworkPolicy and ClusterNetworkPolicy in tier Admin. Lower numbers are asked first; within
    /// a spec the first rule that matches decides.
    case admin(priority: Int)
    /// NetworkPolicy and the Cilium kinds: any deny beats any allow, then default deny.
    case network
    /// For endpoints that no spec of the network tier enforces. Priorities as in the admin tier.
    case baseline(priority: Int)
}

/// Whom a spec is about.
package enum Subject: Hashable, Sendable, Codable {
    /// Pods. Scope (the policy's namespace, or "is a pod") is already inside.
    case endpoints(LabelSelector)
    /// Nodes themselves, by `Node.labelSet`: enforced only under `--host-firewall`.
    case nodes(LabelSelector)

    package func matches(_ endpoint: Endpoint) -> Bool {
        if case .endpoints(let selector) = self { selector.matches(endpoint.labels) } else { false }
    }

    package func matches(_ node: Node) -> Bool {
        if case .nodes(let selector) = self { selector.matches(node.labelSet) } else { false }
    }
}

/// Which nodes a node peer may be.
package enum NodeScope: Hashable, Sendable, Codable {
    /// Every node but the endpoint's own, as in Cilium's `fromNodes` and `toNodes`.
    case remote
    /// The endpoint's own node too.
    case any
}

/// Services as a peer: their backends. Resolved against the inventory when compiling.
package enum ServiceReference: Hashable, Sendable, Codable {
    /// Namespace nil is every namespace.
    case named(namespace: String?, name: String)
    /// By the Service's own labels (`k8s` source); namespace nil is every namespace.
    case selected(LabelSelector, namespace: String?)
}

/// The peers that Cilium names as entities.
package enum Entity: String, Hashable, Sendable, CaseIterable, Codable {
    case all, world, cluster, host, health, unmanaged, none, ingress
    case worldIPv4 = "world-ipv4"
    case worldIPv6 = "world-ipv6"
    case remoteNode = "remote-node"
    case kubeAPIServer = "kube-apiserver"
    case `init` = "init"
    case clusterMesh = "cluster-mesh"
}

/// A prefix less some prefixes inside it.
package struct CIDRBlock: Hashable, Sendable, Codable {
    package var prefix: Prefix
    /// Sorted.
    package var except: [Prefix]

    package init(_ prefix: Prefix, except: [Prefix] = []) {
        self.prefix = prefix
        self.except = except.sorted()
    }

    package func contains(_ address: IPAddress) -> Bool {
        prefix.contains(address) && !except.contains { $0.contains(address) }
    }
}

/// One alternative on the L3 side of a rule.
package enum Peer: Hashable, Sendable, Codable {
    /// Scope is already inside the selector (namespace, or "is a pod").
    case selector(LabelSelector)
    case entity(Entity)
    /// Outside the cluster only; nodes too under `--policy-cidr-match-mode=nodes`.
    case cidr(CIDRBlock)
    /// By address alone, pods and nodes included: the admin kinds' `networks`.
    case network(CIDRBlock)
    /// By `Node.labelSet`.
    case nodes(LabelSelector, NodeScope)
    case service(ServiceReference)
}

/// The L3 side of a rule.
package enum Peers: Hashable, Sendable, Codable {
    /// Peer-less: everybody, `unknown-pod` and `masqueraded` included.
    case any
    /// Any of these; an empty list is nobody.
    case list([Peer])
}

/// Where a rule is written. The structural part identifies it whatever the file looks like.
package struct RuleOrigin: Hashable, Sendable, Codable {
    package var kind: PolicyKind
    package var namespace: String?
    package var name: String
    /// Index in `specs`; 0 for `spec`.
    package var spec: Int
    /// `ingress`, `egressDeny` …; nil for the spec itself, which decides default denies.
    package var section: String?
    /// Index in the section's list.
    package var index: Int
    package var location: SourceLocation

    package init(
        kind: PolicyKind, namespace: String?, name: String, spec: Int, section: String?, index: Int,
        location: SourceLocation
    ) {
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.spec = spec
        self.section = section
        self.index = index
        self.location = location
    }
}

extension RuleOrigin: Comparable {
    /// By structure; the location only breaks ties that the input checks make impossible.
    package static func < (left: Self, right: Self) -> Bool {
        if left.kind != right.kind { return left.kind < right.kind }
        if left.namespace != right.namespace { return (left.namespace ?? "") < (right.namespace ?? "") }
        if left.name != right.name { return left.name < right.name }
        if left.spec != right.spec { return left.spec < right.spec }
        if left.section != right.section { return (left.section ?? "") < (right.section ?? "") }
        if left.index != right.index { return left.index < right.index }
        return left.location < right.location
    }
}

extension Sequence<RuleOrigin> {
    /// `path:line`, sorted by place, each once: the form in which verdicts name rules.
    package var places: [String] {
        var seen: Set<String> = []
        return map(\.location).sorted().map(\.lineDescription).filter { seen.insert($0).inserted }
    }
}

extension RuleOrigin: CustomStringConvertible {
    /// `CiliumNetworkPolicy shop/api spec.ingress[0]`
    package var description: String {
        let object = namespace.map { "\($0)/\(name)" } ?? name
        let path = (spec == 0 ? "spec" : "specs[\(spec)]") + (section.map { ".\($0)[\(index)]" } ?? "")
        return "\(kind.rawValue) \(object) \(path)"
    }
}

package struct Rule: Hashable, Sendable, Codable {
    package var origin: RuleOrigin
    package var direction: Direction
    package var action: RuleAction
    package var peers: Peers
    package var ports: Ports

    package init(origin: RuleOrigin, direction: Direction, action: RuleAction, peers: Peers, ports: Ports) {
        self.origin = origin
        self.direction = direction
        self.action = action
        self.peers = peers
        self.ports = ports
    }
}

/// One spec: whom it selects, which directions it sets to default deny, and its rules.
package struct PolicySpec: Hashable, Sendable, Codable {
    /// The spec itself: `section` is nil.
    package var origin: RuleOrigin
    package var tier: Tier
    package var subject: Subject
    /// Directions in which the spec selects its subjects at all (it has a section for them).
    package var selects: Set<Direction>
    /// Directions that become default deny for its subjects; a subset of `selects`. None outside the network tier.
    package var enforces: Set<Direction>
    /// Outside the network tier the order of their origins is that in which they are asked.
    package var rules: [Rule]
    /// Audit mode: it decides nothing; what it would refuse is reported.
    package var isAudited: Bool

    package init(
        origin: RuleOrigin, tier: Tier = .network, subject: Subject, selects: Set<Direction>,
        enforces: Set<Direction>, rules: [Rule], isAudited: Bool = false
    ) {
        self.origin = origin
        self.tier = tier
        self.subject = subject
        self.selects = selects
        self.enforces = enforces
        self.rules = rules
        self.isAudited = isAudited
    }

    private enum CodingKeys: String, CodingKey {
        case origin, tier, subject, selects, enforces, rules, isAudited
    }

    /// Sets in order: equal specs have equal bytes.
    package func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(origin, forKey: .origin)
        try values.encode(tier, forKey: .tier)
        try values.encode(subject, forKey: .subject)
        try values.encode(Direction.allCases.filter(selects.contains), forKey: .selects)
        try values.encode(Direction.allCases.filter(enforces.contains), forKey: .enforces)
        try values.encode(rules, forKey: .rules)
        try values.encode(isAudited, forKey: .isAudited)
    }
}

/// All policies of a run, checked and typed. Order is that of the origins, not of the files.
package struct PolicySet: Hashable, Sendable, Codable {
    package let specs: [PolicySpec]
    /// Documents of API groups that weir has nothing to do with.
    package let skippedDocuments: Int

    package init(specs: [PolicySpec], skippedDocuments: Int = 0) {
        self.specs = specs.sorted { $0.origin < $1.origin }
        self.skippedDocuments = skippedDocuments
    }
}
