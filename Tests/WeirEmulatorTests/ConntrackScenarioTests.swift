import Testing
import WeirABI
import WeirEmulator
import WeirFlow
import WeirImage
import WeirMaps
import WeirModel

@Suite("Connection tracking")
struct ConntrackScenarioTests {
    /// Both directions are default deny except what `webServer` allows: replies need conntrack.
    private var closed: ImageFixture {
        var fixture = ImageFixture.webServer
        fixture.egressDefault = Decision(.defaultDeny)
        return fixture
    }

    @Test("replies pass where only the originating direction is allowed")
    func replies() throws {
        let wire = try Wire(closed)
        let syn = try clientSYN()
        #expect(wire.send(syn.reversed.flags(PacketSpec.synAck)) == .policyDefaultDeny)
        #expect(wire.receive(syn) == .none)
        #expect(wire.send(syn.reversed.flags(PacketSpec.synAck)) == .none)
    }

    @Test("a flow moves to the table of established flows with the originator's first packet after a reply")
    func establishing() throws {
        let wire = try Wire(closed)
        let syn = try clientSYN()
        wire.receive(syn)
        wire.receive(syn)
        wire.send(syn.reversed.flags(PacketSpec.synAck))
        #expect(try wire.entries(.conntrack4_new).count == 1 && wire.entries(.conntrack4).isEmpty)
        wire.receive(syn.flags(PacketSpec.ack))
        #expect(try wire.entries(.conntrack4_new).isEmpty)
        let entry = try #require(try wire.entries(.conntrack4).first)
        #expect(entry.packets.1 == 3 && entry.packets.0 == 1 && entry.revision == 1 && entry.direction == 1)
        #expect(entry.expires == 1000 + UInt32(WEIR_TIMEOUT_TCP))
        #expect(UInt32(entry.flags) == WEIR_CT_REPLY_SEEN.rawValue)
    }

    @Test("a new connection in a flow's reply direction is judged by itself")
    func synInReplyDirection() throws {
        let wire = try Wire(closed)
        let syn = try clientSYN()
        wire.receive(syn)
        #expect(wire.send(syn.reversed) == .policyDefaultDeny)
        #expect(wire.send(syn.reversed.flags(PacketSpec.synAck)) == .none)
    }

    @Test("a flow first seen in its middle allows its own direction only")
    func midstream() throws {
        let wire = try Wire(closed)
        let middle = try clientSYN().flags(PacketSpec.ack)
        #expect(wire.receive(middle) == .none)
        #expect(wire.receive(middle) == .none)
        #expect(wire.send(middle.reversed) == .policyDefaultDeny)
        let entry = try #require(try wire.entries(.conntrack4_new).first)
        #expect(UInt32(entry.flags) == WEIR_CT_MIDSTREAM.rawValue)
    }

    @Test("a new connection on a flow's ports is neither closing nor in its middle")
    func newConnection() throws {
        let wire = try Wire(closed)
        let syn = try clientSYN()
        wire.receive(syn.flags(PacketSpec.TCPFlags.fin | PacketSpec.ack))
        var entry = try #require(try wire.entries(.conntrack4_new).first)
        #expect(UInt32(entry.flags) == WEIR_CT_MIDSTREAM.rawValue | WEIR_CT_CLOSING.rawValue)
        for flag in [PacketSpec.TCPFlags.fin, PacketSpec.TCPFlags.rst] {
            #expect(wire.receive(syn.flags(PacketSpec.TCPFlags.syn | flag)) == .none)
            #expect(wire.send(syn.reversed.flags(PacketSpec.synAck)) == .policyDefaultDeny)
        }
        #expect(wire.receive(syn) == .none)
        entry = try #require(try wire.entries(.conntrack4_new).first)
        #expect(entry.flags == 0 && entry.expires == 1000 + UInt32(WEIR_TIMEOUT_TCP_NEW))
        #expect(wire.send(syn.reversed.flags(PacketSpec.synAck)) == .none)
    }

    @Test("an established flow does not hide a new one the other way round")
    func bothWays() throws {
        var fixture = closed
        fixture.egress[ImageFixture.client] = ImageFixture.allow(5)
        let wire = try Wire(fixture)
        let syn = try clientSYN()
        wire.receive(syn)
        wire.send(syn.reversed.flags(PacketSpec.synAck))
        wire.receive(syn.flags(PacketSpec.ack))
        #expect(wire.send(syn.reversed) == .none)
        #expect(try wire.entries(.conntrack4).map(\.direction) == [1])
        #expect(try wire.entries(.conntrack4_new).map(\.direction) == [0])
        // The client's SYN opens its own again; the established entry is found first.
        #expect(wire.receive(syn) == .none)
        #expect(try wire.entries(.conntrack4_new).map(\.direction) == [0])
    }

    @Test("what cannot ride an entry and opens nothing leaves the entry as it is")
    func entryStands() throws {
        var fixture = closed
        fixture.egress[ImageFixture.client] = ImageFixture.allow(5)
        let wire = try Wire(fixture)
        let middle = try clientSYN().flags(PacketSpec.ack)
        wire.receive(middle)
        #expect(wire.send(middle.reversed) == .none)
        let entry = try #require(try wire.entries(.conntrack4_new).first)
        #expect(entry.direction == 1 && entry.packets.1 == 1)
        #expect(wire.send(middle.reversed.flags(PacketSpec.TCPFlags.syn)) == .none)
        #expect(try wire.entries(.conntrack4_new).map(\.direction) == [0])
    }

    @Test("a packet that is judged again counts its rule once and is reported as allowed")
    func judgedAgainOnce() throws {
        let wire = try Wire(closed, watching: [WEIR_EVENT_DROPS, WEIR_EVENT_ALLOWS])
        let syn = try clientSYN()
        wire.receive(syn)
        #expect(wire.events().count == 1)
        wire.send(syn.reversed.flags(PacketSpec.synAck))
        #expect(wire.events().isEmpty)
        try wire.commit(closed)
        wire.send(syn.reversed.flags(PacketSpec.synAck))
        #expect(try wire.count(rule: 3) == 1)
        let event = try #require(wire.events().first)
        #expect(event.reason == 0 && event.direction == 0 && event.group == ImageFixture.client)
        #expect(event.action == ImageFixture.allow(3).rawValue)
    }

    @Test("a tightened policy cuts a live flow with the originator's next packet")
    func tightened() throws {
        let wire = try Wire(closed)
        let syn = try clientSYN()
        wire.receive(syn)
        wire.send(syn.reversed.flags(PacketSpec.synAck))
        var tighter = closed
        tighter.ingress[ImageFixture.client] = ImageFixture.deny(4)
        try wire.commit(tighter)
        let outcome = wire.frame(PacketBuilder.frame(syn.flags(PacketSpec.ack)), .ingress)
        #expect(outcome.reason == .policyDeny && outcome.decision?.rule == RuleID(rawValue: 4))
        #expect(try wire.entries(.conntrack4_new).isEmpty && wire.entries(.conntrack4).isEmpty)
    }

    @Test("a tightened policy cuts a live flow with the first reply")
    func tightenedAtReply() throws {
        let wire = try Wire(closed)
        let syn = try clientSYN()
        wire.receive(syn)
        var tighter = closed
        tighter.ingress[ImageFixture.client] = ImageFixture.deny(4)
        // The reply's own direction is open; what counts is the originator's.
        tighter.egressDefault = Decision(.allow)
        try wire.commit(tighter)
        #expect(wire.send(syn.reversed.flags(PacketSpec.synAck)) == .policyDeny)
        #expect(try wire.entries(.conntrack4_new).isEmpty)
    }

    @Test(
        "a flow that the next policy allows too goes on under the new rule, in either direction",
        arguments: [true, false])
    func judgedAgain(replyFirst: Bool) throws {
        let wire = try Wire(closed)
        let syn = try clientSYN()
        wire.receive(syn)
        var next = closed
        next.ingress[ImageFixture.client] = ImageFixture.allow(6)
        try wire.commit(next)
        let reply = PacketBuilder.frame(syn.reversed.flags(PacketSpec.synAck))
        let own = PacketBuilder.frame(syn.flags(PacketSpec.ack))
        let outcome = replyFirst ? wire.frame(reply, .egress) : wire.frame(own, .ingress)
        #expect(outcome.decision == Decision(.allow, rule: RuleID(rawValue: 6)))
        let entry = try #require(try wire.entries(.conntrack4_new).first)
        #expect(entry.revision == 2 && entry.action == ImageFixture.allow(6).rawValue)
    }

    @Test("a loosened policy lets in what it refused before, with the next packet")
    func loosened() throws {
        let wire = try Wire(closed)
        let spec = try packet("10.0.1.3", "10.0.1.1", .udp)
        #expect(wire.receive(spec) == .policyDefaultDeny)
        var looser = closed
        looser.ingressDefault = Decision(.allow)
        try wire.commit(looser)
        #expect(wire.receive(spec) == .none)
    }

    @Test("a rollback is a policy change for live flows")
    func rollback() throws {
        let wire = try Wire(closed)
        var looser = closed
        looser.ingressDefault = Decision(.allow)
        try wire.commit(looser)
        let spec = try packet("10.0.1.3", "10.0.1.1", .udp)
        #expect(wire.receive(spec) == .none)
        try wire.node.rollback()
        #expect(wire.receive(spec) == .policyDefaultDeny)
    }

    @Test("a flow from the host is judged again as the host's")
    func hostAgain() throws {
        var fixture = closed
        fixture.ingress[WEIR_GROUP_HOST.rawValue] = ImageFixture.allow()
        let wire = try Wire(fixture)
        let spec = try packet("198.51.100.9", "10.0.1.1", .udp) { $0.destinationPort = 53 }
        #expect(wire.receive(spec, from: 0) == .none)
        try wire.commit(fixture)
        #expect(wire.send(spec.reversed) == .none)
        fixture.ingress[WEIR_GROUP_HOST.rawValue] = ImageFixture.deny()
        try wire.commit(fixture)
        #expect(wire.send(spec.reversed) == .policyDeny)
    }

    @Test("an echo request opens the way for its reply and for nothing else")
    func echo() throws {
        var fixture = closed
        fixture.ingress[ImageFixture.client] = ImageFixture.table(1)
        fixture.tables[1] = [.init(protocol: .icmp, port: 8, portBits: 16, decision: Decision(.allow))]
        let wire = try Wire(fixture)
        let request = try packet("10.0.1.2", "10.0.1.1", .icmp) {
            $0.icmpType = 8
            $0.icmpIdentifier = 77
        }
        var reply = request.reversed
        reply.icmpType = 0
        #expect(wire.send(reply) == .policyDefaultDeny)
        #expect(wire.receive(request) == .none)
        #expect(wire.send(reply) == .none)
        #expect(wire.send(request.reversed) == .policyDefaultDeny)
        var forged = request
        forged.icmpType = 0
        #expect(wire.receive(forged) == .policyDefaultDeny)
        var other = reply
        other.icmpIdentifier = 78
        #expect(wire.send(other) == .policyDefaultDeny)
        // Judged again as a request, whichever way the packet goes.
        try wire.commit(fixture)
        #expect(wire.send(reply) == .none)
    }

    @Test("an allowed echo reply is no flow and opens nothing for requests")
    func replyOpensNothing() throws {
        var fixture = closed
        fixture.egress[ImageFixture.client] = ImageFixture.table(2)
        fixture.tables[2] = [.init(protocol: .icmp, port: 0, portBits: 16, decision: Decision(.allow))]
        let wire = try Wire(fixture)
        var spec = try packet("10.0.1.1", "10.0.1.2", .icmp)
        #expect(wire.send(spec) == .none)
        #expect(try wire.entries(.conntrack4_new).isEmpty)
        spec.icmpType = 8
        #expect(wire.send(spec) == .policyDefaultDeny)
    }

    @Test("an icmp error passes with the flow that it quotes", arguments: [true, false])
    func quotedFlow(isIPv6: Bool) throws {
        let wire = try Wire(closed)
        let client = isIPv6 ? "fd00:1::2" : "10.0.1.2"
        let own = isIPv6 ? "fd00:1::1" : "10.0.1.1"
        let router = isIPv6 ? "2001:db8::1" : "198.51.100.1"
        let syn = try packet(client, own, .tcp) { $0.destinationPort = 80 }
        let answer = syn.reversed.flags(PacketSpec.synAck)
        // From a router on the way, about what the endpoint sent.
        let error = try packet(router, own, isIPv6 ? .icmpv6 : .icmp) {
            $0.icmpType = isIPv6 ? 2 : 3
            $0.payload = Array(PacketBuilder.packet(answer).prefix(isIPv6 ? 48 : 28))
        }
        #expect(wire.receive(error) == .policyDefaultDeny)
        wire.receive(syn)
        #expect(wire.receive(error) == .none)
        var cut = error
        cut.payload = error.payload.map { Array($0.dropLast(5)) }
        #expect(wire.receive(cut) == .policyDefaultDeny)
        // About a packet in the wrong direction: not what the endpoint sent.
        var wrong = error
        wrong.payload = Array(PacketBuilder.packet(syn).prefix(48))
        #expect(wire.receive(wrong) == .policyDefaultDeny)
        // From the endpoint, about what it received.
        let own2 = try packet(own, client, isIPv6 ? .icmpv6 : .icmp) {
            $0.icmpType = isIPv6 ? 1 : 3
            $0.payload = Array(PacketBuilder.packet(syn).prefix(48))
        }
        #expect(wire.send(own2) == .none)
        // The same to anybody else is payload, not an answer.
        let elsewhere = try packet(own, router, isIPv6 ? .icmpv6 : .icmp) {
            $0.icmpType = isIPv6 ? 1 : 3
            $0.payload = own2.payload
        }
        #expect(wire.send(elsewhere) == .policyDefaultDeny)
        // A flow that the new policy has not seen yet gives no cover.
        try wire.commit(closed)
        #expect(wire.receive(error) == .policyDefaultDeny)
        wire.receive(syn.flags(PacketSpec.ack))
        #expect(wire.receive(error) == .none)
    }

    @Test("a reply that is judged again is judged by the port of its originator")
    func originatorsPort() throws {
        let wire = try Wire(closed)
        let syn = try clientSYN()
        wire.receive(syn)
        try wire.commit(closed)
        #expect(wire.send(syn.reversed.flags(PacketSpec.synAck)) == .none)
        #expect(try wire.entries(.conntrack4_new).first?.revision == 2)
    }

    @Test("a masqueraded flow is judged again as masqueraded, whoever has the address now")
    func masqueradedAgain() throws {
        var fixture = closed
        fixture.ingress[WEIR_GROUP_MASQUERADED.rawValue] = ImageFixture.allow(3)
        let wire = try Wire(fixture)
        let spec = try packet("192.0.2.10", "10.0.1.1", .udp) { $0.destinationPort = 53 }
        #expect(wire.receive(spec) == .none)
        fixture.addresses = []
        try wire.commit(fixture)
        #expect(wire.send(spec.reversed) == .none)
    }

    @Test("an icmp error about a multicast packet names no endpoint and is judged by itself")
    func quotedMulticast() throws {
        var fixture = closed
        fixture.ingress[WEIR_GROUP_MULTICAST.rawValue] = ImageFixture.allow()
        let wire = try Wire(fixture)
        let query = try packet("10.0.1.2", "224.0.0.251", .udp)
        #expect(wire.receive(query) == .none)
        let error = try packet("10.0.1.1", "10.0.1.2", .icmp) {
            $0.icmpType = 3
            $0.payload = PacketBuilder.packet(query)
        }
        #expect(wire.send(error) == .policyDefaultDeny)
    }

    @Test("an icmp error that quotes a fragment gives no cover")
    func quotedFragment() throws {
        let wire = try Wire(closed)
        let syn = try clientSYN()
        wire.receive(syn)
        var quoted = syn.reversed
        quoted.ipv4Fragment = 0x2000
        let error = try packet("198.51.100.1", "10.0.1.1", .icmp) {
            $0.icmpType = 3
            $0.payload = PacketBuilder.packet(quoted)
        }
        #expect(wire.receive(error) == .policyDefaultDeny)
    }

    @Test("an entry that has expired is a miss; the tick of its end still counts")
    func expiry() throws {
        let wire = try Wire(closed)
        let syn = try clientSYN()
        wire.receive(syn)
        wire.ticks += UInt64(WEIR_TIMEOUT_TCP_NEW)
        #expect(wire.send(syn.reversed.flags(PacketSpec.ack)) == .none)
        wire.ticks += UInt64(WEIR_TIMEOUT_TCP)
        #expect(wire.send(syn.reversed.flags(PacketSpec.ack)) == .none)
        wire.ticks += UInt64(WEIR_TIMEOUT_TCP) + 1
        #expect(wire.send(syn.reversed.flags(PacketSpec.ack)) == .policyDefaultDeny)
    }

    @Test(
        "a reset or fin shortens the flow's life and deletes nothing",
        arguments: [PacketSpec.TCPFlags.rst, PacketSpec.TCPFlags.fin])
    func closing(flag: UInt8) throws {
        let wire = try Wire(closed)
        let syn = try clientSYN()
        wire.receive(syn)
        wire.send(syn.reversed.flags(PacketSpec.synAck))
        #expect(wire.receive(syn.flags(flag | PacketSpec.ack)) == .none)
        let entry = try #require(try wire.entries(.conntrack4).first)
        #expect(entry.expires == 1000 + UInt32(WEIR_TIMEOUT_TCP_CLOSING))
        #expect(wire.send(syn.reversed.flags(PacketSpec.ack)) == .none)
        wire.ticks += 11
        #expect(wire.send(syn.reversed.flags(PacketSpec.ack)) == .policyDefaultDeny)
    }

    @Test("an entry whose key check is wrong is a miss")
    func keyCheck() throws {
        let wire = try Wire(closed)
        let syn = try clientSYN()
        wire.receive(syn)
        let map = wire.node.map(.conntrack4_new)
        let stored = try #require(try map.entries().first)
        var entry = try #require(weir_conntrack(abiBytes: stored.value))
        entry.key_check ^= 1
        try map.update(stored.key, entry.abiBytes, mode: .exist)
        #expect(wire.send(syn.reversed.flags(PacketSpec.synAck)) == .policyDefaultDeny)
    }

    @Test("an allowed flow that cannot be recorded is dropped with the errno")
    func insertFails() throws {
        let faults = FaultPlan([.init(.update, map: "conntrack4_new", call: 1, error: .noMemory)])
        let wire = try Wire(closed, faults: faults)
        #expect(wire.receive(try clientSYN()) == .conntrackInsert)
        #expect(wire.events().first?.error == -12)
        #expect(wire.receive(try clientSYN()) == .none)
    }

    @Test("flows of protocols without ports are tracked by their addresses")
    func noPorts() throws {
        var fixture = closed
        fixture.ingress[ImageFixture.client] = ImageFixture.allow()
        let wire = try Wire(fixture)
        let spec = try packet("10.0.1.2", "10.0.1.1", IPProtocol(rawValue: 50))
        #expect(wire.receive(spec) == .none)
        #expect(wire.send(spec.reversed) == .none)
    }

    @Test("without conntrack every packet is judged by itself")
    func withoutConntrack() throws {
        let wire = try Wire(closed, options: DatapathOptions.defaults.subtracting(.conntrack))
        let syn = try clientSYN()
        #expect(wire.receive(syn) == .none)
        #expect(wire.send(syn.reversed.flags(PacketSpec.synAck)) == .policyDefaultDeny)
        #expect(try wire.entries(.conntrack4_new).isEmpty)
    }

    @Test("a reused address on a new interface does not inherit flows")
    func newInterface() throws {
        let wire = try Wire(closed)
        let syn = try clientSYN()
        wire.receive(syn)
        try wire.node.commit(closed.image, interfaces: [1: 9])
        let reply = PacketBuilder.frame(syn.reversed.flags(PacketSpec.synAck))
        #expect(wire.frame(reply, .egress, interface: 9).reason == .policyDefaultDeny)
    }
}
