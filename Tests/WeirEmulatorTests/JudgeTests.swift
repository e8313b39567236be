import Testing
import WeirABI
import WeirEmulator
import WeirFlow
import WeirImage
import WeirMaps
import WeirModel
import WeirTestSupport

@Suite("Emulator judge")
struct JudgeTests {
    /// Rows and tables by chance, with everything that a table can hold.
    static func randomFixture(_ generator: inout SeededGenerator) -> ImageFixture {
        var fixture = ImageFixture()
        func decision() -> Decision {
            let kinds = Decision.Kind.allCases
            let kind = kinds[generator.below(kinds.count)]
            return Decision(
                kind, rule: RuleID(rawValue: UInt32(generator.below(8))),
                isAudited: kind != .allow && generator.below(4) == 0)
        }
        fixture.egressDefault = decision()
        fixture.ingressDefault = decision()
        for group in 1..<ImageFixture.groupCount {
            for isEgress in [true, false] where generator.below(2) == 0 {
                let action: Action =
                    generator.below(3) == 0 ? .decided(decision()) : ImageFixture.table(UInt32(1 + generator.below(3)))
                if isEgress { fixture.egress[group] = action } else { fixture.ingress[group] = action }
            }
        }
        for table in 1...3 as ClosedRange<UInt32> {
            if generator.below(3) == 0 { fixture.tables[table, default: []].append(.init(decision: decision())) }
            for number in [.tcp, .udp, .icmp, .icmpv6, IPProtocol(rawValue: 47)] where generator.below(2) == 0 {
                fixture.tables[table, default: []].append(.init(protocol: number, decision: decision()))
                var ports: Set<UInt16> = []
                for bits in 10...16 {
                    let port = UInt16(generator.below(256)) & ~UInt16(truncatingIfNeeded: (1 << (16 - bits)) - 1)
                    guard ports.insert(port).inserted else { continue }
                    fixture.tables[table, default: []]
                        .append(.init(protocol: number, port: port, portBits: bits, decision: decision()))
                }
            }
        }
        return fixture
    }

    static func randomQuery(_ generator: inout SeededGenerator) throws -> FlowQuery {
        let isIPv6 = generator.below(3) == 0
        let four = ["10.0.1.2", "10.0.1.3", "192.0.2.10", "192.0.2.11", "10.0.7.7", "198.51.100.4", "224.0.0.5"]
        let six = ["fd00:1::2", "fd00:1::3", "fd00:1::77", "2001:db8::5", "ff02::fb"]
        let isEgress = generator.below(2) == 0
        // Nobody sends from a multicast address.
        let peers = isIPv6 ? six.dropLast(isEgress ? 0 : 1) : four.dropLast(isEgress ? 0 : 1)
        let protocols: [IPProtocol] = [.tcp, .udp, .sctp, isIPv6 ? .icmpv6 : .icmp, IPProtocol(rawValue: 47)]
        let chosen = protocols[generator.below(protocols.count)]
        let port: UInt16 =
            switch chosen {
            case .tcp, .udp, .sctp: UInt16(generator.below(300))
            // Not neighbour discovery: that is no question of policy.
            case .icmp, .icmpv6: UInt16(generator.below(130))
            default: 0
            }
        return FlowQuery(
            endpoint: 1, direction: isEgress ? .egress : .ingress,
            localAddress: try #require(IPAddress(isIPv6 ? "fd00:1::1" : "10.0.1.1")),
            peerAddress: try #require(IPAddress(peers[generator.below(peers.count)])),
            path: !isEgress && generator.below(3) == 0 ? .host : .forwarded, protocol: chosen, port: port)
    }

    /// The answer straight from the fixture, without maps.
    private func expected(_ fixture: ImageFixture, _ query: FlowQuery) throws -> Decision {
        let isEgress = query.direction == .egress
        var group: UInt32
        if !isEgress, query.path == .host {
            group = WEIR_GROUP_HOST.rawValue
        } else if query.peerAddress.isMulticast {
            group = WEIR_GROUP_MULTICAST.rawValue
        } else if let known = fixture.addresses.first(where: { IPAddress($0.address) == query.peerAddress }) {
            group = known.group
            if !isEgress, group == WEIR_GROUP_HOST.rawValue { group = WEIR_GROUP_MASQUERADED.rawValue }
        } else {
            group = try #require(
                fixture.cidrs.compactMap { cidr in Prefix(cidr.prefix).map { ($0, cidr.group) } }
                    .filter { $0.0.contains(query.peerAddress) }.max { $0.0.length < $1.0.length }?.1)
        }
        let rest = isEgress ? fixture.egressDefault : fixture.ingressDefault
        switch (isEgress ? fixture.egress : fixture.ingress)[group] ?? .decided(rest) {
        case .decided(let decision): return decision
        case .table(let table):
            let matching = (fixture.tables[table.rawValue] ?? []).filter { verdict in
                guard let wanted = verdict.protocol else { return true }
                return wanted == query.protocol && (query.port ^ verdict.port) >> UInt16(16 - verdict.portBits) == 0
            }
            func length(_ verdict: ImageFixture.Verdict) -> Int { verdict.protocol == nil ? -1 : verdict.portBits }
            return matching.max { length($0) < length($1) }?.decision ?? rest
        }
    }

    @Test(
        "judge, packet walk and the fixture's own words agree on random flows", arguments: 1...20 as ClosedRange<UInt64>
    )
    func agreement(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let fixture = Self.randomFixture(&generator)
        let judge = try EmulatorJudge(image: fixture.image)
        // Without conntrack and guards every frame is judged by itself.
        let wire = try Wire(fixture, options: [])
        for _ in 0..<200 {
            let query = try Self.randomQuery(&generator)
            let answer = try judge.judge(query)
            #expect(answer == (try expected(fixture, query)), "seed \(seed): \(query)")
            let outcome = wire.frame(
                PacketBuilder.frame(for: query), query.direction, from: query.path == .host ? 0 : 3)
            #expect(outcome.decision == answer, "seed \(seed): \(query)")
            #expect((outcome.verdict == .pass) == answer.passes, "seed \(seed): \(query)")
        }
    }

    @Test("a broken promise of the compiler is an error that names map and key")
    func brokenInvariants() throws {
        var query = FlowQuery(
            endpoint: 1, direction: .egress, localAddress: try #require(IPAddress("10.0.1.1")),
            peerAddress: try #require(IPAddress("198.51.100.1")), path: .forwarded, protocol: .tcp, port: 80)
        var fixture = ImageFixture()
        fixture.cidrs = []
        let judge = try EmulatorJudge(image: fixture.image)
        let error = #expect(throws: BrokenInvariant.self) { try judge.judge(query) }
        #expect(error?.description == "map cidrs4 has no element [20 00 00 00 c6 33 64 01]")
        query.endpoint = 9
        let missing = #expect(throws: BrokenInvariant.self) { try judge.judge(query) }
        #expect(missing?.map == .endpoints && missing?.key == [9, 0, 0, 0])
    }
}
