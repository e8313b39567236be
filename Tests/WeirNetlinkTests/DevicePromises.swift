import Foundation
import TestNetwork
import Testing
import WeirModel
import WeirNetlink
import WeirWireGuard

/// What a device keeps whatever it is made of; `wg` is the other side.
struct DevicePromises {
    let device: any WireGuardDevice
    let namespace: OwnNamespace

    private func wg(_ words: String...) throws -> String {
        let (status, output) = try attempt(["ip", "netns", "exec", namespace.name, "wg"] + words)
        guard status == 0 else { throw CommandFailure(description: "wg \(words): \(output)") }
        return output
    }

    private func state() throws -> DeviceState { try namespace.inside { try device.state() } }
    private func apply(_ change: DeviceChange) throws { try namespace.inside { try device.apply(change) } }

    /// The peers' lines of `wg show dump`, sorted: key, preshared key, endpoint, allowed IPs (sorted), keepalive.
    private func peersOfWG() throws -> [[String]] {
        try wg("show", device.name, "dump").split(separator: "\n").dropFirst().map { line in
            let fields = line.split(separator: "\t").map(String.init)
            try #require(fields.count == 8)
            let allowed = fields[3].split(separator: ",").sorted().joined(separator: ",")
            return [fields[0], fields[1], fields[2], allowed, fields[7]]
        }
        .sorted { $0[0] < $1[0] }
    }

    /// In the order in which these run; each begins where the one before ended.
    func hold() throws {
        try writtenByWeir()
        try writtenByWG()
        try updatesAndMoves()
        try presharedKeys()
        try large()
    }

    private func writtenByWeir() throws {
        var now = try state()
        #expect(now.publicKey == nil)
        #expect(now.peers == [])
        let key = SecretKey.generatePrivateKey()
        let derivedKey = key.publicKey
        let publicKey = try #require(derivedKey)
        try device(inside: { device throws in try device.setPrivateKey(key) })
        try apply(
            DeviceChange(
                listenPort: 51871, firewallMark: 0x200,
                peers: [
                    PeerChange(
                        .add, try peerKey(1), endpoint: try endpoint("192.0.2.11"), persistentKeepalive: 25,
                        replacesAllowedIPs: true, allowedIPs: try prefixes("10.7.2.0/24", "fd07:2::/64")),
                    PeerChange(.add, try peerKey(2), endpoint: try endpoint("fd00::2", 51872)),
                ]))
        let dump = try wg("show", device.name, "dump").split(separator: "\n").first?.split(separator: "\t")
        #expect(dump?[1...].map(String.init) == [publicKey.base64, "51871", "0x200"])
        #expect(
            try peersOfWG() == [
                [try peerKey(1).base64, "(none)", "192.0.2.11:51871", "10.7.2.0/24,fd07:2::/64", "25"],
                [try peerKey(2).base64, "(none)", "[fd00::2]:51872", "(none)", "off"],
            ])
        now = try state()
        #expect(now.publicKey == publicKey)
        #expect(now.interfaceIndex == (try namespace.json("link", "show", device.name).first?["ifindex"] as? UInt32))
    }

    private func writtenByWG() throws {
        let file = NSTemporaryDirectory() + "/\(namespace.name).conf"
        defer { try? FileManager.default.removeItem(atPath: file) }
        let preshared = PublicKey(bytes: numberedKey(40001))?.base64 ?? ""
        try """
        [Interface]
        PrivateKey = \(PublicKey(bytes: numberedKey(40000))?.base64 ?? "")
        ListenPort = 51873
        FwMark = 0x7
        [Peer]
        PublicKey = \(try peerKey(4).base64)
        PresharedKey = \(preshared)
        Endpoint = [fd00::4]:51871
        AllowedIPs = fd07:4::/64, 10.7.4.0/24
        PersistentKeepalive = 15
        [Peer]
        PublicKey = \(try peerKey(3).base64)
        AllowedIPs = 10.7.3.0/24
        """.write(toFile: file, atomically: true, encoding: .utf8)
        _ = try wg("setconf", device.name, file)
        var now = try state()
        #expect(now.interfaceIndex != 0)
        now.interfaceIndex = 0
        #expect(
            now
                == DeviceState(
                    interfaceIndex: 0, publicKey: secretKey(numberedKey(40000)).publicKey, listenPort: 51873,
                    firewallMark: 7,
                    peers: [
                        PeerState(publicKey: try peerKey(3), allowedIPs: try prefixes("10.7.3.0/24")),
                        PeerState(
                            publicKey: try peerKey(4), hasPresharedKey: true, endpoint: try endpoint("fd00::4"),
                            allowedIPs: try prefixes("10.7.4.0/24", "fd07:4::/64"), persistentKeepalive: 15),
                    ]))
    }

    private func updatesAndMoves() throws {
        // Moved in one change: from peer 3 to peer 4, beside what that has.
        try apply(
            DeviceChange(
                firewallMark: 0,
                peers: [
                    PeerChange(.update, try peerKey(4), persistentKeepalive: 0, allowedIPs: try prefixes("10.7.3.0/24"))
                ]
            ))
        var now = try state()
        #expect(now.listenPort == 51873)
        #expect(now.firewallMark == 0)
        #expect(now.peers.map(\.allowedIPs) == [[], try prefixes("10.7.3.0/24", "10.7.4.0/24", "fd07:4::/64")])
        #expect(now.peers[1].persistentKeepalive == 0)
        #expect(now.peers[1].hasPresharedKey)
        // An update adds nobody; replacing leaves nothing else; what is removed is gone.
        try apply(
            DeviceChange(peers: [
                PeerChange(
                    .update, try peerKey(9), endpoint: try endpoint("192.0.2.9"),
                    allowedIPs: try prefixes("10.7.9.0/24")),
                PeerChange(
                    .update, try peerKey(4), endpoint: try endpoint("192.0.2.4"), replacesAllowedIPs: true,
                    allowedIPs: try prefixes("10.7.4.0/24")),
                PeerChange(.remove, try peerKey(3)), PeerChange(.remove, try peerKey(9)),
            ]))
        now = try state()
        #expect(now.peers.map(\.publicKey) == [try peerKey(4)])
        #expect(now.peers.first?.endpoint == (try endpoint("192.0.2.4")))
        #expect(now.peers.first?.allowedIPs == (try prefixes("10.7.4.0/24")))
    }

    private func presharedKeys() throws {
        let key = secretKey(numberedKey(40002))
        let text = PublicKey(bytes: numberedKey(40002))?.base64
        try device(inside: { device throws in
            try device.setPresharedKey(key, of: try peerKey(5), creating: true)
            try device.setPresharedKey(key, of: try peerKey(6), creating: false)
            try device.removePresharedKey(of: try peerKey(7))
        })
        #expect(try state().peers.map(\.publicKey) == [try peerKey(4), try peerKey(5)])
        #expect(try peersOfWG().map { $0[1] }.last == text)
        try apply(DeviceChange(peers: [PeerChange(.add, try peerKey(5), allowedIPs: try prefixes("10.7.5.0/24"))]))
        #expect(try state().peers.last?.hasPresharedKey == true)
        try device(inside: { device throws in try device.removePresharedKey(of: try peerKey(5)) })
        #expect(try state().peers.last?.hasPresharedKey == false)
        #expect(try peersOfWG().map { $0[1] }.last == "(none)")
    }

    private func large() throws {
        let peers = try (1000..<2000).map { number in
            PeerChange(
                .add, try peerKey(number), endpoint: try endpoint("192.0.2.1", UInt16(number)),
                replacesAllowedIPs: true,
                allowedIPs: try (0..<5).map { try #require(Prefix("10.\(number / 250).\(number % 250).\($0)/32")) })
        }
        let wide = try WireGuardMessageTests.widePeer(3000)
        let gone = try state().peers.map { PeerChange(.remove, $0.publicKey) }
        try apply(DeviceChange(peers: gone + peers + [wide]))
        let wanted = [wide] + peers
        #expect(
            try state().peers
                == wanted.map {
                    PeerState(publicKey: $0.publicKey, endpoint: $0.endpoint, allowedIPs: $0.allowedIPs)
                })
        let seen = try peersOfWG()
        #expect(seen.count == 1001)
        for (line, peer) in zip(seen, wanted.sorted { $0.publicKey.base64 < $1.publicKey.base64 }) {
            #expect(line[0] == peer.publicKey.base64)
            #expect(line[3] == peer.allowedIPs.map(\.description).sorted().joined(separator: ","))
        }
    }

    /// Runs the body in the namespace with the device.
    private func device(inside body: (any WireGuardDevice) throws -> Void) throws {
        try namespace.inside { try body(device) }
    }
}
