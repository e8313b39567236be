internal import WeirABI
internal import WeirImage
internal import WeirMaps
internal import WeirModel

/// A key that cannot be one of the map's.
package struct MapKeyError: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

/// The key of one entry, as a person writes it:
///
/// | map | key | for example |
/// | --- | --- | --- |
/// | endpoints | an interface, by name or index, or an endpoint | `veth-api`, `7`, `shop/api` |
/// | ipcache4, ipcache6 | an address | `10.7.0.2` |
/// | cidrs4, cidrs6 | an address or a prefix | `192.0.2.7`, `192.0.2.0/24` |
/// | peers, rule_counters, drops | an index, or for drops a reason and a direction | `17`, `policy-deny/ingress` |
/// | verdicts | table, protocol and port | `3:tcp/5432`, `3:any` |
/// | conntrack… | owner, protocol, local and remote end | `shop/api tcp 10.7.0.3:8080 10.7.0.2:40000` |
/// | others | an index | `0` |
package struct MapKey: Hashable, Sendable {
    package let bytes: [UInt8]
    /// Of one word of an element of `peers`.
    private let word: UInt32?

    /// Hexadecimal, two digits for each byte, with or without `0x`, spaces and colons.
    package init(hexadecimal text: String, map: MapName) throws(MapKeyError) {
        let digits = (text.hasPrefix("0x") ? text.dropFirst(2) : text[...]).filter { $0 != " " && $0 != ":" }
        let size = map.schema.keySize
        let bytes = stride(from: 0, to: digits.count - digits.count % 2, by: 2).compactMap { offset in
            UInt8(digits.dropFirst(offset).prefix(2), radix: 16)
        }
        guard digits.count == size * 2, bytes.count == size else {
            throw MapKeyError("'\(text)' is not \(size) bytes in hexadecimal, as a key of \(map) is")
        }
        self.bytes = bytes
        word = nil
    }

    package init(_ text: String, map: MapName, names: EntryNames) throws(MapKeyError) {
        func bytes(_ value: [UInt8]?, _ kind: String) throws(MapKeyError) -> [UInt8] {
            guard let value else {
                throw MapKeyError("'\(text)' is no key of \(map): give \(kind)")
            }
            return value
        }
        var word: UInt32?
        switch map {
        case .slot(.endpoints):
            let index =
                UInt32(text) ?? names.interfaceOfEndpoint[text]
                ?? names.interfaces.first { $0.value == text }?.key
            self.bytes = try bytes(index?.abiBytes, "an interface's name or index, or an endpoint as namespace/name")
        case .slot(.ipcache4): self.bytes = try bytes(Self.address(text, .ipv4)?.bytes, "an IPv4 address")
        case .slot(.ipcache6): self.bytes = try bytes(Self.address(text, .ipv6)?.bytes, "an IPv6 address")
        case .slot(.cidrs4): self.bytes = try bytes(Self.prefix(text, .ipv4), "an IPv4 address or prefix")
        case .slot(.cidrs6): self.bytes = try bytes(Self.prefix(text, .ipv6), "an IPv6 address or prefix")
        case .slot(.peers):
            word = UInt32(text)
            self.bytes = try bytes(
                word.map { ($0 / UInt32(WEIR_ACTIONS)).abiBytes }, "an index: row and group added up")
        case .slot(.verdicts): self.bytes = try bytes(Self.verdict(text), "table:protocol/port, such as 3:tcp/5432")
        case .node(.conntrack4), .node(.conntrack4_new):
            self.bytes = try bytes(
                Self.flow(text, .ipv4, names),
                "its owner, protocol and both ends, such as "
                    + "'shop/api tcp 10.7.0.3:8080 10.7.0.2:40000' (of ICMP the identifier is the port)")
        case .node(.conntrack6), .node(.conntrack6_new):
            self.bytes = try bytes(
                Self.flow(text, .ipv6, names),
                "its owner, protocol and both ends, such as "
                    + "'shop/api tcp [fd07::3]:8080 [fd07::2]:40000' (of ICMPv6 the identifier is the port)")
        case .node(.drops): self.bytes = try bytes(Self.drop(text), "reason/direction, such as policy-deny/ingress")
        case .node(.fragments), .node(.events): self.bytes = try bytes(nil, "its bytes, with --raw")
        case .node(.control), .node(.slot_meta), .node(.rule_counters), .node(.monitor), .node(.monitor_state),
            .node(.fence):
            self.bytes = try bytes(UInt32(text)?.abiBytes, "an index")
        }
        self.word = word
    }

    /// Whether a row of the entry is the one that was asked for.
    package func means(_ row: Row) -> Bool { word.map { row.cells.first == .number(UInt64($0)) } ?? true }

    // MARK: Texts

    private static func address(_ text: some StringProtocol, _ family: AddressFamily) -> IPAddress? {
        IPAddress(text).flatMap { $0.family == family ? $0 : nil }
    }

    private static func prefix(_ text: String, _ family: AddressFamily) -> [UInt8]? {
        guard let prefix = Prefix(text) ?? address(text, family).map({ Prefix(host: $0) }), prefix.family == family
        else { return nil }
        return UInt32(prefix.length).abiBytes + prefix.address.bytes
    }

    private static func number(_ text: Substring) -> IPProtocol? {
        IPProtocol(name: text) ?? UInt8(text).map { IPProtocol(rawValue: $0) }
    }

    private static func verdict(_ text: String) -> [UInt8]? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let table = UInt32(parts[0]) else { return nil }
        var key = weir_verdict_key()
        key.table = table
        key.prefix_length = UInt32(WEIR_VERDICT_PREFIX_ANY)
        if parts[1].lowercased() == "any" { return key.abiBytes }
        let scope = parts[1].split(separator: "/", omittingEmptySubsequences: false)
        guard let first = scope.first, let proto = number(first), scope.count <= 2 else { return nil }
        key.protocol = proto.rawValue
        key.prefix_length = UInt32(WEIR_VERDICT_PREFIX_PROTOCOL)
        guard scope.count == 2 else { return key.abiBytes }
        guard let port = UInt16(scope[1]) else { return nil }
        key.prefix_length = UInt32(WEIR_VERDICT_PREFIX_PORT)
        setABIBytes(&key.port_be, [UInt8(port >> 8), UInt8(truncatingIfNeeded: port)])
        return key.abiBytes
    }

    private static func drop(_ text: String) -> [UInt8]? {
        if let index = UInt32(text) { return index.abiBytes }
        return (0..<UInt32(WEIR_DROPS_ERRNO)).first {
            "\(dropReasonName($0 / 2))/\($0 % 2 == WEIR_EGRESS.rawValue ? "egress" : "ingress")" == text
        }?.abiBytes
    }

    private static func flow(_ text: String, _ family: AddressFamily, _ names: EntryNames) -> [UInt8]? {
        let words = text.split(separator: " ")
        guard words.count == 4, let proto = number(words[1]), let local = end(words[2], family),
            let remote = end(words[3], family)
        else { return nil }
        let name = String(words[0])
        let interface =
            name == Image.hostName
            ? 0 : names.interfaceOfEndpoint[name] ?? names.interfaces.first { $0.value == name }?.key ?? UInt32(name)
        guard let interface, interface <= UInt32(WEIR_INTERFACE_MAX) else { return nil }
        let owner = interface << UInt32(WEIR_OWNER_INTERFACE_SHIFT) | UInt32(proto.rawValue)
        switch family {
        case .ipv4:
            var key = weir_flow4()
            key.owner = owner
            setABIBytes(&key.local, local.address.bytes)
            setABIBytes(&key.remote, remote.address.bytes)
            key.local_port_be = local.port.bigEndian
            key.remote_port_be = remote.port.bigEndian
            return key.abiBytes
        case .ipv6:
            var key = weir_flow6()
            key.owner = owner
            setABIBytes(&key.local, local.address.bytes)
            setABIBytes(&key.remote, remote.address.bytes)
            key.local_port_be = local.port.bigEndian
            key.remote_port_be = remote.port.bigEndian
            return key.abiBytes
        }
    }

    /// `10.7.0.3:8080`, `[fd07::3]:8080`, or an address alone, whose port is 0.
    private static func end(_ text: Substring, _ family: AddressFamily) -> (address: IPAddress, port: UInt16)? {
        if let address = address(text, family) { return (address, 0) }
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        var host = text[..<colon]
        if family == .ipv6 {
            guard host.hasPrefix("["), host.hasSuffix("]") else { return nil }
            host = host.dropFirst().dropLast()
        }
        return address(host, family).map { ($0, port) }
    }
}

extension MapSource {
    /// The entry that the map has for the key; without rows where it has none, nil where there is no such map.
    ///
    /// - Parameter isRaw: its bytes instead of names.
    package func find(_ key: MapKey, in map: MapName, isRaw: Bool) throws(Failure) -> Listing? {
        guard let entries = try map.schema.type == .lpmTrie ? self.entries(map) : [] else { return nil }
        var listing = Listing(
            columns: isRaw ? EntryDecoder.rawColumns : EntryDecoder.columns(of: map), rows: [])
        guard let value = try lookup(map, key.bytes) else { return listing }
        // A trie gives no more than the value; which prefix it was its entries tell.
        let found = map.schema.type == .lpmTrie ? map.match(key.bytes, in: entries)?.key : key.bytes
        let entry = MapEntry(key: found ?? key.bytes, value: value)
        let decoder = try decoder(members: map == .slot(.peers) && !isRaw)
        listing.rows = isRaw ? [Row(EntryDecoder.raw(entry))] : decoder.rows(entry, of: map).filter(key.means)
        return listing
    }
}
