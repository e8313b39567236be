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
    }

    private let endpoint: Endpoint
    private let inventory: Inventory
    private var generator: SeededGenerator
    private var sent: [PacketSpec] = []

    init(endpoint: Endpoint, inventory: Inventory, seed: UInt64) {
        self.endpoint = endpoint
        self.inventory = inventory
        generator = SeededGenerator(seed: seed)
    }

    private mutating func chance(_ oneIn: Int) -> Bool { Int.random(in: 0..<oneIn, using: &generator) == 0 }
    private mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[Int.random(in: 0..<elements.count, using: &generator)]
    }

    mutating func next() -> Item {
        let direction: Direction = pick([.egress, .ingress])
        var frame: [UInt8]
        switch Int.random(in: 0..<20, using: &generator) {
        case 0:
            frame = PacketBuilder.arp(
                operation: pick([1, 2]), sender: pick(sources(.ipv4, direction)), target: pick(RandomWorld.addresses.filter { $0.family == .ipv4 }))
        case 1...2 where !sent.isEmpty: frame = icmpError(about: pick(sent), direction)
        case 3...8 where !sent.isEmpty: frame = PacketBuilder.frame(reply(to: pick(sent)))
        default:
            let spec = spec(direction)
            sent.append(spec)
            if sent.count > 40 { sent.removeFirst() }
            frame = PacketBuilder.frame(spec)
        }
        if chance(4) { mutate(&frame) }
        return Item(frame: frame, direction: direction, isFromHost: direction == .ingress && chance(5))
    }

    /// Addresses that a packet in this direction may claim to come from: usually right ones.
    private mutating func sources(_ family: AddressFamily, _ direction: Direction) -> [IPAddress] {
        let own = endpoint.addresses.filter { $0.family == family }
        if direction == .egress, !own.isEmpty, !chance(10) { return own }
        return others(family)
    }

    private func others(_ family: AddressFamily) -> [IPAddress] {
        let special = ["127.0.0.1", "0.0.0.0", "169.254.7.7", "::", "::1", "fe80::7", "::ffff:1.2.3.4"]
        return (RandomWorld.addresses + inventory.endpoints.flatMap(\.addresses)
            + inventory.nodes.flatMap(\.addresses) + special.compactMap { IPAddress($0) })
            .filter { $0.family == family }
    }

    private mutating func spec(_ direction: Direction) -> PacketSpec {
        let family = pick(endpoint.addresses).family
        let own = pick(endpoint.addresses.filter { $0.family == family })
        var source = pick(sources(family, direction))
        var destination = pick(others(family))
        if direction == .ingress {
            source = pick(others(family))
            destination = chance(10) ? pick(others(family)) : own
        }
        let icmp: IPProtocol = family == .ipv4 ? .icmp : .icmpv6
        let proto = pick([.tcp, .tcp, .udp, .udp, .sctp, icmp, icmp, IPProtocol(rawValue: 89), IPProtocol(rawValue: 47)])
        var spec = PacketSpec(from: source, to: destination, protocol: proto)
        spec.sourcePort = pick([1000, 1001, 80])
        spec.destinationPort = chance(8) ? pick([4789, 8472, 6081]) : pick(RandomWorld.ports)
        spec.tcpFlags = pick([0x02, 0x02, 0x10, 0x12, 0x11, 0x04, 0x18])
        spec.icmpType = family == .ipv4 ? pick([8, 8, 0, 3, 11, 13]) : pick([128, 128, 129, 1, 2, 133, 134, 135, 136, 137, 131, 143])
        spec.icmpIdentifier = pick([1, 2])
        spec.hopLimit = pick([64, 64, 255, 1])
        if chance(12), family == .ipv4 { spec.ipv4Options = pick([[1, 1, 1, 0], [131, 7, 4, 1, 2, 3, 4, 0], [7, 7, 4, 0, 0, 0, 0, 0], [7, 99, 0, 0]]) }
        if chance(12), family == .ipv4 { spec.ipv4Fragment = pick([0x4000, 0x2000, 0x0010]) }
        if chance(8), family == .ipv6 {
            spec.ipv6Extensions = (0..<Int.random(in: 1...9, using: &generator)).map { _ in
                pick([
                    .init(type: 0, body: [0, 1, 4, 0, 0, 0, 0]), .init(type: 60, body: [0, 1, 4, 0, 0, 0, 0]),
                    .init(type: 60, body: [0, 1, 4, 0, 0, 0, 0]), .init(type: 43, body: [0, 0, 0, 0, 0, 0, 0]),
                    .init(type: 43, body: [0, 0, 1, 0, 0, 0, 0]), .init(type: 44, body: [0, 0, 0, 0, 0, 0, 1]),
                    .init(type: 51, body: [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
                ])
            }
        }
        if chance(15) { spec.vlan = 7 }
        return spec
    }

    /// What the other end would send back.
    private mutating func reply(to spec: PacketSpec) -> PacketSpec {
        var reply = spec
        swap(&reply.source, &reply.destination)
        swap(&reply.sourcePort, &reply.destinationPort)
        reply.tcpFlags = pick([0x12, 0x10, 0x10, 0x11, 0x04, 0x02])
        switch reply.icmpType {
        case 8: reply.icmpType = 0
        case 128: reply.icmpType = 129
        default: break
        }
        return chance(3) ? spec : reply
    }

    private mutating func icmpError(about quoted: PacketSpec, _ direction: Direction) -> [UInt8] {
        let family = quoted.source.family
        let original = PacketBuilder.packet(quoted)
        var spec = PacketSpec(
            from: chance(3) ? pick(others(family)) : quoted.destination, to: quoted.source,
            protocol: family == .ipv4 ? .icmp : .icmpv6)
        spec.icmpType = family == .ipv4 ? pick([3, 11, 12]) : pick([1, 2, 3, 4])
        spec.payload = Array(original.prefix(chance(3) ? Int.random(in: 0...original.count, using: &generator) : original.count))
        return PacketBuilder.frame(spec)
    }

    private mutating func mutate(_ frame: inout [UInt8]) {
        switch Int.random(in: 0..<3, using: &generator) {
        // The kernel refuses test runs with less than an Ethernet header.
        case 0: frame.removeLast(Int.random(in: 0...(frame.count - 14), using: &generator))
        case 1: frame += Array(repeating: 0, count: Int.random(in: 1...9, using: &generator))
        default:
            let index = Int.random(in: 12..<frame.count, using: &generator)
            frame[index] = UInt8.random(in: 0...255, using: &generator)
        }
    }
}
