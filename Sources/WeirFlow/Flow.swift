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
    package init(_ description: String) { self.description = description }
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

extension Flow: Decodable {
    private enum CodingKeys: String, CodingKey {
        case from, to, `protocol`, port, family
        // What an answer adds; a line that has them already is an answer, not a question.
        case egress, ingress, verdict, rules, error
    }

    /// Fields that are not a flow's are ignored, and come back untouched in the answer.
    package init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        for reserved in [CodingKeys.egress, .ingress, .verdict, .rules, .error] where fields.contains(reserved) {
            throw FlowError("field '\(reserved.rawValue)' belongs to the answer")
        }
        func text(_ key: CodingKeys) throws -> String {
            guard fields.contains(key) else { throw FlowError("field '\(key.rawValue)' is missing") }
            guard let text = try? fields.decode(String.self, forKey: key) else {
                throw FlowError("field '\(key.rawValue)' must be a string")
            }
            return text
        }
        from = try Peer(try text(.from))
        to = try Peer(try text(.to))
        `protocol` = try Self.decodeProtocol(fields)
        port = try Self.decodePort(fields, for: `protocol`)
        if fields.contains(.family) {
            let name = try text(.family)
            guard let known = AddressFamily.allCases.first(where: { $0.rawValue.lowercased() == name.lowercased() })
            else { throw FlowError("family '\(name)' is neither IPv4 nor IPv6") }
            family = known
        } else {
            family = nil
        }
    }

    private static func decodeProtocol(_ fields: KeyedDecodingContainer<CodingKeys>) throws -> IPProtocol {
        if let number = try? fields.decode(UInt8.self, forKey: .protocol) { return IPProtocol(rawValue: number) }
        guard let name = try? fields.decode(String.self, forKey: .protocol) else {
            throw FlowError("field 'protocol' must be a name such as TCP, or a number up to 255")
        }
        guard let known = IPProtocol(name: name) else { throw FlowError("unknown protocol '\(name)'") }
        return known
    }

    private static func decodePort(
        _ fields: KeyedDecodingContainer<CodingKeys>, for proto: IPProtocol
    ) throws -> UInt16 {
        let limit: UInt16 = proto == .icmp || proto == .icmpv6 ? 255 : .max
        guard fields.contains(.port) else {
            if proto.hasPorts || limit == 255 { throw FlowError("field 'port' is missing") }
            return 0
        }
        let number =
            (try? fields.decode(Int.self, forKey: .port))
            ?? (try? fields.decode(String.self, forKey: .port)).flatMap { Int($0) }
        guard let number, (0...Int(limit)).contains(number) else {
            throw FlowError("field 'port' must be a number from 0 to \(limit)")
        }
        return UInt16(number)
    }
}

extension IPProtocol {
    /// Whether its packets have a destination port or, for ICMP, a type in its place.
    package var hasPorts: Bool { IPProtocol.withPorts.contains(self) }
}
