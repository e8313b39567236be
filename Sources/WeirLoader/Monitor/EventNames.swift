internal import SystemPackage
package import WeirABI
package import WeirImage
package import WeirMaps
internal import WeirModel

/// What the numbers of events mean under one policy.
package struct EventNames: Sendable {
    /// The interfaces of the endpoints: numbers to names.
    private let endpoints: [UInt32: String]
    private let image: Image?
    private let pods: [IPAddress: String]
    private let peers: [IPAddress: weir_peer]

    /// Of a policy that nobody knows any longer: addresses alone.
    package static let unknown = EventNames(image: nil, endpoints: [])

    /// - Parameter endpoints: the slot's `endpoints`, by interface.
    package init(image: Image?, endpoints: [MapEntry]) {
        self.image = image
        let names = Dictionary((image?.endpoints ?? []).map { ($0.id, $0.name) }) { first, _ in first }
        var byInterface: [UInt32: String] = [:]
        for entry in endpoints {
            guard let index = UInt32(abiBytes: entry.key), let value = weir_endpoint(abiBytes: entry.value) else {
                continue
            }
            byInterface[index] = names[value.id]
        }
        self.endpoints = byInterface
        pods = Dictionary(
            (image?.endpoints ?? []).filter { !$0.isHost }.flatMap { pod in pod.addresses.map { ($0, pod.name) } }
        ) { first, _ in first }
        var peers: [IPAddress: weir_peer] = [:]
        for entry in (image?.entries(.ipcache4) ?? []) + (image?.entries(.ipcache6) ?? []) {
            peers[IPAddress(bytes: entry.key) ?? IPAddress(family: .ipv4, value: 0)] = weir_peer(abiBytes: entry.value)
        }
        self.peers = peers
    }

    /// - Parameters:
    ///   - time: when it was, for people.
    ///   - interface: its name, where there is one.
    package func event(_ record: weir_event, time: String, interface: String?) -> MonitorEvent {
        let isEgress = UInt32(record.direction) == WEIR_EGRESS.rawValue
        let family: AddressFamily? =
            switch record.family {
            case 4: .ipv4
            case 6: .ipv6
            default: nil
            }
        let source = family.map { Self.address(abiBytes(of: record.source), $0) }
        let destination = family.map { Self.address(abiBytes(of: record.destination), $0) }
        let own = self.own(endpoints[record.ifindex], isEgress ? source : destination)
        let peer = self.peer(record, isEgress ? destination : source, isEgress: isEgress)
        let proto = family.map { _ in IPProtocol(rawValue: record.protocol) }
        let hasPort = proto.map { $0.hasPorts || $0 == .icmp || $0 == .icmpv6 } ?? false
        let isAllowed = UInt32(record.reason) == WEIR_REASON_NONE.rawValue
        var rules: [String] = []
        if case .decided(let decision) = Action(rawValue: record.action) {
            rules = image?.ruleLocations(decision.rule) ?? []
        }
        return MonitorEvent(
            time: time,
            outcome: isAllowed ? .allow : record.flags & WEIR_EVENT_AUDIT.rawValue != 0 ? .audit : .drop,
            direction: isEgress ? .egress : .ingress, endpoint: endpoints[record.ifindex], interface: interface,
            from: isEgress ? own.flow : peer.flow, to: isEgress ? peer.flow : own.flow,
            protocol: proto?.description,
            port: hasPort ? UInt16(bigEndian: record.destination_port_be) : nil,
            sourcePort: proto?.hasPorts == true ? UInt16(bigEndian: record.source_port_be) : nil, family: family,
            reason: isAllowed ? nil : dropReasonName(UInt32(record.reason)), decidingRules: rules,
            length: record.length,
            insertError: record.error == 0 ? nil : Errno(rawValue: -record.error).description,
            leftOut: 0, isDoubtful: false, peer: peer.peer,
            fromText: isEgress ? own.text : peer.text, toText: isEgress ? peer.text : own.text)
    }

    /// IPv4 addresses are mapped ones in a record.
    private static func address(_ bytes: [UInt8], _ family: AddressFamily) -> IPAddress {
        IPAddress(bytes: family == .ipv4 ? Array(bytes.suffix(4)) : bytes) ?? IPAddress(family: family, value: 0)
    }

    /// The side of the interface's owner. An address that is not its own is named beside it.
    private func own(_ endpoint: String?, _ address: IPAddress?) -> (flow: String?, text: String) {
        guard let address else { return (nil, endpoint ?? "-") }
        guard let endpoint else { return ("ip:\(address)", "\(address)") }
        if endpoint == Image.hostName { return ("host:\(address)", "host \(address)") }
        return pods[address] == endpoint ? (endpoint, endpoint) : ("ip:\(address)", "\(endpoint) (as \(address))")
    }

    private func peer(
        _ record: weir_event, _ address: IPAddress?, isEgress: Bool
    ) -> (flow: String?, text: String, peer: MonitorEvent.Peer) {
        guard let address else { return (nil, "-", MonitorEvent.Peer()) }
        let identity = identity(record, address)
        if record.group != WEIR_GROUP_MASQUERADED.rawValue, let pod = pods[address] {
            return (pod, pod, MonitorEvent.Peer(name: pod, address: address, identity: identity))
        }
        let flags = peers[address]?.flags ?? 0
        let isOwnNode = flags & WEIR_PEER_OWN_NODE.rawValue != 0
        let isHost = record.group == WEIR_GROUP_HOST.rawValue || isEgress && isOwnNode
        let isRemoteNode = flags & WEIR_PEER_NODE.rawValue != 0 && !isOwnNode
        let flow = isHost ? "host:\(address)" : isRemoteNode ? "remote-node:\(address)" : "ip:\(address)"
        let text = identity.map { "\(Self.short($0)) \(address)" } ?? "\(address)"
        return (flow, text, MonitorEvent.Peer(name: nil, address: address, identity: identity))
    }

    /// As the record has it; where policy was not asked, as the address has it.
    private func identity(_ record: weir_event, _ address: IPAddress) -> String? {
        switch record.group {
        case WEIR_GROUP_HOST.rawValue: return "reserved:host"
        case WEIR_GROUP_MASQUERADED.rawValue: return "masqueraded"
        case WEIR_GROUP_MULTICAST.rawValue: return "multicast"
        default: break
        }
        let number = record.group == WEIR_GROUP_DEFAULT.rawValue ? peers[address]?.identity : record.identity
        guard let image, let number, number > 0, Int(number) < image.identities.count else { return nil }
        return image.identities[Int(number)]
    }

    /// `shop[app=api,tier=web]`, `world`, `remote-node`: without what is the same for everybody.
    static func short(_ identity: String) -> String {
        if identity.hasPrefix("cidr:") { return "world" }
        let labels = identity.split(separator: ",")
        let reserved = labels.compactMap { $0.hasPrefix("reserved:") ? $0.dropFirst("reserved:".count) : nil }
        if !reserved.isEmpty {
            let names = reserved.filter { $0 != "world-ipv4" && $0 != "world-ipv6" }
            return (names.isEmpty ? reserved : names).joined(separator: ",")
        }
        guard labels.contains(where: { $0.hasPrefix("k8s:") }) else { return identity }
        var namespace: Substring = ""
        var kept: [Substring] = []
        for label in labels {
            let label = label.hasPrefix("k8s:") ? label.dropFirst("k8s:".count) : label
            if label.hasPrefix("io.kubernetes.pod.namespace=") {
                namespace = label.dropFirst("io.kubernetes.pod.namespace=".count)
            } else if !label.hasPrefix("io.cilium.k8s.") {
                kept.append(label)
            }
        }
        return "\(namespace)[\(kept.joined(separator: ","))]"
    }
}
