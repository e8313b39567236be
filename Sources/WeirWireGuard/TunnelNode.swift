internal import Crypto
internal import WeirDiagnostics
internal import WeirModel

/// A node of the inventory with its values read; what cannot be read is reported and missing.
struct TunnelNode {
    let node: Node
    let publicKey: PublicKey?
    let nextPublicKey: PublicKey?
    /// As it is written, not the one that is chosen.
    let endpoint: PeerEndpoint?
    let presharedKeyFile: String?
    let persistentKeepalive: UInt16
    /// Of its network device.
    let underlayMTU: Int
    /// Where its pods are: sorted, none inside another.
    let podNetworks: [Prefix]
    /// What it may send from: its pods and its own addresses. Sorted, none inside another.
    let allowedIPs: [Prefix]

    init(_ node: Node, pods: [Endpoint], _ options: TunnelOptions, _ diagnostics: inout DiagnosticsCollector) {
        self.node = node
        let written = node.wireGuard
        let location = written?.location ?? node.location
        publicKey = written.flatMap { Self.key($0.publicKey, "public key", of: node.name, at: location, &diagnostics) }
        // At a rotation's end it is the one in use, until every node sends on the first lane again.
        nextPublicKey = written?.nextPublicKey.flatMap {
            Self.key($0, "next public key", of: node.name, at: location, &diagnostics)
        }
        endpoint = written?.endpoint.flatMap { Self.endpoint($0, of: node.name, at: location, &diagnostics) }
        presharedKeyFile = written?.presharedKeyFile.flatMap {
            Self.presharedKeyFile($0, of: node.name, at: location, &diagnostics)
        }
        persistentKeepalive =
            Self.number(
                written?.persistentKeepalive, in: 0...65535, "persistentKeepalive of node \(node.name) is", location,
                &diagnostics
            ).map { UInt16($0) } ?? options.persistentKeepalive
        underlayMTU =
            Self.number(
                written?.mtu, in: TunnelOptions.underlayMTUs, "mtu of node \(node.name) is", location, &diagnostics)
            ?? options.underlayMTU
        let addresses = pods.flatMap(\.addresses).map { Prefix(host: $0) }
        podNetworks = (options.allowedIPs == .pods ? addresses : node.podCIDRs + addresses).withoutContained
        allowedIPs = (podNetworks + node.addresses.map { Prefix(host: $0) }).withoutContained
    }

    var name: String { node.name }
    /// Of what is said about its tunnel.
    var location: SourceLocation { node.wireGuard?.location ?? node.location }

    /// Where others may reach it if nothing else is said, IPv4 first. Addresses among its pods are reached through the
    /// tunnel, and link-local ones on one link.
    var outerAddresses: [IPAddress] {
        (node.internalAddresses.isEmpty ? node.addresses : node.internalAddresses).filter { address in
            !address.isLinkLocal && !podNetworks.contains { $0.contains(address) }
        }
    }

    private static func key(
        _ text: String, _ what: String, of node: String, at location: SourceLocation,
        _ diagnostics: inout DiagnosticsCollector
    ) -> PublicKey? {
        func refuse(_ problem: String) -> PublicKey? {
            diagnostics.error(.invalidWireGuardKey, "the \(what) of node \(node) \(problem)", at: location)
            return nil
        }
        guard let key = PublicKey(base64: text) else {
            return refuse("is not 32 bytes in base64, as `wg pubkey` prints them")
        }
        if key.isZero { return refuse("is all zero") }
        if key.isOfLowOrder { return refuse("is a point of low order: anybody can read what is sent to it") }
        return key
    }

    private static func endpoint(
        _ text: String, of node: String, at location: SourceLocation, _ diagnostics: inout DiagnosticsCollector
    ) -> PeerEndpoint? {
        func refuse(_ problem: String) -> PeerEndpoint? {
            diagnostics.error(.invalidEndpoint, "the endpoint \"\(text)\" of node \(node) \(problem)", at: location)
            return nil
        }
        guard let endpoint = PeerEndpoint(text) else {
            return refuse(
                "is not ADDRESS:PORT, such as 192.0.2.10:51871 or [2001:db8::1]:51871; names are not looked up")
        }
        let address = endpoint.address
        if address.isUnspecified || address.isLoopback || address.isMulticast || address.isBroadcast
            || address.isLinkLocal || address.isV4Mapped
        {
            return refuse("is no address that other nodes can send to")
        }
        if endpoint.port == .max { return refuse("has no next port, which a key rotation needs") }
        return endpoint
    }

    private static func presharedKeyFile(
        _ path: String, of node: String, at location: SourceLocation, _ diagnostics: inout DiagnosticsCollector
    ) -> String? {
        // Not repeated in the message: it may be the key.
        guard path.hasPrefix("/"), path.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7f }) else {
            diagnostics.error(
                .invalidValue,
                "presharedKeyFile of node \(node) is not an absolute path; the key itself never belongs here",
                at: location)
            return nil
        }
        return path
    }

    private static func number(
        _ value: Int?, in range: ClosedRange<Int>, _ what: String, _ location: SourceLocation,
        _ diagnostics: inout DiagnosticsCollector
    ) -> Int? {
        guard let value else { return nil }
        guard range.contains(value) else {
            diagnostics.error(
                .invalidValue, "\(what) \(range.lowerBound) to \(range.upperBound), not \(value)", at: location)
            return nil
        }
        return value
    }
}

extension PublicKey {
    /// Whether every secret agreed with it is zero: so it is with zero and a few other points of Curve25519.
    var isOfLowOrder: Bool {
        let any = [UInt8](repeating: 0x55, count: Self.byteCount)
        guard let own = try? Curve25519.KeyAgreement.PrivateKey(rawRepresentation: any),
            let key = try? Curve25519.KeyAgreement.PublicKey(rawRepresentation: bytes),
            let secret = try? own.sharedSecretFromKeyAgreement(with: key)
        else { return true }
        // SAFETY: the bytes are only read, while they are lent.
        return unsafe secret.withUnsafeBytes { unsafe $0.allSatisfy { $0 == 0 } }
    }
}

extension Sequence<Prefix> {
    /// Sorted, without those inside another. Neighbours are not joined: a pod that comes changes one prefix.
    var withoutContained: [Prefix] {
        var kept: [Prefix] = []
        for prefix in sorted() where kept.last?.contains(prefix) != true { kept.append(prefix) }
        return kept
    }
}
