import Foundation
import InputTestSupport
import Testing
import WeirDiagnostics
import WeirInventory
import WeirModel
import WeirSyntax
import WeirTestSupport
import WeirWireGuard

@Suite("Any tunnel")
struct TunnelPropertyTests {
    private static let seed =
        ProcessInfo.processInfo.environment["WEIR_TEST_SEED"].flatMap { UInt64($0) }
        ?? UInt64.random(in: 0...UInt64.max / 2)

    /// Up to five nodes whose networks sometimes overlap, with and without keys, addresses and networks.
    private static func cluster(_ random: inout SeededGenerator) -> String {
        var text = ""
        var addresses = 0
        func address(_ random: inout SeededGenerator) -> String {
            addresses += 1
            return ["192.0.2.\(addresses)", "'fd00::\(addresses)'"][random.below(2)]
        }
        for index in 0..<random.below(4) + 2 {
            let own = (0..<random.below(3)).map { _ in address(&random) }.joined(separator: ", ")
            let network = random.below(20) == 0 ? 1 : index
            let cidrs = ["", "10.7.\(network).0/24", "10.7.\(network).0/25, 'fd07:\(network)::/64'"][random.below(3)]
            var spec = "addresses: [\(own)], podCIDRs: [\(cidrs)]"
            if random.below(8) > 0 {
                var more = ["mtu: \(1200 + random.below(600))", "persistentKeepalive: 5"].filter { _ in
                    random.below(2) == 0
                }
                if random.below(4) == 0 { more.append("nextPublicKey: \"\(key(UInt8(index + 20)).base64)\"") }
                if random.below(8) == 0 { more.append("endpoint: '10.7.\(random.below(9)).1:1'") }
                spec += ", " + wireguard(UInt8(random.below(30) == 0 ? 1 : index), more.joined(separator: ", "))
            }
            text += node("n\(index)", spec)
            for number in 0..<random.below(3) {
                let place = random.below(3) == 0 ? "10.9.\(index).\(number)" : "10.7.\(index).\(number + 5)"
                text += pod("p\(index)-\(number)", on: "n\(index)", place)
            }
        }
        return text
    }

    @Test("has apart what peers are allowed, routes for every remote pod, and none for what is here or beneath")
    func invariants() throws {
        print("tunnels with WEIR_TEST_SEED=\(Self.seed)")
        var compiled = 0
        for round in 0..<600 {
            var random = SeededGenerator(seed: Self.seed &+ UInt64(round))
            let text = Self.cluster(&random)
            var diagnostics = DiagnosticsCollector()
            let inventory = decodeInventory(Sample(text).documents(&diagnostics), diagnostics: &diagnostics)
            try #require(!diagnostics.hasErrors, "\(diagnostics.all)")
            let options = TunnelOptions(allowedIPs: round.isMultiple(of: 2) ? .podCIDRs : .pods)
            for own in inventory.nodes {
                var findings = DiagnosticsCollector()
                let found = TunnelCompiler.compile(
                    inventory: inventory, node: own.name, options: options, diagnostics: &findings)
                let comment = Comment(rawValue: "seed \(Self.seed) round \(round) at \(own.name): \(text)")
                #expect((found == nil) == findings.hasErrors, comment)
                guard let found else { continue }
                compiled += 1
                #expect(try TunnelConfiguration(encoded: found.encoded()) == found, comment)
                check(found, own, inventory, comment)
            }
        }
        #expect(compiled > 300)
    }

    private func check(
        _ found: TunnelConfiguration, _ own: Node, _ inventory: Inventory, _ comment: Comment
    ) {
        for (index, peer) in found.peers.enumerated() {
            for other in found.peers[..<index] {
                let overlap = peer.allowedIPs.contains { mine in
                    other.allowedIPs.contains { $0.contains(mine) || mine.contains($0) }
                }
                #expect(!overlap, comment)
            }
        }
        for lane in found.lanes { #expect(Set(lane.peers.map(\.publicKey)).count == lane.peers.count, comment) }
        for endpoint in inventory.endpoints {
            for address in endpoint.addresses {
                let route = found.routes.filter { $0.destination.contains(address) }
                    .max { $0.destination.length < $1.destination.length }
                if endpoint.node == own.name {
                    #expect(route == nil, comment)
                } else {
                    #expect(route?.node == endpoint.node, comment)
                    let peer = found.peers.first { $0.node == endpoint.node }
                    #expect(route?.mtu == peer?.mtu, comment)
                    #expect(peer?.allowedIPs.contains { $0.contains(address) } != false, comment)
                }
            }
        }
        for address in own.addresses + found.peers.compactMap({ $0.endpoint?.address }) {
            #expect(!found.routes.contains { $0.destination.contains(address) }, comment)
        }
    }

    @Test("of a damaged inventory is none, with a place for every error, or one that is read again")
    func mutations() throws {
        var random = SeededGenerator(seed: Self.seed)
        let sources = Fixtures.sources("wireguard").filter { $0.path.hasSuffix(".yaml") }
        let source = try #require(sources.first)
        for round in 0..<1000 {
            var bytes = source.bytes
            for _ in 0..<random.below(3) + 1 {
                let place = random.below(bytes.count)
                switch random.below(3) {
                case 0: bytes[place] = UInt8(random.below(128))
                case 1: bytes.removeSubrange(place..<min(place + random.below(9) + 1, bytes.count))
                default: bytes.insert(contentsOf: bytes[..<place].suffix(random.below(30)), at: place)
                }
            }
            var diagnostics = DiagnosticsCollector()
            let documents = parseDocuments(SourceFile(path: "m.yaml", bytes: bytes), diagnostics: &diagnostics)
            let inventory = decodeInventory(documents, diagnostics: &diagnostics)
            for own in inventory.nodes {
                var findings = DiagnosticsCollector()
                let found = TunnelCompiler.compile(inventory: inventory, node: own.name, diagnostics: &findings)
                let comment = Comment(rawValue: "seed \(Self.seed) round \(round)")
                #expect((found == nil) == findings.hasErrors, comment)
                #expect(findings.all.allSatisfy { $0.location.line > 0 }, comment)
                if let found { #expect(try TunnelConfiguration(encoded: found.encoded()) == found, comment) }
            }
        }
    }
}
