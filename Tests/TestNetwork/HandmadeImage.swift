internal import WeirABI
internal import WeirDiagnostics
package import WeirImage
internal import WeirMaps
package import WeirModel

/// Images as a compiler would make them, written by hand: what the loader does must not depend on a compiler.
///
/// Pods are named by the last part of their addresses: pod 3 has 10.7.0.3 and fd07::3. Pod 3 accepts one port
/// (of TCP, if nothing else is asked for) from pod 2, and whatever the node sends; nothing else is enforced.
package enum HandmadeImage {
    package static let portRule = RuleID(rawValue: 2)
    package static let defaultDenyRule = RuleID(rawValue: 1)

    package static func make(
        port: UInt16, protocols: [UInt8] = [6], pods: [Int] = [2, 3],
        attachment: (Int) -> Endpoint.Attachment = { .interface("veth-\($0)") }
    ) -> Image {
        let groupCount = 10
        let open = Action.decided(Decision(.allow)).rawValue
        let denied = Action.decided(Decision(.defaultDeny, rule: defaultDenyRule)).rawValue
        // Row 0: everything is allowed. Row 1: pod 3's ingress.
        var rows = [[UInt32](repeating: open, count: groupCount), [UInt32](repeating: denied, count: groupCount)]
        rows[1][Int(WEIR_GROUP_HOST.rawValue)] = open
        rows[1][8] = Action.table(TableID(rawValue: 1)).rawValue
        let peers = rows.joined().enumerated().map { MapEntry(key: UInt32($0).abiBytes, value: $1.abiBytes) }

        let verdicts = protocols.map { number in
            var key = weir_verdict_key()
            key.prefix_length = UInt32(WEIR_VERDICT_PREFIX_PORT)
            key.table = 1
            key.protocol = number
            setABIBytes(&key.port_be, [UInt8(port >> 8), UInt8(truncatingIfNeeded: port)])
            return MapEntry(
                key: key.abiBytes, value: Action.decided(Decision(.allow, rule: portRule)).rawValue.abiBytes)
        }

        return Image(
            node: "node", nodeAddresses: [], endpoints: pods.enumerated().map { record($0, $1, attachment($1)) },
            maps: [
                .ipcache4: [peer([10, 7, 0, 2], group: 8, identity: 1), peer([10, 7, 0, 3], group: 9, identity: 2)],
                .ipcache6: [peer(ipv6(2), group: 8, identity: 1), peer(ipv6(3), group: 9, identity: 2)],
                .cidrs4: [peer([UInt8](repeating: 0, count: 8), group: WEIR_GROUP_WORLD_IPV4.rawValue, identity: 0)],
                .cidrs6: [peer([UInt8](repeating: 0, count: 20), group: WEIR_GROUP_WORLD_IPV6.rawValue, identity: 0)],
                .peers: peers.sorted(), .verdicts: verdicts.sorted(),
            ],
            attributions: [[], [origin(section: nil, line: 3)], [origin(section: "ingress", line: 8)]],
            identities: ["unknown", "shop/pod-2", "shop/pod-3"], groupCount: groupCount)
    }

    private static func record(
        _ index: Int, _ pod: Int, _ attachment: Endpoint.Attachment
    ) -> Image.EndpointRecord {
        var value = weir_endpoint()
        value.id = UInt32(index + 1)
        value.egress_row = 0
        value.ingress_row = pod == 3 ? 10 : 0
        value.flags = WEIR_ENDPOINT_HAS_IPV4.rawValue | WEIR_ENDPOINT_HAS_IPV6.rawValue
        setABIBytes(&value.ipv4, [10, 7, 0, UInt8(pod)])
        setABIBytes(&value.ipv6, ipv6(pod))
        return Image.EndpointRecord(
            name: "shop/pod-\(pod)", id: value.id,
            addresses: [[10, 7, 0, UInt8(pod)], ipv6(pod)].compactMap { IPAddress(bytes: $0) }, value: value.abiBytes,
            attachment: attachment)
    }

    private static func ipv6(_ pod: Int) -> [UInt8] { [0xfd, 0x07] + [UInt8](repeating: 0, count: 13) + [UInt8(pod)] }

    private static func peer(_ key: [UInt8], group: UInt32, identity: UInt32) -> MapEntry {
        var peer = weir_peer()
        peer.group = group
        peer.identity = identity
        return MapEntry(key: key, value: peer.abiBytes)
    }

    private static func origin(section: String?, line: Int) -> RuleOrigin {
        RuleOrigin(
            kind: .ciliumNetworkPolicy, namespace: "shop", name: "pod-3", spec: 0, section: section, index: 0,
            location: SourceLocation(path: "policy.yaml", line: line, column: 1))
    }
}
