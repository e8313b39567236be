import WeirFlow
import WeirModel
import WeirTestSupport

/// Random packets at one endpoint: mostly ones that policy must judge, some that belong to earlier ones, some broken.
struct PacketSource {
    struct Item {
        var frame: [UInt8]
        var direction: Direction
        /// Ingress only: from the node's own stack.
        var isFromHost: Bool
        var isLaterFragment = false
    }

    private struct Sent {
        var spec: PacketSpec
        var direction: Direction
    }

    private let endpoint: Endpoint
    private let inventory: Inventory
    private var generator: SeededGenerator
    /// First packets, to answer, to repeat and to quote.
    private var sent: [Sent] = []
    /// First fragments.
    private var firsts: [Sent] = []

    private static let memory = 40

    init(endpoint: Endpoint, inventory: Inventory, seed: UInt64) {
        self.endpoint = endpoint
        self.inventory = inventory
        generator = SeededGenerator(seed: seed)
    }

    mutating func next() -> Item {
        var item: Item
        switch Int.random(in: 0..<20, using: &generator) {
        case 0: item = arp()
        case 1...2 where !sent.isEmpty: item = icmpError(about: earlier())
        case 3...4: item = fragment()
        case 5...13 where !sent.isEmpty: item = followUp(to: earlier())
        default: item = packet(pick([.egress, .ingress]))
        }
        if chance(6) { mutate(&item.frame) }
        return item
    }

    private mutating func chance(_ oneIn: Int) -> Bool { Int.random(in: 0..<oneIn, using: &generator) == 0 }

    private mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[Int.random(in: 0..<elements.count, using: &generator)]
    }

    /// Often one of the last, so that flows come to have many packets.
    private mutating func earlier() -> Sent { pick(chance(3) ? sent : sent.suffix(4)) }

    private mutating func item(_ frame: [UInt8], _ direction: Direction) -> Item {
        Item(frame: frame, direction: direction, isFromHost: direction == .ingress && chance(6))
    }

    private mutating func item(_ sent: Sent) -> Item { item(PacketBuilder.frame(sent.spec), sent.direction) }

    // MARK: Addresses

    private func own(_ family: AddressFamily) -> [IPAddress] { endpoint.addresses.filter { $0.family == family } }

    /// Everything that the world knows, and now and then what no packet may carry.
    private mutating func others(_ family: AddressFamily) -> [IPAddress] {
        let special = ["127.0.0.1", "0.0.0.0", "169.254.7.7", "::", "::1", "fe80::7", "::ffff:1.2.3.4", "ff02::1"]
        let known =
            RandomWorld.addresses + inventory.endpoints.flatMap(\.addresses) + inventory.nodes.flatMap(\.addresses)
        return (chance(8) ? special.compactMap { IPAddress($0) } : known).filter { $0.family == family }
    }

    /// Usually the endpoint's own where it must be.
    private mutating func local(_ family: AddressFamily) -> IPAddress {
        let own = own(family)
        return own.isEmpty || chance(12) ? pick(others(family)) : pick(own)
    }

    // MARK: Packets

    private mutating func arp() -> Item {
        let direction: Direction = pick([.egress, .egress, .ingress])
        let sender = chance(4) ? pick(others(.ipv4)) : local(.ipv4)
        return item(
            PacketBuilder.arp(operation: pick([1, 2]), sender: sender, target: pick(others(.ipv4))), direction)
    }

    private mutating func packet(_ direction: Direction) -> Item {
        // Now and then of a family in which the endpoint has no address.
        let family = chance(20) ? pick(AddressFamily.allCases) : pick(endpoint.addresses).family
        let local = local(family)
        let remote = pick(others(family))
        let isEgress = direction == .egress
        if chance(60) { return dhcp(family, local, direction) }
        let icmp: IPProtocol = family == .ipv4 ? .icmp : .icmpv6
        let others: [IPProtocol] =
            [.sctp, .sctp, .icmp, .icmpv6] + [4, 41, 47, 50, 89].map { IPProtocol(rawValue: $0) }
        let proto = chance(5) ? pick(others) : pick([.tcp, .tcp, .udp, .udp, icmp])
        var spec = PacketSpec(from: isEgress ? local : remote, to: isEgress ? remote : local, protocol: proto)
        spec.sourcePort = pick([1000, 1001, 80])
        spec.destinationPort = chance(8) ? pick([4789, 8472, 6081]) : pick(RandomWorld.ports)
        spec.tcpFlags = pick([0x02, 0x02, 0x02, 0x10, 0x12, 0x11, 0x04, 0x18, 0x03])
        spec.icmpIdentifier = pick([1, 2])
        spec.hopLimit = pick([64, 64, 255, 1])
        if proto == icmp { setICMP(&spec, family) }
        bend(&spec, family)
        let made = Sent(spec: spec, direction: direction)
        sent.append(made)
        if sent.count > Self.memory { sent.removeFirst() }
        return item(made)
    }

    private mutating func dhcp(_ family: AddressFamily, _ own: IPAddress, _ direction: Direction) -> Item {
        let isEgress = direction == .egress
        let clients =
            (family == .ipv4 ? ["0.0.0.0", "255.255.255.255"] : ["fe80::7", "::"]).compactMap { IPAddress($0) } + [own]
        let servers =
            (family == .ipv4 ? ["255.255.255.255", "10.0.0.9"] : ["ff02::1:2", "fe80::8"]).compactMap { IPAddress($0) }
        let client = pick(clients)
        let server = pick(servers)
        var spec = PacketSpec(from: isEgress ? client : server, to: isEgress ? server : client, protocol: .udp)
        let ports: (client: UInt16, server: UInt16) = family == .ipv4 ? (68, 67) : (546, 547)
        spec.sourcePort = isEgress ? ports.client : ports.server
        spec.destinationPort = isEgress ? ports.server : ports.client
        return item(PacketBuilder.frame(spec), direction)
    }

    /// A piece of one of a few datagrams: mostly one that fits, in any order.
    private mutating func fragment() -> Item {
        let direction: Direction = pick([.egress, .ingress])
        let family = pick(endpoint.addresses).family
        let local = local(family)
        let remote = pick(others(family))
        let isEgress = direction == .egress
        let proto: IPProtocol = pick([.udp, .udp, .tcp, .sctp, .icmp, .icmpv6])
        var spec = PacketSpec(from: isEgress ? local : remote, to: isEgress ? remote : local, protocol: proto)
        spec.destinationPort = pick(RandomWorld.ports)
        spec.icmpType = family == .ipv4 ? pick([8, 0, 3]) : pick([128, 129, 135])
        let isFirst = firsts.isEmpty || chance(3)
        if !isFirst, !chance(4) {
            // Of a datagram that has begun.
            let first = pick(firsts.suffix(3))
            (spec.source, spec.destination) = (first.spec.source, first.spec.destination)
            spec.protocol = first.spec.protocol
            return piece(spec, isFirst: false, chance(8) ? direction : first.direction)
        }
        if isFirst { firsts.append(Sent(spec: spec, direction: direction)) }
        return piece(spec, isFirst: isFirst, direction)
    }

    private mutating func piece(_ whole: PacketSpec, isFirst: Bool, _ direction: Direction) -> Item {
        var spec = whole
        let family = spec.source.family
        let offset: UInt16 = isFirst ? 0 : pick([8, 16, 24, 64, 65520])
        let hasMore = isFirst || chance(2)
        spec.payload = Array(repeating: 0, count: pick([8, 4, 0, 32, 12, 20]))
        let id: UInt16 = chance(6) ? 2 : 1
        if family == .ipv4 {
            spec.ipv4Identification = id
            spec.ipv4Fragment = offset / 8 | (hasMore ? 0x2000 : 0)
        } else {
            let place = offset | (hasMore ? 1 : 0)
            let header = PacketSpec.ExtensionHeader(
                type: 44,
                body: [0, UInt8(place >> 8), UInt8(truncatingIfNeeded: place), 0, 0, 0, UInt8(id)])
            spec.ipv6Extensions =
                (chance(4) ? [.padding(type: 60)] : []) + [header] + (chance(4) ? [.padding(type: 60)] : [])
        }
        var item = item(PacketBuilder.frame(spec), direction)
        item.isLaterFragment = !isFirst
        return item
    }

    private mutating func setICMP(_ spec: inout PacketSpec, _ family: AddressFamily) {
        guard family == .ipv6 else {
            spec.icmpType = pick([8, 8, 8, 0, 0, 3, 11, 13])
            return
        }
        spec.icmpType = pick([128, 128, 128, 129, 129, 1, 2, 133, 134, 135, 136, 136, 137, 130, 131, 132, 143])
        switch spec.icmpType {
        case 133...137:
            spec.hopLimit = pick([255, 255, 255, 64])
            let target = chance(2) ? local(.ipv6) : pick(others(.ipv6))
            spec.payload = target.bytes + Array(repeating: 0, count: 16)
            if chance(6), let source = IPAddress(pick(["fe80::7", "::"])) { spec.source = source }
            if chance(6), let destination = IPAddress("fe80::7") { spec.destination = destination }
        case 130...132, 143: spec.hopLimit = pick([1, 1, 1, 64])
        default: break
        }
    }

    /// What headers may carry besides.
    private mutating func bend(_ spec: inout PacketSpec, _ family: AddressFamily) {
        if chance(25) { spec.vlan = pick([7, 0, 0xe000]) }
        if family == .ipv4 {
            if chance(12) {
                spec.ipv4Options = pick([
                    [1, 1, 1, 0], [148, 4, 0, 0], [131, 7, 4, 1, 2, 3, 4, 0], [1, 1, 1, 137], [7, 7, 4, 0, 0, 0, 0, 0],
                    [7, 99, 0, 0], [7, 1, 0, 0], [1, 1, 1, 7], [1, 0, 131, 7],
                ])
            }
            if chance(15) { spec.ipv4Fragment = pick([0x4000, 0x2000, 0x0010, 0x8000]) }
        } else if chance(8) {
            spec.ipv6Extensions = (0..<Int.random(in: 1...9, using: &generator)).map { _ in extensionHeader() }
        }
    }

    private mutating func extensionHeader() -> PacketSpec.ExtensionHeader {
        switch Int.random(in: 0..<24, using: &generator) {
        case 0: .init(type: 44, body: [0, 0, 0, 0, 0, 0, 1])
        case 1: .init(type: 43, body: [0, 0, 1, 0, 0, 0, 0])
        case 2...4: .init(type: 43, body: [0, 0, 0, 0, 0, 0, 0])
        case 5...7: .init(type: 51, body: [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        case 8: .init(type: 60, body: [9, 1, 4, 0, 0, 0, 0])
        default: .padding(type: pick([0, 60, 135]))
        }
    }

    /// What the other end would send back, or more of the same.
    private mutating func followUp(to earlier: Sent) -> Item {
        var next = earlier
        if chance(3) {
            next.spec.tcpFlags = pick([0x02, 0x10, 0x10, 0x11, 0x04, 0x06])
            return item(next)
        }
        next.spec = earlier.spec.reversed
        next.direction = earlier.direction == .egress ? .ingress : .egress
        next.spec.tcpFlags = pick([0x12, 0x12, 0x10, 0x10, 0x11, 0x04, 0x02])
        if next.spec.icmpType == 8 { next.spec.icmpType = pick([0, 0, 0, 8]) }
        if next.spec.icmpType == 128 { next.spec.icmpType = pick([129, 129, 129, 128]) }
        return item(next)
    }

    private mutating func icmpError(about earlier: Sent) -> Item {
        // The other end's answer may be what somebody complains about.
        let isAnswer = chance(3)
        var quoted = isAnswer ? earlier.spec.reversed : earlier.spec
        quoted.vlan = nil
        if quoted.source.family == .ipv4, chance(10) { quoted.ipv4Fragment = 0x2000 }
        let isEgress = (earlier.direction == .egress) == isAnswer
        let family = quoted.source.family
        let original = PacketBuilder.packet(quoted)
        var from = quoted.destination
        var to = quoted.source
        if chance(3) { if isEgress { to = pick(others(family)) } else { from = pick(others(family)) } }
        var spec = PacketSpec(from: from, to: to, protocol: family == .ipv4 ? .icmp : .icmpv6)
        spec.icmpType = family == .ipv4 ? pick([3, 3, 11, 12, 5, 4]) : pick([1, 2, 3, 4, 4, 100])
        let length = chance(4) ? Int.random(in: 0...original.count, using: &generator) : original.count
        spec.payload = Array(original.prefix(length))
        let direction: Direction = isEgress ? .egress : .ingress
        return item(PacketBuilder.frame(spec), chance(12) ? earlier.direction : direction)
    }

    private mutating func mutate(_ frame: inout [UInt8]) {
        switch Int.random(in: 0..<6, using: &generator) {
        // The kernel refuses test runs with less than an Ethernet header.
        case 0: frame.removeLast(Int.random(in: 0...(frame.count - 14), using: &generator))
        case 1: frame += Array(repeating: 0, count: Int.random(in: 1...9, using: &generator))
        case 2: shorten(&frame)
        default:
            let index = Int.random(in: (chance(8) ? 12 : 14)..<frame.count, using: &generator)
            if chance(2) {
                frame[index] = UInt8.random(in: 0...255, using: &generator)
            } else {
                frame[index] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            }
        }
    }

    /// A packet that says itself how short it is; the rest is padding, or not there.
    private mutating func shorten(_ frame: inout [UInt8]) {
        let isIPv4 = frame[12..<14] == [0x08, 0x00]
        guard isIPv4 || frame[12..<14] == [0x86, 0xdd] else { return }
        let header = isIPv4 ? 20 : 40
        guard frame.count > 14 + header else { return }
        let kept = Int.random(in: 0..<(frame.count - 14 - header), using: &generator)
        let length = isIPv4 ? header + kept : kept
        let offset = isIPv4 ? 16 : 18
        frame[offset] = UInt8(truncatingIfNeeded: length >> 8)
        frame[offset + 1] = UInt8(truncatingIfNeeded: length)
        if chance(2) { frame.removeLast(frame.count - 14 - header - kept) }
    }
}
