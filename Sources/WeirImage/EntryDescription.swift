package import WeirABI
package import WeirMaps
package import WeirModel

/// Map entries in words, for people: keys as addresses, prefixes and ports, values as groups, decisions and rules.
extension Image {
    /// `10.7.0.2 -> group 9 (k8s:app=api)`; bytes as hexadecimal where the entry is not of this ABI.
    package func describe(_ entry: MapEntry, of map: SlotMap) -> String {
        "\(Self.describe(key: entry.key, of: map)) -> \(describe(value: entry.value, of: map))"
    }

    package static func describe(key: [UInt8], of map: SlotMap) -> String {
        switch map {
        case .endpoints: UInt32(abiBytes: key).map { "interface \($0)" } ?? raw(key)
        case .ipcache4, .ipcache6: IPAddress(bytes: key)?.description ?? raw(key)
        case .cidrs4, .cidrs6: Prefix(cidrKey: key)?.description ?? raw(key)
        case .peers: UInt32(abiBytes: key).map { "\($0)" } ?? raw(key)
        case .verdicts: weir_verdict_key(abiBytes: key).map { VerdictScope($0).description } ?? raw(key)
        }
    }

    package func describe(value: [UInt8], of map: SlotMap) -> String {
        switch map {
        case .endpoints:
            guard let endpoint = weir_endpoint(abiBytes: value) else { return Self.raw(value) }
            let name = endpoints.first { $0.id == endpoint.id }?.name ?? "unknown"
            let audit = endpoint.flags & WEIR_ENDPOINT_AUDIT.rawValue == 0 ? "" : ", in audit mode"
            return "endpoint \(endpoint.id) (\(name)), rows \(endpoint.egress_row) and \(endpoint.ingress_row)\(audit)"
        case .ipcache4, .ipcache6, .cidrs4, .cidrs6:
            guard let peer = weir_peer(abiBytes: value) else { return Self.raw(value) }
            let tunnel = peer.flags & WEIR_PEER_ENCRYPTED.rawValue == 0 ? "" : ", through the tunnel"
            return "group \(peer.group) (\(identityName(peer.identity)))\(tunnel)"
        case .peers, .verdicts: return UInt32(abiBytes: value).map { describe(Action(rawValue: $0)) } ?? Self.raw(value)
        }
    }

    /// What an identity number stands for.
    package func identityName(_ number: UInt32) -> String {
        Int(number) < identities.count ? identities[Int(number)] : "unknown"
    }

    private func describe(_ action: Action) -> String {
        switch action {
        case .table(let table): return "table \(table.rawValue)"
        case .decided(let decision):
            let places = ruleLocations(decision.rule)
            return (decision.isAudited ? "would-be " : "") + decision.kind.rawValue
                + (places.isEmpty ? "" : " by \(places.joined(separator: ", "))")
        }
    }

    private static func raw(_ bytes: [UInt8]) -> String {
        "0x" + bytes.hexadecimal
    }
}

extension Prefix {
    /// The key of an entry of `cidrs4` or `cidrs6`; nil where it is none.
    package init?(cidrKey key: [UInt8]) {
        guard key.count > 4, let length = UInt32(abiBytes: Array(key.prefix(4))),
            let address = IPAddress(bytes: key.dropFirst(4)), length <= address.family.bitWidth
        else { return nil }
        self.init(address, length: Int(length))
    }
}

/// What one entry of `verdicts` is about: `table 1 TCP/8080-8087`.
package struct VerdictScope: Hashable, Sendable, CustomStringConvertible {
    package var table: TableID
    /// nil: any protocol.
    package var `protocol`: IPProtocol?
    /// nil: any port of the protocol. For ICMP and ICMPv6 types.
    package var ports: ClosedRange<UInt16>?

    package init(_ key: weir_verdict_key) {
        table = TableID(rawValue: key.table)
        let length = Int(key.prefix_length)
        guard length >= Int(WEIR_VERDICT_PREFIX_PROTOCOL), length <= Int(WEIR_VERDICT_PREFIX_PORT) else { return }
        `protocol` = IPProtocol(rawValue: key.protocol)
        guard length > Int(WEIR_VERDICT_PREFIX_PROTOCOL) else { return }
        let first = UInt16(key.port_be.0) << 8 | UInt16(key.port_be.1)
        ports = first...first | UInt16.max >> UInt16(length - Int(WEIR_VERDICT_PREFIX_PROTOCOL))
    }

    /// `0-65535` where any port is meant.
    package var portText: String {
        let ports = ports ?? 0...UInt16.max
        return ports.count == 1 ? "\(ports.lowerBound)" : "\(ports.lowerBound)-\(ports.upperBound)"
    }

    package var description: String {
        `protocol`.map { "table \(table.rawValue) \($0)/\(portText)" } ?? "table \(table.rawValue) any protocol"
    }
}
