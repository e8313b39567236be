import TestNetwork
import Testing
import WeirModel
import WeirWireGuard

@Suite("A plan for a device")
struct DevicePlanTests {
    /// A lane of `b`, `c`, … with keys 2, 3, … and the allowed IPs of each.
    private static func lane(
        _ allowedIPs: [String]..., mark: UInt32 = 0x57, edit: (inout TunnelConfiguration) -> Void = { _ in }
    ) -> TunnelConfiguration.Lane {
        var configuration = TunnelConfiguration(
            node: "a", publicKey: key(1), nextPublicKey: nil, interfaces: ["weir-wg0"], listenPort: 51871,
            firewallMark: mark, routingTable: 51871, rulePreference: 51, mtu: 1440,
            peers: allowedIPs.enumerated().map { index, prefixes in
                .init(
                    node: String("bcdefgh".dropFirst(index).prefix(1)), publicKey: key(UInt8(index + 2)),
                    endpoint: endpoint("192.0.2.\(11 + index):51871"), allowedIPs: prefixes.map(prefix), mtu: 1440)
            }, routes: [])
        edit(&configuration)
        return configuration.lanes[0]
    }

    /// A device that is this lane.
    private static func state(
        _ lane: TunnelConfiguration.Lane, edit: (inout DeviceState) -> Void = { _ in }
    ) -> DeviceState {
        var state = DeviceState(
            interfaceIndex: 7, publicKey: lane.publicKey, listenPort: lane.listenPort, firewallMark: lane.firewallMark,
            peers: lane.peers.map {
                PeerState(
                    publicKey: $0.publicKey, hasPresharedKey: $0.presharedKeyFile != nil, endpoint: $0.endpoint,
                    allowedIPs: $0.allowedIPs, persistentKeepalive: $0.persistentKeepalive, lastHandshake: 5)
            })
        edit(&state)
        return state
    }

    @Test("is empty where the device is as it is to be")
    func nothing() {
        let lane = Self.lane(["10.7.1.0/24"], ["10.7.2.0/24"])
        let plan = DevicePlan(from: Self.state(lane), to: lane)
        #expect(plan.isEmpty)
        #expect(plan.lines.isEmpty)
        #expect(plan.status.isInSync)
    }

    @Test("for a fresh device sets everything")
    func fresh() {
        let lane = Self.lane(["10.7.1.0/24", "192.0.2.11/32"]) {
            $0.peers[0].persistentKeepalive = 25
            $0.peers[0].presharedKeyFile = "/k"
        }
        let plan = DevicePlan(from: DeviceState(interfaceIndex: 7), to: lane)
        #expect(plan.setsPrivateKey)
        #expect(plan.presharedKeys.map(\.publicKey) == [key(2)])
        #expect(plan.presharedKeys.map(\.file) == ["/k"])
        #expect(
            plan.changes == [
                DeviceChange(
                    listenPort: 51871, firewallMark: 0x57,
                    peers: [
                        PeerChange(
                            .add, key(2), endpoint: endpoint("192.0.2.11:51871"), persistentKeepalive: 25,
                            allowedIPs: ["10.7.1.0/24", "192.0.2.11/32"].map(prefix))
                    ])
            ])
        #expect(
            plan.lines == [
                "+ private key of \(key(1))", "~ listen port: 0 -> 51871", "~ firewall mark: 0x0 -> 0x57",
                "+ peer b \(key(2)), 192.0.2.11:51871, 10.7.1.0/24 192.0.2.11/32, keepalive 25 s, preshared key",
            ])
    }

    @Test("touches the peers that change, and no others")
    func minimal() {
        let old = Self.lane(["10.7.1.0/24"], ["10.7.2.0/24"], ["10.7.3.0/24"])
        let new = Self.lane(["10.7.1.0/24"], ["10.7.2.0/24", "10.8.2.0/24"], ["10.7.3.0/24"]) {
            $0.peers[2].persistentKeepalive = 9
        }
        let plan = DevicePlan(from: Self.state(old), to: new, applied: old)
        #expect(
            plan.changes == [
                DeviceChange(peers: [
                    PeerChange(.update, key(3), allowedIPs: [prefix("10.8.2.0/24")]),
                    PeerChange(.update, key(4), persistentKeepalive: 9),
                ])
            ])
        #expect(plan.lines == ["~ peer c \(key(3)), +10.8.2.0/24", "~ peer d \(key(4)), keepalive 0 s -> 9 s"])
    }

    @Test("gives a node's prefixes to its new key before the old one goes")
    func rekeyed() {
        let old = Self.lane(["10.7.1.0/24"])
        let new = Self.lane(["10.7.1.0/24"]) { $0.peers[0].publicKey = key(22) }
        let plan = DevicePlan(from: Self.state(old), to: new)
        #expect(
            plan.changes == [
                DeviceChange(peers: [
                    PeerChange(
                        .add, key(22), endpoint: endpoint("192.0.2.11:51871"), persistentKeepalive: 0,
                        allowedIPs: [prefix("10.7.1.0/24")])
                ]), DeviceChange(peers: [PeerChange(.remove, key(2))]),
            ])
        #expect(
            plan.lines == [
                "+ peer b \(key(22)), 192.0.2.11:51871, 10.7.1.0/24", "- peer \(key(2)), 10.7.1.0/24",
            ])
    }

    @Test("moves a prefix from peer to peer by adding it alone")
    func moved() {
        let old = Self.lane(["10.7.1.0/24", "10.9.0.0/24"], ["10.7.2.0/24"])
        let new = Self.lane(["10.7.1.0/24"], ["10.7.2.0/24", "10.9.0.0/24"])
        #expect(
            DevicePlan(from: Self.state(old), to: new).changes == [
                DeviceChange(peers: [PeerChange(.update, key(3), allowedIPs: [prefix("10.9.0.0/24")])])
            ])
    }

    @Test("takes a prefix from a staying peer by way of nobody, without replacing the others")
    func taken() throws {
        let old = Self.lane(["10.7.1.0/24", "10.9.0.0/24"])
        let new = Self.lane(["10.7.1.0/24"])
        let plan = DevicePlan(from: Self.state(old), to: new)
        let peers = try #require(plan.changes.first).peers
        #expect(plan.changes.count == 1)
        #expect(peers.map(\.kind) == [.add, .remove])
        #expect(peers.map(\.allowedIPs) == [[prefix("10.9.0.0/24")], []])
        #expect(Set(peers.map(\.publicKey)).count == 1)
        #expect(peers[0].endpoint == nil)
        #expect(peers.allSatisfy { !$0.replacesAllowedIPs })
        #expect(plan.lines == ["~ peer b \(key(2)), -10.9.0.0/24"])
    }

    @Test("by way of nobody leaves a real device with the rest", .enabled(if: kernelTestsAreWanted))
    func takenFromDevice() throws {
        let device = try ThrowawayDevice()
        let old = Self.lane(["10.7.1.0/24", "10.9.0.0/24"], ["10.7.2.0/24"])
        let plan = DevicePlan(from: Self.state(old), to: Self.lane(["10.7.1.0/24"], ["10.7.2.0/24"]))
        func set(_ words: [String]) throws {
            let outcome = try device.wg(["set", device.interface] + words)
            try #require(outcome.status == 0, "\(outcome.output)")
        }
        for peer in old.peers {
            let prefixes = peer.allowedIPs.map(\.description).joined(separator: ",")
            try set(["peer", peer.publicKey.base64, "allowed-ips", prefixes])
        }
        var seen: [[String]] = []
        for change in plan.changes.flatMap(\.peers) {
            // `wg` replaces the allowed IPs of whom it gives some: of a peer that comes, that are none.
            try #require(change.kind != .update)
            let prefixes = change.allowedIPs.map(\.description).joined(separator: ",")
            try set(
                ["peer", change.publicKey.base64]
                    + (change.kind == .remove ? ["remove"] : ["allowed-ips", prefixes]))
            seen.append(
                try device.peers("allowed-ips").filter { line in
                    old.peers.contains { line.hasPrefix($0.publicKey.base64) }
                })
        }
        let rest = ["\(key(2).base64) 10.7.1.0/24", "\(key(3).base64) 10.7.2.0/24"]
        #expect(seen == [rest, rest])
        #expect(try device.peers("allowed-ips") == rest)
    }

    @Test("takes nobody away, where a run ended half-way, and uses it again")
    func leftover() throws {
        let old = Self.lane(["10.7.1.0/24", "10.9.0.0/24"])
        let new = Self.lane(["10.7.1.0/24"])
        let nobody = try #require(DevicePlan(from: Self.state(old), to: new).changes.first?.peers.first).publicKey
        let left = Self.state(new) {
            $0.peers.append(PeerState(publicKey: nobody, allowedIPs: [prefix("10.9.0.0/24")]))
        }
        #expect(
            DevicePlan(from: left, to: new).changes == [DeviceChange(peers: [PeerChange(.remove, nobody)])])
        let both = Self.state(old) { $0.peers.append(PeerState(publicKey: nobody)) }
        #expect(DevicePlan(from: both, to: new).changes.flatMap(\.peers).map(\.kind) == [.add, .remove])
    }

    @Test("leaves an endpoint that the device learned alone, until the configured one changes")
    func roaming() {
        let lane = Self.lane(["10.7.1.0/24"])
        let roamed = Self.state(lane) { $0.peers[0].endpoint = endpoint("198.51.100.1:40000") }
        let known = DevicePlan(from: roamed, to: lane, applied: lane)
        #expect(known.isEmpty)
        #expect(known.lines.isEmpty)
        #expect(known.status.isInSync)
        #expect(
            known.status.peers[0].differences == [
                .endpoint(is: endpoint("198.51.100.1:40000"), wanted: endpoint("192.0.2.11:51871"))
            ])

        let set = [DeviceChange(peers: [PeerChange(.update, key(2), endpoint: endpoint("192.0.2.11:51871"))])]
        #expect(DevicePlan(from: roamed, to: lane).changes == set)
        let before = Self.lane(["10.7.1.0/24"]) { $0.peers[0].endpoint = endpoint("192.0.2.99:1") }
        #expect(DevicePlan(from: roamed, to: lane, applied: before).changes == set)
        let lost = Self.state(lane) { $0.peers[0].endpoint = nil }
        #expect(DevicePlan(from: lost, to: lane, applied: lane).changes == set)
        #expect(!TunnelStatus(of: lost, wanted: lane).isInSync)
    }

    @Test("leaves the endpoint of a peer that has none configured as it is")
    func unconfiguredEndpoint() {
        let lane = Self.lane(["10.7.1.0/24"]) { $0.peers[0].endpoint = nil }
        let state = Self.state(lane) { $0.peers[0].endpoint = endpoint("198.51.100.1:40000") }
        #expect(DevicePlan(from: state, to: lane).isEmpty)
    }

    @Test("sets a preshared key that is missing and takes away one that is not wanted")
    func presharedKeys() {
        let with = Self.lane(["10.7.1.0/24"]) { $0.peers[0].presharedKeyFile = "/k" }
        let without = Self.lane(["10.7.1.0/24"])
        let setting = DevicePlan(from: Self.state(without), to: with)
        #expect(setting.presharedKeys.map(\.file) == ["/k"])
        #expect(setting.changes.isEmpty)
        #expect(!setting.isEmpty)
        #expect(setting.lines == ["~ peer b \(key(2)), +preshared key"])
        let taking = DevicePlan(from: Self.state(with), to: without)
        #expect(taking.presharedKeys.map(\.file) == [nil])
        #expect(taking.lines == ["~ peer b \(key(2)), -preshared key"])
    }

    @Test("and status names everything that differs")
    func status() {
        let lane = Self.lane(["10.7.1.0/24", "10.8.1.0/24"], ["10.7.2.0/24"])
        let state = Self.state(lane) {
            $0.publicKey = nil
            $0.listenPort = 1
            $0.firewallMark = 2
            $0.peers = [
                PeerState(
                    publicKey: key(2), hasPresharedKey: true, endpoint: endpoint("192.0.2.11:51871"),
                    allowedIPs: ["10.7.1.0/24", "10.9.1.0/24"].map(prefix), persistentKeepalive: 3),
                PeerState(publicKey: key(99)), PeerState(publicKey: key(98)),
            ]
        }
        let status = TunnelStatus(of: state, wanted: lane)
        #expect(
            status.device == [
                .publicKey(is: nil, wanted: key(1)), .listenPort(is: 1, wanted: 51871),
                .firewallMark(is: 2, wanted: 0x57),
            ])
        #expect(status.peers.map(\.publicKey) == [key(2), key(3), key(98), key(99)])
        #expect(status.peers.map { $0.wanted?.node } == ["b", "c", nil, nil])
        #expect(status.peers.map { $0.state == nil } == [false, true, false, false])
        #expect(
            status.peers.map(\.differences) == [
                [
                    .allowedIPs(missing: [prefix("10.8.1.0/24")], extra: [prefix("10.9.1.0/24")]),
                    .persistentKeepalive(is: 3, wanted: 0), .presharedKey(isSet: true),
                ], [], [], [],
            ])
        #expect(status.peers.allSatisfy { !$0.isInSync })
        #expect(!status.isInSync)
        #expect(!TunnelStatus(of: Self.state(lane) { $0.peers.removeLast() }, wanted: lane).isInSync)
        #expect(
            !TunnelStatus(of: Self.state(lane) { $0.peers.append(PeerState(publicKey: key(9))) }, wanted: lane).isInSync
        )
        #expect(!TunnelStatus(of: Self.state(lane) { $0.firewallMark = 0 }, wanted: lane).isInSync)
    }
}
