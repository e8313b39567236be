package import WeirModel
internal import WeirDiagnostics

/// An inventory with what its node knows better: the endpoints that were registered there, and those that are gone.
package struct LocalEndpoints {
    /// A registered endpoint that no policy can be said for; its interface lets nothing pass.
    package struct Denied: Hashable, Sendable {
        package var registration: Registration
        package var reason: String
    }

    package let inventory: Inventory
    /// Registrations that are endpoints of `inventory`, by the endpoint's name.
    package let published: [String: Registration]
    /// Sorted by name.
    package let denied: [Denied]
    /// Endpoints of this node that the inventory has and a registration has put out of their place, as the inventory has
    /// them: whoever still sits behind such an interface is nobody that a policy is about. Sorted by name.
    package let displaced: [Endpoint]

    /// - Parameter registrations: whose interfaces exist, the newest first.
    /// - Parameter node: where they live.
    ///
    /// Labels are those of a person's registration, else those that the inventory has for the pod of this name, wherever
    /// it says that the pod is, else those that a runtime handed on. Without any nothing is known of it. Addresses and interface are the registration's, and
    /// an address that the inventory gives somebody else is taken from them: the inventory is older than the pod.
    package init(_ inventory: Inventory, registrations: [Registration], node: String, clusterName: String) {
        let known = Dictionary(inventory.endpoints.map { ($0.qualifiedName, $0) }) { first, _ in first }
        var published: [String: Registration] = [:]
        var endpoints: [String: Endpoint] = [:]
        var denied: [Denied] = []
        let nodeAddresses = Dictionary(inventory.nodes.flatMap { node in node.addresses.map { ($0, node.name) } }) {
            first, _ in first
        }
        let claims = Dictionary(
            grouping: registrations.flatMap { registration in
                registration.addresses.map { ($0, registration) }
            }, by: \.0)
        for registration in registrations {
            func deny(_ reason: String) { denied.append(Denied(registration: registration, reason: reason)) }
            guard !registration.addresses.isEmpty else {
                deny("nobody said which addresses it has")
                continue
            }
            if let (address, problem) = registration.addresses.lazy.compactMap({ address in
                addressProblem(address).map { (address, $0) }
            }).first {
                deny("\(address) is \(problem)")
                continue
            }
            if let address = registration.addresses.first(where: { nodeAddresses[$0] != nil }) {
                deny("\(address) is an address of node \(nodeAddresses[address] ?? "")")
                continue
            }
            if let address = registration.addresses.first(where: { (claims[$0]?.count ?? 0) > 1 }) {
                deny("\(address) was given to more than one endpoint of this node")
                continue
            }
            let former = known[registration.qualifiedName]
            let labels: LabelSet
            if let own = registration.labels, former == nil || registration.goesBeforeInventory {
                guard let namespaceLabels = inventory.namespaces[registration.namespace] ?? registration.homeLabels
                else {
                    deny("the inventory does not know namespace '\(registration.namespace)', so its labels are unknown")
                    continue
                }
                labels = endpointLabels(
                    own.filter { !isDerivedLabel($0.key) }, namespace: registration.namespace,
                    namespaceLabels: namespaceLabels,
                    serviceAccount: registration.serviceAccount ?? former?.serviceAccount ?? "default",
                    clusterName: clusterName)
            } else if let former {
                labels = former.labels
            } else {
                deny("nobody said which labels it has: neither the runtime nor the inventory")
                continue
            }
            // Another interface of the same pod, or its next sandbox while the last one still stands.
            var name = registration.name
            var number = 1
            while endpoints["\(registration.namespace)/\(name)"] != nil {
                number += 1
                name = "\(registration.name)#\(number)"
            }
            let endpoint = Endpoint(
                namespace: registration.namespace, name: name, node: node, addresses: registration.addresses,
                labels: labels, ports: registration.ports ?? former?.ports ?? [],
                attachment: .interface(registration.interface),
                // Said of that pod; of one with other labels nobody has said it.
                isAudited: former.map { $0.isAudited && $0.labels == labels } ?? false,
                location: former?.location ?? SourceLocation(file: "registration of \(registration.key)"))
            endpoints[endpoint.qualifiedName] = endpoint
            published[endpoint.qualifiedName] = registration
        }
        // A registered pod stands for itself, whether it can be published or not, and its interface is its own.
        let names = Set(registrations.map(\.qualifiedName))
        let interfaces = Set(registrations.map(\.interface))
        var displaced: [Endpoint] = []
        for (name, former) in known {
            var endpoint = former
            endpoint.addresses.removeAll { claims[$0] != nil }
            var isDisplaced = endpoint.addresses.isEmpty || names.contains(name)
            if case .interface(let own) = former.attachment, former.node == node, interfaces.contains(own) {
                isDisplaced = true
            }
            if !isDisplaced { endpoints[name] = endpoint } else if former.node == node { displaced.append(former) }
        }
        self.inventory = registrations.isEmpty ? inventory : inventory.with(endpoints: Array(endpoints.values))
        self.published = published
        self.denied = denied.sorted { $0.registration.qualifiedName < $1.registration.qualifiedName }
        self.displaced = displaced.sorted { $0.qualifiedName < $1.qualifiedName }
    }
}

extension Registration {
    /// What a person says of an endpoint holds until that person says otherwise. A runtime hands on what whoever made the
    /// pod wrote: the inventory has what the API server admitted.
    fileprivate var goesBeforeInventory: Bool {
        if case .endpoint = key { true } else { false }
    }

    /// Of who was registered by hand: a machine without Kubernetes has namespaces that no document describes.
    fileprivate var homeLabels: [String: String]? {
        if case .endpoint = key { [:] } else { nil }
    }
}

extension Endpoint {
    fileprivate var serviceAccount: String? {
        labels.labels.first { $0.key == WellKnownLabel.serviceAccount }?.value
    }
}
