internal import Crypto
internal import Foundation
internal import WeirModel

extension PublicKey: Codable {
    /// As it is written.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let key = PublicKey(base64: try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "no public key")
        }
        self = key
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(base64)
    }
}

extension PeerEndpoint: CodedAsText {
    package static let noun = "endpoint"

    /// `192.0.2.1:51871` or `[2001:db8::1]:51871`; names are not looked up. nil for anything else.
    package init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard let last = parts.last, (1...5).contains(last.utf8.count),
            last.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let port = UInt16(last), port > 0
        else { return nil }
        let host = parts.dropLast().joined(separator: ":")
        let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
        guard let address = IPAddress(isBracketed ? host.dropFirst().dropLast() : host[...]),
            (address.family == .ipv6) == isBracketed
        else { return nil }
        self.init(address: address, port: port)
    }
}

/// Bytes that are no tunnel configuration, or not one of this version.
package enum TunnelEncodingError: Error, Hashable, CustomStringConvertible {
    case otherVersion(Int)
    case damaged

    package var description: String {
        switch self {
        case .otherVersion(let version):
            "a tunnel configuration of version \(version), and this weir reads \(TunnelConfiguration.version)"
        case .damaged: "no tunnel configuration as weir writes it; compile it again"
        }
    }
}

extension TunnelConfiguration: Codable {
    /// Of the encoding.
    package static let version = 1

    private enum Key: String, CodingKey {
        case version, node, addresses, publicKey, nextPublicKey, interfaces, listenPort, firewallMark, routingTable
        case rulePreference, mtu, peers, routes
    }

    package init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: Key.self)
        self.init(
            node: try values.decode(String.self, forKey: .node),
            addresses: try values.decode([String].self, forKey: .addresses).map { text in
                guard let address = IPAddress(text) else {
                    throw DecodingError.dataCorruptedError(
                        forKey: .addresses, in: values, debugDescription: "no address")
                }
                return address
            },
            publicKey: try values.decode(PublicKey.self, forKey: .publicKey),
            nextPublicKey: try values.decodeIfPresent(PublicKey.self, forKey: .nextPublicKey),
            interfaces: try values.decode([String].self, forKey: .interfaces),
            listenPort: try values.decode(UInt16.self, forKey: .listenPort),
            firewallMark: try values.decode(UInt32.self, forKey: .firewallMark),
            routingTable: try values.decode(UInt32.self, forKey: .routingTable),
            rulePreference: try values.decode(UInt32.self, forKey: .rulePreference),
            mtu: try values.decode(Int.self, forKey: .mtu), peers: try values.decode([Peer].self, forKey: .peers),
            routes: try values.decode([Route].self, forKey: .routes))
    }

    package func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: Key.self)
        try values.encode(Self.version, forKey: .version)
        try values.encode(node, forKey: .node)
        try values.encode(addresses.map(\.description), forKey: .addresses)
        try values.encode(publicKey, forKey: .publicKey)
        try values.encodeIfPresent(nextPublicKey, forKey: .nextPublicKey)
        try values.encode(interfaces, forKey: .interfaces)
        try values.encode(listenPort, forKey: .listenPort)
        try values.encode(firewallMark, forKey: .firewallMark)
        try values.encode(routingTable, forKey: .routingTable)
        try values.encode(rulePreference, forKey: .rulePreference)
        try values.encode(mtu, forKey: .mtu)
        try values.encode(peers, forKey: .peers)
        try values.encode(routes, forKey: .routes)
    }

    /// Canonical JSON: sorted keys, two spaces, a line break at the end.
    package func encoded() -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(self) else {
            preconditionFailure("a tunnel configuration has only texts, lists and whole numbers")
        }
        return Array(data) + [UInt8(ascii: "\n")]
    }

    /// Takes exactly the bytes that `encoded` makes.
    package init(encoded bytes: [UInt8]) throws(TunnelEncodingError) {
        struct Versioned: Decodable { var version: Int }
        let decoder = JSONDecoder()
        let data = Data(bytes)
        guard let versioned = try? decoder.decode(Versioned.self, from: data) else { throw .damaged }
        guard versioned.version == Self.version else { throw .otherVersion(versioned.version) }
        guard let configuration = try? decoder.decode(Self.self, from: data), configuration.encoded() == bytes else {
            throw .damaged
        }
        self = configuration
    }

    /// SHA-256 of the canonical bytes.
    package var digest: [UInt8] { Array(SHA256.hash(data: encoded())) }
}
