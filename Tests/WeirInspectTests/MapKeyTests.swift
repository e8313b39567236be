import TestNetwork
import Testing
import WeirABI
import WeirEmulator
import WeirImage
import WeirInspect
import WeirMaps
import WeirModel
import WeirTestSupport

@Suite("Keys as people write them")
struct MapKeyTests {
    private static let image = HandmadeImage.make(port: 80)
    private let names = EntryNames(
        image: image, interfaces: [7: "veth-3"], endpoints: image.endpointEntries(interfaces: [2: 7]))

    @Test(
        "a key is the bytes that the kernel has",
        arguments: [
            ("endpoints", "7", "07000000"), ("endpoints", "veth-3", "07000000"),
            ("endpoints", "shop/pod-3", "07000000"), ("ipcache4", "10.7.0.2", "0a070002"),
            ("ipcache6", "fd07::2", "fd070000000000000000000000000002"), ("cidrs4", "10.7.0.2", "200000000a070002"),
            ("cidrs4", "10.7.0.0/16", "100000000a070000"), ("peers", "70", "01000000"),
            ("verdicts", "3:tcp/5432", "380000000300000006153800"), ("verdicts", "3:UDP", "280000000300000011000000"),
            ("verdicts", "3:any", "200000000300000000000000"), ("verdicts", "3:89/1", "380000000300000059000100"),
            ("conntrack4", "veth-3 tcp 10.7.0.3:80 10.7.0.2:40000", "060700000a0700020a0700039c400050"),
            ("conntrack4_new", "host icmp 10.7.0.3:9 10.7.0.2:9", "010000000a0700020a07000300090009"),
            (
                "conntrack6", "shop/pod-3 udp [fd07::3]:53 [fd07::2]:5",
                "1107000000050035fd070000000000000000000000000002fd070000000000000000000000000003"
            ), ("drops", "policy-deny/ingress", "03000000"), ("drops", "4", "04000000"), ("slot_meta", "1", "01000000"),
        ])
    func keys(map: String, text: String, hexadecimal: String) throws {
        let map = try #require(MapName(map))
        #expect(try MapKey(text, map: map, names: names).bytes.hexadecimal == hexadecimal)
        #expect(try MapKey(hexadecimal: "0x" + hexadecimal, map: map).bytes.hexadecimal == hexadecimal)
    }

    @Test(
        "what cannot be a key is refused, with what would be one",
        arguments: [
            ("ipcache4", "fd07::2", "an IPv4 address"), ("ipcache4", "10.7.0", "an IPv4 address"),
            ("cidrs6", "10.0.0.0/8", "an IPv6 address or prefix"), ("verdicts", "3", "table:protocol/port"),
            ("verdicts", "3:tcp/70000", "table:protocol/port"), ("verdicts", "3:tcp/1/2", "table:protocol/port"),
            ("conntrack4", "veth-3 tcp 10.7.0.3:80", "its owner, protocol and both ends"),
            ("conntrack4", "nobody tcp 10.7.0.3:80 10.7.0.2:1", "its owner, protocol and both ends"),
            ("conntrack6", "7 tcp fd07::3:80 [fd07::2]", "its owner, protocol and both ends"),
            ("drops", "policy-deny", "reason/direction"), ("endpoints", "veth-9", "an interface's name"),
            ("fragments", "1", "--raw"), ("control", "first", "an index"),
        ])
    func refusals(map: String, text: String, remedy: String) throws {
        let map = try #require(MapName(map))
        let error = #expect(throws: MapKeyError.self) { try MapKey(text, map: map, names: names) }
        #expect(error?.description.contains("'\(text)'") == true)
        #expect(error?.description.contains(remedy) == true)
    }

    @Test("bytes of another number are refused", arguments: ["0a0700", "0a07000200", "0a07000g", "", "é"])
    func rawRefusals(_ text: String) {
        #expect(throws: MapKeyError.self) { try MapKey(hexadecimal: text, map: .slot(.ipcache4)) }
    }

    @Test("one word of an element of peers is found, not its neighbours")
    func word() throws {
        let maps = ImageMaps(Self.image)
        let key = try MapKey("18", map: .slot(.peers), names: names)
        let found = try #require(maps.find(key, in: .slot(.peers), isRaw: false))
        #expect(found.rows.map { $0.cells[0] } == [.number(18)])
    }

    @Test("a miss is a listing without rows, and a map that an image has not is none at all")
    func misses() throws {
        let maps = ImageMaps(Self.image)
        let address = try MapKey("10.9.9.9", map: .slot(.ipcache4), names: names)
        #expect(try #require(maps.find(address, in: .slot(.ipcache4), isRaw: false)).rows.isEmpty)
        let index = try MapKey("0", map: .node(.control), names: names)
        #expect(maps.entries(.node(.control)) == nil)
        #expect(maps.lookup(.node(.control), index.bytes) == nil)
    }

    @Test("the longest prefix is the one that the emulated trie finds, at every length")
    func longestMatch() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        for _ in 0..<200 {
            let entries = Dictionary(
                (0..<12).map { index in
                    let length = UInt32.random(in: 0...32, using: &random)
                    // Few bits, so that prefixes lie in each other.
                    let bits = UInt32.random(in: 0...7, using: &random) << 29
                    let masked = length == 0 ? 0 : bits & ~UInt32(0) << (32 - length)
                    return (length.abiBytes + masked.bigEndian.abiBytes, UInt32(index).abiBytes)
                }
            ) { first, _ in first }.map { MapEntry(key: $0.key, value: $0.value) }
            let schema = MapSchema(
                name: "trie", type: .lpmTrie, keySize: 8, valueSize: 4, maxEntries: 12, flags: .noPreallocation)
            let trie = try EmulatedMapFactory().makeMap(schema)
            try trie.updateBatch(entries)
            let key =
                UInt32.random(in: 0...32, using: &random).abiBytes
                + (UInt32.random(in: 0...7, using: &random) << 29).bigEndian.abiBytes
            #expect(
                MapName.slot(.cidrs4).match(key, in: entries)?.value == (try trie.lookup(key)), "seed \(seed)")
        }
    }
}
