/// Options that change meaning in Cilium, with Cilium's names and defaults.
package struct PolicyOptions: Hashable, Sendable, Codable {
    package enum EnforcementMode: String, Hashable, Sendable, CaseIterable, Codable {
        /// A direction is enforced when a rule selects the endpoint in it.
        case `default`
        /// Every direction of every endpoint is enforced.
        case always
        /// Nothing is enforced.
        case never
    }

    package enum AllowLocalhost: String, Hashable, Sendable, CaseIterable, Codable {
        /// The node may always reach its own pods, below every explicit deny.
        case always
        /// The host is a peer like others.
        case policy
    }

    package enum Encryption: String, Hashable, Sendable, CaseIterable, Codable {
        case none
        /// Between pods of different nodes nothing goes or comes but through the node's tunnel.
        case wireguard
    }

    package var enforcementMode: EnforcementMode
    package var allowLocalhost: AllowLocalhost
    /// Whether CIDR rules match node addresses (`--policy-cidr-match-mode=nodes`).
    package var cidrMatchesNodes: Bool
    /// Whether specs that select nodes are enforced (`--host-firewall`).
    package var hostFirewall: Bool
    /// `--encryption`, as Cilium's `encryption.type`, always strict.
    package var encryption: Encryption

    package init(
        enforcementMode: EnforcementMode = .default, allowLocalhost: AllowLocalhost = .always,
        cidrMatchesNodes: Bool = false, hostFirewall: Bool = false, encryption: Encryption = .none
    ) {
        self.enforcementMode = enforcementMode
        self.allowLocalhost = allowLocalhost
        self.cidrMatchesNodes = cidrMatchesNodes
        self.hostFirewall = hostFirewall
        self.encryption = encryption
    }
}
