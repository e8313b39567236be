import InputProperties
import WeirTestSupport

/// Inventories that are right, of few names, so that policies meet them.
struct RandomCluster {
    static let namespaces = ["x", "y", "z"]
    static let pods = ["a", "b", "c", "d"]
    static let nodes = ["one", "two"]

    /// Nodes, namespaces, pods and services, in any order.
    static func documents(_ random: inout SeededGenerator) -> [Tree] {
        var documents: [Tree] = []
        for (index, name) in nodes.prefix(1 + random.below(2)).enumerated() {
            documents.append(node(name, index, &random))
        }
        for name in namespaces where random.chance(80) {
            documents.append(object("v1", "Namespace", metadata(name, labels: ["team": random.pick(teams)])))
        }
        for (row, namespace) in namespaces.enumerated() {
            for (column, name) in pods.enumerated() where random.chance(60) {
                documents.append(pod(namespace, name, "\(row)\(column)", &random))
            }
        }
        documents += random.some(0...2) { service(&$0) }
        if random.chance(30) { documents.append(apiServer(&random)) }
        if random.chance(30) { documents.append(ciliumNode(&random)) }
        documents.shuffle(using: &random)
        return documents
    }

    static let teams = ["red", "green"]

    static func object(_ apiVersion: String, _ kind: String, _ metadata: Tree, _ rest: (String, Tree?)...) -> Tree {
        .map(
            [("apiVersion", .text(apiVersion)), ("kind", .text(kind)), ("metadata", metadata)]
                + rest.compactMap { key, value in value.map { (key: key, value: $0) } })
    }

    static func metadata(_ name: String, _ namespace: String? = nil, labels: [String: String]? = nil) -> Tree {
        .object(("name", .text(name)), ("namespace", namespace.map(Tree.text)), ("labels", labels.map(Tree.labels)))
    }

    private static func node(_ name: String, _ index: Int, _ random: inout SeededGenerator) -> Tree {
        let addresses = ["192.0.2.\(index + 1)", "fd00:f::\(index + 1)"]
        let labels = ["rack": "r\(index)"]
        let prefixes = Tree.strings(["10.\(index).0.0/16", "fd00:\(index)::/64"])
        if random.chance(30) {
            return object(
                "weir.dev/v1", "Node", metadata(name, labels: labels),
                (
                    "spec",
                    .object(
                        ("addresses", .strings(addresses)), ("podCIDRs", random.maybe(70) { _ in prefixes }),
                        ("kubeAPIServer", random.maybe(30) { _ in .bool(true) }))
                ))
        }
        return object(
            "v1", "Node", metadata(name, labels: labels), ("spec", .object(("podCIDRs", prefixes))),
            (
                "status",
                .object(
                    (
                        "addresses",
                        .list(addresses.map { .object(("type", .text("InternalIP")), ("address", .text($0))) })
                    ))
            ))
    }

    private static func ciliumNode(_ random: inout SeededGenerator) -> Tree {
        object(
            "cilium.io/v2", "CiliumNode", metadata("one"),
            (
                "spec",
                .object(
                    ("addresses", .list([.object(("type", .text("CiliumInternalIP")), ("ip", .text("10.0.255.1")))])),
                    ("ipam", random.maybe(50) { _ in .object(("podCIDRs", .strings(["10.0.0.0/16"]))) }))
            ))
    }

    private static func pod(
        _ namespace: String, _ name: String, _ number: String, _ random: inout SeededGenerator
    ) -> Tree {
        let addresses = random.pick([
            ["10.0.0.1\(number)", "fd00::1\(number)"], ["10.0.0.1\(number)"], ["fd00::1\(number)"],
        ])
        var labels = ["app": name]
        if random.chance(40) { labels["tier"] = random.pick(["front", "back"]) }
        let ports = random.some(0...2) { random in
            (name: random.pick(["web", "admin", "names"]), number: random.pick(["80", "81", "8080"]))
        }
        func port(_ key: String, _ port: (name: String, number: String)) -> Tree {
            .object(("name", .text(port.name)), (key, .number(port.number)))
        }
        if random.chance(25) {
            let distinct = ports.count == 2 && ports[0].name == ports[1].name ? Array(ports.prefix(1)) : ports
            return object(
                "weir.dev/v1", "Endpoint", metadata(name, namespace, labels: labels),
                (
                    "spec",
                    .object(
                        ("node", .text("one")), ("addresses", .strings(addresses)),
                        ("ports", .list(distinct.map { port("port", $0) })),
                        ("interface", random.maybe(30) { _ in .text("veth\(number)") }))
                ))
        }
        return object(
            "v1", "Pod", metadata(name, namespace, labels: labels),
            (
                "spec",
                .object(
                    ("nodeName", .text("one")), ("serviceAccountName", random.maybe(20) { _ in .text("robot") }),
                    ("hostNetwork", random.maybe(5) { _ in .bool(true) }),
                    ("containers", .list([.object(("ports", .list(ports.map { port("containerPort", $0) })))])))
            ),
            (
                "status",
                .object(
                    ("phase", .text(random.chance(95) ? "Running" : "Succeeded")),
                    ("podIPs", .list(addresses.map { .object(("ip", .text($0))) })))
            ))
    }

    private static func service(_ random: inout SeededGenerator) -> Tree {
        let number = random.below(200)
        return object(
            "v1", "Service", metadata("service-\(number)", random.pick(namespaces), labels: ["app": random.pick(pods)]),
            (
                "spec",
                .object(
                    ("clusterIP", .text("10.96.0.\(number)")),
                    ("selector", random.maybe(80) { .labels(["app": $0.pick(pods)]) }),
                    (
                        "ports",
                        .list([
                            .object(
                                ("name", .text("web")), ("port", .number("80")),
                                ("targetPort", random.chance(50) ? .number("8080") : .text("web")),
                                ("protocol", .text("TCP")))
                        ])
                    ))
            ))
    }

    private static func apiServer(_ random: inout SeededGenerator) -> Tree {
        object(
            "discovery.k8s.io/v1", "EndpointSlice",
            .object(
                ("name", .text("kubernetes")), ("namespace", .text("default")),
                ("labels", .labels(["kubernetes.io/service-name": "kubernetes"]))),
            ("addressType", .text("IPv4")),
            ("endpoints", .list([.object(("addresses", .strings([random.pick(["203.0.113.1", "192.0.2.1"])])))])),
            ("ports", .list([.object(("name", .text("https")), ("port", .number("6443")))])))
    }
}
