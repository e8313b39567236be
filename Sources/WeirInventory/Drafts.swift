internal import WeirDiagnostics
package import WeirModel
internal import WeirSyntax

/// An address with the place that gives it.
struct LocatedAddress: Hashable {
    var address: IPAddress
    var location: SourceLocation
}

/// An endpoint before its namespace's labels and its node are known.
struct EndpointDraft {
    var namespace: String
    var name: String
    /// Nil where the document leaves it out, which only documents of our own may; empty for a pod on no node.
    var node: Cursor.Text?
    /// Distinct.
    var addresses: [LocatedAddress]
    var labels: [String: String]
    var serviceAccount: String
    var ports: [NamedPort]
    var attachment: Endpoint.Attachment
    var isAudited: Bool
    var location: SourceLocation
    /// Ours, so that its node must exist.
    var isOurs: Bool
}

/// What one document says about a node; several may speak of the same.
struct NodeDraft {
    var name: String
    var labels: [String: String]
    var addresses: [LocatedAddress]
    var podCIDRs: [Prefix]
    var isKubeAPIServer: Bool
    /// Those of `addresses` by which other nodes reach it.
    var internalAddresses: [IPAddress] = []
    var wireGuard = WireGuardDraft()
    var location: SourceLocation
    /// A CiliumNode only adds to the Node of its name.
    var isSupplement: Bool
}

/// What one document says about a node's tunnel. A Node and a CiliumNode may each have a part of it.
struct WireGuardDraft {
    var publicKey: Cursor.Text?
    var nextPublicKey: Cursor.Text?
    var endpoint: String?
    var presharedKeyFile: String?
    var persistentKeepalive: Int?
    var mtu: Int?

    /// What the other has and this one lacks. Only the keys can be in both.
    func filled(from other: Self) -> Self {
        var copy = self
        copy.publicKey = publicKey ?? other.publicKey
        copy.nextPublicKey = nextPublicKey ?? other.nextPublicKey
        return copy
    }

    /// nil without a key.
    var peer: Node.WireGuardPeer? {
        publicKey.map {
            Node.WireGuardPeer(
                publicKey: $0.text, nextPublicKey: nextPublicKey?.text, endpoint: endpoint,
                presharedKeyFile: presharedKeyFile, persistentKeepalive: persistentKeepalive, mtu: mtu,
                location: $0.location)
        }
    }
}

/// An address that a packet of one owner can carry; anything else is reported.
func decodeAddress(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> LocatedAddress? {
    guard let text = cursor.string(&diagnostics) else { return nil }
    guard let address = IPAddress(text) else {
        var message = "\"\(text)\" is not an IP address"
        if text.contains("/") { message += "; write it without the prefix length" }
        diagnostics.error(.invalidAddress, message, at: cursor.location)
        return nil
    }
    guard isUsable(address, at: cursor.location, &diagnostics) else { return nil }
    return LocatedAddress(address: address, location: cursor.location)
}

/// Whether a packet of one owner can carry the address.
func isUsable(
    _ address: IPAddress, at location: SourceLocation, _ diagnostics: inout DiagnosticsCollector
) -> Bool {
    guard let problem = addressProblem(address) else { return true }
    diagnostics.error(.invalidAddress, "\(address) is \(problem)", at: location)
    return false
}

/// Why no packet of one owner can carry the address; nil where it can.
package func addressProblem(_ address: IPAddress) -> String? {
    if address.isUnspecified { return "the unspecified address" }
    if address.isMulticast { return "a multicast address" }
    if address.isLoopback { return "a loopback address" }
    return address.isV4Mapped ? "an IPv4-mapped address" : nil
}

/// The addresses of one endpoint, each once, at most one of a family.
func checkOnePerFamily(
    _ addresses: [LocatedAddress], _ diagnostics: inout DiagnosticsCollector
) -> [LocatedAddress] {
    var kept: [LocatedAddress] = []
    for address in addresses where !kept.contains(where: { $0.address == address.address }) {
        if let first = kept.first(where: { $0.address.family == address.address.family }) {
            diagnostics.error(
                .tooManyAddresses, "an endpoint has at most one \(address.address.family.rawValue) address",
                at: address.location,
                notes: [Diagnostic.Note("the first is \(first.address)", at: first.location)])
        }
        kept.append(address)
    }
    return kept
}

/// A list of `ADDRESS/LENGTH`.
func decodePodCIDRs(_ list: Cursor?, _ diagnostics: inout DiagnosticsCollector) -> [Prefix] {
    (list?.list(&diagnostics) ?? []).compactMap { decodePodCIDR($0, &diagnostics) }
}

func decodePodCIDR(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> Prefix? {
    guard let text = cursor.string(&diagnostics) else { return nil }
    guard let prefix = Prefix(text) else {
        diagnostics.error(.invalidCIDR, "\"\(text)\" is not a CIDR", at: cursor.location)
        return nil
    }
    return prefix
}

/// 1 to 65535.
func decodePortNumber(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> UInt16? {
    guard let value = cursor.integer(&diagnostics) else { return nil }
    guard (1...65535).contains(value) else {
        diagnostics.error(.invalidPort, "\(value) is not a port: 1 to 65535", at: cursor.location)
        return nil
    }
    return UInt16(value)
}

/// TCP where it is missing.
func decodePortProtocol(_ cursor: Cursor?, _ diagnostics: inout DiagnosticsCollector) -> IPProtocol? {
    guard let cursor else { return .tcp }
    guard let text = cursor.string(&diagnostics) else { return nil }
    guard let known = IPProtocol(name: text), IPProtocol.withPorts.contains(known) else {
        diagnostics.error(.invalidValue, "\"\(text)\" is not TCP, UDP or SCTP", at: cursor.location)
        return nil
    }
    return known
}
