import Testing
import WeirBundle
import WeirCompiler
import WeirImage
import WeirModel
import WeirTestSupport

@Suite("A bundle is read as it was written")
struct RoundTripTests {
    @Test("What is sealed is read again, in the same bytes", arguments: 0..<60)
    func roundTrip(offset: UInt64) throws {
        let bundle = try SampleBundle.random(seed: 61_121 + offset)
        #expect(bundle.image.contradiction == nil)
        let container = bundle.sealed()
        let read = try NodeBundle(BundleContainer(decoding: container.bytes))
        #expect(read == bundle)
        #expect(read.sealed().bytes == container.bytes)
    }

    @Test("A bundle has the tunnel, the API servers and what made it; parts that are left out are absent")
    func parts() throws {
        var bundle = try SampleBundle.small()
        #expect(bundle.tunnel?.peers.map(\.node) == ["node-b"])
        #expect(bundle.apiServers.map(\.description) == ["192.0.2.2"])
        #expect(bundle.provenance.inputs.map(\.path) == ["a.yaml", "b.yaml"])
        let whole = bundle.sealed()
        #expect(
            whole.sections.map(\.section.name)
                == ["provenance", "image", "tunnel", "access", "policies", "inventory", "digest"])
        bundle.tunnel = nil
        bundle.sources = nil
        let slim = bundle.sealed()
        #expect(slim.sections.map(\.section.name) == ["provenance", "image", "access", "digest"])
        #expect(slim.bytes.count < whole.bytes.count)
        #expect(try NodeBundle(BundleContainer(decoding: slim.bytes)) == bundle)
        #expect(slim.digest != whole.digest)
    }

    @Test("Policies that are kept mean the same when they are compiled again")
    func keptPolicies() throws {
        for seed in UInt64(0)..<20 {
            let world = RandomWorld(seed: seed)
            let kept = KeptPolicy(policies: world.policies, options: world.options)
            let bytes = try kept.encoded()
            let read = try KeptPolicy(decoding: bytes)
            #expect(try read.encoded() == bytes)
            #expect(
                read.image(world.inventory, node: "node-a").encoded()
                    == kept.image(world.inventory, node: "node-a").encoded())
        }
    }

    @Test("Times are written and read, and nothing else is a time")
    func times() {
        #expect(Provenance.seconds("2023-11-14T22:13:20Z") == 1_700_000_000)
        #expect(Provenance.seconds("1700000000") == 1_700_000_000)
        #expect(Provenance.seconds("0") == 0)
        for text in ["", "now", "-1", "1e9", "2023-11-14", "253402300800", "2023-11-14T22:13:20"] {
            #expect(Provenance.seconds(text) == nil, "\(text)")
        }
        let provenance = Provenance(weir: "0", abi: 0, node: "a", created: 1_700_000_000)
        #expect(provenance.createdText == "2023-11-14T22:13:20Z")
    }
}
