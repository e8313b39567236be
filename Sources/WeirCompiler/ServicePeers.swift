package import WeirModel

extension PolicySet {
    /// Service peers replaced by what they stand for, as in Cilium: the pods that a Service's selector chooses
    /// in its namespace; of a Service without selector the addresses of its backends, outside the
    /// cluster only. A Service that does not exist is nobody.
    func resolvingServices(_ inventory: Inventory) -> PolicySet {
        let mentionsServices = specs.contains { spec in spec.rules.contains { $0.peers.mentionServices } }
        guard mentionsServices else { return self }
        return PolicySet(
            specs: specs.map { spec in
                var spec = spec
                for index in spec.rules.indices {
                    guard case .list(let list) = spec.rules[index].peers else { continue }
                    spec.rules[index].peers = .list(list.flatMap { $0.resolvingService(inventory.services) })
                }
                return spec
            }, skippedDocuments: skippedDocuments)
    }
}

extension Peers {
    fileprivate var mentionServices: Bool {
        guard case .list(let list) = self else { return false }
        return list.contains { if case .service = $0 { true } else { false } }
    }
}

extension Peer {
    fileprivate func resolvingService(_ services: [Service]) -> [Peer] {
        guard case .service(let reference) = self else { return [self] }
        return services.filter(reference.covers).flatMap(\.backendPeers)
    }
}

extension ServiceReference {
    /// Whether it means this Service.
    package func covers(_ service: Service) -> Bool {
        switch self {
        case .named(let namespace, let name):
            return service.name == name && (namespace ?? service.namespace) == service.namespace
        case .selected(let selector, let namespace):
            let labels = service.labels.map {
                Label(source: WellKnownLabel.kubernetesSource, key: $0.key, value: $0.value)
            }
            return (namespace ?? service.namespace) == service.namespace && selector.matches(LabelSet(labels))
        }
    }
}

extension Service {
    fileprivate var backendPeers: [Peer] {
        if let podSelector { return [.selector(podSelector)] }
        return Set(ports.flatMap(\.backends).map(\.address)).sorted().map { .cidr(CIDRBlock(Prefix(host: $0))) }
    }

    /// The pods that its selector chooses in its namespace; nil where it has none.
    package var podSelector: LabelSelector? {
        guard let selector else { return nil }
        func key(_ name: String, source: String?) -> LabelKey { LabelKey(source: source, name: name) }
        let namespaceKey = key(WellKnownLabel.namespace, source: WellKnownLabel.kubernetesSource)
        return LabelSelector(
            selector.map { LabelSelector.Requirement(key($0.key, source: nil), .in, [$0.value]) }
                + [LabelSelector.Requirement(namespaceKey, .in, [namespace])])
    }
}
