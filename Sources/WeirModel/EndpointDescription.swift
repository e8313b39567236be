/// What was said of an endpoint beside its name and where it lives.
package struct EndpointDescription: Hashable, Sendable {
    /// The endpoint's own, without those that weir derives.
    package var labels: [String: String]
    /// nil: nobody said.
    package var serviceAccount: String?
    /// nil: nobody said.
    package var ports: [NamedPort]?

    package init(labels: [String: String], serviceAccount: String? = nil, ports: [NamedPort]? = nil) {
        self.labels = labels
        self.serviceAccount = serviceAccount
        self.ports = ports
    }
}
