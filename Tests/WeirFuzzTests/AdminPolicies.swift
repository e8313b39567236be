import InputProperties
import WeirTestSupport

/// The cluster-wide kinds of the Network Policy API.
enum AdminPolicies {
    enum Kind { case admin, baseline, cluster }

    static func document(_ kind: Kind, _ name: String, _ random: inout SeededGenerator) -> Tree {
        let isCluster = kind == .cluster
        let spec = Tree.object(
            ("tier", isCluster ? .text(random.pick(["Admin", "Baseline"])) : nil),
            ("priority", kind == .baseline ? nil : .number("\(random.below(1001))")), ("subject", pods(&random)),
            ("ingress", random.maybe(70) { .list($0.some(1...3) { rule(kind, "from", &$0) }) }),
            ("egress", random.maybe(70) { .list($0.some(1...3) { rule(kind, "to", &$0) }) }))
        let kindName =
            switch kind {
            case .admin: "AdminNetworkPolicy"
            case .baseline: "BaselineAdminNetworkPolicy"
            case .cluster: "ClusterNetworkPolicy"
            }
        return RandomCluster.object(
            "policy.networking.k8s.io/\(isCluster ? "v1alpha2" : "v1alpha1")", kindName, RandomCluster.metadata(name),
            ("spec", spec))
    }

    private static func pods(_ random: inout SeededGenerator) -> Tree {
        if random.chance(50) { return .object(("namespaces", RandomPolicies.selector(&random))) }
        return .object(
            (
                "pods",
                .object(
                    ("namespaceSelector", RandomPolicies.selector(&random)),
                    ("podSelector", RandomPolicies.selector(&random)))
            ))
    }

    private static func rule(_ kind: Kind, _ side: String, _ random: inout SeededGenerator) -> Tree {
        var actions = [kind == .cluster ? "Accept" : "Allow", "Deny"]
        if kind != .baseline { actions.append("Pass") }
        let hasAddresses = side == "to" && random.chance(40)
        let peers = random.some(1...2) { random -> Tree in
            guard hasAddresses else { return pods(&random) }
            return random.chance(50)
                ? .object(("nodes", RandomPolicies.selector(&random)))
                : .object(("networks", .strings([RandomPolicies.prefix(&random)])))
        }
        return .object(
            ("name", random.maybe(30) { _ in .text("a rule") }), ("action", .text(random.pick(actions))),
            (side, .list(peers)),
            (
                kind == .cluster ? "protocols" : "ports",
                random.maybe(50) {
                    .list($0.some(1...2) { port(isCluster: kind == .cluster, mayBeNamed: !hasAddresses, &$0) })
                }
            ))
    }

    private static func port(isCluster: Bool, mayBeNamed: Bool, _ random: inout SeededGenerator) -> Tree {
        if mayBeNamed, random.chance(25) {
            return .object((isCluster ? "destinationNamedPort" : "namedPort", .text(random.pick(["web", "admin"]))))
        }
        let proto = random.pick(["TCP", "UDP", "SCTP"])
        let isRange = random.chance(40)
        let range: [(key: String, value: Tree)] = [("start", .number("80")), ("end", .number("90"))]
        if isCluster {
            let port: Tree = isRange ? .object(("range", .map(range))) : .object(("number", .number("80")))
            return .object((proto.lowercased(), .object(("destinationPort", port))))
        }
        let members: [(key: String, value: Tree)] = [("protocol", .text(proto))]
        return isRange
            ? .object(("portRange", .map(members + range)))
            : .object(("portNumber", .map(members + [("port", .number("81"))])))
    }
}
