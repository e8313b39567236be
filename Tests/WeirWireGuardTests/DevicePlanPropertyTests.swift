import Foundation
import Testing
import WeirModel
import WeirTestSupport
import WeirWireGuard

/// What the kernel makes of changes to allowed IPs, as naive as it goes: a prefix belongs to one peer, adding it to
/// another moves it, the longest match counts, a peer that goes takes its prefixes along.
private struct NaiveDevice {
    var state: DeviceState
    var owners: [Prefix: PublicKey] = [:]
    var peers: Set<PublicKey>
    /// Called after each step that a packet can see.
    var watch: (borrowing [Prefix: PublicKey]) -> Void = { _ in }

    init(_ state: DeviceState) {
        self.state = state
        peers = Set(state.peers.map(\.publicKey))
        for peer in state.peers { for prefix in peer.allowedIPs { owners[prefix] = peer.publicKey } }
    }

    mutating func apply(_ change: DeviceChange) {
        state.listenPort = change.listenPort ?? state.listenPort
        state.firewallMark = change.firewallMark ?? state.firewallMark
        for peer in change.peers { apply(peer) }
    }

    private mutating func apply(_ change: PeerChange) {
        let key = change.publicKey
        switch change.kind {
        case .remove:
            peers.remove(key)
            state.peers.removeAll { $0.publicKey == key }
            owners = owners.filter { $0.value != key }
            watch(owners)
            return
        case .update where !peers.contains(key): return
        case .add, .update: break
        }
        if peers.insert(key).inserted { state.peers.append(PeerState(publicKey: key)) }
        guard let index = state.peers.firstIndex(where: { $0.publicKey == key }) else { return }
        if let endpoint = change.endpoint { state.peers[index].endpoint = endpoint }
        if let seconds = change.persistentKeepalive { state.peers[index].persistentKeepalive = seconds }
        if change.replacesAllowedIPs {
            owners = owners.filter { $0.value != key }
            watch(owners)
        }
        for prefix in change.allowedIPs {
            owners[prefix] = key
            watch(owners)
        }
    }

    /// As it would be read back.
    var result: DeviceState {
        var copy = state
        copy.peers = copy.peers.map { peer in
            var peer = peer
            peer.allowedIPs = owners.filter { $0.value == peer.publicKey }.keys.sorted()
            return peer
        }.sorted { $0.publicKey < $1.publicKey }
        return copy
    }

    static func owner(of address: IPAddress, in owners: [Prefix: PublicKey]) -> PublicKey? {
        owners.filter { $0.key.contains(address) }.max { $0.key.length < $1.key.length }?.value
    }
}

@Suite("Any plan")
struct DevicePlanPropertyTests {
    private static let seed =
        ProcessInfo.processInfo.environment["WEIR_TEST_SEED"].flatMap { UInt64($0) }
        ?? UInt64.random(in: 0...UInt64.max / 2)

    /// 16 addresses, and every prefix of them down to /28.
    private static let space: [Prefix] = (28...32).flatMap { length in
        (0..<16).map { Prefix(IPAddress(family: .ipv4, value: 0x0a07_0000 + $0), length: length) }
    }
    private static let addresses = (0..<16).map { IPAddress(family: .ipv4, value: 0x0a07_0000 + $0) }

    /// Owners by prefix: of different peers apart from one another, as the compiler sees to it, or anyhow, as somebody
    /// else may have left them.
    private static func randomOwners(apart: Bool, _ random: inout SeededGenerator) -> [Prefix: UInt8] {
        var owners: [Prefix: UInt8] = [:]
        for _ in 0..<random.below(9) {
            let (prefix, owner) = (space[random.below(space.count)], UInt8(random.below(6)))
            if apart,
                owners.contains(where: {
                    $0.value != owner && ($0.key.contains(prefix) || prefix.contains($0.key))
                })
            {
                continue
            }
            owners[prefix] = owner
        }
        return owners
    }

    private static func randomState(apart: Bool, _ random: inout SeededGenerator) -> DeviceState {
        let owners = randomOwners(apart: apart, &random)
        let keys = (0..<UInt8(6)).filter { number in random.below(2) == 0 || owners.values.contains(number) }
        return DeviceState(
            interfaceIndex: 7, publicKey: key(100), listenPort: UInt16(random.below(2)),
            firewallMark: UInt32(random.below(2)),
            peers: keys.map { number in
                PeerState(
                    publicKey: key(number), endpoint: random.below(2) == 0 ? nil : endpoint("192.0.2.\(number + 1):1"),
                    allowedIPs: owners.filter { $0.value == number }.map(\.key),
                    persistentKeepalive: UInt16(random.below(2)))
            })
    }

    private static func randomLane(_ random: inout SeededGenerator) -> TunnelConfiguration.Lane {
        let owners = randomOwners(apart: true, &random)
        return TunnelConfiguration(
            node: "a", publicKey: key(100), nextPublicKey: nil, interfaces: ["weir-wg0"],
            listenPort: UInt16(random.below(2)), firewallMark: UInt32(random.below(2)), routingTable: 1,
            rulePreference: 1, mtu: 1440,
            peers: (0..<UInt8(6)).filter { number in random.below(2) == 0 || owners.values.contains(number) }.map {
                number in
                .init(
                    node: "n\(number)", publicKey: key(number), endpoint: endpoint("192.0.2.\(number + 1):1"),
                    allowedIPs: owners.filter { $0.value == number }.map(\.key),
                    persistentKeepalive: UInt16(random.below(2)), mtu: 1440)
            }, routes: []
        ).lanes[0]
    }

    @Test("reaches its lane, and then there is nothing to do")
    func reaches() throws {
        print("plans with WEIR_TEST_SEED=\(Self.seed)")
        for round in 0..<2000 {
            var random = SeededGenerator(seed: Self.seed &+ UInt64(round))
            let (state, lane) = (Self.randomState(apart: round.isMultiple(of: 2), &random), Self.randomLane(&random))
            let plan = DevicePlan(from: state, to: lane)
            var device = NaiveDevice(state)
            for change in plan.changes { device.apply(change) }
            let status = TunnelStatus(of: device.result, wanted: lane)
            #expect(
                status.device.isEmpty && status.peers.allSatisfy { $0.isInSync && $0.differences.isEmpty },
                "seed \(Self.seed) round \(round): \(state) to \(lane) by \(plan.changes)")
            #expect(DevicePlan(from: device.result, to: lane).isEmpty)
            #expect(plan.isEmpty == plan.lines.isEmpty)
        }
    }

    @Test("never leaves a prefix to nobody that had an owner and will have one, nor gives an address to a third peer")
    func continuity() {
        var gaps = 0
        for round in 0..<2000 {
            var random = SeededGenerator(seed: Self.seed &+ UInt64(round))
            let (state, lane) = (Self.randomState(apart: round.isMultiple(of: 2), &random), Self.randomLane(&random))
            let plan = DevicePlan(from: state, to: lane)
            var device = NaiveDevice(state)
            let before = device.owners
            for change in plan.changes { device.apply(change) }
            let after = device.owners
            let real = Set(lane.peers.map(\.publicKey)).union(state.peers.map(\.publicKey))
            // What goes inside what stays or comes: the one case that the plan's promise leaves out.
            let excused = before.keys.filter { stale in
                after[stale] == nil && after.keys.contains { $0.contains(stale) }
            }
            var watched = NaiveDevice(state)
            var problems: [String] = []
            watched.watch = { owners in
                let owners = owners
                for prefix in before.keys where after[prefix] != nil {
                    if !real.contains(owners[prefix] ?? key(255)) { problems.append("\(prefix) has no owner") }
                }
                for address in Self.addresses {
                    let first = NaiveDevice.owner(of: address, in: before)
                    let last = NaiveDevice.owner(of: address, in: after)
                    let now = NaiveDevice.owner(of: address, in: owners).flatMap { real.contains($0) ? $0 : nil }
                    if let now, now != first, now != last, round.isMultiple(of: 2) {
                        problems.append("\(address) is \(now)'s")
                    }
                    if now == nil, first != nil, last != nil {
                        gaps += 1
                        if !excused.contains(where: { $0.contains(address) }) {
                            problems.append("\(address) has no owner")
                        }
                    }
                }
            }
            for change in plan.changes { watched.apply(change) }
            #expect(problems.isEmpty, "seed \(Self.seed) round \(round): \(state) to \(lane) by \(plan.changes)")
        }
        // Else the excuse would not be one.
        #expect(gaps > 0)
    }

    @Test("touches no peer that is right already")
    func untouched() {
        for round in 0..<2000 {
            var random = SeededGenerator(seed: Self.seed &+ UInt64(round))
            let (state, lane) = (Self.randomState(apart: round.isMultiple(of: 2), &random), Self.randomLane(&random))
            let plan = DevicePlan(from: state, to: lane)
            let right = plan.status.peers.filter { $0.wanted != nil && $0.state != nil && $0.differences.isEmpty }
            let touched = Set(plan.changes.flatMap(\.peers).map(\.publicKey))
            #expect(touched.isDisjoint(with: right.map(\.publicKey)))
        }
    }
}
