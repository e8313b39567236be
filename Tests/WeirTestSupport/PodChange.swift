package import WeirModel

/// What happens to the pods of a cluster between two applies.
package enum PodChange: CaseIterable, Sendable {
    case added, gone, relabelled, replaced, renamedLabel
}

extension RandomWorld {
    /// The same cluster after something happened to one pod. Names of new pods are never those of old ones.
    package mutating func inventory(after change: PodChange, number: Int) -> Inventory {
        var endpoints = inventory.endpoints
        let index = Int.random(in: 0..<endpoints.count, using: &generator)
        let other = pick(endpoints)
        switch change {
        case .added:
            var pod = endpoints[index]
            pod.name = "new-\(number)"
            pod.node = pick(["node-a", "node-b"])
            pod.addresses = [IPAddress("10.7.0.\(20 + number)"), IPAddress("fd07::\(20 + number)")].compactMap(\.self)
            endpoints.append(pod)
        case .gone: endpoints.remove(at: index)
        case .relabelled:
            endpoints[index].labels = other.labels
            endpoints[index].ports = other.ports
        case .replaced:
            endpoints[index].name = "new-\(number)"
            endpoints[index].labels = other.labels
            endpoints[index].node = pick(["node-a", "node-b"])
        case .renamedLabel:
            let label = Label(source: "k8s", key: "pod-template-hash", value: "\(number)")
            endpoints[index].labels = LabelSet(endpoints[index].labels.labels + [label])
        }
        return Inventory(
            endpoints: endpoints, nodes: inventory.nodes, kubeAPIServerAddresses: inventory.kubeAPIServerAddresses,
            services: inventory.services)
    }
}
