import InputTestSupport
import Testing
import WeirDiagnostics
import WeirInventory
import WeirModel
import WeirSyntax

/// Inventory and findings of a text.
struct Taken {
    var inventory: Inventory
    var findings: [Diagnostic]

    init(_ documents: [Document], options: InventoryOptions = InventoryOptions()) {
        var diagnostics = DiagnosticsCollector()
        inventory = decodeInventory(documents, options: options, diagnostics: &diagnostics)
        findings = diagnostics.sorted
    }

    init(_ sample: Sample, options: InventoryOptions = InventoryOptions()) {
        self.init(sample.documents(), options: options)
    }

    init(fixture: String, options: InventoryOptions = InventoryOptions()) {
        var diagnostics = DiagnosticsCollector()
        let documents = parseDocuments(Fixtures.sources(fixture), diagnostics: &diagnostics)
        self.init(documents, options: options)
        findings += diagnostics.sorted
    }
}

private func addresses(_ texts: String...) -> [IPAddress] { texts.compactMap { IPAddress($0) }.sorted() }
private func prefixes(_ texts: String...) -> [Prefix] { texts.compactMap { Prefix($0) }.sorted() }

@Suite("an inventory from kubectl") struct KubernetesInventoryTests {
    private let taken = Taken(fixture: "inventory/kubectl.yaml", options: InventoryOptions(clusterName: "east"))

    @Test("has no finding") func clean() { #expect(taken.findings.isEmpty) }

    @Test("holds running and terminating pods, and counts the others") func pods() {
        #expect(taken.inventory.endpoints.map(\.qualifiedName) == ["shop/api-5d8f7c9b6d-x2x7p", "shop/terminating"])
        var skipped = Inventory.Skipped()
        skipped.finishedPods = 2
        skipped.hostNetworkPods = 1
        skipped.podsWithoutAddress = 1
        #expect(taken.inventory.skipped == skipped)
    }

    @Test("gives a pod its addresses, node and named ports") func pod() throws {
        let pod = try #require(taken.inventory.endpoint(namespace: "shop", name: "api-5d8f7c9b6d-x2x7p"))
        #expect(pod.addresses == addresses("10.7.0.2", "fd07::2"))
        #expect(pod.node == "node-a")
        #expect(pod.attachment == .byAddress)
        #expect(
            pod.ports == [
                NamedPort(name: "dns", protocol: .udp, port: 53), NamedPort(name: "http", protocol: .tcp, port: 8080),
            ])
    }

    @Test("derives labels from namespace, service account and cluster") func labels() throws {
        let pod = try #require(taken.inventory.endpoint(namespace: "shop", name: "api-5d8f7c9b6d-x2x7p"))
        #expect(
            pod.labels.labels.map(\.description) == [
                "k8s:app=api",
                "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=shop",
                "k8s:io.cilium.k8s.namespace.labels.team=a",
                "k8s:io.cilium.k8s.policy.cluster=east",
                "k8s:io.cilium.k8s.policy.serviceaccount=api",
                "k8s:io.kubernetes.pod.namespace=shop",
                "k8s:pod-template-hash=5d8f7c9b6d",
                "k8s:version=1",
            ])
    }

    @Test("warns about a next WireGuard key without one in use") func nextKeyAlone() {
        let taken = Taken(
            Sample(
                """
                {apiVersion: v1, kind: Node, metadata: {name: b, annotations: {weir.dev/next-wg-public-key: ⟦e=}}}
                """, path: "s"))
        #expect(taken.findings.map(\.id) == [.missingField])
        #expect(taken.findings.first?.severity == .warning)
        #expect(taken.findings.first?.location == SourceLocation(path: "s", line: 1, column: 93))
        #expect(taken.inventory.nodes.first?.wireGuard == nil)
    }

    @Test("merges Node and CiliumNode") func node() throws {
        let node = try #require(taken.inventory.nodes.first)
        #expect(taken.inventory.nodes.count == 1)
        #expect(node.addresses == addresses("192.0.2.10", "203.0.113.20", "10.7.0.200"))
        #expect(node.internalAddresses == addresses("192.0.2.10"))
        #expect(node.podCIDRs == prefixes("10.7.0.0/24", "10.7.1.0/24", "fd07::/64"))
        #expect(node.labels == ["kubernetes.io/hostname": "node-a", "rack": "r1"])
        #expect(!node.isKubeAPIServer)
    }

    @Test("knows the API server and the services") func services() {
        #expect(taken.inventory.kubeAPIServerAddresses == addresses("192.0.2.5"))
        #expect(taken.inventory.services.flatMap(\.addresses) == addresses("10.96.0.1"))
    }

    @Test("the conformance inventory is read whole") func conformance() {
        let taken = Taken(fixture: "conformance/inventory.yaml")
        #expect(taken.findings.isEmpty)
        #expect(taken.inventory.endpoints.count == 13)
        #expect(taken.inventory.nodes.map(\.name) == ["node-a", "node-b", "node-c"])
        #expect(taken.inventory.kubeAPIServerAddresses == addresses("10.0.0.3", "203.0.113.10"))
        #expect(taken.inventory.endpoints.allSatisfy { $0.addresses.count == 2 })
    }

    @Test("a pod cannot give itself derived labels") func spoofing() throws {
        let taken = Taken(
            Sample(
                """
                apiVersion: v1
                kind: Pod
                metadata:
                  name: p
                  namespace: dev
                  labels: {io.cilium.k8s.namespace.labels.env: prod, io.kubernetes.pod.namespace: prod}
                spec: {nodeName: a}
                status: {podIP: 10.0.0.9}
                """))
        let labels = try #require(taken.inventory.endpoints.first).labels
        #expect(!labels.labels.contains { $0.value == "prod" })
    }

    @Test("the order of documents does not matter") func order() {
        var diagnostics = DiagnosticsCollector()
        let documents = parseDocuments(Fixtures.sources("inventory/kubectl.yaml"), diagnostics: &diagnostics)
        #expect(Taken(documents).inventory == Taken(documents.reversed()).inventory)
    }

    @Test("nothing is an empty cluster") func empty() {
        #expect(Taken([]).inventory == Inventory())
    }

    @Test("policies and other API groups are counted and skipped") func skipped() {
        let taken = Taken(
            Sample(
                """
                {apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: p}}
                ---
                {apiVersion: policy.networking.k8s.io/v1alpha1, kind: AdminNetworkPolicy, metadata: {name: p}}
                ---
                {apiVersion: apps/v1, kind: Deployment, metadata: {name: d}}
                ---
                {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}
                """))
        #expect(taken.findings.isEmpty)
        #expect(taken.inventory.skipped.otherDocuments == 4)
    }
}

@Suite("an inventory of our own documents") struct WeirInventoryTests {
    private let taken = Taken(fixture: "inventory/weir.yaml")

    @Test("has no finding") func clean() { #expect(taken.findings.isEmpty) }

    @Test("finds an endpoint by interface, network namespace or address") func attachments() {
        #expect(taken.inventory.endpoints.map(\.qualifiedName) == ["default/tool", "shop/api-1", "shop/db-1"])
        #expect(
            taken.inventory.endpoints.map(\.attachment) == [
                .byAddress, .interface("veth-api"), .networkNamespace("db-1"),
            ])
    }

    @Test("fills in the only node") func onlyNode() {
        #expect(taken.inventory.endpoints.allSatisfy { $0.node == "node-a" })
    }

    @Test("derives labels without a Namespace document") func labels() throws {
        let endpoint = try #require(taken.inventory.endpoint(namespace: "shop", name: "db-1"))
        #expect(
            endpoint.labels.labels.map(\.description) == [
                "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=shop",
                "k8s:io.cilium.k8s.policy.cluster=default",
                "k8s:io.cilium.k8s.policy.serviceaccount=default",
                "k8s:io.kubernetes.pod.namespace=shop",
            ])
    }

    @Test("marks the node that serves the API") func node() throws {
        let node = try #require(taken.inventory.nodes.first)
        #expect(node.isKubeAPIServer)
        #expect(node.labels == ["rack": "r1"])
        #expect(node.podCIDRs == prefixes("10.7.0.0/24"))
    }

    @Test("an endpoint of a node that no document has is taken where no Node is given") func nodeWithoutDocument() {
        let taken = Taken(
            Sample(
                "{apiVersion: weir.dev/v1, kind: Endpoint, metadata: {name: a}, spec: {node: n, addresses: [10.0.0.9]}}"
            ))
        #expect(taken.findings.isEmpty)
        #expect(taken.inventory.endpoints.map(\.node) == ["n"])
    }
}
