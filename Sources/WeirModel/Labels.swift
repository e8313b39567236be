/// A label with its source, as Cilium writes it: `k8s:app=web`, `reserved:host`.
package struct Label: Hashable, Sendable, Comparable {
    package var source: String
    package var key: String
    package var value: String

    package init(source: String, key: String, value: String) {
        self.source = source
        self.key = key
        self.value = value
    }

    package static func < (left: Self, right: Self) -> Bool {
        (left.key, left.source, left.value) < (right.key, right.source, right.value)
    }
}

extension Label: CustomStringConvertible {
    package var description: String { value.isEmpty ? "\(source):\(key)" : "\(source):\(key)=\(value)" }
}

/// The labels of one peer, sorted by key and source. At most one value for each source and key.
package struct LabelSet: Hashable, Sendable, Comparable {
    package let labels: [Label]

    /// Where a source and key come twice, the later value wins.
    package init(_ labels: some Sequence<Label>) {
        var values: [[String]: Label] = [:]
        for label in labels { values[[label.source, label.key]] = label }
        self.labels = values.values.sorted()
    }

    package static func < (left: Self, right: Self) -> Bool {
        left.labels.lexicographicallyPrecedes(right.labels)
    }

    /// The values under a key; `source` nil means any source.
    package func values(of key: LabelKey) -> some Sequence<String> {
        var low = 0
        var high = labels.count
        while low < high {
            let middle = (low + high) / 2
            if labels[middle].key < key.name { low = middle + 1 } else { high = middle }
        }
        return labels[low...].lazy.prefix { $0.key == key.name }
            .filter { key.source == nil || $0.source == key.source }.map(\.value)
    }
}

extension LabelSet: CustomStringConvertible {
    package var description: String { labels.map(\.description).joined(separator: ",") }
}

/// A key in a selector. No source, or `any:`, matches a label of any source.
package struct LabelKey: Hashable, Sendable, Comparable, Codable {
    package var source: String?
    package var name: String

    package init(source: String?, name: String) {
        self.source = source == "any" ? nil : source
        self.name = name
    }

    package static func < (left: Self, right: Self) -> Bool {
        (left.name, left.source ?? "") < (right.name, right.source ?? "")
    }
}

extension LabelKey: CustomStringConvertible {
    package var description: String { source.map { "\($0):\(name)" } ?? name }
}

/// A conjunction of requirements; without any it matches every label set.
package struct LabelSelector: Hashable, Sendable, Comparable, Codable {
    package enum Operator: Int, Hashable, Sendable, Comparable, Codable {
        case `in`, notIn, exists, doesNotExist

        package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    }

    package struct Requirement: Hashable, Sendable, Comparable, Codable {
        package let key: LabelKey
        package let `operator`: Operator
        /// Sorted; empty for `exists` and `doesNotExist`.
        package let values: [String]

        package init(_ key: LabelKey, _ operator: Operator, _ values: some Sequence<String> = EmptyCollection()) {
            self.key = key
            self.operator = `operator`
            self.values = Set(values).sorted()
        }

        /// `notIn` and `doesNotExist` match where the key is missing.
        package func matches(_ labels: LabelSet) -> Bool {
            switch `operator` {
            case .in: labels.values(of: key).contains { values.contains($0) }
            case .notIn: !labels.values(of: key).contains { values.contains($0) }
            case .exists: labels.values(of: key).contains { _ in true }
            case .doesNotExist: !labels.values(of: key).contains { _ in true }
            }
        }

        package static func < (left: Self, right: Self) -> Bool {
            if left.key != right.key { return left.key < right.key }
            if left.operator != right.operator { return left.operator < right.operator }
            return left.values.lexicographicallyPrecedes(right.values)
        }
    }

    /// Sorted, without repetition: equal meaning written in another order is equal.
    package let requirements: [Requirement]

    package init(_ requirements: some Sequence<Requirement>) {
        self.requirements = Set(requirements).sorted()
    }

    /// Matches every label set.
    package static let everything = LabelSelector([])

    package func matches(_ labels: LabelSet) -> Bool { requirements.allSatisfy { $0.matches(labels) } }

    package func mentions(_ name: String) -> Bool { requirements.contains { $0.key.name == name } }

    package func adding(_ requirement: Requirement) -> LabelSelector { LabelSelector(requirements + [requirement]) }

    package static func < (left: Self, right: Self) -> Bool {
        left.requirements.lexicographicallyPrecedes(right.requirements)
    }
}

/// Label names that Kubernetes and Cilium fix.
package enum WellKnownLabel {
    package static let namespace = "io.kubernetes.pod.namespace"
    package static let namespaceLabelsPrefix = "io.cilium.k8s.namespace.labels."
    package static let serviceAccount = "io.cilium.k8s.policy.serviceaccount"
    package static let cluster = "io.cilium.k8s.policy.cluster"
    package static let namespaceName = "kubernetes.io/metadata.name"
    package static let kubernetesSource = "k8s"
    package static let reservedSource = "reserved"
}
