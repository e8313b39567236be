import WeirDiagnostics
import WeirInventory
package import WeirModel
import WeirPolicy
import WeirSyntax

/// A cluster to measure with, the same every time: nothing in it is random.
///
/// Pods are spread over 10 namespaces of 5 environments, 20 applications and 3 tiers, and each has a label of its own, so
/// every pod is an identity. A policy selects one application of one namespace, or a tier of all namespaces; ten kinds
/// take turns, by what they ask for: an application (three of ten), an environment with a port range (two), a tier, a CIDR
/// with an exception, everybody less an application, a tier of an environment, and an application from everywhere.
package struct Workload: Sendable {
    package var pods: Int
    package var policies: Int
    /// The first pods run on `node`, which is compiled for.
    package var localPods = 100
    /// Gives a local pod's host-side interface a name; without it the pod is found by address.
    package var interfaces = false

    package static let node = "node-0"
    private static let namespaces = 10
    private static let environments = 5
    private static let applications = 20
    private static let tiers = 3

    package init(pods: Int, policies: Int) {
        self.pods = pods
        self.policies = policies
    }

    // MARK: Pods

    package static func interface(_ pod: Int) -> String { "bench\(pod)" }

    /// As documents of weir's own.
    package var inventory: String {
        var text = ""
        for namespace in 0..<Self.namespaces {
            text += """
                ---
                apiVersion: weir.dev/v1
                kind: Namespace
                metadata: {name: ns-\(namespace), labels: {env: env-\(namespace % Self.environments)}}

                """
        }
        for pod in 0..<pods { text += endpoint(pod) }
        return text
    }

    private func endpoint(_ pod: Int) -> String {
        let isLocal = pod < localPods
        return """
            ---
            apiVersion: weir.dev/v1
            kind: Endpoint
            metadata: {name: pod-\(pod), namespace: ns-\(pod % Self.namespaces), labels: {app: app-\(application(ofPod: pod)), \
            tier: tier-\(pod % Self.tiers), pod: p\(pod)}}
            spec: {node: \(isLocal ? Self.node : "node-\(1 + pod / 100)"), \
            addresses: [10.\(64 + pod >> 16).\(pod >> 8 & 255).\(pod & 255)]\
            \(isLocal && interfaces ? ", interface: \(Self.interface(pod))" : "")}

            """
    }

    private func application(ofPod pod: Int) -> Int { pod / Self.namespaces % Self.applications }

    // MARK: Policies

    package var policyText: String { (0..<policies).map(policy).joined() }

    private func policy(_ number: Int) -> String {
        let namespace = number % Self.namespaces
        let subject = "app: app-\(number / Self.namespaces % Self.applications)"
        // Policies of one namespace have the same last digit, so the tens take turns with the ones.
        let kind = (number / Self.namespaces + number) % 10
        func cilium(_ spec: String) -> String {
            """
            ---
            apiVersion: cilium.io/v2
            kind: CiliumNetworkPolicy
            metadata: {name: pol-\(number), namespace: ns-\(namespace)}
            spec:
              endpointSelector: {matchLabels: {\(subject)}}
            \(spec)

            """
        }
        func application(_ factor: Int, _ offset: Int) -> Int { (number * factor + offset) % Self.applications }
        let anyNamespace = "matchExpressions: [{key: \"k8s:\(WellKnownLabel.namespace)\", operator: Exists}]"
        switch kind {
        case 0, 1, 2:
            return cilium(
                """
                  ingress:
                  - fromEndpoints: [{matchLabels: {app: app-\(application(7, 1))}}]
                    toPorts: [{ports: [{port: "80", protocol: TCP}]}]
                """)
        case 3, 4:
            return cilium(
                """
                  ingress:
                  - fromEndpoints:
                    - matchLabels: {"k8s:io.cilium.k8s.namespace.labels.env": env-\(number % Self.environments)}
                    toPorts: [{ports: [{port: "8080", protocol: TCP, endPort: 8090}]}]
                """)
        case 5:
            return cilium(
                """
                  egress:
                  - toEndpoints:
                    - matchLabels: {tier: tier-\(number % Self.tiers)}
                      \(anyNamespace)
                    toPorts: [{ports: [{port: "443", protocol: TCP}]}]
                """)
        case 6:
            let network = "172.\(16 + number % 16)"
            return cilium(
                """
                  egress:
                  - toCIDRSet: [{cidr: \(network).0.0/16, except: [\(network).\(number % 256).0/24]}]
                    toPorts: [{ports: [{port: "443", protocol: TCP}]}]
                """)
        case 7:
            return cilium(
                """
                  ingress:
                  - fromEndpoints: [{}]
                  ingressDeny:
                  - fromEndpoints:
                    - matchLabels: {app: app-\(application(13, 5))}
                      \(anyNamespace)
                    toPorts: [{ports: [{port: "22", protocol: TCP}]}]
                """)
        case 8:
            return """
                ---
                apiVersion: networking.k8s.io/v1
                kind: NetworkPolicy
                metadata: {name: pol-\(number), namespace: ns-\(namespace)}
                spec:
                  podSelector: {matchLabels: {\(subject)}}
                  policyTypes: [Ingress]
                  ingress:
                  - from:
                    - namespaceSelector: {matchLabels: {env: env-\((number + 1) % Self.environments)}}
                      podSelector: {matchLabels: {tier: tier-\((number + 1) % Self.tiers)}}
                    ports: [{port: 9090, protocol: TCP}]

                """
        default:
            return """
                ---
                apiVersion: cilium.io/v2
                kind: CiliumClusterwideNetworkPolicy
                metadata: {name: cw-\(number)}
                spec:
                  endpointSelector: {matchLabels: {tier: tier-\(number % Self.tiers)}}
                  ingress:
                  - fromEndpoints: [{matchLabels: {app: app-\(number / 10 % Self.applications)}}]
                    toPorts: [{ports: [{port: "\(1000 + number)", protocol: TCP}]}]

                """
        }
    }

    // MARK: Typed

    package struct Typed: Sendable {
        package var policies: PolicySet
        package var inventory: Inventory
    }

    /// A workload is sound, so every finding is a mistake of this file.
    package struct Unsound: Error, CustomStringConvertible {
        package var description: String
    }

    /// - Parameter extra: documents added to both.
    package func typed(extra: String = "") throws -> Typed {
        var diagnostics = DiagnosticsCollector()
        func documents(_ text: String) -> [Document] {
            parseDocuments(SourceFile(path: "workload.yaml", text: text + extra), diagnostics: &diagnostics)
        }
        let policies = decodePolicies(documents(policyText), diagnostics: &diagnostics)
        let inventory = decodeInventory(documents(inventory), diagnostics: &diagnostics)
        if let finding = diagnostics.sorted.first { throw Unsound(description: "\(finding)") }
        return Typed(policies: policies, inventory: inventory)
    }
}
