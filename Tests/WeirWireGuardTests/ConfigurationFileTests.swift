import Foundation
import TestNetwork
import Testing
import WeirModel
import WeirWireGuard

@Suite("A device as a file for wg", .serialized)
struct ConfigurationFileTests {
    @Test("has everything but secrets, and says what to run for those")
    func golden() {
        #expect(
            TunnelCodecTests.sample.lanes[0].configurationFile == """
                # weir-wg0, by weir. The private key is not in here, and wg takes it away. Afterwards run:
                #   wg set weir-wg0 private-key FILE   (of the public key AQcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=)
                #   wg set weir-wg0 peer AwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc= preshared-key '/etc/weir/psk'
                [Interface]
                ListenPort = 51871
                FwMark = 0x57

                # b
                [Peer]
                PublicKey = AgcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=
                Endpoint = [fd00::11]:51871
                AllowedIPs = 10.7.1.0/24
                AllowedIPs = 192.0.2.11/32
                PersistentKeepalive = 25

                # c
                [Peer]
                PublicKey = AwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=
                AllowedIPs = fd07:2::/64
                PersistentKeepalive = 25

                """)
    }

    @Test("stays one comment, whatever a node is called and a file is named")
    func names() {
        var sample = TunnelCodecTests.sample
        sample.peers[0].node = "b\n[Peer]\nPublicKey = x\u{2028}\u{1b}[2J"
        sample.peers[1].presharedKeyFile = "/it's; reboot"
        let lines = sample.lanes[0].configurationFile.split(separator: "\n")
        #expect(lines.contains("# b\\n[Peer]\\nPublicKey = x\\u{2028}\\u{1B}[2J"))
        #expect(lines.count { $0 == "[Peer]" } == 2)
        #expect(lines.contains { $0.hasSuffix(#"preshared-key '/it'\''s; reboot'"#) })
    }

    @Test(
        "is taken by wg setconf and wg syncconf unchanged", .enabled(if: kernelTestsAreWanted),
        arguments: ["setconf", "syncconf"])
    func wg(_ command: String) throws {
        let device = try ThrowawayDevice()
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(device.namespace)
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let secret = directory.appendingPathComponent("secret").path
        try Data("\(try run("wg", "genkey"))".utf8).write(to: URL(fileURLWithPath: secret))
        try #require(try device.wg("set", device.interface, "private-key", secret).status == 0)
        // A peer that nobody wants, and one with a prefix and a preshared key that it loses.
        try #require(
            try device.wg(
                "set", device.interface, "peer", key(9).base64, "allowed-ips", "10.7.1.0/24", "peer", key(2).base64,
                "preshared-key", secret, "allowed-ips", "10.99.0.0/16"
            ).status == 0)

        let lane = TunnelCodecTests.sample.lanes[0]
        let file = directory.appendingPathComponent("conf").path
        try Data(lane.configurationFile.utf8).write(to: URL(fileURLWithPath: file))
        let outcome = try device.wg(command, device.interface, file)
        #expect(outcome.status == 0, "\(outcome.output)")

        let (b, c) = (key(2).base64, key(3).base64)
        #expect(
            try device.peers("allowed-ips")
                == ["\(b) 10.7.1.0/24 192.0.2.11/32", "\(c) fd07:2::/64"].map {
                    // The order within a peer is the device's own.
                    try Self.inOrder($0, of: device.peers("allowed-ips"))
                })
        #expect(try device.peers("endpoints") == ["\(b) [fd00::11]:51871", "\(c) (none)"])
        #expect(try device.peers("persistent-keepalive") == ["\(b) 25", "\(c) 25"])
        // syncconf leaves it, setconf makes the peer anew.
        let kept = try String(contentsOfFile: secret, encoding: .utf8).trimmingCharacters(in: .newlines)
        #expect(
            try device.peers("preshared-keys") == [
                "\(b) \(command == "syncconf" ? kept : "(none)")", "\(c) (none)",
            ])
        #expect(try device.peers("fwmark") == ["0x57"])
        #expect(try device.peers("listen-port") == ["51871"])
        // As the comment in the file says.
        #expect(try device.peers("private-key") == ["(none)"])
    }

    /// The line with the same words, in whatever order; the wanted one where there is none.
    private static func inOrder(_ wanted: String, of lines: [String]) -> String {
        lines.first { Set($0.split(separator: " ")) == Set(wanted.split(separator: " ")) } ?? wanted
    }
}
