import WeirTestSupport

/// A random cluster as kubectl prints it, and the same kind of thing in documents of our own; always sound.
struct GeneratedCluster {
    private var random: SeededGenerator
    private(set) var documents: [String] = []
    private var nextAddress = 1

    /// Texts that YAML reads in ways of its own, and ordinary ones.
    private static let texts = [
        "web", "a.b/c", "1", "1.5", "0x1F", "true", "no", "y", "null", "~", "", " ", "-", "- a", "a: b", "#x", "[",
        "{}",
        "\"", "\\", "'", "ü", "𐀀", "a\nb", "\t", "2026-01-01", "10.0.0.1", "1_000", "12:30", "<<", "&a", "*a", "!x",
        "%",
        "\u{1}", "\u{7f}", "\u{85}", "\u{2028}", "\u{feff}", "1.2.3.4.5", "5d8f7c9b6d", "1e3", "=", ".inf", "...",
        "---",
    ]

    init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
        let nodes = (0..<random.below(4)).map { "node-\($0)" }
        let namespaces = ["shop", "dev", "default"]
        for name in nodes { addNode(name) }
        for name in namespaces where chance(60) {
            add("v1", "Namespace", "{name: \(name), labels: \(labels())}", "spec: {}")
        }
        for index in 0..<random.below(12) {
            let node = chance(10) ? "gone" : nodes.isEmpty ? "lonely" : pick(nodes)
            addPod("pod-\(index)", in: pick(namespaces), on: node)
        }
        if !nodes.isEmpty {
            for index in 0..<random.below(4) { addEndpoint("own-\(index)", in: pick(namespaces), on: pick(nodes)) }
        }
        for index in 0..<random.below(5) { addService("service-\(index)", in: pick(namespaces)) }
        if chance(70) { addService("kubernetes", in: "default") }
        if chance(30) {
            add("weir.dev/v1", "KubeAPIServer", "{name: outside}", "spec: {addresses: [\(address())]}")
        }
        documents.shuffle(using: &random)
    }

    private mutating func chance(_ percent: Int) -> Bool { random.below(100) < percent }
    private mutating func pick(_ choices: [String]) -> String { choices[random.below(choices.count)] }

    private mutating func address() -> String {
        nextAddress += 1
        return chance(30)
            ? "'fd07::\(String(nextAddress, radix: 16))'" : "10.7.\(nextAddress >> 8).\(nextAddress & 255)"
    }

    /// As JSON, so that nothing of what is tested decides how it is written.
    private func quoted(_ text: String) -> String {
        "\""
            + text.unicodeScalars.map {
                $0.value > 0xffff || ($0.value >= 0x20 && $0.value < 0x7f && $0 != "\"" && $0 != "\\")
                    ? "\($0)"
                    : "\\u" + String(repeating: "0", count: 4 - String($0.value, radix: 16).count)
                        + String($0.value, radix: 16)
            }.joined() + "\""
    }

    private mutating func labels() -> String {
        var members: [String: String] = [:]
        for _ in 0..<random.below(4) { members[pick(Self.texts)] = pick(Self.texts) }
        return "{"
            + members.sorted { $0.key < $1.key }.map { "? \(quoted($0.key))\n: \(quoted($0.value))\n" }
            .joined(separator: ", ") + "}"
    }

    private mutating func add(_ version: String, _ kind: String, _ metadata: String, _ rest: String) {
        documents.append("{apiVersion: \(version), kind: \(kind), metadata: \(metadata), \(rest)}\n")
    }

    private mutating func addNode(_ name: String) {
        let own = address()
        if chance(30) {
            let more = ["mtu: 1400", "persistentKeepalive: 5", "nextPublicKey: x", "presharedKeyFile: /k"]
                .filter { _ in chance(30) }.map { ", " + $0 }.joined()
            let wireguard =
                chance(50)
                ? "wireguard: {publicKey: \(quoted("4yK=")), endpoint: '192.0.2.1:1'\(more)}, " : ""
            let inner = chance(30) ? "internalAddresses: [\(own)], " : ""
            add(
                "weir.dev/v1", "Node", "{name: \(name), labels: \(labels())}",
                "spec: {\(inner)\(wireguard)addresses: [\(own), \(address())], kubeAPIServer: \(chance(50))}")
            return
        }
        add(
            "v1", "Node", "{name: \(name), labels: \(labels())}",
            "spec: {podCIDRs: [10.9.\(nextAddress).7/24]}, status: {addresses: [{type: InternalIP, address: \(own)}]}")
        if chance(50) {
            let annotations = chance(50) ? ", annotations: {network.cilium.io/wg-pub-key: \(quoted("q+/="))}" : ""
            add(
                "cilium.io/v2", "CiliumNode", "{name: \(name), labels: \(labels())\(annotations)}",
                "spec: {addresses: [{type: CiliumInternalIP, ip: \(address())}], ipam: {podCIDRs: ['fd09::/64']}}")
        }
    }

    private mutating func addPod(_ name: String, in namespace: String, on node: String) {
        let ports = (0..<random.below(3)).map {
            "{name: \(quoted("port-\($0)")), containerPort: \(8000 + $0), protocol: \(pick(["TCP", "UDP", "SCTP"]))}"
        }
        let phase = pick(["Running", "Running", "Running", "Succeeded", "Pending"])
        let podIP = chance(10) ? "''" : address()
        let spec =
            "{\(chance(5) ? "" : "nodeName: \(node), ")hostNetwork: \(chance(10)), "
            + "serviceAccountName: \(quoted(pick(Self.texts))), containers: [{ports: [\(ports.joined(separator: ", "))]}]}"
        add(
            "v1", "Pod", "{name: \(name), namespace: \(namespace), labels: \(labels())}",
            "spec: \(spec), status: {phase: \(phase), podIP: \(podIP)}")
    }

    private mutating func addEndpoint(_ name: String, in namespace: String, on node: String) {
        let place = pick(["", "interface: veth-\(name), ", "netns: \(quoted("ns \(name)")), "])
        add(
            "weir.dev/v1", "Endpoint", "{name: \(name), namespace: \(namespace), labels: \(labels())}",
            "spec: {node: \(node), \(place)addresses: [\(address())], ports: [{name: Dns, port: 53, protocol: UDP}]}")
    }

    private mutating func addService(_ name: String, in namespace: String) {
        if chance(30) {
            let backends = (0..<random.below(3)).map { _ -> String in
                let address = address().filter { $0 != "'" }
                return address.contains(":") ? "'[\(address)]:80'" : "'\(address):80'"
            }
            add(
                "weir.dev/v1", "Service", "{name: \(name), namespace: \(namespace), labels: \(labels())}",
                "spec: {addresses: [\(address())], selector: \(labels()), "
                    + "ports: [{port: 80, backends: [\(backends.joined(separator: ", "))]}]}")
            return
        }
        let ports = [
            "{name: http, port: 80}", "{name: dns, port: 53, protocol: UDP}",
            "{name: dns-tcp, port: 53, protocol: TCP}",
        ].prefix(1 + random.below(3))
        add(
            "v1", "Service", "{name: \(name), namespace: \(namespace), labels: \(labels())}",
            "spec: {clusterIP: \(chance(20) ? "None" : address()), selector: \(labels()), "
                + "ports: [\(ports.joined(separator: ", "))]}")
        for index in 0..<random.below(3) {
            let endpoints = (0..<random.below(4)).map { _ in
                "{addresses: [\(address())], conditions: {ready: \(chance(70)), serving: \(chance(50))}}"
            }
            add(
                "discovery.k8s.io/v1", "EndpointSlice",
                "{name: \(name)-\(index), namespace: \(namespace), labels: {kubernetes.io/service-name: \(name)}}",
                "addressType: IPv4, endpoints: [\(endpoints.joined(separator: ", "))], "
                    + "ports: [{name: http, port: 8080}, {name: dns, port: 5353, protocol: UDP}]")
        }
    }
}
