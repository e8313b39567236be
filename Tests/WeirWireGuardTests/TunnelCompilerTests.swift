import Testing
import WeirModel
import WeirWireGuard

@Suite("A compiled tunnel")
struct TunnelCompilerTests {
    private static let cluster =
        node("b", "addresses: [192.0.2.11, 'fd00::11'], podCIDRs: [10.7.1.0/24, 'fd07:1::/64'], \(wireguard(2))")
        + node("a", "addresses: [192.0.2.10, 'fd00::10'], podCIDRs: [10.7.0.0/24, 'fd07::/64'], \(wireguard(1))")

    @Test("has the constants of the documentation, its peers, and a route to each of their pod networks")
    func whole() throws {
        let compiled = Compiled(Self.cluster)
        #expect(compiled.findings.isEmpty)
        let mtu = 1440
        #expect(
            compiled.configuration
                == TunnelConfiguration(
                    node: "a", addresses: [address("192.0.2.10"), address("fd00::10")], publicKey: key(1),
                    nextPublicKey: nil, interfaces: ["weir-wg0"], listenPort: 51871,
                    firewallMark: 0x57, routingTable: 51871, rulePreference: 51, mtu: mtu,
                    peers: [
                        .init(
                            node: "b", publicKey: key(2), endpoint: endpoint("192.0.2.11:51871"),
                            allowedIPs: ["192.0.2.11/32", "10.7.1.0/24", "fd00::11/128", "fd07:1::/64"].map(prefix),
                            mtu: mtu)
                    ],
                    routes: [
                        .init(destination: prefix("10.7.1.0/24"), node: "b", mtu: mtu),
                        .init(destination: prefix("fd07:1::/64"), node: "b", mtu: mtu),
                    ]))
    }

    @Test("has both ends' peers as each other's, and the same whatever the order of the documents")
    func order() throws {
        let documents = (1...6).map { number in
            node(
                "n\(number)",
                "addresses: [192.0.2.\(number)], podCIDRs: [10.\(number).0.0/16], \(wireguard(UInt8(number)))")
        }
        let first = try #require(Compiled(documents.joined(), node: "n3").configuration)
        #expect(first.peers.map(\.node) == ["n1", "n2", "n4", "n5", "n6"])
        for _ in 0..<20 {
            let again = try #require(Compiled(documents.shuffled().joined(), node: "n3").configuration)
            #expect(again.encoded() == first.encoded())
            #expect(again.digest == first.digest)
        }
        let other = try #require(Compiled(documents.joined(), node: "n4").configuration)
        #expect(other.peers.map(\.node) == ["n1", "n2", "n3", "n5", "n6"])
        #expect(other.digest != first.digest)
    }

    @Test("takes keys from Cilium's annotation and internal addresses, not those that lie among pods or outside")
    func kubernetes() throws {
        let compiled = Compiled(
            """
            {apiVersion: cilium.io/v2, kind: CiliumNode, metadata: {name: b, annotations: {network.cilium.io/wg-pub-key:
             "\(key(2).base64)"}}, spec: {addresses: [{type: CiliumInternalIP, ip: 10.7.1.200}], ipam: {podCIDRs: [10.7.1.0/24]}}}
            ---
            {apiVersion: v1, kind: Node, metadata: {name: b, annotations: {weir.dev/next-wg-public-key: "\(key(12).base64)"}},
             status: {addresses: [{type: ExternalIP, address: 34.0.0.1}, {type: InternalIP, address: 192.0.2.11}]}}
            ---
            {apiVersion: v1, kind: Node, metadata: {name: a, annotations: {network.cilium.io/wg-pub-key: "\(key(1).base64)"}},
             spec: {podCIDR: 10.7.0.0/24}, status: {addresses: [{type: InternalIP, address: 192.0.2.10}]}}
            """)
        #expect(compiled.findings.isEmpty)
        let peer = try #require(compiled.configuration?.peers.first)
        #expect(peer.endpoint == endpoint("192.0.2.11:51871"))
        #expect(peer.nextPublicKey == key(12))
        #expect(peer.allowedIPs == ["10.7.1.0/24", "34.0.0.1/32", "192.0.2.11/32"].map(prefix).sorted())
        #expect(compiled.configuration?.routes.map(\.destination) == [prefix("10.7.1.0/24")])
    }

    @Test("allows the pods of a node that lie outside of its pod networks, and routes them")
    func podsElsewhere() throws {
        let text =
            node("a", "addresses: [192.0.2.10], \(wireguard(1))")
            + node("b", "addresses: [192.0.2.11], podCIDRs: [10.7.1.0/24, 10.7.1.128/25], \(wireguard(2))")
            + node("c", "addresses: [192.0.2.12], \(wireguard(3))")
            + pod("in", on: "b", "10.7.1.5") + pod("out", on: "b", "10.9.0.1, 'fd09::1'")
            + pod("only", on: "c", "10.9.0.2")
        let peers = try #require(Compiled(text).configuration?.peers)
        #expect(
            peers.map(\.allowedIPs) == [
                ["10.7.1.0/24", "10.9.0.1/32", "192.0.2.11/32", "fd09::1/128"].map(prefix),
                ["10.9.0.2/32", "192.0.2.12/32"].map(prefix),
            ])
        let routes = try #require(Compiled(text).configuration?.routes)
        #expect(
            routes.map { "\($0.destination) \($0.node)" } == [
                "10.7.1.0/24 b", "10.9.0.1/32 b", "10.9.0.2/32 c", "fd09::1/128 b",
            ])
    }

    @Test("by pods' addresses closes the pod networks around them, but never its own")
    func byPods() throws {
        let text =
            node("a", "addresses: [192.0.2.10], podCIDRs: [10.7.0.0/24], \(wireguard(1))")
            + node("b", "addresses: [192.0.2.11], podCIDRs: [10.7.0.0/24, 10.8.0.0/24], \(wireguard(2))")
            + node("c", "addresses: [192.0.2.12], podCIDRs: [10.8.0.0/24], \(wireguard(3))")
            + pod("x", on: "b", "10.7.0.9") + pod("y", on: "c", "10.8.0.9")
        let compiled = Compiled(text, options: TunnelOptions(allowedIPs: .pods))
        let configuration = try #require(compiled.configuration)
        #expect(compiled.findings.map(\.id) == [.tunnelOverlap])
        #expect(compiled.findings.map(\.severity) == [.warning])
        #expect(
            configuration.routes.map { "\($0.destination) \($0.node) \($0.mtu ?? 0)" } == [
                "10.7.0.9/32 b 1440", "10.8.0.0/24 b 0", "10.8.0.9/32 c 1440",
            ])
        #expect(configuration.peers.first?.allowedIPs == ["10.7.0.9/32", "192.0.2.11/32"].map(prefix))
        #expect(Compiled(text).configuration == nil)
    }

    @Test("leaves 60 bytes to IPv4, 80 to IPv6 and to the unknown, of the narrower end")
    func mtus() throws {
        let text =
            node("a", "addresses: [192.0.2.10, 'fd00::10'], \(wireguard(1, "mtu: 9000"))")
            + node("b", "addresses: [192.0.2.11], podCIDRs: [10.7.1.0/24], \(wireguard(2))")
            + node("c", "addresses: ['fd00::12'], podCIDRs: [10.7.2.0/24], \(wireguard(3, "mtu: 1500"))")
            + node("d", "podCIDRs: [10.7.3.0/24], \(wireguard(4, "mtu: 65535"))")
        let configuration = try #require(Compiled(text, options: TunnelOptions(underlayMTU: 1400)).configuration)
        #expect(configuration.peers.map(\.mtu) == [1340, 1420, 8920])
        #expect(configuration.routes.map(\.mtu) == [1340, 1420, 8920])
        #expect(configuration.mtu == 8920)
        #expect(configuration.peers.last?.endpoint == nil)
    }

    @Test("reaches a peer at its written endpoint, else in a family that both have")
    func endpoints() throws {
        let text =
            node("a", "addresses: ['fd00::10'], \(wireguard(1))")
            + node("b", "addresses: [192.0.2.11, 'fd00::11'], \(wireguard(2))")
            + node("c", "addresses: ['fe80::12', 'fd00::12'], \(wireguard(3, "endpoint: '[2001:db8::1]:7'"))")
        let configuration = try #require(Compiled(text, options: TunnelOptions(listenPort: 100)).configuration)
        #expect(configuration.peers.map(\.endpoint) == [endpoint("[fd00::11]:100"), endpoint("[2001:db8::1]:7")])
    }

    @Test("routes the networks of a node without a key to nowhere")
    func keyless() throws {
        let compiled = Compiled(
            Self.cluster + node("c", "addresses: [192.0.2.12], podCIDRs: [10.7.2.0/24]")
                + pod("p", on: "c", "10.9.0.1"))
        let configuration = try #require(compiled.configuration)
        #expect(configuration.peers.map(\.node) == ["b"])
        #expect(
            configuration.routes.filter(\.isUnreachable).map { "\($0.destination) \($0.node)" } == [
                "10.7.2.0/24 c", "10.9.0.1/32 c",
            ])
    }

    @Test("has a second lane while anybody publishes a next key: next keys where they are, ports one higher")
    func lanes() throws {
        let next = "nextPublicKey: \"\(key(12).base64)\""
        let text =
            node("a", "addresses: [192.0.2.10], \(wireguard(1))")
            + node("b", "addresses: [192.0.2.11], \(wireguard(2, next))")
            + node("c", "addresses: [192.0.2.12], \(wireguard(3, "endpoint: '203.0.113.1:900'"))")
        let lanes = try #require(Compiled(text).configuration?.lanes)
        #expect(lanes.map(\.interface) == ["weir-wg0", "weir-wg1"])
        #expect(lanes.map(\.listenPort) == [51871, 51872])
        #expect(lanes.map(\.publicKey) == [key(1), key(1)])
        #expect(lanes.map { $0.peers.map(\.publicKey) } == [[key(2), key(3)], [key(12), key(3)]])
        #expect(
            lanes.map { $0.peers.map(\.endpoint) } == [
                [endpoint("192.0.2.11:51871"), endpoint("203.0.113.1:900")],
                [endpoint("192.0.2.11:51872"), endpoint("203.0.113.1:901")],
            ])
        let own = try #require(Compiled(text, node: "b").configuration?.lanes)
        #expect(own.map(\.publicKey) == [key(2), key(12)])
    }

    @Test("takes what a node says about keepalive and preshared key before the options")
    func peerValues() throws {
        let text =
            node("a", "addresses: [192.0.2.10], \(wireguard(1, "presharedKeyFile: /k/a"))")
            + node("b", "addresses: [192.0.2.11], \(wireguard(2, "persistentKeepalive: 0, presharedKeyFile: /k/b"))")
            + node("c", "addresses: [192.0.2.12], \(wireguard(3, "presharedKeyFile: /k/c"))")
        let compiled = Compiled(text, options: TunnelOptions(persistentKeepalive: 25))
        #expect(compiled.findings.isEmpty)
        let peers = try #require(compiled.configuration?.peers)
        #expect(peers.map(\.persistentKeepalive) == [0, 25])
        #expect(peers.map(\.presharedKeyFile) == ["/k/b", "/k/c"])
    }

    @Test(
        "is not made of options that cannot be",
        arguments: [
            TunnelOptions(listenPort: 0), TunnelOptions(listenPort: 65535), TunnelOptions(routingTable: 254),
            TunnelOptions(rulePreference: 0), TunnelOptions(rulePreference: 32766), TunnelOptions(underlayMTU: 500),
        ])
    func options(_ options: TunnelOptions) {
        #expect(options.problem != nil)
        #expect(TunnelOptions().problem == nil)
    }
}
