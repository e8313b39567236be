import WeirModel
import WeirTestSupport

/// A workload in motion: the pods of one service come and go, and their namespace changes its label.
///
/// The service is `app-1` of `ns-7`; pod 12 of this node takes TCP to port 8080 from namespaces of `env-2`, which `ns-7`
/// is at first.
struct MovingCluster {
    static let observer = "ns-2/pod-12"
    static let observedPort: UInt16 = 8080
    static let refusedPort: UInt16 = 81
    static let replicas = 85...115
    private static let namespace = "ns-7"
    private static let environments = ["env-2", "env-3"]
    /// A pod of the workload whose labels all replicas have.
    private static let model = "pod-217"
    private static let environmentKey = WellKnownLabel.namespaceLabelsPrefix + "env"

    /// A replica that comes, goes or is replaced under its address.
    struct Change {
        var former: Endpoint?
        var now: Endpoint?
    }

    let policies: PolicySet
    let observerAddress: IPAddress
    /// Of the model, which policy sees as it sees every replica.
    let modelAddress: IPAddress
    /// Never anybody's.
    let strangerAddress: IPAddress
    /// Of pods of the namespace, of another one with its first label, and of one that never has it.
    let steadyAddresses: [IPAddress]
    private var others: [Endpoint]
    private let model: Endpoint
    private var running: [Endpoint] = []
    private var freeAddresses: [IPAddress]
    private var started = 0
    private var relabellings = 0
    private var generator = SeededGenerator(seed: 7)

    init(pods: Int, policies: Int) throws {
        let typed = try Workload(pods: pods, policies: policies).typed()
        self.policies = typed.policies
        others = typed.inventory.endpoints
        func endpoint(_ name: String) throws -> Endpoint {
            guard let found = typed.inventory.endpoints.first(where: { $0.name == name }) else {
                throw NotAsMeant("the workload has no \(name)")
            }
            return found
        }
        func address(_ endpoint: Endpoint) throws -> IPAddress {
            guard let address = endpoint.address(.ipv4) else { throw NotAsMeant("\(endpoint.name) has no address") }
            return address
        }
        model = try endpoint(Self.model)
        modelAddress = try address(model)
        observerAddress = try address(try endpoint("pod-12"))
        steadyAddresses = try ["pod-307", "pod-302", "pod-301"].map { try address(endpoint($0)) }
        func replica(_ number: Int) -> IPAddress {
            IPAddress(family: .ipv4, value: UInt128(0x0ac8_0000 + UInt32(number)))
        }
        strangerAddress = replica(0)
        freeAddresses = (1...Self.replicas.upperBound + 1).map(replica)
        while running.count < 100 { _ = start() }
    }

    var inventory: Inventory { Inventory(endpoints: others + running) }

    // MARK: What happens

    /// One second: the service has another number of replicas, and one of them is another pod under the same address.
    mutating func second() -> [Change] {
        var wanted = Self.replicas.lowerBound + generator.below(Self.replicas.count)
        if wanted == running.count { wanted += wanted < Self.replicas.upperBound ? 1 : -1 }
        var changes: [Change] = []
        while running.count < wanted { changes.append(Change(former: nil, now: start())) }
        while running.count > wanted { changes.append(Change(former: stop(), now: nil)) }
        let former = stop()
        changes.append(Change(former: former, now: start()))
        return changes
    }

    /// The namespace's label becomes the other one: thousands of pods are other peers.
    mutating func relabel() {
        relabellings += 1
        let value = Self.environments[relabellings % Self.environments.count]
        func relabelled(_ endpoint: Endpoint) -> Endpoint {
            guard endpoint.namespace == Self.namespace else { return endpoint }
            var endpoint = endpoint
            endpoint.labels = LabelSet(
                endpoint.labels.labels.map { label in
                    var label = label
                    if label.key == Self.environmentKey { label.value = value }
                    return label
                })
            return endpoint
        }
        others = others.map(relabelled)
        running = running.map(relabelled)
    }

    private mutating func start() -> Endpoint {
        started += 1
        var pod = model
        pod.name = "replica-\(started)"
        pod.addresses = [freeAddresses.removeLast()]
        // Today's labels of the namespace, and one that no other pod has.
        let namespaceLabels = others.first { $0.name == Self.model }?.labels ?? model.labels
        pod.labels = LabelSet(
            namespaceLabels.labels.filter { $0.key != "pod" }
                + [Label(source: "k8s", key: "pod", value: "replica-\(started)")])
        running.append(pod)
        return pod
    }

    /// The last freed address is the first to be given again.
    private mutating func stop() -> Endpoint {
        let pod = running.remove(at: generator.below(running.count))
        freeAddresses += pod.addresses
        return pod
    }
}
