import Testing
import WeirModel
import WeirNetlink
import WeirTestSupport
import WeirWireGuard

@Suite("Text of user-space WireGuard devices")
struct UserspaceTextTests {
    private static let sevens = String(repeating: "07", count: 30)
    private static let reply = """
        private_key=9c40\(sevens)
        listen_port=51871
        fwmark=512
        public_key=0002\(sevens)
        preshared_key=\(String(repeating: "0", count: 64))
        protocol_version=1
        endpoint=[fe80::1%7]:51872
        last_handshake_time_sec=0
        last_handshake_time_nsec=0
        tx_bytes=0
        rx_bytes=0
        persistent_keepalive_interval=0
        public_key=0001\(sevens)
        preshared_key=9c41\(sevens)
        protocol_version=1
        endpoint=192.0.2.11:51871
        last_handshake_time_sec=1700000000
        last_handshake_time_nsec=5
        tx_bytes=18446744073709551615
        rx_bytes=92
        persistent_keepalive_interval=25
        allowed_ip=fd07:2::/64
        allowed_ip=10.7.2.0/24
        errno=0


        """

    private func state(_ text: String) throws(UserspaceText.Failure) -> DeviceState {
        try UserspaceText.state(Array(text.utf8).span)
    }

    @Test("a change names what it changes, and what governs a peer's line stands before it")
    func changes() throws {
        let change = DeviceChange(
            listenPort: 51871, firewallMark: 0,
            peers: [
                PeerChange(.remove, try peerKey(3)),
                PeerChange(
                    .update, try peerKey(2), endpoint: try endpoint("fd00::2"), persistentKeepalive: 0,
                    replacesAllowedIPs: true, allowedIPs: try prefixes("10.7.2.0/24")),
                PeerChange(
                    .add, try peerKey(1), endpoint: try endpoint("192.0.2.11"), allowedIPs: try prefixes("fd07:2::/64")),
            ])
        #expect(
            UserspaceText.set(change) == """
                set=1
                listen_port=51871
                fwmark=0
                public_key=0003\(Self.sevens)
                remove=true
                public_key=0002\(Self.sevens)
                update_only=true
                endpoint=[fd00::2]:51871
                persistent_keepalive_interval=0
                replace_allowed_ips=true
                allowed_ip=10.7.2.0/24
                public_key=0001\(Self.sevens)
                endpoint=192.0.2.11:51871
                allowed_ip=fd07:2::/64


                """)
    }

    @Test("a device's reply is read whole, and of its private key only the public one is kept")
    func decodes() throws {
        #expect(
            try state(Self.reply)
                == DeviceState(
                    interfaceIndex: 0, publicKey: secretKey(numberedKey(40000)).publicKey, listenPort: 51871,
                    firewallMark: 512,
                    peers: [
                        PeerState(
                            publicKey: try peerKey(1), hasPresharedKey: true, endpoint: try endpoint("192.0.2.11"),
                            allowedIPs: try prefixes("10.7.2.0/24", "fd07:2::/64"), persistentKeepalive: 25,
                            lastHandshake: 1_700_000_000, receivedBytes: 92, sentBytes: .max),
                        PeerState(publicKey: try peerKey(2), endpoint: try endpoint("fe80::1", 51872)),
                    ]))
    }

    @Test("a device without a private key has no public one")
    func noKey() throws {
        #expect(try state("listen_port=0\nerrno=0\n\n").publicKey == nil)
        #expect(try state("private_key=\(String(repeating: "0", count: 64))\nerrno=0\n\n").publicKey == nil)
    }

    @Test(
        "what is no reply is refused, with the line that is wrong",
        arguments: [
            ("", .cutShort), ("listen_port=1\n", .cutShort), ("errno=0", .cutShort),
            ("errno=0\n", .malformed(line: 1)), ("errno=0\nx=1\n\n", .malformed(line: 1)),
            ("errno=-22\n\n", .refused(22)), ("errno=98\n\n", .refused(98)),
            ("listen_port=1\nhello\nerrno=0\n\n", .malformed(line: 2)),
            ("listen_port=65536\nerrno=0\n\n", .malformed(line: 1)),
            ("allowed_ip=10.0.0.0/8\nerrno=0\n\n", .malformed(line: 1)),
            ("private_key=00\nerrno=0\n\n", .malformed(line: 1)),
            ("public_key=0g\(sevens)00\nerrno=0\n\n", .malformed(line: 1)),
            ("public_key=0001\(sevens)\nendpoint=192.0.2.1\nerrno=0\n\n", .malformed(line: 2)),
            ("public_key=0001\(sevens)\nallowed_ip=10.0.0.0/33\nerrno=0\n\n", .malformed(line: 2)),
            ("public_key=0001\(sevens)\npublic_key=0001\(sevens)\nerrno=0\n\n", .malformed(line: 3)),
        ] as [(String, UserspaceText.Failure)])
    func refusals(text: String, failure: UserspaceText.Failure) {
        #expect(throws: failure) { () throws(UserspaceText.Failure) in try state(text) }
    }

    @Test("a key that nobody knows yet is passed over")
    func unknown() throws {
        #expect(try state("later=\nlisten_port=7\nerrno=0\n\n").listenPort == 7)
    }

    @Test("a damaged reply is refused or read")
    func damaged() throws {
        let bytes = Array(Self.reply.utf8)
        var generator = SeededGenerator(seed: 51871)
        var read = 0
        for _ in 0..<20_000 {
            var reply = bytes
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let place = Int.random(in: 0..<reply.count, using: &generator)
                switch Int.random(in: 0..<5, using: &generator) {
                case 0: reply[place] = UInt8.random(in: 0...255, using: &generator)
                case 1: reply[place] = UInt8(ascii: "\n")
                case 2: reply.remove(at: place)
                case 3: reply.insert(contentsOf: reply[place..<min(place + 80, reply.count)], at: place)
                default: if Int.random(in: 0..<10, using: &generator) == 0 { reply.removeSubrange(place...) }
                }
                if reply.isEmpty { break }
            }
            if let state = try? UserspaceText.state(reply.span) {
                read += 1
                #expect(Set(state.peers.map(\.publicKey)).count == state.peers.count)
            }
        }
        #expect(read > 100)
        #expect(read < 19_900)
    }
}
