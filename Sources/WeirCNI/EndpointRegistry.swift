package import WeirModel

/// What a node was told of the endpoints that live on it, and what it does about them.
package protocol EndpointRegistry {
    /// Denies everything at the interface, writes the registration, puts it in force, and lets the interface go if that
    /// worked. One that is in force already stays untouched: a runtime that never heard our answer asks again.
    func register(_ registration: Registration) throws -> Admission
    /// What is known under no such key is nothing to do.
    func unregister(_ keys: [Registration.Key]) throws
    func registrations() throws -> [Registration]
    /// Throws what is not as it should be for this registration: not in force, a hook missing.
    func check(_ registration: Registration) throws
    /// Why a pod that comes now could not be served; nil if it could.
    func readiness() throws -> String?
}

/// What the plugin asks of the machine beside the registry.
package protocol Surroundings {
    /// The host side of a container's interface; `CNIError.Code.noHostSide` where there is none.
    func hostSide(of interface: String, inNamespaceAt path: String) throws -> HostSide
    /// What inventory documents say of a pod; nil where none of them has it.
    func description(of pod: Request.Pod, inDocumentsAt paths: [String]) throws -> EndpointDescription?
}

/// The end of a container's interface that the node has.
package struct HostSide: Hashable, Sendable {
    package var name: String
    package var index: UInt32

    package init(name: String, index: UInt32) {
        self.name = name
        self.index = index
    }
}
