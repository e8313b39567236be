internal import WeirEmulator
internal import WeirFlow
internal import WeirImage
package import WeirModel

/// A TCP session from another machine to this one.
package struct RemoteSession: Hashable, Sendable {
    package var client: IPAddress
    package var clientPort: UInt16
    package var server: IPAddress
    package var serverPort: UInt16

    /// `SSH_CONNECTION`: client address and port, server address and port. nil for anything else.
    package init?(sshConnection text: String) {
        let parts = text.split(separator: " ")
        guard parts.count == 4, let client = IPAddress(String(parts[0])), let clientPort = UInt16(parts[1]),
            let server = IPAddress(String(parts[2])), let serverPort = UInt16(parts[3]),
            client.family == server.family
        else { return nil }
        self.client = client
        self.clientPort = clientPort
        self.server = server
        self.serverPort = serverPort
    }
}

/// What a host policy must leave open, unless forced: the session that apply runs in, and the API servers.
/// The loopback is no device of the node's, so no policy reaches it.
struct HostAccess {
    private let image: Image
    private let options: Loader.Options

    init(_ image: Image, _ options: Loader.Options) {
        self.image = image
        self.options = options
    }

    private static let apiServerPorts: [UInt16] = [443, 6443]

    func check() throws {
        guard !options.isForced, !options.isAudited, let host = image.endpoints.first(where: \.isHost) else { return }
        let judge = try EmulatorJudge(image: image)
        func refusal(_ direction: Direction, local: IPAddress, peer: IPAddress, port: UInt16) throws -> [String]? {
            let decision = try judge.judge(
                FlowQuery(
                    endpoint: host.id, direction: direction, localAddress: local, peerAddress: peer, path: .forwarded,
                    protocol: .tcp, port: port))
            return decision.passes ? nil : image.ruleLocations(decision.rule)
        }
        func refuse(_ what: String, _ rules: [String]) -> LoaderError {
            let by = rules.isEmpty ? "" : ", by \(rules.joined(separator: ", "))"
            return .refused(
                "the host policy would cut \(what)\(by)",
                hint: "allow it, try it with --confirm-within 60s --force, or force it with --force")
        }
        if let session = options.session, !session.client.isLoopback,
            let rules = try refusal(
                .ingress, local: session.server, peer: session.client, port: session.serverPort)
        {
            throw refuse(
                "the SSH session that this runs in (\(session.client) to port \(session.serverPort))", rules)
        }
        for server in options.apiServers.sorted() where !image.nodeAddresses.contains(server) {
            guard let local = image.nodeAddresses.first(where: { $0.family == server.family }) else { continue }
            let refusals = try Self.apiServerPorts.compactMap {
                try refusal(.egress, local: local, peer: server, port: $0)
            }
            if refusals.count == Self.apiServerPorts.count {
                throw refuse("the API server at \(server) (ports 443 and 6443)", refusals[0])
            }
        }
    }
}
