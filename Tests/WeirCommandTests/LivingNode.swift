import Foundation
import Testing

/// A node whose pods reach each other, with a policy for endpoints that come and go.
///
/// Pod 2 is to be shop/api, pod 3 shop/db, pod 4 shop/web, pod 5 stays a stranger.
struct LivingNode {
    let node: ThrowawayNode
    let workspace: Workspace

    static let policies = """
        apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: db, namespace: shop}
        spec:
          endpointSelector: {matchLabels: {app: db}}
          ingress: [{fromEndpoints: [{matchLabels: {app: api}}]}]
        ---
        apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: web, namespace: shop}
        spec:
          endpointSelector: {matchLabels: {app: web}}
          ingress: [{fromEndpoints: [{matchLabels: {app: api}}], toPorts: [{ports: [{port: http, protocol: TCP}]}]}]
        """
    static let emptyInventory = """
        apiVersion: weir.dev/v1
        kind: Node
        metadata: {name: node-a}
        spec: {addresses: [192.0.2.10], podCIDRs: [10.7.0.0/24, "fd07::/64"]}

        """

    static func document(_ name: String, pod: Int, app: String) -> String {
        """
        ---
        apiVersion: weir.dev/v1
        kind: Endpoint
        metadata: {name: \(name), namespace: shop, labels: {app: \(app)}}
        spec: {node: node-a, addresses: [10.7.0.\(pod), "fd07::\(pod)"], ports: [{name: http, port: 8080}]}

        """
    }

    static func use(_ body: (LivingNode) async throws -> Void) async throws {
        try await ThrowawayNode.use { node in
            let living = LivingNode(node: node, workspace: try Workspace())
            try living.workspace.write(policies, to: "policies.yaml")
            try living.workspace.write(emptyInventory, to: "inventory.yaml")
            try await Machine.shell(
                """
                nsenter --net=/run/netns/\(node.name) sh -c '
                  echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding'
                ip -n \(node.name) link set lo up

                """ + ThrowawayNode.pods.map(living.routes).joined())
            try await body(living)
        }
    }

    /// From the pod to the node, and from the node to the pod.
    func routes(_ pod: Int) -> String {
        """
        ip -n \(node.name) addr replace 10.7.0.1/32 dev veth-\(pod)
        ip -n \(node.name) addr replace fd07::1/128 dev veth-\(pod) nodad
        ip -n \(node.name) -6 route replace fd07::\(pod)/128 dev veth-\(pod)
        ip -n \(node.name)-\(pod) link set lo up
        ip -n \(node.name)-\(pod) route replace 10.7.0.1 dev eth0
        ip -n \(node.name)-\(pod) route replace default via 10.7.0.1
        ip -n \(node.name)-\(pod) -6 route replace fd07::1 dev eth0
        ip -n \(node.name)-\(pod) -6 route replace default via fd07::1

        """
    }

    /// The pod's pair goes, and another one of the same name comes.
    func replaceInterface(of pod: Int) async throws {
        try await Machine.shell(
            """
            ip -n \(node.name) link del veth-\(pod)
            ip -n \(node.name) link add veth-\(pod) type veth peer name eth0 netns \(node.name)-\(pod)
            ip -n \(node.name)-\(pod) addr add 10.7.0.\(pod)/32 dev eth0
            ip -n \(node.name)-\(pod) addr add fd07::\(pod)/128 dev eth0 nodad
            ip -n \(node.name)-\(pod) link set eth0 up
            ip -n \(node.name) link set veth-\(pod) up
            ip -n \(node.name) route add 10.7.0.\(pod)/32 dev veth-\(pod)

            """ + routes(pod))
    }

    func namespace(_ pod: Int) -> String { "\(node.name)-\(pod)" }

    func weir(_ arguments: String...) async throws -> Outcome { try await node.weir(arguments) }

    @discardableResult
    func succeed(
        _ arguments: String..., sourceLocation: Testing.SourceLocation = #_sourceLocation
    ) async throws -> String {
        let outcome = try await node.weir(arguments)
        try #require(outcome.status == 0, "\(arguments): \(outcome.errors)", sourceLocation: sourceLocation)
        return outcome.output
    }

    func add(_ name: String, _ pod: Int, _ options: String...) async throws -> Outcome {
        try await node.weir(["endpoint", "add", "shop/\(name)", "--netns", namespace(pod)] + options)
    }

    func remove(_ name: String, _ options: String...) async throws -> Outcome {
        try await node.weir(["endpoint", "remove", "shop/\(name)"] + options)
    }

    /// - Parameter inventory: documents beside the node's.
    @discardableResult
    func apply(_ options: String..., inventory: String = "") async throws -> Outcome {
        try workspace.write(Self.emptyInventory + inventory, to: "inventory.yaml")
        return try await node.weir(
            [
                "apply", "--policies", workspace.path + "/policies.yaml", "--inventory",
                workspace.path + "/inventory.yaml", "--node", "node-a",
            ] + options)
    }

    /// - Parameter options: of weir compile.
    func bundle(_ options: String..., inventory: String = "") async throws -> String {
        try workspace.write(Self.emptyInventory + inventory, to: "inventory.yaml")
        let path = workspace.path + "/node-a.weir"
        try? FileManager.default.removeItem(atPath: path)
        let outcome = try await Weir.run(
            [
                "compile", "--policies", workspace.path + "/policies.yaml", "--inventory",
                workspace.path + "/inventory.yaml", "--node", "node-a", "--output", "bundle", "--output-file", path,
            ] + options)
        try #require(outcome.status == 0, "\(outcome.errors)")
        return path
    }

    /// Which of the pods reach which, as `2-3` and, with IPv6, `2=3`: an echo request is answered.
    func reached() async throws -> Set<String> {
        let pods = ThrowawayNode.pods
        let script = pods.flatMap { from in
            pods.filter { $0 != from }.map { to in
                """
                (ip netns exec \(namespace(from)) ping -qnc8 -i0.25 -W1 10.7.0.\(to) >/dev/null && echo \(from)-\(to)) &
                (ip netns exec \(namespace(from)) ping -6qnc8 -i0.25 -W1 fd07::\(to) >/dev/null && echo \(from)=\(to)) &

                """
            }
        }.joined()
        return Set(try await Machine.shell(script + "wait").split(separator: "\n").map(String.init))
    }

    /// Every one of these pairs, in both families.
    static func pairs(_ pairs: (Int, Int)...) -> Set<String> {
        Set(pairs.flatMap { ["\($0.0)-\($0.1)", "\($0.0)=\($0.1)"] })
    }

    /// Among these pods everybody reaches everybody.
    static func all(_ pods: [Int] = ThrowawayNode.pods) -> Set<String> {
        Set(pods.flatMap { from in pods.filter { $0 != from }.flatMap { ["\(from)-\($0)", "\(from)=\($0)"] } })
    }

    /// Whether a TCP port answers, be it by refusing.
    func connects(_ from: Int, _ to: Int, _ port: Int) async throws -> Bool {
        let outcome = try await Weir.command([
            "ip", "netns", "exec", namespace(from), "timeout", "0.5", "bash", "-c", "</dev/tcp/10.7.0.\(to)/\(port)",
        ])
        return outcome.status != 124
    }

    /// What the kernel has at the node's interfaces: `veth-2 denied`, `veth-2 judged` or both, sorted.
    func hooks() async throws -> [String] {
        let status = try await weir("status", "--output", "json").object ?? [:]
        let denied = ((status["local"] as? [String: Any])?["denied"] as? [[String: Any]] ?? [])
            .compactMap { $0["interface"] as? String }
        let judged = (status["endpoints"] as? [[String: Any]] ?? []).compactMap { endpoint -> String? in
            (endpoint["hooks"] as? [Any])?.count == 2 ? endpoint["interface"] as? String : nil
        }
        return (denied.map { "\($0) denied" } + judged.map { "\($0) judged" }).sorted()
    }

    /// The files in the state directory, by kind, with how many there are.
    func kept(_ name: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: "\(node.stateDirectory)/\(name)")) ?? []).sorted()
    }

    var deniedFile: String {
        (try? String(contentsOfFile: node.stateDirectory + "/denied.json", encoding: .utf8)) ?? ""
    }

    /// Names of the endpoints in force, sorted.
    func endpoints() async throws -> [String] {
        let object = try await weir("status", "--output", "json").object
        return (object?["endpoints"] as? [[String: Any]] ?? []).compactMap { $0["name"] as? String }.sorted()
    }

    /// What status and doctor complain of, apart from what is denied on purpose.
    func complaints() async throws -> [String] {
        let status = try await weir("status", "--output", "json").object
        let doctor = try await weir("doctor", "--output", "json").object
        let findings = (doctor?["findings"] as? [[String: Any]] ?? []).compactMap { finding -> String? in
            guard let id = finding["id"] as? String,
                !["endpoint-denied", "interface-unjudged", "endpoint-absent"].contains(id)
            else { return nil }
            return "\(id): \(finding["message"] ?? "")"
        }
        return (status?["problems"] as? [String] ?? []) + findings
    }
}
