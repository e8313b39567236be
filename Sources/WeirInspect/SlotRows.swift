internal import WeirABI
internal import WeirImage
internal import WeirMaps
internal import WeirModel

/// The maps of a slot.
extension EntryDecoder {
    static let endpointColumns = [
        "interface", "index", "endpoint", "id", "addresses", "egressRow", "ingressRow", "flags",
    ]
    static let peerColumns = ["group", "identity", "labels", "flags"]

    /// Without a key it is an image's, which does not know interfaces.
    func endpoint(_ entry: MapEntry) -> Row? {
        guard let value = weir_endpoint(abiBytes: entry.value) else { return nil }
        let index = UInt32(abiBytes: entry.key)
        guard index != nil || entry.key.isEmpty else { return nil }
        var subject = Row.Subject()
        subject.endpoints = names.endpoint(id: value.id).map { [$0] } ?? []
        if value.flags & WEIR_ENDPOINT_HAS_IPV4.rawValue != 0 {
            subject.addresses += [IPAddress(bytes: abiBytes(of: value.ipv4))].compactMap(\.self)
        }
        if value.flags & WEIR_ENDPOINT_HAS_IPV6.rawValue != 0 {
            subject.addresses += [IPAddress(bytes: abiBytes(of: value.ipv6))].compactMap(\.self)
        }
        // Index 0 is for what the node and its pods say to each other.
        let interface = index.map { $0 == 0 ? "(the node's pods)" : names.interface($0) }
        return Row(
            [
                Cell(interface), Cell(index), Cell(subject.endpoints.first), .number(UInt64(value.id)),
                .list(subject.addresses.map(\.description)), .number(UInt64(value.egress_row)),
                .number(UInt64(value.ingress_row)),
                Self.flags(
                    value.flags & ~(WEIR_ENDPOINT_HAS_IPV4.rawValue | WEIR_ENDPOINT_HAS_IPV6.rawValue),
                    [(WEIR_ENDPOINT_HOST.rawValue, "host"), (WEIR_ENDPOINT_AUDIT.rawValue, "audit")]),
            ], about: subject)
    }

    func address(_ entry: MapEntry) -> Row? {
        guard let address = IPAddress(bytes: entry.key) else { return nil }
        var subject = Row.Subject()
        subject.addresses = [address]
        guard let cells = peer(entry.value, &subject) else { return nil }
        let endpoint = names.endpoint(address)
        subject.endpoints = endpoint.map { [$0] } ?? []
        return Row([.text(address.description), Cell(endpoint)] + cells, about: subject)
    }

    func prefix(_ entry: MapEntry) -> Row? {
        guard let prefix = Prefix(cidrKey: entry.key) else { return nil }
        var subject = Row.Subject()
        subject.prefix = prefix
        guard let cells = peer(entry.value, &subject) else { return nil }
        return Row([.text(prefix.description)] + cells, about: subject)
    }

    private func peer(_ bytes: [UInt8], _ subject: inout Row.Subject) -> [Cell]? {
        guard let peer = weir_peer(abiBytes: bytes) else { return nil }
        subject.group = peer.group
        return [
            .number(UInt64(peer.group)), .number(UInt64(peer.identity)), Cell(labels: names.identity(peer.identity)),
            Self.flags(
                peer.flags,
                [
                    (WEIR_PEER_NODE.rawValue, "node"), (WEIR_PEER_OWN_NODE.rawValue, "own-node"),
                    (WEIR_PEER_ENCRYPTED.rawValue, "encrypted"),
                ]),
        ]
    }

    /// One row for each word that somebody wrote. Without an image nothing says where rows begin.
    func words(_ entry: MapEntry) -> [Row]? {
        guard UInt32(abiBytes: entry.key) != nil, entry.value.count % 4 == 0 else { return nil }
        return Image.unpackActions([entry]).map(word)
    }

    private func word(_ entry: MapEntry) -> Row {
        let index = UInt32(abiBytes: entry.key) ?? 0
        var subject = Row.Subject()
        let decision = decision(UInt32(abiBytes: entry.value) ?? 0, &subject)
        let groups = UInt32(names.image?.groupCount ?? 0)
        let group = groups == 0 ? nil : index % groups
        let row = group.map { index - $0 }
        subject.group = group
        subject.endpoints = row.map { names.endpoints(row: $0) } ?? []
        return Row(
            [
                .number(UInt64(index)), .list(row.map { names.users(row: $0) } ?? []), Cell(group),
                Cell(labels: group.flatMap { names.members($0) }), .text(decision.kind), Cell(decision.table),
                .list(decision.rules),
            ], about: subject)
    }

    func verdict(_ entry: MapEntry) -> Row? {
        guard let key = weir_verdict_key(abiBytes: entry.key), let word = UInt32(abiBytes: entry.value) else {
            return nil
        }
        let scope = VerdictScope(key)
        var subject = Row.Subject()
        let decision = decision(word, &subject)
        return Row(
            [
                .number(UInt64(scope.table.rawValue)), .text(scope.protocol?.description ?? "any"),
                .text(scope.ports == nil ? "any" : scope.portText), .text(decision.kind), .list(decision.rules),
            ], about: subject)
    }
}
