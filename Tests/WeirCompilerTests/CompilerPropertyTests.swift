import Testing
import WeirABI
import WeirCompiler
import WeirEmulator
import WeirFlow
import WeirImage
import WeirMaps
import WeirModel
import WeirTestSupport

/// The compiler against the naive oracle, on random worlds. A failure prints the seed.
@Suite("Random policies mean what the oracle says")
struct CompilerPropertyTests {
    private static let baseSeed: UInt64 = 20_261_121

    private func image(_ world: RandomWorld) -> Image {
        Compiler.compile(
            policies: world.policies, inventory: world.inventory, node: "node-a", options: world.options)
    }

    @Test("Emulator and oracle give the same verdict, and the image names rules that decide", arguments: 0..<20)
    func emulatorAgreesWithOracle(batch: UInt64) throws {
        for index in 0..<100 {
            let seed = Self.baseSeed + batch * 1000 + UInt64(index)
            var world = RandomWorld(seed: seed)
            let image = image(world)
            let judge = try EmulatorJudge(image: image)
            let oracle = PolicyOracle(policies: world.policies, inventory: world.inventory, options: world.options)
            for _ in 0..<60 {
                let question = world.question()
                guard let query = Self.query(question, world.inventory, image) else { continue }
                let expected = oracle.answer(question)
                let decision = try judge.judge(query)
                try #require(
                    Self.letter(decision) == expected.letter, "seed \(seed): \(question): \(decision)")
                let named = Set(image.attributions[Int(decision.rule.rawValue)])
                switch expected {
                case .allow(let rules), .deny(let rules), .wouldDeny(let rules):
                    try #require(named.isSubset(of: rules), "seed \(seed): \(question) names \(named)")
                    try #require(named.isEmpty == rules.isEmpty, "seed \(seed): \(question) names \(named)")
                case .defaultDeny, .wouldDefaultDeny:
                    try #require(named.allSatisfy { $0.section == nil }, "seed \(seed): \(question) names \(named)")
                }
            }
        }
    }

    @Test("The order of policies and endpoints does not change a byte", arguments: 0..<40)
    func orderDoesNotMatter(offset: UInt64) throws {
        let world = RandomWorld(seed: Self.baseSeed + offset)
        var shuffle = SeededGenerator(seed: offset)
        let policies = PolicySet(
            specs: world.policies.specs.shuffled(using: &shuffle).map { spec in
                var spec = spec
                spec.rules.shuffle(using: &shuffle)
                return spec
            })
        let inventory = Inventory(
            endpoints: world.inventory.endpoints.shuffled(using: &shuffle),
            nodes: world.inventory.nodes.shuffled(using: &shuffle),
            kubeAPIServerAddresses: world.inventory.kubeAPIServerAddresses.reversed(),
            services: world.inventory.services.reversed())
        let other = Compiler.compile(
            policies: policies, inventory: inventory, node: "node-a", options: world.options)
        #expect(image(world).encoded() == other.encoded(), "seed \(Self.baseSeed + offset)")
    }

    @Test(
        "Verdict tables are in normal form: at most one entry decides, and none repeats what holds anyway",
        arguments: 0..<200)
    func normalForm(offset: UInt64) throws {
        let image = image(RandomWorld(seed: Self.baseSeed + offset))
        var tables: [UInt32: [(key: weir_verdict_key, action: UInt32)]] = [:]
        for entry in image.entries(.verdicts) {
            let key = try #require(weir_verdict_key(abiBytes: entry.key))
            tables[key.table, default: []].append((key, try #require(UInt32(abiBytes: entry.value))))
        }
        for (table, entries) in tables {
            let wide = entries.filter { $0.key.prefix_length == 32 }
            #expect(wide.count <= 1, "table \(table)")
            let ranged = entries.filter { $0.key.prefix_length != 32 }
            #expect(!ranged.isEmpty, "table \(table) says one thing and should be a decision")
            #expect(!ranged.contains { $0.action == wide.first?.action }, "table \(table) repeats itself")
            let spans = ranged.map { entry -> (UInt8, ClosedRange<Int>) in
                let port = Int(entry.key.port_be.0) << 8 | Int(entry.key.port_be.1)
                return (entry.key.protocol, port...(port + (1 << (56 - Int(entry.key.prefix_length))) - 1))
            }.sorted { ($0.0, $0.1.lowerBound) < ($1.0, $1.1.lowerBound) }
            for (left, right) in zip(spans, spans.dropFirst()) where left.0 == right.0 {
                #expect(left.1.upperBound < right.1.lowerBound, "table \(table): two entries for one port")
            }
        }
        for table in image.entries(.peers).compactMap({ UInt32(abiBytes: $0.value) }) {
            if case .table(let id) = Action(rawValue: table) { #expect(tables[id.rawValue] != nil) }
        }
    }

    @Test("Groups are the coarsest partition: no two compiled ones have the same column", arguments: 0..<200)
    func coarsestGroups(offset: UInt64) throws {
        let image = image(RandomWorld(seed: Self.baseSeed + offset))
        let elements = image.entries(.peers).map(\.value)
        let columns = (Int(WEIR_GROUP_FIRST_COMPILED.rawValue)..<image.groupCount).map { group in
            stride(from: group, to: elements.count, by: image.groupCount).map { elements[$0] }
        }
        #expect(Set(columns).count == columns.count, "seed \(Self.baseSeed + offset)")
        let used = [SlotMap.ipcache4, .ipcache6, .cidrs4, .cidrs6].flatMap(image.entries)
            .compactMap { weir_peer(abiBytes: $0.value)?.group }
        #expect(used.allSatisfy { Int($0) < image.groupCount && $0 != 0 })
    }

    @Test("An image survives its own encoding, and a damaged one is refused", arguments: 0..<20)
    func codec(offset: UInt64) throws {
        let image = image(RandomWorld(seed: Self.baseSeed + offset))
        let bytes = image.encoded()
        #expect(try Image(decoding: bytes) == image)
        var generator = SeededGenerator(seed: offset)
        for _ in 0..<50 {
            let cut = Int.random(in: 0..<bytes.count, using: &generator)
            #expect(throws: ImageFormatError.self) { try Image(decoding: Array(bytes.prefix(cut))) }
        }
        for _ in 0..<200 {
            var damaged = bytes
            damaged[Int.random(in: 0..<bytes.count, using: &generator)] ^= UInt8.random(in: 1...255, using: &generator)
            #expect(throws: ImageFormatError.self) { try Image(decoding: damaged) }
        }
    }

    @Test("A range of ports is the fewest prefixes that cover exactly it")
    func portPrefixesCoverExactly() {
        func covered(_ range: ClosedRange<UInt16>) -> [(value: UInt16, length: Int)] { portPrefixes(range) }
        #expect(covered(0...65535).count == 1)
        #expect(covered(1...65535).count == 16)
        #expect(covered(1...65534).count == 30)
        #expect(covered(1024...65535).count == 6)
        #expect(covered(0...1023).count == 1)
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<500 {
            let low = UInt16.random(in: 0...65535, using: &generator)
            let high = UInt16.random(in: low...65535, using: &generator)
            var next = Int(low)
            for prefix in covered(low...high) {
                #expect(Int(prefix.value) == next)
                next += 1 << (16 - prefix.length)
            }
            #expect(next == Int(high) + 1)
        }
    }

    static func letter(_ decision: Decision) -> Character {
        switch decision.kind {
        case .allow: "A"
        case .deny: decision.isAudited ? "d" : "D"
        case .defaultDeny: decision.isAudited ? "n" : "N"
        }
    }

    /// nil where the endpoint has no address of the peer's family.
    static func query(
        _ question: PolicyOracle.Question, _ inventory: Inventory, _ image: Image
    ) -> FlowQuery? {
        guard let record = image.endpoint(named: question.endpoint),
            let local = record.addresses.first(where: { $0.family == question.peer.family })
        else { return nil }
        return FlowQuery(
            endpoint: record.id, direction: question.direction, localAddress: local, peerAddress: question.peer,
            path: question.fromHost ? .host : .forwarded, protocol: question.protocol, port: question.port)
    }
}
