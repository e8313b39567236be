internal import Foundation
internal import WeirImage
internal import WeirMaps
internal import WeirModel

/// What is in a bundle, for people. Encodes as the JSON of `weir inspect`.
package struct BundleReport: Hashable, Sendable, Encodable {
    package enum Trust: String, Hashable, Sendable, Encodable {
        /// Nobody signed it.
        case unsigned
        /// It is signed, and nobody asked by whom.
        case unchecked
        case trusted
        /// By a key that is not among the trusted ones.
        case untrusted
        /// It does not fit the bundle.
        case invalid
    }

    package struct Signature: Hashable, Sendable, Encodable {
        package var trust: Trust
        /// Its id.
        package var key: String?
        /// The name of the trusted key's file.
        package var trustedAs: String?
    }

    package struct Section: Hashable, Sendable, Encodable {
        package var name: String
        package var bytes: Int
    }

    package struct Endpoint: Hashable, Sendable, Encodable {
        package var name: String
        package var addresses: [String]
        /// `interface NAME`, `netns NAME`, `by address` or `host`.
        package var place: String
        package var audited: Bool
    }

    package struct Map: Hashable, Sendable, Encodable {
        package var name: String
        package var entries: Int
    }

    package struct Tunnel: Hashable, Sendable, Encodable {
        package struct Peer: Hashable, Sendable, Encodable {
            package var node: String
            package var publicKey: String
            package var endpoint: String?
            package var allowedIPs: [String]
        }

        package var publicKey: String
        package var interfaces: [String]
        package var listenPort: UInt16
        package var routes: Int
        package var peers: [Peer]
    }

    package var format = Int(BundleContainer.formatVersion)
    package var bytes: Int
    /// Of the bundle without its signature.
    package var digest: String
    package var imageDigest: String
    package var provenance: Provenance
    package var created: String?
    package var signature: Signature
    package var sections: [Section]
    package var endpoints: [Endpoint]
    package var peerGroups: Int
    /// `path:line` and what stands there, sorted, each once.
    package var rules: [String]
    package var maps: [Map]
    package var apiServers: [String]
    package var tunnel: Tunnel?

    /// - Parameter trusted: who may sign; nil where nobody asks.
    package init(_ container: BundleContainer, _ bundle: NodeBundle, trusted: TrustedKeys?) {
        let image = bundle.image
        bytes = container.bytes.count
        digest = container.digest.hexadecimal
        imageDigest = image.digest.hexadecimal
        provenance = bundle.provenance
        created = bundle.provenance.createdText
        signature = Self.signature(container, trusted)
        sections = container.sections.map { Section(name: $0.section.name, bytes: $0.size) }
        endpoints = image.endpoints.map(Self.endpoint)
        peerGroups = image.groupCount
        rules = Set(image.attributions.joined()).sorted { ($0.location, $0) < ($1.location, $1) }
            .map { "\($0.location.lineDescription) \($0)" }
        maps = SlotMap.allCases.sorted().map {
            Map(name: $0.rawValue, entries: $0 == .endpoints ? image.endpoints.count : image.entries($0).count)
        }
        apiServers = bundle.apiServers.map(\.description)
        tunnel = bundle.tunnel.map { tunnel in
            Tunnel(
                publicKey: tunnel.publicKey.base64, interfaces: tunnel.interfaces, listenPort: tunnel.listenPort,
                routes: tunnel.routes.count,
                peers: tunnel.peers.map { peer in
                    Tunnel.Peer(
                        node: peer.node, publicKey: peer.publicKey.base64, endpoint: peer.endpoint?.description,
                        allowedIPs: peer.allowedIPs.map(\.description))
                })
        }
    }

    private static func signature(_ container: BundleContainer, _ trusted: TrustedKeys?) -> Signature {
        let key = (try? container.signature())?.key.description
        guard let trusted else { return Signature(trust: key == nil ? .unsigned : .unchecked, key: key) }
        do throws(BundleTrustError) {
            return Signature(trust: .trusted, key: key, trustedAs: try trusted.require(container).name)
        } catch {
            switch error {
            case .unsigned: return Signature(trust: .unsigned)
            case .unknownKey: return Signature(trust: .untrusted, key: key)
            case .invalidSignature: return Signature(trust: .invalid, key: key)
            }
        }
    }

    private static func endpoint(_ record: Image.EndpointRecord) -> Endpoint {
        let place =
            switch record.attachment {
            case .interface(let name): "interface \(name)"
            case .networkNamespace(let name): "netns \(name)"
            case .byAddress: "by address"
            case nil: "host"
            }
        return Endpoint(
            name: record.name, addresses: record.addresses.map(\.description), place: place,
            audited: record.isAudited)
    }
}
