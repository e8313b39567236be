import InputTestSupport
import Testing
import WeirCompiler
import WeirDiagnostics
import WeirInventory
import WeirModel
import WeirTestSupport

@Suite("an inventory with what its node was told") struct LocalEndpointTests {
    private static func address(_ text: String) -> [IPAddress] {
        text.split(separator: " ").compactMap { IPAddress($0) }
    }

    private static func labels(_ app: String, namespace: String = "shop", account: String = "default") -> LabelSet {
        LabelSet(
            [
                (WellKnownLabel.namespace, namespace), (WellKnownLabel.serviceAccount, account),
                (WellKnownLabel.cluster, "default"), (WellKnownLabel.namespaceLabelsPrefix + "team", "a"),
                (WellKnownLabel.namespaceLabelsPrefix + WellKnownLabel.namespaceName, namespace), ("app", app),
            ].map { Label(source: WellKnownLabel.kubernetesSource, key: $0.0, value: $0.1) })
    }

    private static func endpoint(
        _ name: String, _ addresses: String, app: String, node: String = "node-a", isAudited: Bool = false,
        attachment: Endpoint.Attachment = .byAddress
    ) -> Endpoint {
        Endpoint(
            namespace: "shop", name: name, node: node, addresses: address(addresses),
            labels: labels(app, account: "robot"), ports: [NamedPort(name: "http", protocol: .tcp, port: 80)],
            attachment: attachment, isAudited: isAudited, location: WeirDiagnostics.SourceLocation(file: "inventory"))
    }

    private static func registration(
        _ name: String, _ addresses: String, labels: [String: String]? = nil, namespace: String = "shop",
        container: String? = nil, interface: String = "veth-1", account: String? = nil, ports: [NamedPort]? = nil
    ) -> Registration {
        Registration(
            key: container.map { .attachment(network: "n", container: $0, interface: "eth0") }
                ?? .endpoint("\(namespace)/\(name)"), namespace: namespace, name: name, labels: labels,
            serviceAccount: account, ports: ports, addresses: address(addresses), interface: interface,
            interfaceIndex: UInt32(interface.utf8.last ?? 0))
    }

    private static func merged(_ endpoints: [Endpoint], _ registrations: [Registration]) -> LocalEndpoints {
        let inventory = Inventory(
            endpoints: endpoints,
            nodes: [
                Node(
                    name: "node-a", labels: [:], addresses: address("192.0.2.1"), podCIDRs: [], isKubeAPIServer: false,
                    location: WeirDiagnostics.SourceLocation(file: "inventory"))
            ], namespaces: ["shop": ["team": "a"]])
        return LocalEndpoints(inventory, registrations: registrations, node: "node-a", clusterName: "default")
    }

    @Test("a registration's labels, ports and service account go before the inventory's") func own() throws {
        let local = Self.merged(
            [Self.endpoint("web", "10.7.0.9", app: "old")],
            [
                Self.registration(
                    "web", "10.7.0.2", labels: ["app": "new"], account: "person",
                    ports: [NamedPort(name: "http", protocol: .tcp, port: 81)])
            ])
        let only = try #require(local.inventory.endpoints.first)
        #expect(local.inventory.endpoints.count == 1 && local.denied.isEmpty)
        #expect(only.labels == Self.labels("new", account: "person"))
        #expect(only.ports.map(\.port) == [81])
        #expect(only.addresses == Self.address("10.7.0.2"))
        #expect(only.attachment == .interface("veth-1"))
        #expect(local.published.keys.sorted() == ["shop/web"])
    }

    @Test(
        "what nobody said at the registration is the inventory's, wherever that has the pod",
        arguments: ["node-a", "node-b"])
    func known(node: String) throws {
        let pod = Self.endpoint("web", "10.7.0.9", app: "web", node: node, isAudited: true)
        let local = Self.merged([pod], [Self.registration("web", "10.7.0.2")])
        let only = try #require(local.inventory.endpoints.first)
        #expect(local.inventory.endpoints.count == 1)
        #expect(only.labels == pod.labels && only.ports == pod.ports && only.isAudited)
        #expect(only.node == "node-a" && only.addresses == Self.address("10.7.0.2"))
        #expect(local.displaced == (node == "node-a" ? [pod] : []))
    }

    @Test("what a runtime says of labels goes after an inventory that knows the pod, and counts where none does")
    func runtime() throws {
        for (name, expected) in [("web", "web"), ("stranger", "new")] {
            let only = try #require(
                Self.merged(
                    [Self.endpoint("web", "10.7.0.9", app: "web")],
                    [Self.registration(name, "10.7.0.2", labels: ["app": "new"], container: "c")]
                ).inventory.endpoint(namespace: "shop", name: name))
            #expect(only.labels == Self.labels(expected, account: name == "web" ? "robot" : "default"))
        }
    }

    @Test("audit mode was said of a pod with these labels, and of no other") func audited() throws {
        let pod = Self.endpoint("web", "10.7.0.9", app: "web", isAudited: true)
        let same = Self.merged([pod], [Self.registration("web", "10.7.0.2", labels: ["app": "web"])])
        let other = Self.merged([pod], [Self.registration("web", "10.7.0.2", labels: ["app": "api"])])
        #expect(same.inventory.endpoints.map(\.isAudited) == [true])
        #expect(other.inventory.endpoints.map(\.isAudited) == [false])
    }

    @Test("a pod cannot give itself the labels that weir derives") func derived() throws {
        let local = Self.merged(
            [],
            [
                Self.registration(
                    "web", "10.7.0.2",
                    labels: [
                        "app": "web", WellKnownLabel.namespace: "ops", WellKnownLabel.serviceAccount: "admin",
                        WellKnownLabel.namespaceLabelsPrefix + "team": "root", WellKnownLabel.cluster: "other",
                    ])
            ])
        #expect(local.inventory.endpoints.map(\.labels) == [Self.labels("web")])
    }

    @Test(
        "is denied, and its addresses are nobody's",
        arguments: [
            (registration("new", "10.7.0.2"), "nobody said which labels it has"),
            (registration("web", ""), "nobody said which addresses it has"),
            (registration("web", "192.0.2.1"), "192.0.2.1 is an address of node node-a"),
            (registration("web", "10.7.0.2 ::1"), "::1 is a loopback address"),
            (registration("web", "10.7.0.2 ff02::1"), "ff02::1 is a multicast address"),
            (registration("web", "0.0.0.0"), "0.0.0.0 is the unspecified address"),
            (
                registration("new", "10.7.0.2", labels: ["app": "web"], namespace: "strange", container: "c"),
                "the inventory does not know namespace 'strange'"
            ),
        ])
    func denied(_ registration: Registration, _ reason: String) throws {
        let local = Self.merged(
            [
                Self.endpoint("web", "10.7.0.9", app: "web"),
                Self.endpoint("stale", "10.7.0.2", app: "db", node: "node-b"),
            ],
            [registration])
        let denied = try #require(local.denied.first)
        #expect(denied.registration == registration)
        #expect(denied.reason.hasPrefix(reason))
        #expect(local.published.isEmpty)
        for endpoint in local.inventory.endpoints {
            #expect(Set(endpoint.addresses).isDisjoint(with: registration.addresses))
            #expect(endpoint.qualifiedName != registration.qualifiedName)
        }
    }

    @Test("by hand an endpoint may live in a namespace that no document describes") func home() throws {
        let local = Self.merged([], [Self.registration("db", "10.7.0.2", labels: ["app": "db"], namespace: "home")])
        let only = try #require(local.inventory.endpoints.first)
        #expect(only.qualifiedName == "home/db" && local.denied.isEmpty)
        #expect(only.labels.labels.contains { $0.key == WellKnownLabel.namespace && $0.value == "home" })
        #expect(!only.labels.labels.contains { $0.key == WellKnownLabel.namespaceLabelsPrefix + "team" })
    }

    @Test("an address is taken from whom the inventory gives it; who is left without one is gone") func stale() throws {
        let pods = [
            Self.endpoint("both", "10.7.0.2 fd07::2", app: "db", node: "node-b"),
            Self.endpoint("here", "10.7.0.3", app: "db"), Self.endpoint("there", "10.7.0.4", app: "db", node: "node-b"),
        ]
        let local = Self.merged(
            pods,
            [
                Self.registration("a", "10.7.0.2", labels: ["app": "a"]),
                Self.registration("b", "10.7.0.3", labels: ["app": "b"], interface: "veth-2"),
                Self.registration("c", "10.7.0.4", labels: ["app": "c"], interface: "veth-3"),
            ])
        #expect(local.inventory.endpoints.map(\.name) == ["a", "b", "both", "c"])
        #expect(local.inventory.endpoint(namespace: "shop", name: "both")?.addresses == Self.address("fd07::2"))
        #expect(local.displaced == [pods[1]])
    }

    @Test("whom the inventory puts at a registered interface is put out of its place") func interface() throws {
        let pod = Self.endpoint("old", "10.7.0.3", app: "db", attachment: .interface("veth-1"))
        let local = Self.merged([pod], [Self.registration("new", "10.7.0.2", labels: ["app": "new"])])
        #expect(local.inventory.endpoints.map(\.name) == ["new"])
        #expect(local.displaced == [pod])
    }

    @Test("two with one address are both denied, and the third is not") func sharedAddress() throws {
        let local = Self.merged(
            [Self.endpoint("old", "10.7.0.2", app: "db")],
            [
                Self.registration("a", "10.7.0.2", labels: ["app": "a"]),
                Self.registration("b", "10.7.0.2 fd07::2", labels: ["app": "b"], interface: "veth-2"),
                Self.registration("c", "10.7.0.3", labels: ["app": "c"], interface: "veth-3"),
            ])
        #expect(local.inventory.endpoints.map(\.name) == ["c"])
        #expect(local.denied.map(\.registration.name) == ["a", "b"])
    }

    @Test("of two sandboxes of one pod the newest has the name, and both are judged") func sameName() throws {
        let local = Self.merged(
            [Self.endpoint("web", "10.7.0.9", app: "web")],
            [
                Self.registration("web", "10.7.0.3", container: "second", interface: "veth-2"),
                Self.registration("web", "10.7.0.2", container: "first"),
            ])
        #expect(local.inventory.endpoints.map(\.name) == ["web", "web#2"])
        #expect(local.inventory.endpoints.map(\.addresses) == [Self.address("10.7.0.3"), Self.address("10.7.0.2")])
        #expect(Set(local.inventory.endpoints.map(\.labels)).count == 1)
        #expect(local.published.mapValues(\.interface) == ["shop/web": "veth-2", "shop/web#2": "veth-1"])
    }

    @Test("without registrations it is the inventory") func nothing() {
        let pods = [Self.endpoint("web", "10.7.0.9", app: "web")]
        let local = Self.merged(pods, [])
        #expect(local.inventory.endpoints == pods && local.displaced.isEmpty && local.denied.isEmpty)
    }

    /// The inventory that says what the registrations say, made without any of the merging.
    @Test("random registrations compile to what the inventory that says the same compiles to", arguments: 0..<20)
    func property(batch: UInt64) throws {
        var (published, denied) = (0, 0)
        for index in 0..<25 {
            let seed = 20_270_401 + batch * 25 + UInt64(index)
            var world = RandomWorld(seed: seed)
            world.options.hostFirewall = false
            // Namespaces and service accounts as documents have them.
            let old = world.inventory
            var registrations: [Registration] = []
            var wanted: [Endpoint] = []
            var taken: Set<IPAddress> = []
            for number in 0..<Int.random(in: 1...4, using: &world.generator) {
                let model = world.pick(old.endpoints)
                let isKnown = world.chance(2)
                let name = isKnown ? model.name : "new-\(number)"
                guard !registrations.contains(where: { $0.qualifiedName == "\(model.namespace)/\(name)" }) else {
                    continue
                }
                // Its own, another pod's, or a free one.
                let address =
                    world.pick(
                        [model.addresses[0], world.pick(old.endpoints).addresses[0]]
                            + Self.address("10.7.0.4\(number)"))
                guard taken.insert(address).inserted else { continue }
                let saysLabels = world.chance(2)
                let isByHand = world.chance(2)
                // What a runtime says goes after an inventory that knows the pod.
                let takesOwn = saysLabels && (isByHand || !isKnown)
                let own = model.labels.labels.filter { !isDerivedLabel($0.key) }
                registrations.append(
                    Registration(
                        key: isByHand
                            ? .endpoint("\(model.namespace)/\(name)")
                            : .attachment(network: "n", container: "c\(number)", interface: "eth0"),
                        namespace: model.namespace, name: name,
                        labels: saysLabels ? Dictionary(own.map { ($0.key, $0.value) }) { $1 } : nil,
                        serviceAccount: nil, ports: isKnown ? nil : model.ports, addresses: [address],
                        interface: "veth-\(number)", interfaceIndex: UInt32(number + 1)))
                guard saysLabels || isKnown else { continue }
                let labels =
                    takesOwn
                    ? endpointLabels(
                        Dictionary(own.map { ($0.key, $0.value) }) { $1 }, namespace: model.namespace,
                        namespaceLabels: [:], serviceAccount: "default", clusterName: "default") : model.labels
                wanted.append(
                    Endpoint(
                        namespace: model.namespace, name: name, node: "node-a", addresses: [address], labels: labels,
                        ports: model.ports, attachment: .interface("veth-\(number)"),
                        isAudited: isKnown && model.isAudited && labels == model.labels, location: model.location))
            }
            let local = LocalEndpoints(old, registrations: registrations, node: "node-a", clusterName: "default")
            let names = Set(registrations.map(\.qualifiedName))
            let others = old.endpoints.filter { !names.contains($0.qualifiedName) }.compactMap { pod -> Endpoint? in
                var pod = pod
                pod.addresses.removeAll { taken.contains($0) }
                return pod.addresses.isEmpty ? nil : pod
            }
            let images = [local.inventory, old.with(endpoints: wanted + others)].map {
                Compiler.compile(policies: world.policies, inventory: $0, node: "node-a", options: world.options)
            }
            try #require(images[0].digest == images[1].digest, "seed \(seed)")
            for entry in local.denied {
                for endpoint in local.inventory.endpoints {
                    try #require(Set(endpoint.addresses).isDisjoint(with: entry.registration.addresses), "seed \(seed)")
                }
            }
            published += local.published.count
            denied += local.denied.count
        }
        #expect(published > 20 && denied > 3)
    }
}
