import Testing
import WeirABI
import WeirCompiler
import WeirEmulator
import WeirFlow
import WeirImage
import WeirMaps
import WeirModel
import WeirTestSupport

/// Pods come and go in random worlds; the image in force takes over what the new one says, in its own numbers.
@Suite("A change of pods in the numbers that are in force")
struct InPlacePropertyTests {
    private static let baseSeed: UInt64 = 20_270_301

    /// A world, the inventory after up to three changes, and the images of both.
    private struct Change {
        var seed: UInt64
        var world: RandomWorld
        var after: RandomWorld
        var old: Image
        var new: Image

        init(seed: UInt64, most: Int) {
            self.seed = seed
            world = RandomWorld(seed: seed)
            world.options.hostFirewall = false
            after = world
            for number in 0..<Int.random(in: 1...most, using: &after.generator) {
                let change = after.pick(PodChange.allCases)
                after.inventory = after.inventory(after: change, number: number)
            }
            old = Self.image(world)
            new = Self.image(after)
        }

        private static func image(_ world: RandomWorld) -> Image {
            Compiler.compile(
                policies: world.policies, inventory: world.inventory, node: "node-a", options: world.options)
        }
    }

    @Test(
        "the image in force then gives the verdicts and rules of the new one, in the maps of the old", arguments: 0..<20
    )
    func sameVerdicts(batch: UInt64) throws {
        var adoptedCount = 0
        for index in 0..<50 {
            var change = Change(seed: Self.baseSeed + batch * 50 + UInt64(index), most: 3)
            guard let adopted = try? change.old.adopting(change.new) else { continue }
            adoptedCount += 1
            for map in SlotMap.allCases where ![.ipcache4, .ipcache6].contains(map) {
                try #require(adopted.entries(map) == change.old.entries(map), "seed \(change.seed): \(map)")
            }
            try #require(adopted.attributions == change.old.attributions && adopted.groupCount == change.old.groupCount)
            try #require(adopted.identities.starts(with: change.old.identities), "seed \(change.seed)")
            try #require(adopted.endpoints.map(\.name).sorted() == change.new.endpoints.map(\.name).sorted())
            guard !change.new.endpoints.isEmpty else { continue }
            let (judge, expected) = (try EmulatorJudge(image: adopted), try EmulatorJudge(image: change.new))
            for _ in 0..<80 {
                let question = change.after.question()
                guard
                    let query = CompilerPropertyTests.query(question, change.after.inventory, adopted),
                    let original = CompilerPropertyTests.query(question, change.after.inventory, change.new)
                else { continue }
                let (answer, wanted) = (try judge.judge(query), try expected.judge(original))
                try #require(answer.kind == wanted.kind, "seed \(change.seed): \(question)")
                try #require(
                    adopted.attributions[Int(answer.rule.rawValue)]
                        == change.new.attributions[Int(wanted.rule.rawValue)],
                    "seed \(change.seed): \(question)")
            }
            for entry in adopted.entries(.ipcache4) + adopted.entries(.ipcache6) {
                let map: SlotMap = entry.key.count == 4 ? .ipcache4 : .ipcache6
                let wanted = try #require(change.new.entries(map).first { $0.key == entry.key })
                try #require(Self.name(entry, adopted) == Self.name(wanted, change.new), "seed \(change.seed)")
            }
        }
        #expect(adoptedCount > 15, "small changes are what it is for: \(adoptedCount) of 50")
    }

    @Test("only what changed is written", arguments: 0..<20)
    func minimal(batch: UInt64) throws {
        for index in 0..<50 {
            let change = Change(seed: Self.baseSeed + batch * 50 + UInt64(index), most: 2)
            guard let adopted = try? change.old.adopting(change.new) else { continue }
            let same = Set(change.world.inventory.endpoints).intersection(change.after.inventory.endpoints)
            for endpoint in same {
                for address in endpoint.addresses {
                    let map: SlotMap = address.family == .ipv4 ? .ipcache4 : .ipcache6
                    let before = change.old.entries(map).first { $0.key == address.bytes }
                    let after = adopted.entries(map).first { $0.key == address.bytes }
                    try #require(before == after, "seed \(change.seed): \(endpoint.qualifiedName)")
                }
                let record = adopted.endpoint(named: endpoint.qualifiedName)
                try #require(
                    record == change.old.endpoint(named: endpoint.qualifiedName),
                    "seed \(change.seed): \(endpoint.qualifiedName)")
            }
            try #require(try adopted.adopting(change.new) == adopted, "seed \(change.seed): again is the same")
            if let back = try? adopted.adopting(change.old) {
                try #require(back.entries(.ipcache4) == change.old.entries(.ipcache4), "seed \(change.seed): back")
            }
        }
    }

    @Test("other policies are refused, unless they say the same", arguments: 0..<100)
    func otherPolicies(offset: UInt64) throws {
        var world = RandomWorld(seed: Self.baseSeed + offset)
        world.options.hostFirewall = false
        func image() -> Image {
            Compiler.compile(
                policies: world.policies, inventory: world.inventory, node: "node-a", options: world.options)
        }
        let old = image()
        world.changePolicies()
        let new = image()
        guard let adopted = try? old.adopting(new) else { return }
        let (judge, expected) = (try EmulatorJudge(image: adopted), try EmulatorJudge(image: new))
        for _ in 0..<200 {
            let question = world.question()
            guard let query = CompilerPropertyTests.query(question, world.inventory, new) else { continue }
            var other = query
            other.endpoint = try #require(adopted.endpoint(named: question.endpoint)).id
            #expect(try judge.judge(other).kind == expected.judge(query).kind, "seed \(offset): \(question)")
        }
    }

    @Test("a pod network that comes is judged as the new image says, or refused", arguments: 0..<100)
    func otherRegions(offset: UInt64) throws {
        var world = RandomWorld(seed: Self.baseSeed + offset)
        world.options.hostFirewall = false
        func image() -> Image {
            Compiler.compile(
                policies: world.policies, inventory: world.inventory, node: "node-a", options: world.options)
        }
        let old = image()
        var nodes = world.inventory.nodes
        nodes[2].podCIDRs = ["10.9.0.0/16", "10.1.2.0/24"].compactMap { Prefix($0) }
        world.inventory = Inventory(
            endpoints: world.inventory.endpoints, nodes: nodes,
            kubeAPIServerAddresses: world.inventory.kubeAPIServerAddresses, services: world.inventory.services)
        let new = image()
        guard let adopted = try? old.adopting(new) else { return }
        let (judge, expected) = (try EmulatorJudge(image: adopted), try EmulatorJudge(image: new))
        for _ in 0..<400 {
            let question = world.question()
            guard let query = CompilerPropertyTests.query(question, world.inventory, new) else { continue }
            var other = query
            other.endpoint = try #require(adopted.endpoint(named: question.endpoint)).id
            #expect(try judge.judge(other).kind == expected.judge(query).kind, "seed \(offset): \(question)")
        }
    }

    @Test("rules that moved in their file are where they are now")
    func movedRules() throws {
        var world = RandomWorld(seed: Self.baseSeed)
        var old = Compiler.compile(policies: world.policies, inventory: world.inventory, node: "node-a")
        // One where some rule decides something.
        for seed in 1..<100 as Range<UInt64> where old.attributions.count < 3 {
            world = RandomWorld(seed: Self.baseSeed + seed)
            old = Compiler.compile(policies: world.policies, inventory: world.inventory, node: "node-a")
        }
        let moved = PolicySet(
            specs: world.policies.specs.map { spec in
                var spec = spec
                spec.origin.location.line += 1
                for index in spec.rules.indices { spec.rules[index].origin.location.line += 1 }
                return spec
            })
        let new = Compiler.compile(policies: moved, inventory: world.inventory, node: "node-a")
        let adopted = try old.adopting(new)
        #expect(adopted.attributions == new.attributions && adopted.attributions != old.attributions)
        #expect(adopted.digest == old.digest)
    }

    // MARK: Order

    @Test("between two writes no packet sees a verdict wider than before and after, end to end", arguments: 0..<20)
    func neverWider(batch: UInt64) throws {
        var orderedCount = 0
        for index in 0..<50 {
            var change = Change(seed: Self.baseSeed + 10_000 + batch * 50 + UInt64(index), most: 3)
            guard let adopted = try? change.old.adopting(change.new) else { continue }
            let (before, after) = (NodeState(change.old), NodeState(adopted))
            guard let ordered = try? OrderedChanges(from: before.contents, to: after.contents) else { continue }
            orderedCount += 1
            var states = [before]
            for write in ordered.writes {
                var next = try #require(states.last)
                try #require(next.contents[write.map]?[write.key] == write.before, "seed \(change.seed)")
                next.contents[write.map]?[write.key] = write.after
                states.append(next)
            }
            try #require(states.last?.contents == after.contents, "seed \(change.seed)")
            try requireFences(ordered, seed: change.seed)
            let judges = try states.map { try $0.judge(like: change.old) }
            guard let first = judges.first, let last = judges.last else { continue }
            let ends = Journey.ends(change.world, change.old) + Journey.ends(change.after, adopted)
            for _ in 0..<150 {
                let journey = Journey(&change.after, ends)
                let allowed = [first, last].contains { journey.isAllowed(by: $0) }
                guard !allowed else { continue }
                for (step, judge) in judges.enumerated() {
                    try #require(
                        !journey.isAllowed(by: judge), "seed \(change.seed): \(journey) is open after write \(step)")
                }
            }
        }
        #expect(orderedCount > 10, "\(orderedCount) of 50")
    }

    /// Memory that was freed is not used again, and remembered flows do not outlive what they remember.
    private func requireFences(_ changes: OrderedChanges, seed: UInt64) throws {
        var freed: Set<SlotMap> = []
        var isPending = false
        for step in changes.steps {
            switch step {
            case .write(let change):
                if change.after != nil { try #require(!freed.contains(change.map), "seed \(seed)") }
                if change.before != nil { freed.insert(change.map) }
                if change.map != .endpoints { isPending = true }
                if change.map == .endpoints, change.before != nil, change.after != nil { isPending = true }
                let names = [change.before, change.after].compactMap { $0.flatMap(weir_peer.init(abiBytes:)) }
                if change.map != .endpoints, names.count == 2, names[0].group == names[1].group { isPending = false }
            case .advance: isPending = false
            case .fence:
                try #require(!isPending, "seed \(seed): a fence before flows are judged again")
                freed = []
            }
        }
        try #require(!isPending && freed.isEmpty, "seed \(seed)")
    }

    private static func name(_ entry: MapEntry, _ image: Image) -> String? {
        weir_peer(abiBytes: entry.value).map { image.identities[Int($0.identity)] }
    }
}

/// The three maps that change in place; endpoint ids stand for interfaces.
private struct NodeState {
    var contents: OrderedChanges.Contents

    init(_ image: Image) {
        func dictionary(_ entries: [MapEntry]) -> [[UInt8]: [UInt8]] {
            Dictionary(entries.map { ($0.key, $0.value) }) { $1 }
        }
        contents = [
            .endpoints: dictionary(image.endpoints.map { MapEntry(key: $0.id.abiBytes, value: $0.value) }),
            .ipcache4: dictionary(image.entries(.ipcache4)), .ipcache6: dictionary(image.entries(.ipcache6)),
        ]
    }

    /// The other maps are the image's.
    func judge(like image: Image) throws -> StateJudge {
        var image = image
        for map in [SlotMap.ipcache4, .ipcache6] {
            image.maps[map] = (contents[map] ?? [:]).map { MapEntry(key: $0.key, value: $0.value) }.sorted()
        }
        image.endpoints = (contents[.endpoints] ?? [:]).compactMap { key, value in
            UInt32(abiBytes: key).map {
                Image.EndpointRecord(name: "\($0)", id: $0, addresses: [], value: value, attachment: .byAddress)
            }
        }
        let judge = image.endpoints.isEmpty ? nil : try EmulatorJudge(image: image)
        return StateJudge(judge: judge, endpoints: contents[.endpoints] ?? [:])
    }
}

private struct StateJudge {
    var judge: EmulatorJudge?
    var endpoints: [[UInt8]: [UInt8]]

    /// An interface that the policy does not know passes everything.
    func isAllowed(_ query: FlowQuery) -> Bool {
        guard let judge, endpoints[query.endpoint.abiBytes] != nil else { return true }
        return (try? judge.decide(query).kind) == .allow
    }
}

/// One packet from one pod to another, or to a Service address that becomes the other on the way.
private struct Journey: CustomStringConvertible {
    /// An address behind an interface; nil is another node's.
    struct End: Hashable {
        var interface: UInt32?
        var address: IPAddress
    }

    var source: End
    var destination: End
    var service: IPAddress?
    var `protocol`: IPProtocol
    var port: UInt16
    var servicePort: UInt16

    static func ends(_ world: RandomWorld, _ image: Image) -> [End] {
        world.inventory.endpoints.flatMap { endpoint in
            let record = image.endpoint(named: endpoint.qualifiedName)
            return endpoint.addresses.map { End(interface: record?.id, address: $0) }
        }
    }

    init(_ world: inout RandomWorld, _ ends: [End]) {
        source = world.pick(ends)
        let family = source.address.family
        destination = world.pick(ends.filter { $0.address.family == family })
        let services = world.inventory.services.flatMap(\.addresses).filter { $0.family == family }
        service = services.isEmpty || world.chance(2) ? nil : world.pick(services)
        `protocol` = world.pick([.tcp, .udp])
        port = world.pick(RandomWorld.ports)
        servicePort = world.pick([80, 443, 53])
    }

    /// Whether it comes through both interfaces.
    func isAllowed(by judge: StateJudge) -> Bool {
        func isAllowed(_ interface: UInt32?, _ direction: Direction, _ local: End, _ peer: IPAddress) -> Bool {
            guard let interface else { return true }
            return judge.isAllowed(
                FlowQuery(
                    endpoint: interface, direction: direction, localAddress: local.address, peerAddress: peer,
                    path: .forwarded, protocol: `protocol`,
                    port: direction == .egress && service != nil ? servicePort : port))
        }
        return isAllowed(source.interface, .egress, source, service ?? destination.address)
            && isAllowed(destination.interface, .ingress, destination, source.address)
    }

    var description: String {
        "\(source) to \(service.map { "\($0):\(servicePort), " } ?? "")\(destination):\(port)"
    }
}
