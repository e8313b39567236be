import InputTestSupport
import Testing
import WeirDiagnostics
import WeirInventory
import WeirModel

@Suite("Looking for one endpoint in documents") struct EndpointSearchTests {
    private func search(
        _ text: String, _ namespace: String = "shop", _ name: String = "api"
    ) -> (found: EndpointDescription?, diagnostics: [Diagnostic]) {
        var diagnostics = DiagnosticsCollector()
        var search = EndpointSearch(namespace: namespace, name: name)
        for document in Sample(text).documents() { search.add(document, diagnostics: &diagnostics) }
        return (search.found, diagnostics.all)
    }

    private static func pod(_ name: String, _ rest: String) -> String {
        "{apiVersion: v1, kind: Pod, metadata: {name: \(name), namespace: shop, labels: {app: \(name), "
            + "io.kubernetes.pod.namespace: kube-system}}\(rest)}\n---\n"
    }

    @Test("a pod is found before it has an address, with what its spec says and without derived labels") func pending()
    {
        let spec =
            ", spec: {serviceAccountName: robot, containers: [{ports: [{name: http, containerPort: 8080}]}]}, "
            + "status: {phase: Pending}"
        let (found, diagnostics) = search(Self.pod("db", "") + Self.pod("api", spec))
        #expect(
            found
                == EndpointDescription(
                    labels: ["app": "api"], serviceAccount: "robot",
                    ports: [NamedPort(name: "http", protocol: .tcp, port: 8080)]))
        #expect(diagnostics.isEmpty)
    }

    @Test("metadata alone is enough, and an Endpoint of our own is found, too") func short() {
        #expect(search(Self.pod("api", "")).found?.serviceAccount == "default")
        let own =
            "{apiVersion: weir.dev/v1, kind: Endpoint, metadata: {name: api, namespace: shop, labels: {app: x}}, "
            + "spec: {node: n, addresses: [10.7.0.9]}}"
        #expect(search(own).found?.labels == ["app": "x"])
    }

    @Test("another namespace, another name and a pod that has ended are others") func others() {
        #expect(search(Self.pod("api", ""), "edge").found == nil)
        #expect(search(Self.pod("api", ""), "shop", "ap").found == nil)
        #expect(search(Self.pod("api", ", status: {phase: Failed}")).found == nil)
        #expect(
            search("{apiVersion: v1, kind: Service, metadata: {name: api, namespace: shop, labels: {app: x}}}").found
                == nil)
    }

    @Test("two pods of the name are an error, and so is a broken document of it; broken ones of others are not")
    func errors() {
        #expect(search(Self.pod("api", "") + Self.pod("api", "")).diagnostics.map(\.id) == [.duplicateName])
        #expect(
            search("{apiVersion: weir.dev/v1, kind: Endpoint, metadata: {name: api, namespace: shop}, spec: {}}")
                .diagnostics.contains { $0.severity == .error })
        #expect(search(Self.pod("db", ", spec: 7") + Self.pod("api", "")).diagnostics.isEmpty)
    }
}
