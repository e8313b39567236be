import Crypto
import Foundation
import Testing
import WeirBundle
import WeirCompiler
import WeirEmulator
import WeirFlow
import WeirImage
import WeirInventory
import WeirMaps
import WeirModel
import WeirSyntax
import WeirTestSupport
import WeirWireGuard
import WeirDiagnostics

/// Bytes of a frame, right or wrong.
enum Frame {
    static func integer(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) } }

    static func section(_ number: UInt32, _ content: [UInt8], length: UInt32? = nil, digest: [UInt8]? = nil) -> [UInt8]
    {
        integer(number) + integer(length ?? UInt32(content.count)) + (digest ?? Array(SHA256.hash(data: content)))
            + content
    }

    static func head(version: UInt32 = 1) -> [UInt8] { Array("WEIRBUN\0".utf8) + integer(version) }

    /// With the digest that belongs behind it.
    static func sealed(_ bytes: [UInt8]) -> [UInt8] { bytes + section(0xfe, Array(SHA256.hash(data: bytes))) }
}

@Suite("A damaged or hostile bundle is an error")
struct DamageTests {
    private static func contents(_ bundle: NodeBundle) -> [(UInt32, [UInt8])] {
        let container = bundle.sealed()
        return container.sections.filter { $0.section != .digest }.map {
            ($0.section.rawValue, container.content($0.section) ?? [])
        }
    }

    @Test("A bundle that ends too early, at any byte, is refused")
    func truncated() throws {
        let bytes = try SampleBundle.small().sealed().signed(by: SigningKey.generate()).bytes
        let unsigned = bytes.count - 40 - 74
        for count in 0..<bytes.count {
            let isWhole = (try? NodeBundle(decoding: Array(bytes.prefix(count)))) != nil
            // Without its signature it is the same bundle, unsigned.
            #expect(isWhole == (count == unsigned), "\(count) of \(bytes.count) bytes")
        }
        #expect(throws: BundleFormatError.self) { try NodeBundle(decoding: bytes + [0]) }
    }

    @Test("A bundle with any one bit changed is refused")
    func flipped() throws {
        var bytes = try SampleBundle.small().sealed().signed(by: SigningKey.generate()).bytes
        for bit in 0..<bytes.count * 8 {
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: BundleFormatError.self, "bit \(bit % 8) of byte \(bit / 8)") {
                try BundleContainer(decoding: bytes)
            }
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
        }
        _ = try NodeBundle(decoding: bytes)
    }

    @Test("Sections that are out of order, twice, unknown, missing or longer than the file are refused")
    func sections() throws {
        let parts = Self.contents(try SampleBundle.small())
        func frame(_ parts: [(UInt32, [UInt8])]) -> [UInt8] {
            Frame.sealed(parts.reduce(Frame.head()) { $0 + Frame.section($1.0, $1.1) })
        }
        _ = try NodeBundle(decoding: frame(parts))
        for (first, second) in zip(parts.indices, parts.indices.dropFirst()) {
            var swapped = parts
            swapped.swapAt(first, second)
            #expect(throws: BundleFormatError("the bundle is damaged: its sections are out of order")) {
                try NodeBundle(decoding: frame(swapped))
            }
            var doubled = parts
            doubled.insert(parts[first], at: first)
            #expect(throws: BundleFormatError.self) { try NodeBundle(decoding: frame(doubled)) }
            var renumbered = parts
            renumbered[first].0 = 7
            #expect(throws: BundleFormatError.self) { try NodeBundle(decoding: frame(renumbered)) }
        }
        for index in parts.indices {
            var fewer = parts
            let number = fewer.remove(at: index).0
            // The tunnel is the one part that may be absent by itself.
            #expect(((try? NodeBundle(decoding: frame(fewer))) != nil) == (number == 3), "section \(number)")
        }
        #expect(throws: BundleFormatError.self) { try NodeBundle(decoding: frame([])) }
        #expect(throws: BundleFormatError.self) { try NodeBundle(decoding: Frame.sealed(Frame.head(version: 2))) }
        let whole = frame(parts)
        // Nothing may stand behind the digest but one signature.
        #expect(throws: BundleFormatError.self) { try NodeBundle(decoding: whole + Frame.section(3, [])) }
        let signature = Frame.section(0xff, [UInt8](repeating: 0, count: 74))
        #expect(throws: BundleFormatError.self) { try NodeBundle(decoding: whole + signature + signature) }
    }

    @Test(
        "A length that is larger than the file is refused",
        arguments: [UInt32(1 << 31), .max, 1])
    func lengths(_ excess: UInt32) throws {
        let parts = Self.contents(try SampleBundle.small())
        for index in parts.indices {
            var bytes = Frame.head()
            for (place, part) in parts.enumerated() {
                let length = place == index ? (excess == 1 ? UInt32(part.1.count) + 1_000_000 : excess) : nil
                bytes += Frame.section(part.0, part.1, length: length)
            }
            #expect(throws: BundleFormatError.self) { try NodeBundle(decoding: Frame.sealed(bytes)) }
        }
    }

    @Test("An image, a bundle of another ABI and text are refused by what they are")
    func otherFiles() throws {
        var bundle = try SampleBundle.small()
        #expect(throws: BundleFormatError("an image without a bundle around it; compile it again with this weir")) {
            try NodeBundle(decoding: bundle.image.encoded())
        }
        #expect(throws: BundleFormatError("not a weir bundle")) {
            try NodeBundle(decoding: Array("apiVersion: v1".utf8))
        }
        bundle.provenance.abi += 1
        #expect {
            try NodeBundle(bundle.sealed())
        } throws: {
            "\($0)".contains("compile it again with this weir")
        }
    }

    @Test("Parts that do not belong together are refused")
    func contradictions() throws {
        let bundle = try SampleBundle.small()
        func refuse(_ reason: String, _ change: (inout NodeBundle) -> Void) {
            var changed = bundle
            change(&changed)
            #expect("\(reason)") { try NodeBundle(changed.sealed()) } throws: { "\($0)".contains(reason) }
        }
        refuse("another node than its image") { $0.provenance.node = "node-b" }
        refuse("tunnel is of another node") { $0.tunnel?.node = "node-b" }
        refuse("interfaces of other names") { $0.tunnel?.interfaces = ["eth0"] }
        refuse("not possible") { $0.tunnel?.routingTable = 254 }
        refuse("no absolute path") { $0.tunnel?.peers[0].presharedKeyFile = "key" }
        refuse("MTU that cannot be") { $0.tunnel?.mtu = -1 }
        refuse("begin with no rule") { $0.image.attributions = [] }
        refuse("numbered one by one") {
            $0.image.endpoints.append(
                .init(
                    name: "a/b", id: 9, addresses: [], value: [UInt8](repeating: 0, count: 36), attachment: .byAddress))
        }
    }

    // MARK: Hostile, with digests that fit

    /// Changes a few bytes of what a compiler wrote.
    private static func mutate(_ bytes: inout [UInt8], _ random: inout SeededGenerator) {
        guard !bytes.isEmpty else { return }
        for _ in 0..<1 + random.below(3) {
            let place = random.below(bytes.count)
            switch random.below(6) {
            case 0: bytes[place] = UInt8(random.below(256))
            case 1: bytes[place] ^= 1 << UInt8(random.below(8))
            case 2:
                // A count or a number.
                let value = [UInt32.max, 0x7fff_ffff, 0, 1, 0x1fff_ffff][random.below(5)]
                for (offset, byte) in Frame.integer(value).enumerated() where place + offset < bytes.count {
                    bytes[place + offset] = byte
                }
            case 3: bytes.removeSubrange(place..<min(place + 1 + random.below(16), bytes.count))
            case 4:
                let end = min(place + 1 + random.below(64), bytes.count)
                bytes.insert(contentsOf: bytes[place..<end], at: random.below(bytes.count))
            default: bytes.removeLast(min(bytes.count - 1, random.below(32)))
            }
            if bytes.isEmpty { return }
        }
    }

    /// An image ends with a digest of its own.
    private static func resealedImage(_ image: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
        var body = Array(image.dropLast(32))
        mutate(&body, &random)
        return body + Array(SHA256.hash(data: body))
    }

    @Test("Whatever an attacker seals is refused, or can be read, judged and printed", arguments: 0..<12)
    func hostile(batch: UInt64) throws {
        let bundle = try batch == 0 ? SampleBundle.small() : SampleBundle.random(seed: batch)
        let parts = Self.contents(bundle)
        var random = SeededGenerator(seed: 6_112_026 &+ batch)
        var readable = 0
        for _ in 0..<400 {
            var changed = parts
            let index = random.below(parts.count)
            if changed[index].0 == BundleContainer.Section.image.rawValue {
                changed[index].1 = Self.resealedImage(changed[index].1, &random)
            } else {
                Self.mutate(&changed[index].1, &random)
            }
            let bytes = Frame.sealed(changed.reduce(Frame.head()) { $0 + Frame.section($1.0, $1.1) })
            guard let container = try? BundleContainer(decoding: bytes), let read = try? NodeBundle(container) else {
                continue
            }
            readable += 1
            try use(read, container, beside: bundle.image)
        }
        // Policies and inventory are looked at by whoever compiles them again.
        #expect(readable > 0)
    }

    /// What commands do with a bundle. Errors are answers; a trap ends the tests.
    private func use(_ bundle: NodeBundle, _ container: BundleContainer, beside other: Image) throws {
        #expect(bundle.sealed().bytes == container.bytes)
        _ = BundleReport(container, bundle, trusted: nil)
        _ = bundle.tunnel?.lanes
        let image = bundle.image
        _ = image.wantsEncryption
        for map in SlotMap.allCases {
            for entry in image.mapEntries(map) { _ = Image.describe(key: entry.key, of: map) }
            for entry in image.entries(map) { _ = image.describe(value: entry.value, of: map) }
        }
        _ = try? image.adopting(other)
        _ = try? other.adopting(image)
        if let judge = try? EmulatorJudge(image: image) {
            for endpoint in image.endpoints {
                for (local, peer) in zip(endpoint.addresses, RandomWorld.addresses) where local.family == peer.family {
                    let decision = try? judge.judge(
                        FlowQuery(
                            endpoint: endpoint.id, direction: .ingress, localAddress: local, peerAddress: peer,
                            path: .forwarded, protocol: .tcp, port: 80))
                    if let decision { _ = image.ruleLocations(decision.rule) }
                }
            }
        }
        guard let sources = bundle.sources else { return }
        var diagnostics = DiagnosticsCollector()
        let documents = parseDocuments(SourceFile(path: "bundle", bytes: sources.inventory), diagnostics: &diagnostics)
        let inventory = decodeInventory(documents, diagnostics: &diagnostics)
        guard !diagnostics.hasErrors, let kept = try? KeptPolicy(decoding: sources.policies) else { return }
        _ = kept.image(inventory, node: image.node)
    }
}
