import TestNetwork
import Testing
import WeirABI
import WeirImage
import WeirInspect
import WeirMaps
import WeirModel

@Suite("Remembered flows in words")
struct FlowTests {
    private static let image = HandmadeImage.make(port: 80)
    private static let now = Moment(revision: 5, tick: 1000, secondsPerTick: 1.024)
    private let decoder = EntryDecoder(
        names: EntryNames(
            image: image, interfaces: [7: "veth-3"], endpoints: image.endpointEntries(interfaces: [2: 7])),
        moment: now)

    private func entry(_ adjust: (inout weir_conntrack) -> Void = { _ in }) -> MapEntry {
        var key = weir_flow4()
        key.owner = 7 << UInt32(WEIR_OWNER_INTERFACE_SHIFT) | 6
        setABIBytes(&key.local, [10, 7, 0, 3])
        setABIBytes(&key.remote, [10, 7, 0, 2])
        key.local_port_be = UInt16(80).bigEndian
        key.remote_port_be = UInt16(40_000).bigEndian
        var value = weir_conntrack()
        value.packets = (3, 5)
        value.bytes = (300, 500)
        value.revision = 5
        value.action = Action.decided(Decision(.allow, rule: HandmadeImage.portRule)).rawValue
        value.created = 900
        value.expires = 1100
        value.direction = UInt8(WEIR_INGRESS.rawValue)
        value.flags = UInt8(WEIR_CT_REPLY_SEEN.rawValue)
        adjust(&value)
        return MapEntry(key: key.abiBytes, value: value.abiBytes)
    }

    private func cells(_ entry: MapEntry) -> [String] {
        decoder.rows(entry, of: .node(.conntrack4)).first?.cells.map { $0.text(isWide: false) } ?? []
    }

    @Test("a flow has its endpoint, ends, counts, times and rule")
    func flow() {
        #expect(
            cells(entry()) == [
                "shop/pod-3", "ingress", "TCP", "10.7.0.3:80", "10.7.0.2:40000", "shop/pod-2", "established", "-", "3",
                "300", "5", "500", "102", "102", "yes", "allow", "policy.yaml:8",
            ])
    }

    @Test("a flow of an earlier revision is not current and names no rule")
    func earlierRevision() {
        let cells = cells(entry { $0.revision = 4 })
        #expect(Array(cells.suffix(3)) == ["no", "-", "-"])
    }

    @Test(
        "the state follows flags and time",
        arguments: [
            (UInt32(0), UInt32(1100), FlowEntry.State.new), (WEIR_CT_REPLY_SEEN.rawValue, 1000, .established),
            (WEIR_CT_REPLY_SEEN.rawValue | WEIR_CT_CLOSING.rawValue, 1100, .closing),
            (WEIR_CT_REPLY_SEEN.rawValue, 999, .expired),
        ])
    func states(flags: UInt32, expires: UInt32, state: FlowEntry.State) throws {
        let entry = entry {
            $0.flags = UInt8(flags)
            $0.expires = expires
        }
        #expect(try #require(FlowEntry(entry, in: .node(.conntrack4))).state(at: Self.now) == state)
    }

    @Test("a filter admits by owner, peer, asked port, protocol and state")
    func filters() throws {
        let flow = try #require(FlowEntry(entry(), in: .node(.conntrack4)))
        func admits(_ adjust: (inout FlowFilter) -> Void) -> Bool {
            var filter = FlowFilter()
            adjust(&filter)
            return filter.admits(flow, decoder)
        }
        #expect(admits { _ in })
        #expect(admits { $0.endpoint = "shop/pod-3" })
        #expect(!admits { $0.endpoint = "shop/pod-2" })
        #expect(admits { $0.peers = Set([IPAddress("10.7.0.2")].compactMap(\.self)) })
        #expect(!admits { $0.peers = Set([IPAddress("10.7.0.3")].compactMap(\.self)) })
        #expect(admits { $0.port = 80 })
        #expect(!admits { $0.port = 40_000 })
        #expect(admits { $0.protocol = .tcp })
        #expect(!admits { $0.protocol = .udp })
        #expect(admits { $0.state = .established })
        #expect(!admits { $0.state = .new })
    }

    @Test("the port of a flow is the one that policy was asked for, whoever began")
    func askedPort() throws {
        let outward = try #require(
            FlowEntry(entry { $0.direction = UInt8(WEIR_EGRESS.rawValue) }, in: .node(.conntrack4)))
        #expect(outward.port == 40_000)
    }

    @Test("an IPv6 flow of the node itself is the host's, whatever the device")
    func node() {
        var key = weir_flow6()
        key.owner = 58
        setABIBytes(&key.local, [UInt8](repeating: 0, count: 15) + [1])
        setABIBytes(&key.remote, [0xfd, 7] + [UInt8](repeating: 0, count: 13) + [2])
        let rows = decoder.rows(
            MapEntry(key: key.abiBytes, value: weir_conntrack().abiBytes), of: .node(.conntrack6))
        #expect(
            rows.first?.cells.prefix(6).map { $0.text(isWide: false) }
                == ["host", "egress", "ICMPv6", "::1", "fd07::2", "shop/pod-2"])
    }
}
