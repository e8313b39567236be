import TestNetwork
import Testing
import WeirABI
import WeirImage
import WeirInspect
import WeirMaps
import WeirModel

@Suite("Entries of maps in words")
struct DecodingTests {
    /// Pod 3 accepts port 80 of TCP from pod 2.
    private static let image = HandmadeImage.make(port: 80)
    private let maps = ImageMaps(image)

    private func dump(_ map: SlotMap, _ adjust: (inout Dump.Request) -> Void = { _ in }) throws -> [[String]] {
        var request = Dump.Request()
        adjust(&request)
        let dump = try #require(maps.dump(.slot(map), request))
        return dump.listing.rows.map { row in row.cells.map { $0.text(isWide: false) } }
    }

    @Test("every map has its name, and no two have the same")
    func names() {
        for map in MapName.allCases { #expect(MapName(map.description) == map) }
        #expect(Set(MapName.allCases.map(\.description)).count == SlotMap.allCases.count + NodeMap.allCases.count)
        #expect(MapName("ipcache") == nil)
    }

    @Test("every row has a cell for each column", arguments: SlotMap.allCases)
    func columns(_ map: SlotMap) throws {
        let rows = try dump(map)
        #expect(!rows.isEmpty)
        for row in rows { #expect(row.count == EntryDecoder.columns(of: .slot(map)).count) }
    }

    @Test("an address is its pod, its group and its identity")
    func addresses() throws {
        #expect(
            try dump(.ipcache4) == [
                ["10.7.0.2", "shop/pod-2", "8", "1", "shop/pod-2", "-"],
                ["10.7.0.3", "shop/pod-3", "9", "2", "shop/pod-3", "-"],
            ])
    }

    @Test("a word of peers names who has the row, who is in the group, and the rule")
    func peers() throws {
        let rows = try dump(.peers)
        #expect(rows.count == 20)
        #expect(
            rows[0] == [
                "0", "shop/pod-2 egress, shop/pod-2 ingress, shop/pod-3 egress", "0", "default", "allow", "-", "-",
            ])
        #expect(rows[18] == ["18", "shop/pod-3 ingress", "8", "shop/pod-2", "table", "1", "-"])
        #expect(rows[19] == ["19", "shop/pod-3 ingress", "9", "shop/pod-3", "default-deny", "-", "policy.yaml:3"])
    }

    @Test("a verdict names ports and the rule that allows them")
    func verdicts() throws {
        #expect(try dump(.verdicts) == [["1", "TCP", "80", "allow", "policy.yaml:8"]])
    }

    @Test("ports of a verdict are all that the prefix covers")
    func verdictPorts() {
        func scope(_ length: Int, _ port: UInt16) -> VerdictScope {
            var key = weir_verdict_key()
            key.table = 4
            key.protocol = 17
            key.prefix_length = UInt32(length)
            setABIBytes(&key.port_be, [UInt8(port >> 8), UInt8(truncatingIfNeeded: port)])
            return VerdictScope(key)
        }
        #expect(scope(56, 53).description == "table 4 UDP/53")
        #expect(scope(53, 8080).description == "table 4 UDP/8080-8087")
        #expect(scope(40, 0).description == "table 4 UDP/0-65535")
        #expect(scope(32, 0).description == "table 4 any protocol")
    }

    @Test("filters leave what they ask for")
    func filters() throws {
        #expect(try dump(.ipcache4) { $0.filter.address = IPAddress("10.7.0.3") }.map { $0[0] } == ["10.7.0.3"])
        #expect(try dump(.cidrs4) { $0.filter.address = IPAddress("192.0.2.1") }.map { $0[0] } == ["0.0.0.0/0"])
        #expect(try dump(.cidrs4) { $0.filter.address = IPAddress("::1") }.isEmpty)
        #expect(try dump(.ipcache6) { $0.filter.endpoint = "shop/pod-2" }.map { $0[0] } == ["fd07::2"])
        #expect(try dump(.ipcache4) { $0.filter.group = 9 }.map { $0[0] } == ["10.7.0.3"])
        #expect(try dump(.peers) { $0.filter.rule = "policy.yaml:3" }.count == 8)
        #expect(try dump(.verdicts) { $0.filter.rule = "policy.yaml:3" }.isEmpty)
        #expect(EntryFilter.group("world-ipv4") == WEIR_GROUP_WORLD_IPV4.rawValue)
        #expect(EntryFilter.group("12") == 12)
        #expect(EntryFilter.group("nobody") == nil)
    }

    @Test("a filter that a map cannot answer is said to be without meaning")
    func meaninglessFilters() {
        var filter = EntryFilter()
        filter.group = 5
        filter.rule = "a.yaml:1"
        #expect(filter.meaningless(for: .slot(.peers)).isEmpty)
        #expect(filter.meaningless(for: .slot(.ipcache4)) == ["--rule"])
        #expect(filter.meaningless(for: .slot(.verdicts)) == ["--group"])
        #expect(filter.meaningless(for: .node(.drops)) == ["--group", "--rule"])
    }

    @Test("a limit keeps the first rows, and says how many there were")
    func limit() throws {
        var request = Dump.Request()
        request.limit = 3
        let dump = try #require(maps.dump(.slot(.peers), request))
        #expect(dump.listing.rows.count == 3)
        #expect(dump.matched == 20)
    }

    @Test("raw is the kernel's bytes")
    func raw() throws {
        #expect(
            try dump(.ipcache4) { $0.isRaw = true }.first == ["0a070002", "080000000100000000000000"])
        #expect(try dump(.peers) { $0.isRaw = true }.count == 1)
    }

    @Test("numbers are in order of size, not of their bytes")
    func order() {
        let indexes = [256, 3, 70_000, 1].map { UInt32($0).abiBytes }
        let sorted = indexes.sorted {
            let map = MapName.node(.drops)
            return map.order($0).lexicographicallyPrecedes(map.order($1))
        }
        #expect(sorted.compactMap { UInt32(abiBytes: $0) } == [1, 3, 256, 70_000])
    }

    @Test("an entry of another layout is shown as bytes, in every map", arguments: MapName.allCases)
    func otherLayout(_ map: MapName) {
        let decoder = EntryDecoder(names: EntryNames(image: nil))
        let rows = decoder.rows(MapEntry(key: [1, 2, 3], value: [4]), of: map)
        #expect(rows.map { $0.cells.prefix(2).map { $0.text(isWide: false) } } == [["010203", "04"]])
        #expect(rows[0].cells.count == EntryDecoder.columns(of: map).count)
    }

    @Test("without an image numbers stay numbers")
    func withoutImage() throws {
        let decoder = EntryDecoder(names: EntryNames(image: nil))
        let entry = try #require(Self.image.entries(.ipcache4).first)
        #expect(
            decoder.rows(entry, of: .slot(.ipcache4)).map { $0.cells.map { $0.text(isWide: false) } }
                == [["10.7.0.2", "-", "8", "1", "-", "-"]])
    }

    @Test("JSON has the columns as keys, in their order, and is escaped")
    func json() {
        let listing = Listing(
            columns: ["a", "egressPackets", "c", "d", "e"],
            rows: [Row([.text("\"\\\n"), .number(7), .flag(false), .list(["x", "y"]), .none])])
        #expect(
            String(decoding: listing.jsonObject(listing.rows[0]), as: UTF8.self)
                == #"{"a":"\"\\\u000a","egressPackets":7,"c":false,"d":["x","y"],"e":null}"#)
        #expect(listing.header == ["A", "EGRESS PACKETS", "C", "D", "E"])
    }

    @Test("a table shortens lists and labels, wide does not")
    func shortening() {
        let list = Cell.list(["a", "b", "c", "d", "e"])
        #expect(list.text(isWide: false) == "a, b, c, +2")
        #expect(list.text(isWide: true) == "a, b, c, d, e")
        let labels = Cell.labels(
            "k8s:app=api,k8s:io.cilium.k8s.policy.cluster=default,k8s:io.kubernetes.pod.namespace=shop")
        #expect(labels.text(isWide: false) == "app=api,namespace=shop")
        #expect(labels.text(isWide: true).contains("policy.cluster=default"))
        #expect(Cell.labels("reserved:host").text(isWide: false) == "reserved:host")
    }
}
