package import WeirModel

/// A flow as a user writes it: the originator's first packet, by name.
package struct Flow: Hashable, Sendable {
    /// One end: `namespace/pod`, `ip:ADDR`, `host[:ADDR]` or `remote-node:ADDR`.
    package enum Peer: Hashable, Sendable {
        case endpoint(String)
        case address(IPAddress)
        /// The pod's own node; without an address any of the node's.
        case host(IPAddress?)
        case remoteNode(IPAddress)
    }

    package var from: Peer
    package var to: Peer
    package var `protocol`: IPProtocol
    /// Destination port; for ICMP and ICMPv6 the type; 0 for other protocols.
    package var port: UInt16
    /// nil: IPv4 where both ends have it.
    package var family: AddressFamily?

    package init(from: Peer, to: Peer, protocol: IPProtocol, port: UInt16, family: AddressFamily? = nil) {
        self.from = from
        self.to = to
        self.protocol = `protocol`
        self.port = port
        self.family = family
    }
}

/// Why a flow cannot be judged; the user's mistake, said in one sentence.
package struct FlowError: Error, Hashable, Sendable, CustomStringConvertible {
    package var description: String
    /// Where in the line it is, from 1; 1 where it is the line as a whole.
    package var column: Int

    package init(_ description: String, column: Int = 1) {
        self.description = description
        self.column = column
    }
}

extension Flow.Peer {
    package init(_ text: String) throws(FlowError) {
        func address(_ rest: Substring) throws(FlowError) -> IPAddress {
            guard let address = IPAddress(rest) else { throw FlowError("'\(rest)' is not an IP address") }
            return address
        }
        if text.hasPrefix("ip:") {
            self = .address(try address(text.dropFirst(3)))
        } else if text == "host" {
            self = .host(nil)
        } else if text.hasPrefix("host:") {
            self = .host(try address(text.dropFirst(5)))
        } else if text.hasPrefix("remote-node:") {
            self = .remoteNode(try address(text.dropFirst(12)))
        } else if text.split(separator: "/", omittingEmptySubsequences: false).count == 2, !text.hasPrefix("/"),
            !text.hasSuffix("/")
        {
            self = .endpoint(text)
        } else {
            throw FlowError("'\(text)' is neither namespace/pod, ip:ADDR, host:ADDR nor remote-node:ADDR")
        }
    }
}

extension Flow.Peer: CustomStringConvertible {
    /// As it is written.
    package var description: String {
        switch self {
        case .endpoint(let name): name
        case .address(let address): "ip:\(address)"
        case .host(let address): address.map { "host:\($0)" } ?? "host"
        case .remoteNode(let address): "remote-node:\(address)"
        }
    }
}

extension IPProtocol {
    /// Whether its packets have a destination port or, for ICMP, a type in its place.
    package var hasPorts: Bool { IPProtocol.withPorts.contains(self) }
}
