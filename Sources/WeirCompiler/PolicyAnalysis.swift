package import WeirModel

/// What each rule and spec does, over every endpoint at once, whichever node it runs on.
///
/// Exact in one direction: a rule that is said to change nothing can be taken out, alone or together with all
/// others of which that is said, and no verdict on any node changes. To that end an endpoint is taken to meet every
/// node both as a remote node and as its own, which is more than can happen.
package struct PolicyAnalysis: Sendable {
    package enum Effect: Hashable, Sendable {
        /// Its spec selects nobody.
        case selectsNobody
        /// It applies to subjects and matches nothing that they could meet.
        case matchesNothing
        /// Others decide wherever it matches, and differently: whatever it said, nothing would change.
        case shadowed(by: [RuleOrigin])
        /// Others say the same wherever it decides. Without others: nothing is denied there anyway.
        case redundant(with: [RuleOrigin])
        /// There is something that it decides.
        case decides
    }

    /// For every rule of the policies.
    package let effects: [RuleOrigin: Effect]
    /// Subjects, sorted by qualified name, that no rule and no default deny is about, by direction.
    package let uncovered: [Direction: [Endpoint]]
    /// Whether any endpoint's egress is denied where no rule decides.
    package let enforcesEgress: Bool

    /// - Parameter node: endpoints of this node only are subjects; nil is every endpoint.
    package init(policies: PolicySet, inventory: Inventory, node: String? = nil, options: PolicyOptions) {
        let subjects = inventory.endpoints.filter { node == nil || $0.node == node }
        let hosts = options.hostFirewall ? inventory.nodes.filter { node == nil || $0.name == node } : []
        let resolution = RuleSetResolution(
            policies: policies.resolvingServices(inventory), endpoints: subjects, hosts: hosts, options: options)
        let catalogue = PeerCatalogue(
            inventory: inventory, node: node, distinctions: resolution.distinctions, options: options)
        let cells = PolicyCells(resolution: resolution, catalogue: catalogue, inventory: inventory)

        var effects: [RuleOrigin: Effect] = [:]
        for rule in policies.specs.flatMap(\.rules) { effects[rule.origin] = .selectsNobody }
        for (index, effect) in RuleEffects(resolution: resolution, cells: cells).effects.enumerated() {
            effects[resolution.rules[index].rule.origin] = effect
        }
        self.effects = effects

        var uncovered: [Direction: [Endpoint]] = [:]
        for (endpoint, directions) in zip(subjects, resolution.endpointRuleSets) {
            for index in [directions.egress, directions.ingress] {
                let ruleSet = resolution.ruleSets[index]
                guard ruleSet.rules.isEmpty, ruleSet.fallback.origins.isEmpty else { continue }
                uncovered[ruleSet.direction, default: []].append(endpoint)
            }
        }
        self.uncovered = uncovered
        enforcesEgress = resolution.endpointRuleSets.contains {
            !resolution.ruleSets[$0.egress].fallback.passes
        }
    }

    /// The node whose maps will be largest, as far as that shows before compiling: by distinct rule sets, then by
    /// endpoints, then by name. nil where there is no node.
    package static func fullestNode(policies: PolicySet, inventory: Inventory, options: PolicyOptions) -> String? {
        let resolution = RuleSetResolution(
            policies: policies, endpoints: inventory.endpoints, hosts: [], options: options)
        var ruleSets: [String: Set<Int>] = [:]
        var endpoints: [String: Int] = [:]
        for node in inventory.nodes { ruleSets[node.name] = [] }
        for (endpoint, directions) in zip(inventory.endpoints, resolution.endpointRuleSets) {
            ruleSets[endpoint.node, default: []].formUnion([directions.egress, directions.ingress])
            endpoints[endpoint.node, default: 0] += 1
        }
        return ruleSets.keys.max {
            (ruleSets[$0]?.count ?? 0, endpoints[$0] ?? 0, $1) < (ruleSets[$1]?.count ?? 0, endpoints[$1] ?? 0, $0)
        }
    }
}
