/// What the meaning of policy files depends on beside the files.
package struct PolicyDecodingOptions: Hashable, Sendable {
    /// Of policies that name no namespace.
    package var defaultNamespace: String
    package var unsupported: UnsupportedRules
    /// Whether specs that select nodes are enforced; if not, each is warned of.
    package var hostFirewall: Bool

    package init(
        defaultNamespace: String = "default", unsupported: UnsupportedRules = .error, hostFirewall: Bool = false
    ) {
        self.defaultNamespace = defaultNamespace
        self.unsupported = unsupported
        self.hostFirewall = hostFirewall
    }
}

/// What becomes of a rule that asks for more than L3 and L4 (`--unsupported`).
package enum UnsupportedRules: String, Hashable, Sendable, CaseIterable {
    /// It is refused, and its policy with it.
    case error
    /// It is compiled so that it allows nothing, with a warning.
    case deny
}
