import Foundation
import Testing
import WeirModel
import WeirTestSupport
import WeirWireGuard

@Suite("A tunnel's bytes")
struct TunnelCodecTests {
    static let sample = TunnelConfiguration(
        node: "node \"é\"", addresses: [address("192.0.2.10"), address("fd00::10")], publicKey: key(1),
        nextPublicKey: key(11), interfaces: ["weir-wg0", "weir-wg1"],
        listenPort: 51871, firewallMark: 87, routingTable: 51871, rulePreference: 51, mtu: 1440,
        peers: [
            .init(
                node: "c", publicKey: key(3), allowedIPs: [prefix("fd07:2::/64")], presharedKeyFile: "/etc/weir/psk",
                mtu: 1420),
            .init(
                node: "b", publicKey: key(2), nextPublicKey: key(12), endpoint: endpoint("[fd00::11]:51871"),
                allowedIPs: ["192.0.2.11/32", "10.7.1.0/24"].map(prefix), persistentKeepalive: 25, mtu: 1440),
        ],
        routes: [
            .init(destination: prefix("fd07:2::/64"), node: "c", mtu: 1420),
            .init(destination: prefix("10.7.9.0/24"), node: "d", mtu: nil),
            .init(destination: prefix("10.7.1.0/24"), node: "b", mtu: 1440),
        ])

    @Test("are sorted JSON, and this JSON")
    func golden() {
        #expect(
            String(decoding: Self.sample.encoded(), as: UTF8.self) == """
                {
                  "addresses" : [
                    "192.0.2.10",
                    "fd00::10"
                  ],
                  "firewallMark" : 87,
                  "interfaces" : [
                    "weir-wg0",
                    "weir-wg1"
                  ],
                  "listenPort" : 51871,
                  "mtu" : 1440,
                  "nextPublicKey" : "CwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=",
                  "node" : "node \\"é\\"",
                  "peers" : [
                    {
                      "allowedIPs" : [
                        "10.7.1.0/24",
                        "192.0.2.11/32"
                      ],
                      "endpoint" : "[fd00::11]:51871",
                      "mtu" : 1440,
                      "nextPublicKey" : "DAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=",
                      "node" : "b",
                      "persistentKeepalive" : 25,
                      "publicKey" : "AgcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="
                    },
                    {
                      "allowedIPs" : [
                        "fd07:2::/64"
                      ],
                      "mtu" : 1420,
                      "node" : "c",
                      "persistentKeepalive" : 0,
                      "presharedKeyFile" : "/etc/weir/psk",
                      "publicKey" : "AwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="
                    }
                  ],
                  "publicKey" : "AQcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=",
                  "routes" : [
                    {
                      "destination" : "10.7.1.0/24",
                      "mtu" : 1440,
                      "node" : "b"
                    },
                    {
                      "destination" : "10.7.9.0/24",
                      "node" : "d"
                    },
                    {
                      "destination" : "fd07:2::/64",
                      "mtu" : 1420,
                      "node" : "c"
                    }
                  ],
                  "routingTable" : 51871,
                  "rulePreference" : 51,
                  "version" : 1
                }

                """)
    }

    @Test("are read again, and the digest is theirs")
    func roundTrip() throws {
        let again = try TunnelConfiguration(encoded: Self.sample.encoded())
        #expect(again == Self.sample)
        #expect(again.digest == Self.sample.digest)
        #expect(again.digest.count == 32)
    }

    private static func text(_ change: (inout String) -> Void) -> [UInt8] {
        var text = String(decoding: sample.encoded(), as: UTF8.self)
        change(&text)
        return Array(text.utf8)
    }

    @Test("of another version are told from damaged ones")
    func versions() {
        let other = Self.text { $0 = $0.replacing("\"version\" : 1", with: "\"version\" : 2") }
        #expect(throws: TunnelEncodingError.otherVersion(2)) { try TunnelConfiguration(encoded: other) }
    }

    @Test(
        "are taken only as they are written",
        arguments: [
            ("\n}\n", "\n}"), ("\"mtu\" : 1440,\n  \"next", "\"mtu\":1440,\n  \"next"), ("87", "4294967296"),
            ("10.7.1.0/24", "10.7.1.1/24"), ("\"version\" : 1", "\"version\" : 1,\n  \"what\" : 1"), ("51871", "65536"),
            ("51871\"", "0\""),
        ])
    func damaged(_ text: String, _ replacement: String) {
        let bytes = Self.text { $0 = $0.replacing(text, with: replacement) }
        #expect(bytes != Self.sample.encoded())
        #expect(throws: TunnelEncodingError.damaged) { try TunnelConfiguration(encoded: bytes) }
    }

    private static let seed =
        ProcessInfo.processInfo.environment["WEIR_TEST_SEED"].flatMap { UInt64($0) }
        ?? UInt64.random(in: 0...UInt64.max)

    @Test("damaged anyhow are refused, or a configuration that gives the same bytes")
    func mutations() {
        print("tunnels with WEIR_TEST_SEED=\(Self.seed)")
        var random = SeededGenerator(seed: Self.seed)
        let whole = Self.sample.encoded()
        var taken = 0
        for _ in 0..<3000 {
            var bytes = whole
            for _ in 0..<random.below(3) + 1 { mutate(&bytes, &random) }
            do {
                #expect(try TunnelConfiguration(encoded: bytes).encoded() == bytes, "seed \(Self.seed)")
                taken += 1
            } catch {}
        }
        // A changed digit in a prefix, or letter in a name.
        #expect(taken > 0)
        #expect(taken < 2500)
    }

    @Test("of an endpoint, damaged anyhow, are none or an endpoint that is written again")
    func endpoints() {
        var random = SeededGenerator(seed: Self.seed)
        let texts = ["192.0.2.1:51871", "[2001:db8::1]:51871", "[::ffff:1.2.3.4]:1", "0.0.0.0:65535"]
        for text in texts { #expect(PeerEndpoint(text)?.description == text) }
        for _ in 0..<5000 {
            var bytes = Array((texts.randomElement(using: &random) ?? "").utf8)
            for _ in 0..<random.below(3) + 1 { mutate(&bytes, &random) }
            guard let endpoint = PeerEndpoint(String(decoding: bytes, as: UTF8.self)) else { continue }
            #expect(PeerEndpoint(endpoint.description) == endpoint, "seed \(Self.seed)")
            #expect(endpoint.port > 0)
        }
    }

    @Test(
        "of an endpoint are an address with a port",
        arguments: [
            "", ":", ":1", "192.0.2.1", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:+1", "192.0.2.1:٣",
            "2001:db8::1:1", "[192.0.2.1]:1", "[2001:db8::1]", "[2001:db8::1]1", "[2001:db8::1%eth0]:1", "b.example:1",
            " 192.0.2.1:1", "192.0.2.1:1 ", "[]:1", "[:1", "]:1", "192.0.2.1:000001",
        ])
    func noEndpoint(_ text: String) { #expect(PeerEndpoint(text) == nil) }

    private func mutate(_ bytes: inout [UInt8], _ random: inout SeededGenerator) {
        guard !bytes.isEmpty else { return }
        let place = random.below(bytes.count)
        switch random.below(4) {
        case 0: bytes[place] = UInt8(random.below(256))
        case 1: bytes.removeSubrange(place..<min(place + random.below(20) + 1, bytes.count))
        case 2: bytes.insert(contentsOf: bytes[..<place].suffix(random.below(60)), at: random.below(bytes.count))
        default: bytes[place] ^= 1 << UInt8(random.below(8))
        }
    }
}
