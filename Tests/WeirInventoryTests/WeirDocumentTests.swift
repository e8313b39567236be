import InputTestSupport
import Testing
import WeirDiagnostics
import WeirModel

@Suite("documents of our own beside Endpoint and Node") struct WeirDocumentTests {
    private static func namespace(_ metadata: String, _ rest: String = "") -> String {
        "{apiVersion: weir.dev/v1, kind: Namespace, metadata: {\(metadata)}\(rest)}\n---\n"
    }

    private static func service(_ spec: String, name: String = "api") -> String {
        "{apiVersion: weir.dev/v1, kind: Service, metadata: {name: \(name), namespace: shop}, spec: {\(spec)}}\n---\n"
    }

    private static func server(_ spec: String) -> String {
        "{apiVersion: weir.dev/v1, kind: KubeAPIServer, metadata: {name: a}, spec: {\(spec)}}\n---\n"
    }

    private static func endpoint(_ node: String) -> String {
        """
        {apiVersion: weir.dev/v1, kind: Endpoint, metadata: {name: e, namespace: shop}, spec: {node: \(node), \
        addresses: [10.7.0.9]}}
        ---

        """
    }

    @Test("a Namespace gives its endpoints its labels, wherever it stands") func namespaces() throws {
        for order in [[0, 1], [1, 0]] {
            let texts = [Self.namespace("name: shop, labels: {team: a}"), Self.endpoint("n")]
            let taken = Taken(Sample(order.map { texts[$0] }.joined()))
            #expect(taken.findings.isEmpty)
            let labels = try #require(taken.inventory.endpoints.first).labels
            #expect(labels.labels.contains { $0.description == "k8s:io.cilium.k8s.namespace.labels.team=a" })
        }
    }

    @Test("a Service lists its backends itself, and needs no slice") func services() throws {
        let taken = Taken(
            Sample(
                Self.service(
                    """
                    addresses: [10.96.0.7, 'fd96::7'], selector: {app: api}, ports: [{port: 53, protocol: UDP, name: dns},
                    {port: 80, backends: ['[fd07::9]:8080', '10.7.0.9:8080', '10.7.0.9:8080']}]
                    """)))
        #expect(taken.findings.isEmpty)
        let service = try #require(taken.inventory.services.first)
        #expect(service.qualifiedName == "shop/api")
        #expect(service.selector == ["app": "api"])
        #expect(service.addresses.map(\.description) == ["10.96.0.7", "fd96::7"])
        #expect(service.ports.map(\.port) == [80, 53])
        #expect(service.ports.map { $0.backends.map(\.description) } == [["10.7.0.9:8080", "[fd07::9]:8080"], []])
    }

    @Test("the API server outside the nodes has a document of its own") func kubeAPIServer() {
        let taken = Taken(Sample(Self.server("addresses: [203.0.113.5, 192.0.2.5]")))
        #expect(taken.findings.isEmpty)
        #expect(taken.inventory.kubeAPIServerAddresses.map(\.description) == ["192.0.2.5", "203.0.113.5"])
    }

    @Test("a node that only an endpoint names has no address") func unnamedNode() {
        let taken = Taken(Sample(Self.endpoint("n")))
        #expect(taken.inventory.nodes.map(\.name) == ["n"])
        #expect(taken.inventory.nodes.allSatisfy { $0.addresses.isEmpty && $0.labels.isEmpty })
    }

    @Test("an empty node is none of the nodes") func noNode() {
        let node = "{apiVersion: weir.dev/v1, kind: Node, metadata: {name: n}, spec: {}}\n---\n"
        let taken = Taken(Sample(node + Self.endpoint("''")))
        #expect(taken.findings.isEmpty)
        #expect(taken.inventory.endpoints.map(\.node) == [""])
        #expect(taken.inventory.nodes.map(\.name) == ["n"])
    }

    @Test(
        "what they say is checked where they say it",
        arguments: [
            (DiagnosticID.unknownField, namespace("name: a", ", ⟦spec: {}")),
            (.unknownField, namespace("name: a, ⟦label: {}")), (.wrongType, namespace("name: a, labels: {a: ⟦1}")),
            (.duplicateName, namespace("name: a") + namespace("name: ⟦a")),
            (.missingField, "⟦{apiVersion: weir.dev/v1, kind: Service, metadata: {name: a}}"),
            (.unknownField, service("⟦address: [10.96.0.1]")),
            (.unknownField, service("ports: [{port: 1, ⟦targetPort: 2}]")),
            (.missingField, service("ports: [⟦{name: a}]")), (.invalidPort, service("ports: [{port: ⟦65536}]")),
            (.invalidValue, service("ports: [{port: 1, protocol: ⟦ANY}]")),
            (.duplicateName, service("ports: [{port: 1}, ⟦{port: 2}]")),
            (.invalidAddress, service("addresses: [⟦api.example]")), (.wrongType, service("selector: ⟦app")),
            (.invalidAddress, service("ports: [{port: 1, backends: [⟦10.0.0.1]}]")),
            (.invalidAddress, service("ports: [{port: 1, backends: [⟦'fd00::1:80']}]")),
            (.invalidAddress, service("ports: [{port: 1, backends: [⟦'[10.0.0.1]:80']}]")),
            (.invalidAddress, service("ports: [{port: 1, backends: [⟦'224.0.0.1:80']}]")),
            (.invalidPort, service("ports: [{port: 1, backends: [⟦'10.0.0.1:0']}]")),
            (.invalidPort, service("ports: [{port: 1, backends: [⟦'10.0.0.1:+80']}]")),
            (.wrongType, service("ports: [{port: 1, backends: [⟦80]}]")),
            (.duplicateName, service("") + service("", name: "⟦api")),
            (.missingField, server("").replacing("spec: {", with: "spec: ⟦{")),
            (.invalidAddress, server("addresses: [⟦x]")),
            (.unknownField, server("addresses: [], ⟦port: 6443")),
            (.unknownKind, "apiVersion: weir.dev/v1\nkind: ⟦Namspace\nmetadata: {name: a}"),
        ])
    func refusals(_ id: DiagnosticID, _ text: String) {
        let sample = Sample(text)
        let taken = Taken(sample)
        #expect(taken.findings.map(\.id) == [id])
        #expect(taken.findings.map(\.location) == sample.marks)
    }
}
