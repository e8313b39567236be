internal import WeirJSON
internal import WeirModel
internal import WeirSyntax

/// Endpoints by what people call them: those of a namespace with the same labels, unless verdicts tell them apart.
struct Workloads {
    struct Workload {
        var namespace: String
        /// Names of endpoints, sorted.
        var members: [String]
        /// What chooses exactly these, as YAML; several where nothing does but their names.
        var texts: [String]
    }

    let all: [Workload]
    private let positions: [String: Int]

    /// Labels that say which pod it is, not what it does.
    private static let ownToPods: Set = [
        "apps.kubernetes.io/pod-index", "controller-revision-hash", "pod-template-generation", "pod-template-hash",
        "statefulset.kubernetes.io/pod-name", "batch.kubernetes.io/controller-uid", "controller-uid",
    ]
    /// Labels that name a workload by themselves, the usual ones first.
    private static let usual = ["app.kubernetes.io/name", "app", "k8s-app", "name"]

    private struct Key: Hashable {
        var namespace: String
        var labels: [Label]
        var verdicts: [Int]
    }

    /// - Parameter verdicts: of an endpoint by name; what differs here is told apart.
    init(_ inventory: Inventory, verdicts: (String) throws -> [Int]) rethrows {
        let endpoints = inventory.endpoints.sorted { ($0.namespace, $0.name) < ($1.namespace, $1.name) }
        var positions: [Key: Int] = [:]
        var members: [[Endpoint]] = []
        var found: [String: Int] = [:]
        for endpoint in endpoints {
            let key = Key(
                namespace: endpoint.namespace, labels: Self.labels(endpoint),
                verdicts: try verdicts(endpoint.qualifiedName))
            let position = positions[key] ?? members.count
            if position == members.count { members.append([]) }
            positions[key] = position
            members[position].append(endpoint)
            found[endpoint.qualifiedName] = position
        }
        self.positions = found
        let byNamespace = Dictionary(grouping: endpoints, by: \.namespace)
        all = members.compactMap { members in
            guard let first = members.first else { return nil }
            let names = members.map(\.qualifiedName)
            return Workload(
                namespace: first.namespace, members: names,
                texts: Self.selector(members, among: byNamespace[first.namespace] ?? [])
                    ?? names.map(yamlScalar))
        }
    }

    /// Of an endpoint of the inventory.
    func position(_ name: String) -> Int { positions[name] ?? -1 }

    /// The shortest list of selectors for workloads: everybody, whole namespaces, then the workloads themselves.
    func texts(_ chosen: Set<Int>) -> [String] {
        if chosen.count == all.count { return ["{}"] }
        let namespaces = Dictionary(grouping: all.indices, by: { all[$0].namespace })
        return namespaces.keys.sorted().flatMap { namespace -> [String] in
            let members = namespaces[namespace] ?? []
            if members.allSatisfy(chosen.contains) { return ["{namespace: \(yamlScalar(namespace))}"] }
            return members.filter(chosen.contains).flatMap { all[$0].texts }
        }
    }

    private static func labels(_ endpoint: Endpoint) -> [Label] {
        endpoint.labels.labels.filter { label in
            label.source == WellKnownLabel.kubernetesSource && !label.key.hasPrefix("io.cilium.k8s.")
                && label.key != WellKnownLabel.namespace && !ownToPods.contains(label.key)
        }
    }

    /// nil where no labels choose the members and nobody else.
    private static func selector(_ members: [Endpoint], among neighbours: [Endpoint]) -> [String]? {
        guard let first = members.first else { return nil }
        let namespace = "namespace: \(yamlScalar(first.namespace))"
        if members.count == neighbours.count { return ["{\(namespace)}"] }
        let labels = labels(first)
        let rank = { (label: Label) in usual.firstIndex(of: label.key) ?? usual.count }
        let single = labels.sorted { (rank($0), $0) < (rank($1), $1) }.map { [$0] }
        for choice in single + [labels] where !choice.isEmpty {
            let count = neighbours.count { neighbour in choice.allSatisfy(neighbour.labels.labels.contains) }
            guard count == members.count else { continue }
            let text = choice.map { "\(yamlScalar($0.key)): \(yamlScalar($0.value))" }.joined(separator: ", ")
            return ["{\(namespace), labels: {\(text)}}"]
        }
        return nil
    }
}

/// A string as YAML: plain where that is the same string.
func yamlScalar(_ text: String) -> String {
    let isPlain =
        text.unicodeScalars.first?.properties.isAlphabetic == true
        && text.unicodeScalars.allSatisfy {
            $0.isASCII && ($0.properties.isAlphabetic || "0123456789-_./".unicodeScalars.contains($0))
        }
        && Scalar(text, isPlain: true).value == .string
    return isPlain ? text : text.quoted
}
