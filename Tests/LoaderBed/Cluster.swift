internal import WeirCompiler
internal import WeirDiagnostics
package import WeirImage
package import WeirLoader
package import WeirModel

/// Pods behind the interfaces of a `Topology`, and a policy about their roles: `db` accepts port 80 and echo requests from
/// `web` and port 81 from `ops`; what is `caged` reaches nobody. Remote pods of every role give every role a group.
package struct Cluster: Codable, Sendable {
    package struct Pod: Codable, Sendable {
        package var name: String
        package var role: String
        /// The last part of its addresses.
        package var address: Int
        /// The number of its interface; nil is another node's.
        package var interface: Int?

        package init(name: String, role: String, address: Int, interface: Int?) {
            self.name = name
            self.role = role
            self.address = address
            self.interface = interface
        }
    }

    /// Which port `web` may reach.
    package var webPort: UInt16 = 80
    package var pods: [Pod] = []

    /// Pod 3 is a `db`; the others are as they say.
    package init(_ roles: [Int: String]) {
        for (number, role) in [3: "db"].merging(roles, uniquingKeysWith: { $1 }).sorted(by: { $0.key < $1.key }) {
            add(number, role)
        }
        for (index, role) in ["db", "web", "ops", "none", "caged"].enumerated() {
            pods.append(Pod(name: "far-\(role)", role: role, address: 100 + index, interface: nil))
        }
        // Rows are only of local endpoints.
        pods.append(Pod(name: "pod-9", role: "caged", address: 9, interface: 9))
    }

    package mutating func add(_ number: Int, _ role: String) {
        pods.append(Pod(name: "pod-\(number)", role: role, address: number, interface: number))
    }

    package mutating func remove(_ number: Int) { pods.removeAll { $0.interface == number } }

    package mutating func relabel(_ number: Int, _ role: String) {
        for index in pods.indices where pods[index].interface == number { pods[index].role = role }
    }

    package var inventory: Inventory {
        let place = SourceLocation(path: "inventory.yaml", line: 1, column: 1)
        func node(_ name: String) -> Node {
            Node(
                name: name, labels: [:], addresses: [],
                podCIDRs: name == "node" ? ["10.7.0.0/24", "fd07::/64"].compactMap { Prefix($0) } : [],
                isKubeAPIServer: false, location: place)
        }
        return Inventory(
            endpoints: pods.map { pod in
                Endpoint(
                    namespace: "shop", name: pod.name, node: pod.interface == nil ? "far" : "node",
                    addresses: ["10.7.0.\(pod.address)", "fd07::\(pod.address)"].compactMap { IPAddress($0) },
                    labels: LabelSet([Label(source: "k8s", key: "role", value: pod.role)]), ports: [],
                    attachment: pod.interface.map { .interface("veth-\($0)") } ?? .byAddress, location: place)
            }, nodes: [node("node"), node("far")])
    }

    package var policies: PolicySet {
        func origin(_ name: String, _ section: String?, _ index: Int) -> RuleOrigin {
            RuleOrigin(
                kind: .ciliumNetworkPolicy, namespace: "shop", name: name, spec: 0, section: section, index: index,
                location: SourceLocation(path: "policy.yaml", line: 10 + index, column: 1))
        }
        func role(_ value: String) -> LabelSelector {
            LabelSelector([.init(LabelKey(source: "k8s", name: "role"), .in, [value])])
        }
        func allow(_ index: Int, _ value: String, _ port: UInt16, _ more: [PortMatch] = []) -> Rule {
            Rule(
                origin: origin("db", "ingress", index), direction: .ingress, action: .allow,
                peers: .list([.selector(role(value))]),
                ports: .list([.range(.tcp, port...port), .range(.udp, port...port)] + more))
        }
        return PolicySet(specs: [
            PolicySpec(
                origin: origin("db", nil, 0), subject: .endpoints(role("db")), selects: [.ingress],
                enforces: [.ingress],
                rules: [allow(0, "web", webPort, [.range(.icmp, 8...8)]), allow(1, "ops", 81)]),
            PolicySpec(
                origin: origin("caged", nil, 0), subject: .endpoints(role("caged")), selects: [.egress],
                enforces: [.egress], rules: []),
        ])
    }

    package var image: Image { Compiler.compile(policies: policies, inventory: inventory, node: "node") }

    package func source() throws -> PolicySource {
        let inventory = inventory
        return PolicySource(bytes: try KeptPolicy(policies: policies, options: PolicyOptions()).encoded()) { bytes in
            try KeptPolicy(decoding: bytes).image(inventory, node: "node")
        }
    }
}

extension LoaderFixture.Place {
    /// As the command does it: with the policies, so that the other slot can follow.
    package func apply(_ cluster: Cluster, onStep: (ApplyStep) throws -> Void = { _ in }) throws -> Loader.Outcome {
        let source = try cluster.source()
        return try onNode { try loader().apply(cluster.image, policy: source, onStep: onStep) }
    }

    package func plan(_ cluster: Cluster) throws -> Plan {
        let source = try cluster.source()
        return try onNode { try loader().plan(cluster.image, policy: source) }
    }

    package func rollback() throws -> Loader.RollbackOutcome { try onNode { try loader().rollback() } }
}
