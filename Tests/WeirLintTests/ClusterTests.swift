import InputTestSupport
import Testing
import WeirDiagnostics
import WeirLint
import WeirModel

/// Findings about endpoints, nodes and Services rather than about one rule.
@Suite("lint looks at the whole cluster") struct ClusterTests {
    @Test("endpoints that no policy covers are counted for each namespace and direction") func uncovered() throws {
        let found = try Linted(cnp("  ingress: [{}]")).of(.uncoveredEndpoint)
        #expect(
            found.map(\.message).sorted() == [
                "no policy covers the egress of all 1 endpoints in namespace \"ops\": probe",
                "no policy covers the egress of all 3 endpoints in namespace \"shop\": api-1, api-2, web",
                "no policy covers the ingress of 1 of 3 endpoints in namespace \"shop\": web",
                "no policy covers the ingress of all 1 endpoints in namespace \"ops\": probe",
            ])
        #expect(found.allSatisfy { $0.severity == .note })
        let places = Set(found.filter { $0.message.contains("ingress") }.map(\.location))
        #expect(places == Set(shop.marks))
    }

    @Test("and of one node only, where one is named") func uncoveredOfNode() throws {
        let found = try Linted(cnp("  ingress: [{}]\n  egress: [{}]"), node: "node-b").of(.uncoveredEndpoint)
        #expect(found.map(\.location) == [shop.marks[1], shop.marks[1]])
    }

    @Test("nobody is uncovered where a policy selects everybody") func covered() throws {
        let sample = Sample(
            """
            apiVersion: cilium.io/v2
            kind: CiliumClusterwideNetworkPolicy
            metadata: {name: everybody}
            spec: {endpointSelector: {}, ingress: [{}], egress: [{}]}
            """)
        #expect(try Linted(sample).findings == [])
    }

    @Test("another node is nobody where there is one, and the rule that asks for one matches nothing")
    func onlyNode() throws {
        let single = Sample(
            """
            apiVersion: weir.dev/v1
            kind: Endpoint
            metadata: {name: api, namespace: shop, labels: {app: api}}
            spec: {node: node-a, addresses: [10.7.0.2]}
            ---
            apiVersion: weir.dev/v1
            kind: Node
            metadata: {name: node-a}
            spec: {addresses: [192.0.2.10]}
            """)
        let sample = cnp("  egress: [⟦{toEntities: [remote-node]}, {toEntities: [host]}]")
        let found = try Linted(sample, inventory: single).of(.unmatchedRule)
        #expect(found.map(\.location) == [sample.marks[1]])
        #expect(found.map(\.severity) == [.warning])
        #expect(try Linted(sample).of(.unmatchedRule) == [])
    }

    @Test("a map from half of its limit on is warned of, at its node") func capacity() throws {
        func map(_ name: String, _ maxEntries: Int) -> CapacityForecast.Map {
            CapacityForecast.Map(map: name, entries: maxEntries, maxEntries: maxEntries, limit: 1000, bytes: 1)
        }
        let place = Place(path: "i.yaml", line: 3, column: 1)
        let node = Node(
            name: "n", labels: [:], addresses: [], podCIDRs: [], isKubeAPIServer: false, location: place)
        let forecast = CapacityForecast(node: "n", maps: [map("peers", 499), map("verdicts", 500)])
        let found = forecast.findings(Inventory(nodes: [node]))
        #expect(found.map(\.id) == [.capacity])
        #expect(found.map(\.location) == [place])
        #expect(
            found.map(\.message) == [
                "on node n map 'verdicts' needs 500 entries; no kernel makes it larger than 1000"
            ])
    }

    @Test("the forecast is for the node with the most rule sets, or for the one that is named") func fullest() throws {
        let sample = cnp("  ingress: [{fromEndpoints: [{}]}]")
        #expect(try Linted(sample).capacity.node == "node-a")
        #expect(try Linted(sample, node: "node-b").capacity.node == "node-b")
        let maps = try Linted(sample).capacity.maps
        #expect(maps.map(\.map) == maps.map(\.map).sorted())
        #expect(maps.first { $0.map == "ipcache4" }?.entries == 6)
    }
}
