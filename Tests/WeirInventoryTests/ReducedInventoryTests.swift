import Foundation
import InputTestSupport
import Testing
import WeirCompiler
import WeirDiagnostics
import WeirInventory
import WeirModel
import WeirPolicy
import WeirSyntax
import WeirTestSupport

extension Inventory {
    /// Without places, and without what was skipped.
    fileprivate var withoutPlaces: Inventory {
        let nowhere = SourceLocation(file: "")
        return Inventory(
            endpoints: endpoints.map {
                var copy = $0
                copy.location = nowhere
                return copy
            },
            nodes: nodes.map {
                var copy = $0
                copy.location = nowhere
                copy.wireGuard?.location = nowhere
                return copy
            }, kubeAPIServerAddresses: kubeAPIServerAddresses,
            services: services.map {
                var copy = $0
                copy.location = nowhere
                return copy
            }, namespaces: namespaces)
    }
}

@Suite("a reduced inventory") struct ReducedInventoryTests {
    private static let options = InventoryOptions(clusterName: "east", defaultNamespace: "shop")

    private static func read(_ bytes: [UInt8]) -> Taken {
        var diagnostics = DiagnosticsCollector()
        let documents = parseDocuments(SourceFile(path: "reduced", bytes: bytes), diagnostics: &diagnostics)
        var taken = Taken(documents, options: options)
        taken.findings += diagnostics.all
        return taken
    }

    private static func text(_ inventory: Inventory, _ format: ReducedInventory.Format = .yaml) -> String {
        String(decoding: ReducedInventory(inventory).encoded(as: format), as: UTF8.self)
    }

    @Test("is the same inventory, whatever the cluster", arguments: [ReducedInventory.Format.yaml, .json])
    func roundTrip(_ format: ReducedInventory.Format) throws {
        let seed =
            ProcessInfo.processInfo.environment["WEIR_TEST_SEED"].flatMap { UInt64($0) }
            ?? UInt64.random(in: 0...UInt64.max / 2)
        print("clusters with WEIR_TEST_SEED=\(seed)")
        var endpoints = 0
        for round in 0..<300 {
            let cluster = GeneratedCluster(seed: seed + UInt64(round))
            var diagnostics = DiagnosticsCollector()
            let sample = SourceFile(path: "kubectl.yaml", text: cluster.documents.joined(separator: "---\n"))
            let documents = parseDocuments(sample, diagnostics: &diagnostics)
            let taken = Taken(documents, options: Self.options)
            let comment = Comment(rawValue: "seed \(seed + UInt64(round))")
            try #require((diagnostics.all + taken.findings).allSatisfy { $0.severity != .error }, comment)
            let bytes = ReducedInventory(taken.inventory).encoded(as: format)
            let again = Self.read(bytes)
            #expect(again.findings.isEmpty, comment)
            #expect(again.inventory.withoutPlaces == taken.inventory.withoutPlaces, comment)
            #expect(ReducedInventory(again.inventory).encoded(as: format) == bytes, comment)
            endpoints += taken.inventory.endpoints.count
        }
        #expect(endpoints > 500)
    }

    @Test(
        "is the same for the fixtures, and compiles to the same image",
        arguments: [
            "inventory/kubectl.yaml", "inventory/weir.yaml", "inventory/weir-cluster.yaml",
            "conformance/inventory.yaml",
        ])
    func fixtures(_ path: String) throws {
        let taken = Taken(fixture: path, options: Self.options)
        let again = Self.read(ReducedInventory(taken.inventory).encoded(as: .yaml))
        #expect(again.findings.isEmpty)
        #expect(again.inventory.withoutPlaces == taken.inventory.withoutPlaces)
        var diagnostics = DiagnosticsCollector()
        let documents = parseDocuments(Fixtures.sources("conformance/cases"), diagnostics: &diagnostics)
        let policies = decodePolicies(documents, diagnostics: &diagnostics)
        for node in taken.inventory.nodes {
            let images = [taken.inventory, again.inventory].map {
                Compiler.compile(policies: policies, inventory: $0, node: node.name, options: PolicyOptions()).digest
            }
            #expect(images[0] == images[1])
        }
    }

    @Test("is sorted, four lines for each object or three, and says what is not otherwise") func text() {
        let sample = Sample(
            """
            {apiVersion: v1, kind: Pod, metadata: {name: b, namespace: shop, labels: {version: "1", app: web}},
             spec: {nodeName: n, containers: [{ports: [{name: HTTP, containerPort: 80}]}]}, status: {podIP: 10.7.0.2}}
            ---
            {apiVersion: v1, kind: Pod, metadata: {name: a, namespace: dev}, spec: {nodeName: n, serviceAccountName: x},
             status: {podIPs: [{ip: 10.7.0.3}, {ip: 'fd07::3'}]}}
            ---
            {apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: a, kubernetes.io/metadata.name: shop}}}
            ---
            {apiVersion: v1, kind: Namespace, metadata: {name: empty, labels: {team: b}}}
            ---
            {apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {clusterIP: 10.96.0.7, selector:
             {app: web}, ports: [{port: 80}]}}
            ---
            {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, metadata: {name: web-1, namespace:
             shop, labels: {kubernetes.io/service-name: web}}, ports: [{port: 8080}], endpoints: [{addresses: [10.7.0.2]}]}
            """)
        #expect(
            Self.text(Taken(sample).inventory) == """
                ---
                apiVersion: weir.dev/v1
                kind: Namespace
                metadata: {name: empty, labels: {team: b}}
                ---
                apiVersion: weir.dev/v1
                kind: Namespace
                metadata: {name: shop, labels: {team: a}}
                ---
                apiVersion: weir.dev/v1
                kind: Node
                metadata: {name: "n"}
                spec: {}
                ---
                apiVersion: weir.dev/v1
                kind: Service
                metadata: {name: web, namespace: shop}
                spec: {addresses: [10.96.0.7], selector: {app: web}, ports: [{port: 80, protocol: TCP, backends: ["10.7.0.2:8080"]}]}
                ---
                apiVersion: weir.dev/v1
                kind: Endpoint
                metadata: {name: a, namespace: dev}
                spec: {node: "n", addresses: [10.7.0.3, "fd07::3"], serviceAccount: x}
                ---
                apiVersion: weir.dev/v1
                kind: Endpoint
                metadata: {name: b, namespace: shop, labels: {app: web, version: "1"}}
                spec: {node: "n", addresses: [10.7.0.2], ports: [{name: http, port: 80, protocol: TCP}]}

                """)
    }

    @Test("of nothing is nothing") func empty() throws {
        #expect(Self.text(Inventory()).isEmpty)
        #expect(Self.read(Array(Self.text(Inventory(), .json).utf8)).inventory == Inventory())
    }

    @Test("as JSON is JSON") func json() throws {
        let taken = Taken(fixture: "inventory/kubectl.yaml")
        let data = Data(ReducedInventory(taken.inventory).encoded(as: .json))
        let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        #expect((object["items"] as? [[String: Any]])?.count == 7)
    }

    @Test("keeps who is in audit mode, of pods and of endpoints of ours") func audit() {
        let inventory = Taken(
            Sample(
                """
                {apiVersion: v1, kind: Pod, metadata: {name: a, namespace: shop, annotations: {b: c, weir.dev/audit: "true"}},
                 spec: {nodeName: x}, status: {podIP: 10.7.0.2}}
                ---
                {apiVersion: v1, kind: Pod, metadata: {name: b, namespace: shop, annotations: {weir.dev/audit: "false"}},
                 spec: {nodeName: x}, status: {podIP: 10.7.0.3}}
                ---
                {apiVersion: weir.dev/v1, kind: Endpoint, metadata: {name: c, annotations: {weir.dev/audit: "true"}},
                 spec: {node: x, addresses: [10.7.0.4]}}
                """), options: Self.options
        ).inventory
        #expect(inventory.endpoints.filter(\.isAudited).map(\.qualifiedName) == ["shop/a", "shop/c"])
        #expect(
            Self.text(inventory).contains(
                "metadata: {name: a, namespace: shop, annotations: {weir.dev/audit: \"true\"}}\n"))
        let again = Self.read(ReducedInventory(inventory).encoded(as: .json))
        #expect(again.findings.isEmpty)
        #expect(again.inventory.withoutPlaces == inventory.withoutPlaces)
    }

    @Test("keeps the WireGuard keys of nodes of ours and of Cilium's") func wireGuard() {
        let text = Self.text(
            Taken(
                Sample(
                    """
                    {apiVersion: weir.dev/v1, kind: Node, metadata: {name: a}, spec: {wireguard: {publicKey: k=, endpoint: 'x:1',
                     mtu: 9000, persistentKeepalive: 25, nextPublicKey: n=, presharedKeyFile: /etc/psk}}}
                    ---
                    {apiVersion: cilium.io/v2, kind: CiliumNode, metadata: {name: b, annotations: {network.cilium.io/wg-pub-key: c=}}}
                    ---
                    {apiVersion: v1, kind: Node, metadata: {name: b, annotations: {weir.dev/next-wg-public-key: e=}}}
                    ---
                    {apiVersion: cilium.io/v2, kind: CiliumNode, metadata: {name: a, annotations: {network.cilium.io/wg-pub-key: d=}}}
                    ---
                    {apiVersion: v1, kind: Node, metadata: {name: c, annotations: {network.cilium.io/wg-pub-key: f=}}}
                    """)
            ).inventory)
        let own =
            "{publicKey: \"k=\", nextPublicKey: \"n=\", endpoint: \"x:1\", presharedKeyFile: \"/etc/psk\", "
            + "persistentKeepalive: 25, mtu: 9000}"
        #expect(text.contains("spec: {wireguard: \(own)}"))
        #expect(text.contains("spec: {wireguard: {publicKey: \"c=\", nextPublicKey: \"e=\"}}"))
        #expect(text.contains("spec: {wireguard: {publicKey: \"f=\"}}"))
    }
}
