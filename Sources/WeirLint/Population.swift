internal import WeirModel
internal import WeirSyntax

/// Who is in an inventory, by what selectors ask for.
struct Population: Sendable {
    let endpoints: [Endpoint]
    let nodes: [Node]
    /// Namespaces that hold an endpoint or a Service.
    let namespaces: Set<String>
    /// Label values by key, over all endpoints.
    let labelValues: [String: Set<String>]
    /// Sorted.
    let podNetworks: [Prefix]
    /// Of endpoints and nodes; sorted.
    private let addresses: [(address: IPAddress, isNode: Bool)]
    private let everybody: [Int]
    private var endpointsWithLabel: [String: [String: [Int]]] = [:]

    init(_ inventory: Inventory) {
        endpoints = inventory.endpoints
        nodes = inventory.nodes
        podNetworks = Set(nodes.flatMap(\.podCIDRs)).sorted()
        addresses =
            (endpoints.flatMap(\.addresses).map { ($0, false) } + nodes.flatMap(\.addresses).map { ($0, true) })
            .sorted { $0.0 < $1.0 }
        everybody = Array(endpoints.indices)
        namespaces = Set(endpoints.map(\.namespace)).union(inventory.services.map(\.namespace))
        for (index, endpoint) in endpoints.enumerated() {
            for label in endpoint.labels.labels {
                endpointsWithLabel[label.key, default: [:]][label.value, default: []].append(index)
            }
        }
        labelValues = endpointsWithLabel.mapValues { Set($0.keys) }
    }

    /// Indices of the endpoints that a selector chooses, ascending.
    func endpoints(matching selector: LabelSelector) -> [Int] {
        Set(asked(by: selector)).filter { selector.matches(endpoints[$0].labels) }.sorted()
    }

    func hasEndpoint(matching selector: LabelSelector) -> Bool {
        asked(by: selector).contains { selector.matches(endpoints[$0].labels) }
    }

    /// Those with a label of the requirement that fewest have, or everybody; some perhaps twice.
    private func asked(by selector: LabelSelector) -> [Int] {
        var fewest: [[Int]]?
        for requirement in selector.requirements where requirement.operator == .in {
            let buckets = requirement.values.map { endpointsWithLabel[requirement.key.name]?[$0] ?? [] }
            if let known = fewest, known.joined().count <= buckets.joined().count { continue }
            fewest = buckets
        }
        return fewest.map { Array($0.joined()) } ?? everybody
    }

    /// The addresses of the cluster in a prefix, sorted.
    func addresses(in prefix: Prefix, nodes: Bool) -> [IPAddress] {
        var low = 0
        var high = addresses.count
        while low < high {
            let middle = (low + high) / 2
            if addresses[middle].address < prefix.address { low = middle + 1 } else { high = middle }
        }
        return addresses[low...].prefix { prefix.contains($0.address) }.filter { nodes || !$0.isNode }.map(\.address)
    }

    /// What a selector may choose besides pods: the node, other nodes, the outside, API servers.
    private static let fixed: [LabelSet] = {
        func reserved(_ names: Entity...) -> LabelSet {
            LabelSet(names.map { Label(source: WellKnownLabel.reservedSource, key: $0.rawValue, value: "") })
        }
        return [
            reserved(.host), reserved(.host, .kubeAPIServer), reserved(.remoteNode),
            reserved(.remoteNode, .kubeAPIServer), reserved(.world, .worldIPv4), reserved(.world, .worldIPv6),
            reserved(.world, .worldIPv4, .kubeAPIServer), reserved(.world, .worldIPv6, .kubeAPIServer),
        ]
    }()

    static func choosesOutsiders(_ selector: LabelSelector) -> Bool {
        fixed.contains { selector.matches($0) }
    }
}

/// `; did you mean "shop"?`, or nothing.
func suggestion(_ name: String, among names: some Sequence<String>) -> String {
    nearestName(to: name, among: names).map { "; did you mean \"\($0)\"?" } ?? ""
}
