internal import WeirABI
internal import WeirImage
package import WeirMaps
package import WeirModel

/// One remembered flow, as the maps of conntrack have it.
package struct FlowEntry: Hashable, Sendable {
    package enum State: String, Hashable, Sendable, CaseIterable {
        /// No reply was seen.
        case new
        case established
        /// FIN or RST was seen.
        case closing
        /// Its time is over: no packet finds it any longer.
        case expired
    }

    package let key: [UInt8]
    let map: MapName
    /// 0: the node's own.
    package let interface: UInt32
    package let `protocol`: IPProtocol
    package let local: IPAddress
    package let remote: IPAddress
    let localPort: UInt16
    let remotePort: UInt16
    private let value: weir_conntrack

    /// nil where the entry is not of this ABI.
    package init?(_ entry: MapEntry, in map: MapName) {
        let owner: UInt32
        let addresses: (local: IPAddress?, remote: IPAddress?)
        if let key = weir_flow4(abiBytes: entry.key) {
            owner = key.owner
            addresses = (IPAddress(bytes: abiBytes(of: key.local)), IPAddress(bytes: abiBytes(of: key.remote)))
            (localPort, remotePort) = (UInt16(bigEndian: key.local_port_be), UInt16(bigEndian: key.remote_port_be))
        } else if let key = weir_flow6(abiBytes: entry.key) {
            owner = key.owner
            addresses = (IPAddress(bytes: abiBytes(of: key.local)), IPAddress(bytes: abiBytes(of: key.remote)))
            (localPort, remotePort) = (UInt16(bigEndian: key.local_port_be), UInt16(bigEndian: key.remote_port_be))
        } else {
            return nil
        }
        guard let value = weir_conntrack(abiBytes: entry.value), let local = addresses.local,
            let remote = addresses.remote
        else { return nil }
        self.map = map
        self.key = entry.key
        self.value = value
        self.local = local
        self.remote = remote
        interface = owner >> UInt32(WEIR_OWNER_INTERFACE_SHIFT)
        `protocol` = IPProtocol(rawValue: UInt8(truncatingIfNeeded: owner))
    }

    package static func == (left: Self, right: Self) -> Bool {
        left.map == right.map && left.key == right.key && left.value.abiBytes == right.value.abiBytes
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(key) }

    /// The originator's, as the endpoint sees it.
    var direction: Direction { UInt32(value.direction) == WEIR_EGRESS.rawValue ? .egress : .ingress }

    /// The port that policy was asked for, or the identifier of an echo.
    package var port: UInt16 { direction == .egress ? remotePort : localPort }

    func has(_ flag: weir_conntrack_flag) -> Bool { UInt32(value.flags) & flag.rawValue != 0 }

    package func state(at moment: Moment?) -> State {
        if let moment, moment.tick > value.expires { return .expired }
        if has(WEIR_CT_CLOSING) { return .closing }
        return has(WEIR_CT_REPLY_SEEN) ? .established : .new
    }

    /// Whether it decides: entries of another revision are judged again with their next packet.
    func isCurrent(_ moment: Moment?) -> Bool {
        moment.map { UInt32(truncatingIfNeeded: $0.revision) == value.revision } ?? false
    }

    func ticksLeft(_ moment: Moment) -> UInt32 { value.expires > moment.tick ? value.expires - moment.tick : 0 }
    func age(_ moment: Moment) -> UInt32 { moment.tick > value.created ? moment.tick - value.created : 0 }

    var action: UInt32 { value.action }
    var flagWord: UInt32 { UInt32(value.flags) }
    var packets: (egress: UInt64, ingress: UInt64) { (UInt64(value.packets.0), UInt64(value.packets.1)) }
    var bytes: (egress: UInt64, ingress: UInt64) { (UInt64(value.bytes.0), UInt64(value.bytes.1)) }
}

/// `conntrack…`, and `fragments`, whose entries end and go stale alike.
extension EntryDecoder {
    static let flowColumns = [
        "endpoint", "direction", "protocol", "local", "remote", "peer", "state", "flags", "egressPackets",
        "egressBytes", "ingressPackets", "ingressBytes", "age", "left", "current", "decision", "rules",
    ]

    /// The rule numbers of an earlier revision are those of an image that may be gone, so only current flows name rules.
    package func row(_ flow: FlowEntry) -> Row {
        let isCurrent = flow.isCurrent(moment)
        var subject = Row.Subject()
        subject.addresses = [flow.local, flow.remote]
        let endpoint = owner(flow.interface)
        subject.endpoints = [endpoint, names.endpoint(flow.remote)].compactMap(\.self)
        let decision = remembered(flow.action, isCurrent, &subject)
        let hasPorts = IPProtocol.withPorts.contains(flow.protocol)
        return Row(
            [
                .text(endpoint), .text(flow.direction.rawValue), .text(flow.protocol.description),
                .text(hasPorts ? Self.portText(flow.local, flow.localPort) : flow.local.description),
                .text(hasPorts ? Self.portText(flow.remote, flow.remotePort) : flow.remote.description),
                Cell(names.endpoint(flow.remote)), .text(flow.state(at: moment).rawValue),
                Self.flags(
                    flow.flagWord & ~(WEIR_CT_REPLY_SEEN.rawValue | WEIR_CT_CLOSING.rawValue),
                    [(WEIR_CT_MIDSTREAM.rawValue, "midstream"), (WEIR_CT_ENCRYPTED.rawValue, "encrypted")]),
                .number(flow.packets.egress), .number(flow.bytes.egress), .number(flow.packets.ingress),
                .number(flow.bytes.ingress), Cell(moment.map { $0.seconds(flow.age($0)) }),
                Cell(moment.map { $0.seconds(flow.ticksLeft($0)) }), .flag(isCurrent), Cell(decision.kind),
                .list(decision.rules),
            ], about: subject)
    }

    func fragment(_ entry: MapEntry) -> Row? {
        guard let key = weir_fragment_key(abiBytes: entry.key), let value = weir_fragment(abiBytes: entry.value),
            let source = Self.unmapped(abiBytes(of: key.source)),
            let destination = Self.unmapped(abiBytes(of: key.destination))
        else { return nil }
        let isCurrent = moment.map { UInt32(truncatingIfNeeded: $0.revision) == value.revision } ?? false
        var subject = Row.Subject()
        subject.addresses = [source, destination]
        let endpoint = owner(key.ifindex)
        subject.endpoints = [endpoint]
        let decision = remembered(value.action, isCurrent, &subject)
        let isEgress = UInt32(key.direction) == WEIR_EGRESS.rawValue
        // An IPv6 key has no protocol: its id is enough.
        let proto = source.family == .ipv4 ? IPProtocol(rawValue: key.protocol).description : nil
        return Row(
            [
                .text(endpoint), .text(names.interface(key.ifindex)),
                .text((isEgress ? Direction.egress : .ingress).rawValue), Cell(proto), .text(source.description),
                .text(destination.description), .number(UInt64(UInt32(bigEndian: key.id_be))),
                .number(UInt64(value.header_end)),
                Cell(moment.map { $0.seconds(value.expires > $0.tick ? value.expires - $0.tick : 0) }),
                .flag(isCurrent), Cell(decision.kind), .list(decision.rules),
            ], about: subject)
    }

    private func remembered(
        _ word: UInt32, _ isCurrent: Bool, _ subject: inout Row.Subject
    ) -> (kind: String?, rules: [String]) {
        guard isCurrent, case .decided(let decision) = Action(rawValue: word) else { return (nil, []) }
        subject.rules = names.imageInForce?.ruleLocations(decision.rule) ?? []
        return (decision.kind.rawValue, subject.rules)
    }

    /// Interface 0 stands for the node, whatever the device.
    func owner(_ interface: UInt32) -> String {
        interface == 0 ? Image.hostName : names.endpointOfInterface[interface] ?? names.interface(interface)
    }
}
