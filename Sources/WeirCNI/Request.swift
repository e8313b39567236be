package import WeirModel

/// One run of the plugin: everything the specification says must be there is there, and has its alphabet.
package struct Request: Hashable, Sendable {
    package enum Task: Hashable, Sendable {
        case add(Attachment)
        /// nil: the runtime does not say which; every interface of the container.
        case delete(network: String, container: String, interface: String?)
        /// nil: the administrator wants nothing checked.
        case check(Attachment?)
        /// Attachments of the network that are still there.
        case collect(network: String, valid: Set<ContainerInterface>)
        case status(network: String)
    }

    package var task: Task
    package var settings: Settings

    /// A container that joins a network, or has joined it.
    package struct Attachment: Hashable, Sendable {
        package var network: String
        package var place: Invocation.Place
        package var pod: Pod
        /// As the runtime handed them over; nil: it handed over none.
        package var labels: [String: String]?
        package var previous: PreviousResult
    }

    /// What an endpoint is called.
    package struct Pod: Hashable, Sendable {
        package var namespace: String
        package var name: String

        package init(namespace: String, name: String) {
            self.namespace = namespace
            self.name = name
        }
    }

    /// nil for VERSION, which concerns no network.
    ///
    /// - Parameter version: the configuration's.
    package init?(
        _ invocation: Invocation, _ configuration: NetworkConfiguration, version: SpecificationVersion,
        defaults: Settings
    ) throws(CNIError) {
        let operation = invocation.operation
        guard version >= operation.since else {
            throw CNIError(
                .incompatibleVersion, "CNI version \(version.rawValue) has no \(operation.rawValue)",
                details: "cniVersion must be \(operation.since.rawValue) or later")
        }
        let network = try configuration.network()
        let settings = try configuration.settings(defaults: defaults)
        self.settings = settings
        func attachment(_ place: Invocation.Place, _ arguments: Invocation.Arguments) throws(CNIError) -> Attachment {
            guard let previous = configuration.previousResult else {
                throw CNIError(
                    .invalidConfiguration, "the configuration has no prevResult",
                    details: "weir is chained: list it after the plugin that makes the interface")
            }
            return Attachment(
                network: network, place: place,
                pod: Pod(
                    namespace: arguments.podNamespace ?? settings.namespace, name: arguments.podName ?? place.container),
                labels: try configuration.labels(), previous: try PreviousResult(previous, version: version))
        }
        switch invocation {
        case .version: return nil
        case .status: task = .status(network: network)
        case .collect: task = .collect(network: network, valid: try configuration.validAttachments())
        case .delete(let container, let interface):
            task = .delete(network: network, container: container, interface: interface)
        case .add(let place, let arguments):
            try configuration.refuseOthersWork()
            task = .add(try attachment(place, arguments))
        case .check(let place, let arguments):
            task = try configuration.disablesCheck() ? .check(nil) : .check(try attachment(place, arguments))
        }
    }
}

extension Request.Attachment {
    /// The primary key that the specification gives attachments (section 2, "ADD").
    package var key: Registration.Key {
        .attachment(network: network, container: place.container, interface: place.interface)
    }
}
