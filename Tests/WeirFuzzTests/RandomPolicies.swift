import InputProperties
import WeirTestSupport

/// Policies of all kinds that are right, about the names of `RandomCluster`.
struct RandomPolicies {
    static func documents(_ random: inout SeededGenerator) -> [Tree] {
        var documents: [Tree] = []
        let hasAdminKinds = random.chance(50)
        for index in 0..<random.below(5) {
            switch random.below(hasAdminKinds ? 10 : 7) {
            case 0, 1, 2: documents.append(networkPolicy("policy-\(index)", &random))
            case 3, 4, 5: documents.append(ciliumPolicy("policy-\(index)", &random))
            case 6:
                documents.append(
                    RandomCluster.object(
                        "cilium.io/v2", "CiliumCIDRGroup",
                        RandomCluster.metadata("group-\(index)", labels: ["list": "known"]),
                        ("spec", .object(("externalCIDRs", .strings(random.some(1...3) { prefix(&$0) }))))))
            case 7: documents.append(AdminPolicies.document(.admin, "policy-\(index)", &random))
            case 8: documents.append(AdminPolicies.document(.cluster, "policy-\(index)", &random))
            default:
                // There may be one baseline.
                if index == 0 { documents.append(AdminPolicies.document(.baseline, "default", &random)) }
            }
        }
        return documents
    }

    static func prefix(_ random: inout SeededGenerator) -> String {
        random.pick([
            "0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/16", "203.0.113.0/24", "203.0.113.7/32", "192.0.2.0/24", "::/0",
            "fd00::/16", "2001:db8::/32", "2001:db8::1/128",
        ])
    }

    static func selector(_ random: inout SeededGenerator) -> Tree {
        switch random.below(4) {
        case 0: return .map([])
        case 1:
            return .object(
                ("matchLabels", .labels([random.pick(["app", "tier", "team"]): random.pick(["a", "front", "red"])])))
        default:
            let key = Tree.text(random.pick(["app", "tier", "team"]))
            let operation = random.pick(["In", "NotIn", "Exists", "DoesNotExist"])
            let values: Tree? =
                operation.hasSuffix("In") ? .strings(random.some(1...2) { $0.pick(["a", "b", "front", "red"]) }) : nil
            return .object(
                (
                    "matchExpressions",
                    .list([.object(("key", key), ("operator", .text(operation)), ("values", values))])
                ))
        }
    }

    private static func section(
        _ name: String, _ random: inout SeededGenerator, _ rule: (inout SeededGenerator) -> Tree
    ) -> (String, Tree?) { (name, random.maybe(60) { .list($0.some(0...2, rule)) }) }

    // MARK: NetworkPolicy

    private static func networkPolicy(_ name: String, _ random: inout SeededGenerator) -> Tree {
        RandomCluster.object(
            "networking.k8s.io/v1", "NetworkPolicy",
            RandomCluster.metadata(name, random.pick(RandomCluster.namespaces)),
            (
                "spec",
                .object(
                    ("podSelector", selector(&random)),
                    (
                        "policyTypes",
                        random.maybe(50) { .strings($0.pick([["Ingress"], ["Egress"], ["Ingress", "Egress"]])) }
                    ),
                    section("ingress", &random) { rule("from", &$0) }, section("egress", &random) { rule("to", &$0) })
            ))
    }

    private static func rule(_ peers: String, _ random: inout SeededGenerator) -> Tree {
        .object(
            (peers, random.maybe(70) { .list($0.some(0...2) { peer(&$0) }) }),
            ("ports", random.maybe(60) { .list($0.some(0...3) { port(&$0) }) }))
    }

    private static func peer(_ random: inout SeededGenerator) -> Tree {
        switch random.below(4) {
        case 0: .object(("podSelector", selector(&random)))
        case 1: .object(("namespaceSelector", selector(&random)))
        case 2: .object(("namespaceSelector", selector(&random)), ("podSelector", selector(&random)))
        default:
            .object(
                (
                    "ipBlock",
                    random.chance(50)
                        ? .object(("cidr", .text(prefix(&random))))
                        : .object(("cidr", .text("10.0.0.0/7")), ("except", .strings(["10.0.0.0/16", "10.0.0.0/24"])))
                ))
        }
    }

    private static func port(_ random: inout SeededGenerator) -> Tree {
        let proto = random.maybe(60) { Tree.text($0.pick(["TCP", "UDP", "SCTP"])) }
        switch random.below(3) {
        case 0: return .object(("port", .text(random.pick(["web", "admin", "missing"]))), ("protocol", proto))
        case 1:
            return .object(
                ("port", .number("80")), ("endPort", .number(random.pick(["80", "90", "65535"]))), ("protocol", proto))
        default:
            return .object(("port", random.maybe(80) { .number($0.pick(["1", "80", "65535"])) }), ("protocol", proto))
        }
    }

    // MARK: Cilium

    private static func ciliumPolicy(_ name: String, _ random: inout SeededGenerator) -> Tree {
        let isClusterwide = random.chance(30)
        let spec = Tree.object(
            ("endpointSelector", selector(&random)),
            ("description", random.maybe(20) { _ in .text("why: \u{1F512} \"quoted\"") }),
            ("enableDefaultDeny", random.maybe(20) { .object(("ingress", .bool($0.chance(50)))) }),
            ("ingress", .list(random.some(1...2) { ciliumRule("from", &$0) })),
            section("egress", &random) { ciliumRule("to", &$0) },
            section("ingressDeny", &random) { ciliumRule("from", &$0) },
            section("egressDeny", &random) { ciliumRule("to", &$0) })
        return RandomCluster.object(
            "cilium.io/v2", isClusterwide ? "CiliumClusterwideNetworkPolicy" : "CiliumNetworkPolicy",
            RandomCluster.metadata(name, isClusterwide ? nil : random.pick(RandomCluster.namespaces)),
            random.chance(80) ? ("spec", spec) : ("specs", .list([spec])))
    }

    private static func ciliumRule(_ prefixWord: String, _ random: inout SeededGenerator) -> Tree {
        var members: [(key: String, value: Tree)] = []
        switch random.below(6) {
        case 0: members.append(("\(prefixWord)Endpoints", .list(random.some(0...2) { selector(&$0) })))
        case 1:
            members.append(
                (
                    "\(prefixWord)Entities",
                    .strings(
                        random.some(0...2) {
                            $0.pick([
                                "all", "world", "cluster", "host", "remote-node", "kube-apiserver", "world-ipv6",
                                "none",
                            ])
                        })
                ))
        case 2: members.append(("\(prefixWord)CIDR", .strings(random.some(0...2) { prefix(&$0) })))
        case 3:
            let entry: Tree =
                random.chance(50)
                ? .object(("cidr", .text("10.0.0.0/7")), ("except", .strings(["10.0.0.0/8"])))
                : .object(("cidrGroupRef", .text("group-\(random.below(5))")))
            members.append(("\(prefixWord)CIDRSet", .list([entry])))
        case 4: break
        default:
            members.append(("icmps", .list([.object(("fields", .list([.object(("type", .number("8")))])))])))
            return .map(members)
        }
        if random.chance(60) {
            let ports = random.some(0...2) { random -> Tree in
                .object(
                    ("port", .text(random.pick(["80", "0", "web", "8080"]))),
                    ("protocol", random.maybe(70) { .text($0.pick(["TCP", "UDP", "SCTP", "ANY"])) }))
            }
            members.append(("toPorts", .list([.object(("ports", .list(ports)))])))
        }
        return .map(members)
    }
}
