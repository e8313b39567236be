package import WeirJSON
internal import WeirModel

/// `weir` as a chained CNI plugin: one process for one operation.
///
/// The specification asks for JSON on standard output whatever happens, and for a status other than 0 with an error.
package struct Plugin {
    /// How a run ends.
    package struct Answer: Hashable, Sendable {
        /// For standard output; nil for an operation that answers by its status alone.
        package var output: JSONValue?
        /// For people, on standard error.
        package var remarks: [String]
        /// 0 or 1.
        package var status: Int32

        package init(output: JSONValue? = nil, remarks: [String] = [], status: Int32 = 0) {
            self.output = output
            self.remarks = remarks
            self.status = status
        }
    }

    private let surroundings: any Surroundings
    /// Of the node that the settings name.
    private let registry: (Settings) throws -> any EndpointRegistry
    private let defaults: Settings

    package init(
        defaults: Settings, surroundings: any Surroundings,
        registry: @escaping (Settings) throws -> any EndpointRegistry
    ) {
        self.defaults = defaults
        self.surroundings = surroundings
        self.registry = registry
    }

    /// - Parameter input: reads standard input; called once, and only if the environment is sound.
    package func answer(environment: [String: String], input: () throws -> [UInt8]) -> Answer {
        var version = SpecificationVersion.newest
        do {
            let invocation = try Invocation(environment: environment)
            let bytes = try input()
            if invocation == .version { return Answer(output: try Self.supportedVersions(bytes)) }
            let configuration = try NetworkConfiguration(parsing: bytes)
            version = try configuration.version()
            let request = try Request(invocation, configuration, version: version, defaults: defaults)
            guard let request else { return Answer() }
            return try answer(request)
        } catch {
            let error = error as? CNIError ?? CNIError(.nodeRefused, "\(error)")
            return Answer(output: error.json(version: version), status: 1)
        }
    }

    /// In the version of the question, which need not be one of ours (section 2, "VERSION").
    private static func supportedVersions(_ bytes: [UInt8]) throws(CNIError) -> JSONValue {
        var asked = SpecificationVersion.newest.rawValue
        if !bytes.isEmpty, let written = try NetworkConfiguration(parsing: bytes).object["cniVersion"]?.string {
            asked = written
        }
        return .object([
            JSONValue.Member("cniVersion", .string(asked)),
            JSONValue.Member("supportedVersions", .array(SpecificationVersion.allCases.map { .string($0.rawValue) })),
        ])
    }

    private func answer(_ request: Request) throws -> Answer {
        let registry = try registry(request.settings)
        switch request.task {
        case .add(let attachment): return try add(attachment, request.settings, registry)
        case .delete(let network, let container, let interface):
            try delete(network, container, interface, registry)
        case .check(let attachment): if let attachment { try check(attachment, registry) }
        case .collect(let network, let valid): try collect(network, valid, registry)
        case .status(let network): try status(network, registry)
        }
        return Answer()
    }

    // MARK: ADD

    private func add(_ attachment: Request.Attachment, _ settings: Settings, _ registry: any EndpointRegistry) throws
        -> Answer
    {
        let registration = try registration(of: attachment, settings)
        var answer = Answer(output: attachment.previous.answer)
        switch try registry.register(registration) {
        case .published: break
        case .denied(let reason): answer.remarks = ["\(registration.qualifiedName) is denied everything: \(reason)"]
        case .open(let reason): answer.remarks = ["\(registration.qualifiedName) is not filtered: \(reason)"]
        }
        return answer
    }

    /// Labels come from the first that says any: the inventory, which is the administrator's, then the runtime.
    private func registration(of attachment: Request.Attachment, _ settings: Settings) throws -> Registration {
        let addresses = try attachment.previous.addresses(of: attachment.place.interface)
        let side = try surroundings.hostSide(
            of: attachment.place.interface, inNamespaceAt: attachment.place.namespacePath)
        let described =
            settings.inventory.isEmpty
            ? nil : try surroundings.description(of: attachment.pod, inDocumentsAt: settings.inventory)
        return Registration(
            key: attachment.key, namespace: attachment.pod.namespace, name: attachment.pod.name,
            labels: described?.labels ?? attachment.labels, serviceAccount: described?.serviceAccount,
            ports: described?.ports, addresses: addresses, interface: side.name, interfaceIndex: side.index)
    }

    // MARK: DEL and GC

    /// Needs neither prevResult nor the container's namespace: what is registered is known by its key.
    private func delete(
        _ network: String, _ container: String, _ interface: String?, _ registry: any EndpointRegistry
    ) throws {
        if let interface {
            try registry.unregister([.attachment(network: network, container: container, interface: interface)])
        } else {
            try unregister(from: network, registry) { $0.container == container }
        }
    }

    private func collect(
        _ network: String, _ valid: Set<ContainerInterface>, _ registry: any EndpointRegistry
    ) throws {
        try unregister(from: network, registry) { !valid.contains($0) }
    }

    private func unregister(
        from network: String, _ registry: any EndpointRegistry, where isGone: (ContainerInterface) -> Bool
    ) throws {
        let keys = try registry.registrations().map(\.key).filter { key in
            guard case .attachment(network, let container, let interface) = key else { return false }
            return isGone(ContainerInterface(container: container, interface: interface))
        }
        if !keys.isEmpty { try registry.unregister(keys) }
    }

    // MARK: CHECK and STATUS

    private func check(_ attachment: Request.Attachment, _ registry: any EndpointRegistry) throws {
        guard let known = try registry.registrations().first(where: { $0.key == attachment.key }) else {
            throw CNIError(
                .unknownContainer, "\(attachment.key) is not registered",
                details:
                    "it was added before weir was in the chain, or was deleted; weir endpoint list has what is known")
        }
        func differs(_ what: String, _ now: String, _ then: String) -> CNIError {
            CNIError(
                .notInForce, "\(attachment.key) has \(what) \(now), and was registered with \(then)",
                details: "DEL and ADD register it anew")
        }
        func list(_ addresses: [IPAddress]) -> String { addresses.map(\.description).joined(separator: " and ") }
        let addresses = try attachment.previous.addresses(of: attachment.place.interface)
        guard addresses == known.addresses else { throw differs("the address", list(addresses), list(known.addresses)) }
        let side = try surroundings.hostSide(
            of: attachment.place.interface, inNamespaceAt: attachment.place.namespacePath)
        guard side.index == known.interfaceIndex else {
            throw differs(
                "the host side", "\(side.name) (\(side.index))", "\(known.interface) (\(known.interfaceIndex))")
        }
        do {
            try registry.check(known)
        } catch let error as CNIError {
            throw error
        } catch {
            throw CNIError(
                .notInForce, "\(attachment.key) is not in force: \(error)",
                details: "weir doctor says more; weir apply repairs")
        }
    }

    /// Whether pods that are there suffer as well tells the two answers apart (section 2, "STATUS").
    private func status(_ network: String, _ registry: any EndpointRegistry) throws {
        guard let reason = try registry.readiness() else { return }
        let suffering = try registry.registrations().filter { registration in
            guard case .attachment(network, _, _) = registration.key else { return false }
            return (try? registry.check(registration)) == nil
        }
        let details = "weir doctor and weir status say more"
        if let first = suffering.map(\.qualifiedName).min() {
            let others = suffering.count > 1 ? " and \(suffering.count - 1) more" : ""
            throw CNIError(
                .limitedConnectivity, "\(reason); \(first)\(others) not as registered", details: details)
        }
        throw CNIError(.notAvailable, reason, details: details)
    }
}
