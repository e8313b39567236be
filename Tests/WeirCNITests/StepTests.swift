import Testing
import WeirCNI
import WeirModel
import WeirTestSupport

/// What the operations do to the registry.
@Suite("A plugin's steps")
struct StepTests {
    private static let configuration = Bench.configuration("1.1.0", previous: Bench.result110)
    private static let bare = Bench.configuration("1.1.0")

    private static func place(_ container: String, _ interface: String = "eth0") -> [String: String] {
        ["CNI_CONTAINERID": container, "CNI_IFNAME": interface, "CNI_NETNS": "/run/netns/\(container)"]
    }

    /// The result for an interface of any name: its address names none.
    private func add(_ bench: Bench, _ container: String, _ interface: String = "eth0", network: String = "pods") {
        let answer = bench.run(
            "ADD", Self.configuration.replacing("\"pods\"", with: "\"\(network)\""), Self.place(container, interface))
        #expect(answer.status == 0, "\(answer.text)")
    }

    private func names(_ bench: Bench) -> [String] { bench.registry.known.map(\.key.description).sorted() }

    @Test("A pod that stays denied, or is open, is added, and standard error says why")
    func admissions() {
        let bench = Bench()
        bench.registry.admission = .denied(reason: "nobody says its labels")
        let denied = bench.run("ADD", Self.configuration)
        #expect(denied.status == 0)
        #expect(denied.text == Bench.result110)
        #expect(denied.remarks == ["shop/api is denied everything: nobody says its labels"])
        bench.registry.admission = .open(reason: "weir detach was the last command here")
        let open = bench.run("ADD", Self.configuration, Self.place("c2"))
        #expect(open.status == 0)
        #expect(open.remarks == ["default/c2 is not filtered: weir detach was the last command here"])
    }

    @Test("ADD again is registered again, at its interface of today, and answered the same")
    func again() {
        let bench = Bench()
        add(bench, "c1")
        bench.surroundings.side = .success(HostSide(name: "veth9", index: 9))
        add(bench, "c1")
        #expect(bench.registry.calls == ["register", "register"])
        #expect(bench.registry.known.map(\.interface) == ["veth9"])
    }

    @Test(
        "DEL succeeds whatever is missing",
        arguments: [
            ([:], bare), (["CNI_NETNS": ""], bare), (["CNI_NETNS": "nonsense", "CNI_ARGS": "nonsense"], bare),
            ([:], Bench.configuration("1.1.0", previous: "7")), (["CNI_IFNAME": ""], bare),
            ([:], Bench.configuration("1.1.0", #""args":{"cni":{"labels":7}},"ipMasq":true,"disableCheck":7"#)),
        ])
    func delete(_ environment: [String: String], _ configuration: String) {
        let bench = Bench()
        bench.surroundings.side = .failure(CNIError(.noHostSide, "the namespace is gone"))
        for _ in 0..<2 {
            let answer = bench.run("DEL", configuration, Self.place("c1").merging(environment) { $1 })
            #expect(answer == Plugin.Answer())
        }
        bench.surroundings.side = .success(HostSide(name: "veth1", index: 7))
        add(bench, "c1")
        add(bench, "c2")
        #expect(bench.run("DEL", configuration, Self.place("c1").merging(environment) { $1 }) == Plugin.Answer())
        #expect(names(bench) == ["eth0 of container c2 in network pods"])
        #expect(bench.surroundings.asked.count == 2, "DEL asks nothing of the machine")
    }

    @Test("DEL of a container that could never be added is done; without a container it is 4")
    func deleteUnknown() {
        let bench = Bench()
        #expect(bench.run("DEL", Self.bare, ["CNI_CONTAINERID": "../../x", "CNI_IFNAME": "a/b"]) == Plugin.Answer())
        #expect(bench.run("DEL", Self.bare, [:]).code == 4)
    }

    @Test("DEL takes one interface where it is named, and else all of the container's in this network")
    func interfaces() {
        let bench = Bench()
        for interface in ["eth0", "net1"] { add(bench, "c1", interface) }
        add(bench, "c1", "eth0", network: "others")
        #expect(bench.run("DEL", Self.bare, Self.place("c1", "net1")).status == 0)
        #expect(names(bench).count == 2)
        add(bench, "c1", "net1")
        #expect(bench.run("DEL", Self.bare, ["CNI_CONTAINERID": "c1"]).status == 0)
        #expect(names(bench) == ["eth0 of container c1 in network others"])
    }

    @Test(
        "GC takes what is not valid, of this network alone",
        arguments: ["cni.dev/valid-attachments", "cni.dev/attachments"])
    func collect(_ key: String) throws {
        let bench = Bench()
        for container in ["c1", "c2", "c3"] { add(bench, container) }
        add(bench, "c2", "net1")
        add(bench, "c9", network: "others")
        _ = try bench.registry.register(
            Registration(
                key: .endpoint("edge/box"), namespace: "edge", name: "box", addresses: [], interface: "x",
                interfaceIndex: 3))
        let valid = #"[{"containerID":"c2","ifname":"eth0"},{"containerID":"c7","ifname":"eth0"}]"#
        #expect(bench.run("GC", Bench.configuration("1.1.0", "\"\(key)\":\(valid)"), [:]) == Plugin.Answer())
        #expect(
            names(bench) == [
                "endpoint edge/box", "eth0 of container c2 in network pods", "eth0 of container c9 in network others",
            ])
        #expect(bench.run("GC", Bench.configuration("1.1.0", "\"\(key)\":null"), [:]) == Plugin.Answer())
        #expect(names(bench) == ["endpoint edge/box", "eth0 of container c9 in network others"])
    }

    @Test("CHECK that is disabled asks nothing")
    func disabledCheck() {
        let bench = Bench()
        let answer = bench.run(
            "CHECK", Bench.configuration("1.1.0", "\"disableCheck\":true", previous: Bench.result110))
        #expect(answer == Plugin.Answer())
        #expect(bench.registry.calls.isEmpty && bench.surroundings.asked.isEmpty)
    }

    // MARK: Properties

    /// One history of a few containers with a fault at one call: whatever happened, DEL of a container leaves nothing of it,
    /// GC nothing of those that are gone, and no other container suffers.
    @Test("With a fault at any call, what was deleted is not there", arguments: 0..<200)
    func faults(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let bench = Bench()
        let containers = ["c0", "c1", "c2"]
        var alive: Set<String> = []
        for _ in 0..<12 {
            bench.registry.faultAt = random.below(3) == 0 ? bench.registry.calls.count + random.below(3) : nil
            bench.registry.faultKind = FakeRegistry.FaultKind.allCases[random.below(2)]
            let container = containers[random.below(3)]
            switch random.below(4) {
            case 0, 1:
                let answer = bench.run("ADD", Self.configuration, Self.place(container))
                if answer.status == 0 {
                    alive.insert(container)
                    #expect(bench.registry.known.contains { $0.name == container }, "seed \(seed)")
                } else {
                    // The runtime deletes what it could not add.
                    alive.remove(container)
                    bench.registry.faultAt = nil
                    #expect(bench.run("DEL", Self.bare, Self.place(container)).status == 0, "seed \(seed)")
                    #expect(!bench.registry.known.contains { $0.name == container }, "seed \(seed)")
                }
            case 2:
                var answer = bench.run("DEL", Self.bare, Self.place(container))
                if answer.status != 0 {
                    bench.registry.faultAt = nil
                    answer = bench.run("DEL", Self.bare, Self.place(container))
                }
                #expect(answer.status == 0, "seed \(seed)")
                alive.remove(container)
            default:
                let valid = alive.sorted().map { #"{"containerID":"\#($0)","ifname":"eth0"}"# }.joined(separator: ",")
                let answer = bench.run(
                    "GC", Bench.configuration("1.1.0", "\"cni.dev/valid-attachments\":[\(valid)]"), [:])
                if answer.status == 0 { #expect(Set(bench.registry.known.map(\.name)) == alive, "seed \(seed)") }
            }
            #expect(alive.isSubset(of: bench.registry.known.map(\.name)), "seed \(seed)")
        }
        bench.registry.faultAt = nil
        for container in containers { _ = bench.run("DEL", Self.bare, Self.place(container)) }
        #expect(bench.registry.known.isEmpty, "seed \(seed)")
    }
}
