import Testing
import WeirABI
import WeirCompiler
import WeirEmulator
import WeirImage
import WeirMaps
import WeirModel
import WeirTestSupport

@Suite("One pod placed in a compiled policy")
struct PlacementPropertyTests {
    private static let baseSeed: UInt64 = 20_270_401

    @Test("a series of pods is judged as if all had been compiled again", arguments: 0..<20)
    func asCompiled(batch: UInt64) throws {
        var placedCount = 0
        for index in 0..<40 {
            let seed = Self.baseSeed + batch * 40 + UInt64(index)
            var world = RandomWorld(seed: seed)
            if seed % 2 == 0 { world.options.encryption = .wireguard }
            var prepared = PreparedPolicy(
                policies: world.policies, inventory: world.inventory, node: "node-a", options: world.options)
            var image = prepared.image
            for number in 0..<3 {
                let former = Set(world.inventory.endpoints)
                let next = world.inventory(after: world.pick(PodChange.allCases), number: number)
                let added = next.endpoints.first { !former.contains($0) }
                let removed = world.inventory.endpoints.first { !Set(next.endpoints).contains($0) }
                let placement: Placement?
                switch (added, removed) {
                case (let added?, _): placement = prepared.place(added, insteadOf: removed)
                case (nil, let removed?): placement = prepared.remove(removed)
                case (nil, nil): continue
                }
                guard let placement else { break }
                placedCount += 1
                world.inventory = next
                image.take(placement)
                try requireAlike(image, &world, seed)
            }
        }
        #expect(placedCount > 25, "\(placedCount)")
    }

    private func requireAlike(_ image: Image, _ world: inout RandomWorld, _ seed: UInt64) throws {
        let compiled = Compiler.compile(
            policies: world.policies, inventory: world.inventory, node: "node-a", options: world.options)
        try #require(image.knowsSamePeers(as: compiled), "seed \(seed)")
        for map in [SlotMap.ipcache4, .ipcache6] {
            func flags(_ image: Image) -> [UInt32?] {
                image.entries(map).map { weir_peer(abiBytes: $0.value)?.flags }
            }
            try #require(flags(image) == flags(compiled), "seed \(seed)")
        }
        guard world.inventory.endpoints.contains(where: { $0.node == "node-a" }) else { return }
        let (judge, expected) = (try EmulatorJudge(image: image), try EmulatorJudge(image: compiled))
        for _ in 0..<60 {
            let question = world.question()
            guard let query = CompilerPropertyTests.query(question, world.inventory, image),
                let original = CompilerPropertyTests.query(question, world.inventory, compiled)
            else { continue }
            let (answer, wanted) = (try judge.judge(query), try expected.judge(original))
            try #require(answer.kind == wanted.kind, "seed \(seed): \(question)")
            try #require(
                image.attributions[Int(answer.rule.rawValue)] == compiled.attributions[Int(wanted.rule.rawValue)],
                "seed \(seed): \(question)")
        }
    }

    @Test("labels that no rule asks for make a new name and no new group")
    func newName() throws {
        let world = RandomWorld(seed: Self.baseSeed)
        var prepared = PreparedPolicy(
            policies: world.policies, inventory: world.inventory, node: "node-a", options: world.options)
        var pod = try #require(world.inventory.endpoints.first)
        let former = pod
        pod.labels = LabelSet(pod.labels.labels + [Label(source: "k8s", key: "pod-template-hash", value: "77")])
        let placed = prepared.place(pod, insteadOf: former)
        let placement = try #require(placed)
        #expect(placement.names == [pod.labels.description])
        for peer in placement.peers {
            let map: SlotMap = peer.address.family == .ipv4 ? .ipcache4 : .ipcache6
            let before = try #require(prepared.image.entries(map).first { $0.key == peer.address.bytes })
            let after = try #require(peer.value.flatMap(weir_peer.init(abiBytes:)))
            #expect(weir_peer(abiBytes: before.value)?.group == after.group)
            #expect(Int(after.identity) == prepared.image.identities.count)
        }
        let again = prepared.place(pod, insteadOf: pod)
        #expect(again?.names == [], "the name is known now")
    }

    @Test("a port name that no pod had is compiled again where a rule asks for names")
    func newPortName() throws {
        let world = RandomWorld(seed: Self.baseSeed)
        let spec = try #require(world.policies.specs.first { !$0.rules.isEmpty })
        for asks in [true, false] {
            var rule = try #require(spec.rules.first)
            rule.direction = .egress
            rule.ports = asks ? .list([.named("odd", [.tcp])]) : .any
            var other = spec
            other.subject = .endpoints(.everything)
            other.rules = [rule]
            var prepared = PreparedPolicy(
                policies: PolicySet(specs: [other]), inventory: world.inventory, node: "node-a")
            let pod = try #require(world.inventory.endpoints.first { $0.node == "node-b" })
            var named = pod
            named.ports.append(NamedPort(name: "odd", protocol: .tcp, port: 7))
            let placement = prepared.place(named, insteadOf: pod)
            #expect((placement == nil) == asks)
        }
    }

    @Test("a pod at a node's or a Service's address is compiled again")
    func reservedAddress() throws {
        let world = RandomWorld(seed: Self.baseSeed)
        var prepared = PreparedPolicy(
            policies: world.policies, inventory: world.inventory, node: "node-a", options: world.options)
        var pod = try #require(world.inventory.endpoints.first)
        pod.name = "other"
        for address in ["192.0.2.2", "10.96.0.10"].compactMap({ IPAddress($0) }) {
            pod.addresses = [address]
            let placement = prepared.place(pod)
            #expect(placement == nil)
        }
    }
}

extension Image {
    fileprivate mutating func take(_ placement: Placement) {
        identities += placement.names
        for peer in placement.peers {
            let map: SlotMap = peer.address.family == .ipv4 ? .ipcache4 : .ipcache6
            maps[map, default: []].removeAll { $0.key == peer.address.bytes }
            if let value = peer.value { maps[map, default: []].append(MapEntry(key: peer.address.bytes, value: value)) }
            maps[map]?.sort()
        }
        endpoints.removeAll { $0.name == placement.removed || $0.name == placement.record?.name }
        if let record = placement.record { endpoints.append(record) }
        endpoints.sort { $0.id < $1.id }
    }
}
