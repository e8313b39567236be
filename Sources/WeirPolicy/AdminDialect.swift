internal import WeirModel

/// What differs between AdminNetworkPolicy, BaselineAdminNetworkPolicy (`v1alpha1`) and ClusterNetworkPolicy
/// (`v1alpha2`). Facts are those of `apis/` in kubernetes-sigs/network-policy-api, its CEL rules included.
struct AdminDialect {
    /// How a rule says which ports it is about.
    enum PortField: String {
        /// `portNumber`, `portRange`, `namedPort`.
        case ports
        /// `tcp`, `udp`, `sctp`, `destinationNamedPort`.
        case protocols
    }

    var kind: PolicyKind
    var actions: [String: RuleAction]
    var portField: PortField
    /// Of one direction.
    var maximumRules: Int
    /// Peers or ports of one rule.
    var maximumItems: Int
    /// Whether egress may name domains.
    var hasDomainNames: Bool
    /// Whether `pods` must have a namespaceSelector.
    var needsNamespaceSelector: Bool

    /// In `networks` and `domainNames`, of every kind.
    static let maximumNetworks = 25
    /// Of a rule's name.
    static let maximumNameLength = 100
    static let priorities = 0...1000
    /// Behind every ClusterNetworkPolicy of the baseline tier.
    static let baselinePriority = 1001
    /// There is one BaselineAdminNetworkPolicy in a cluster.
    static let baselineName = "default"

    static let adminNetworkPolicy = AdminDialect(
        kind: .adminNetworkPolicy, actions: ["Allow": .allow, "Deny": .deny, "Pass": .pass], portField: .ports,
        maximumRules: 100, maximumItems: 100, hasDomainNames: true, needsNamespaceSelector: true)

    static let baselineAdminNetworkPolicy = AdminDialect(
        kind: .baselineAdminNetworkPolicy, actions: ["Allow": .allow, "Deny": .deny], portField: .ports,
        maximumRules: 100, maximumItems: 100, hasDomainNames: false, needsNamespaceSelector: true)

    static let clusterNetworkPolicy = AdminDialect(
        kind: .clusterNetworkPolicy, actions: ["Accept": .allow, "Deny": .deny, "Pass": .pass], portField: .protocols,
        maximumRules: 25, maximumItems: 25, hasDomainNames: true, needsNamespaceSelector: false)
}
