import WeirABI
import WeirDiagnostics
import WeirImage
import WeirMaps
import WeirModel

/// A small image by hand: endpoint `shop/web` (id 1) with one row for each direction, and the peers below.
/// Everything is allowed until a test says otherwise.
struct ImageFixture {
    struct Verdict {
        var `protocol`: IPProtocol?
        var port: UInt16 = 0
        var portBits = 0
        var decision: Decision
    }

    static let groupCount: UInt32 = 10
    /// Pod `shop/client`: 10.0.1.2, fd00:1::2.
    static let client: UInt32 = 8
    /// Pod `shop/db`: 10.0.1.3, fd00:1::3; also the remote node 192.0.2.11.
    static let database: UInt32 = 9

    var endpointIPv4: String? = "10.0.1.1"
    var endpointIPv6: String? = "fd00:1::1"
    /// By group; 0 is the row's default.
    var egress: [UInt32: Action] = [:]
    var ingress: [UInt32: Action] = [:]
    /// What rows have where nothing is said.
    var egressDefault = Decision(.allow)
    var ingressDefault = Decision(.allow)
    var tables: [UInt32: [Verdict]] = [:]
    var addresses: [(address: String, group: UInt32, identity: UInt32, flags: UInt32)] = [
        ("10.0.1.2", client, 2, 0), ("fd00:1::2", client, 2, 0), ("10.0.1.3", database, 3, 0),
        ("fd00:1::3", database, 3, 0),
        ("192.0.2.10", WEIR_GROUP_HOST.rawValue, 4, WEIR_PEER_NODE.rawValue | WEIR_PEER_OWN_NODE.rawValue),
        ("192.0.2.11", database, 5, WEIR_PEER_NODE.rawValue),
    ]
    var cidrs: [(prefix: String, group: UInt32)] = [
        ("0.0.0.0/0", WEIR_GROUP_WORLD_IPV4.rawValue), ("10.0.0.0/16", WEIR_GROUP_UNKNOWN_POD.rawValue),
        ("::/0", WEIR_GROUP_WORLD_IPV6.rawValue), ("fd00:1::/64", WEIR_GROUP_UNKNOWN_POD.rawValue),
    ]

    static func allow(_ rule: UInt32 = 1) -> Action { .decided(Decision(.allow, rule: RuleID(rawValue: rule))) }
    static func deny(_ rule: UInt32 = 2) -> Action { .decided(Decision(.deny, rule: RuleID(rawValue: rule))) }
    static func table(_ id: UInt32) -> Action { .table(TableID(rawValue: id)) }

    /// Default deny to the endpoint, except TCP port 80 from the client (rule 3).
    static var webServer: ImageFixture {
        var fixture = ImageFixture()
        fixture.ingressDefault = Decision(.defaultDeny)
        fixture.ingress[client] = table(1)
        fixture.tables[1] = [
            Verdict(protocol: .tcp, port: 80, portBits: 16, decision: Decision(.allow, rule: RuleID(rawValue: 3)))
        ]
        return fixture
    }

    var image: Image {
        var maps: [SlotMap: [MapEntry]] = [:]
        for peer in addresses {
            guard let address = IPAddress(peer.address) else { continue }
            var value = weir_peer()
            value.group = peer.group
            value.identity = peer.identity
            value.flags = peer.flags
            maps[address.family == .ipv4 ? .ipcache4 : .ipcache6, default: []]
                .append(MapEntry(key: address.bytes, value: value.abiBytes))
        }
        for cidr in cidrs {
            guard let prefix = Prefix(cidr.prefix) else { continue }
            var value = weir_peer()
            value.group = cidr.group
            maps[prefix.family == .ipv4 ? .cidrs4 : .cidrs6, default: []]
                .append(MapEntry(key: UInt32(prefix.length).abiBytes + prefix.address.bytes, value: value.abiBytes))
        }
        let rows = row(egress, egressDefault) + row(ingress, ingressDefault)
        maps[.peers] = rows.enumerated().map {
            MapEntry(key: UInt32($0.offset).abiBytes, value: $0.element.rawValue.abiBytes)
        }
        for (id, verdicts) in tables {
            for verdict in verdicts { maps[.verdicts, default: []].append(entry(id, verdict)) }
        }
        return Image(
            node: "node-a", nodeAddresses: [], endpoints: [endpoint], maps: maps.mapValues { $0.sorted() },
            attributions: Array(repeating: [], count: 8), identities: ["unknown"],
            groupCount: Int(Self.groupCount))
    }

    private func row(_ actions: [UInt32: Action], _ rest: Decision) -> [Action] {
        (0..<Self.groupCount).map { actions[$0] ?? .decided(rest) }
    }

    private func entry(_ table: UInt32, _ verdict: Verdict) -> MapEntry {
        var key = weir_verdict_key()
        key.prefix_length = verdict.protocol == nil ? 32 : 40 + UInt32(verdict.portBits)
        key.table = table
        key.protocol = verdict.protocol?.rawValue ?? 0
        key.port_be = (UInt8(verdict.port >> 8), UInt8(truncatingIfNeeded: verdict.port))
        return MapEntry(key: key.abiBytes, value: Action.decided(verdict.decision).rawValue.abiBytes)
    }

    private var endpoint: Image.EndpointRecord {
        var value = weir_endpoint()
        value.id = 1
        value.egress_row = 0
        value.ingress_row = Self.groupCount
        let ipv4 = endpointIPv4.flatMap { IPAddress($0) }
        let ipv6 = endpointIPv6.flatMap { IPAddress($0) }
        if let ipv4 {
            setABIBytes(&value.ipv4, ipv4.bytes)
            value.flags |= WEIR_ENDPOINT_HAS_IPV4.rawValue
        }
        if let ipv6 {
            setABIBytes(&value.ipv6, ipv6.bytes)
            value.flags |= WEIR_ENDPOINT_HAS_IPV6.rawValue
        }
        return Image.EndpointRecord(
            name: "shop/web", id: 1, addresses: [ipv4, ipv6].compactMap { $0 }, value: value.abiBytes,
            attachment: .byAddress)
    }
}
