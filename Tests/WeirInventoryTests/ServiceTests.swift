import InputTestSupport
import Testing
import WeirDiagnostics
import WeirInventory
import WeirModel

@Suite("the Services of an inventory") struct ServiceTests {
    private static func service(_ spec: String, name: String = "api", status: String = "{}") -> String {
        """
        {apiVersion: v1, kind: Service, metadata: {name: \(name), namespace: shop, labels: {app: api}}, \
        spec: {\(spec)}, status: \(status)}
        ---

        """
    }

    private static func slice(
        _ endpoints: String, ports: String = "[{name: http, port: 8080, protocol: TCP}]", name: String = "api-x",
        service: String = "api", type: String = "IPv4", namespace: String = "shop"
    ) -> String {
        """
        {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: \(type), metadata: {name: \(name), \
        namespace: \(namespace), labels: {kubernetes.io/service-name: \(service)}}, endpoints: \(endpoints), ports: \(ports)}
        ---

        """
    }

    private static let http = "clusterIP: 10.96.0.7, ports: [{name: http, port: 80, targetPort: web}]"

    /// `address:port` of every backend of the only Service's first port.
    private static func backends(_ taken: Taken) throws -> [String] {
        let port = try #require(taken.inventory.services.first?.ports.first)
        return port.backends.map { "\($0.address) \($0.port)" }
    }

    @Test("labels, selector, addresses and ports are taken") func fields() throws {
        let taken = Taken(
            Sample(
                Self.service(
                    """
                    selector: {app: api}, clusterIP: 10.96.0.7, clusterIPs: [10.96.0.7, 'fd96::7'], \
                    externalIPs: [198.51.100.1], ports: [{name: dns, port: 53, protocol: UDP}, {name: http, port: 80}]
                    """,
                    status: "{loadBalancer: {ingress: [{ip: 203.0.113.7}, {hostname: lb.example}, {ip: 127.0.0.1}]}}")
                    + Self.slice("[]")))
        #expect(taken.findings.isEmpty)
        let service = try #require(taken.inventory.services.first)
        #expect(service.qualifiedName == "shop/api")
        #expect(service.labels == ["app": "api"])
        #expect(service.selector == ["app": "api"])
        #expect(
            service.addresses.map(\.description) == ["10.96.0.7", "198.51.100.1", "203.0.113.7", "fd96::7"])
        #expect(service.ports.map { "\($0.name) \($0.port)/\($0.protocol)" } == ["http 80/TCP", "dns 53/UDP"])
    }

    @Test(
        "a Service to which nothing connects exists without addresses",
        arguments: [
            "type: ExternalName, externalName: db.example, externalIPs: [198.51.100.1]",
            "clusterIP: None, clusterIPs: [None], externalIPs: [198.51.100.1]", "clusterIP: ''", "",
        ])
    func withoutFrontends(_ spec: String) {
        let taken = Taken(Sample(Self.service(spec)))
        #expect(taken.findings.isEmpty)
        #expect(taken.inventory.services.map(\.addresses) == [[]])
        #expect(taken.inventory.services.map(\.selector) == [nil])
    }

    struct Slice: CustomTestStringConvertible {
        var testDescription: String
        var slices: String
        var backends: [String]

        init(_ description: String, _ slices: String, _ backends: String...) {
            testDescription = description
            self.slices = slices
            self.backends = backends
        }
    }

    @Test(
        "backends are those of its slices",
        arguments: [
            Slice("no slice", ""),
            Slice(
                "sorted and each once",
                slice("[{addresses: [10.7.0.9, 10.7.0.8]}, {addresses: [10.7.0.9]}]"), "10.7.0.8 8080",
                "10.7.0.9 8080"),
            Slice(
                "of both families, and of several slices",
                slice("[{addresses: [10.7.0.9]}]") + slice("[{addresses: ['fd07::9']}]", name: "y", type: "IPv6")
                    + slice("[{addresses: [10.7.0.4]}]", ports: "[{name: http, port: 8081}]", name: "z"),
                "10.7.0.4 8081", "10.7.0.9 8080", "fd07::9 8080"),
            Slice("ready", slice("[{addresses: [10.7.0.9], conditions: {ready: true}}]"), "10.7.0.9 8080"),
            Slice(
                "not known to be ready", slice("[{addresses: [10.7.0.9], conditions: {ready: null}}]"), "10.7.0.9 8080"),
            Slice("not ready", slice("[{addresses: [10.7.0.9], conditions: {ready: false, serving: false}}]")),
            Slice(
                "terminating but serving",
                slice("[{addresses: [10.7.0.9], conditions: {ready: false, serving: true, terminating: true}}]"),
                "10.7.0.9 8080"),
            Slice("a port of another name", slice("[{addresses: [10.7.0.9]}]", ports: "[{name: web, port: 8080}]")),
            Slice(
                "a port of another protocol",
                slice("[{addresses: [10.7.0.9]}]", ports: "[{name: http, port: 8080, protocol: UDP}]")),
            Slice("a port without a number", slice("[{addresses: [10.7.0.9]}]", ports: "[{name: http}]")),
            Slice("names instead of addresses", slice("[{addresses: [db.example]}]", type: "FQDN")),
            Slice("a slice of another Service", slice("[{addresses: [10.7.0.9]}]", service: "web")),
            Slice("a slice of another namespace", slice("[{addresses: [10.7.0.9]}]", namespace: "dev")),
        ])
    func backends(_ scenario: Slice) throws {
        let orders = [Self.service(Self.http) + scenario.slices, scenario.slices + Self.service(Self.http)]
        for text in orders {
            let taken = Taken(Sample(text))
            #expect(taken.findings.isEmpty)
            #expect(try Self.backends(taken) == scenario.backends)
        }
    }

    @Test("a port without a name is the slice's port without a name", arguments: ["name: '', ", "name: null, ", ""])
    func unnamed(_ name: String) throws {
        let taken = Taken(
            Sample(
                Self.service("clusterIP: 10.96.0.7, ports: [{port: 80}]")
                    + Self.slice("[{addresses: [10.7.0.9]}]", ports: "[{\(name)port: 8080}]")))
        #expect(try Self.backends(taken) == ["10.7.0.9 8080"])
    }

    @Test("the API server is every address of default/kubernetes, ready or not") func kubeAPIServer() {
        let slices =
            Self.slice(
                "[{addresses: [192.0.2.5]}, {addresses: [192.0.2.6], conditions: {ready: false}}]", name: "kubernetes",
                service: "kubernetes", namespace: "default")
            + Self.slice("[{addresses: [192.0.2.7]}]", name: "k", service: "kubernetes")
        #expect(
            Taken(Sample(slices)).inventory.kubeAPIServerAddresses.map(\.description) == ["192.0.2.5", "192.0.2.6"])
    }

    @Test("Services that choose pods, without any slice, are a warning at the first of them") func forgottenSlices() {
        let sample = Sample(
            Self.service("clusterIP: 10.96.0.1", name: "kubernetes")
                + Self.service(Self.http + ", selector: {app: api}", name: "⟦api")
                + Self.service(Self.http + ", selector: {app: api}", name: "web"))
        let taken = Taken(sample)
        #expect(taken.findings.map(\.id) == [.serviceWithoutEndpoints])
        #expect(taken.findings.map(\.severity) == [.warning])
        #expect(taken.findings.map(\.location) == sample.marks)
        #expect(taken.findings.allSatisfy { $0.message.hasPrefix("2 Services have a selector") })
        #expect(taken.inventory.services.count == 3)
    }

    @Test(
        "one slice is enough not to warn",
        arguments: [slice("[]", service: "web"), slice("[]", type: "FQDN"), slice("[]", service: "''")])
    func oneSlice(_ slice: String) {
        #expect(Taken(Sample(Self.service(Self.http + ", selector: {app: api}") + slice)).findings.isEmpty)
    }

    @Test(
        "what it says is checked where it says it",
        arguments: [
            (DiagnosticID.invalidAddress, service("clusterIP: ⟦10.96.0")),
            (.invalidAddress, service("clusterIP: 10.96.0.1, externalIPs: [⟦127.0.0.1]")),
            (.wrongType, service("selector: {app: ⟦1}")), (.wrongType, service("clusterIP: ⟦7")),
            (.missingField, service("ports: [⟦{name: http}]")), (.invalidPort, service("ports: [{port: ⟦0}]")),
            (.invalidValue, service("ports: [{port: 1, protocol: ⟦ICMP}]")),
            (.duplicateName, service("ports: [{port: 1, name: a}, ⟦{port: 2, name: a}]")),
            (.duplicateName, service("ports: [{port: 1, name: a}, ⟦{port: 1, name: b}]")),
            (.duplicateName, service("ports: [{port: 1}, ⟦{port: 2}]")),
            (.duplicateName, service("", name: "a") + service("", name: "⟦a")),
            (.invalidAddress, slice("[{addresses: [⟦db.example]}]")),
            (.invalidPort, slice("[]", ports: "[{port: ⟦99999}]")),
            (.wrongType, slice("[{addresses: [], conditions: {ready: ⟦'true'}}]")),
        ])
    func refusals(_ id: DiagnosticID, _ text: String) {
        let sample = Sample(text)
        let taken = Taken(sample)
        #expect(taken.findings.map(\.id) == [id])
        #expect(taken.findings.map(\.location) == sample.marks)
    }
}
