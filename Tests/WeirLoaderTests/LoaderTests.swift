import Foundation
import LoaderBed
import TestNetwork
import Testing
import WeirABI
import WeirImage
import WeirKernel
import WeirLoader
import WeirMaps
import WeirModel
import WeirNetlink

@Suite("Loading an image", .serialized, .enabled(if: kernelTestsAreWanted))
struct LoaderTests {
    @Test("traffic obeys the image, in place of the one before, until detach", arguments: [AttachMode.tcx, .clsact])
    func traffic(mode: AttachMode) throws {
        let fixture = try LoaderFixture(mode)
        let (topology, place) = (fixture.topology, fixture.place)
        let first = try topology.listen(in: 1, 80)
        let second = try topology.listen(in: 1, 81)
        defer {
            first.stop()
            second.stop()
        }
        #expect(try topology.connect(from: 0, "10.7.0.3", 80))
        #expect(try topology.connect(from: 0, "10.7.0.3", 81))

        let outcome = try place.apply(HandmadeImage.make(port: 80))
        #expect(outcome.result == .committed)
        #expect(outcome.revision == 1 && outcome.slot == 1)
        #expect(outcome.attached.count == 4)
        #expect(try topology.connect(from: 0, "10.7.0.3", 80))
        #expect(try !topology.connect(from: 0, "10.7.0.3", 81))
        #expect(try !topology.ping(from: 0, "10.7.0.3"))
        #expect(try !topology.ping(from: 0, "fd07::3"))
        #expect(try topology.ping(from: 1, "10.7.0.2"))
        #expect(try topology.ping(from: 1, "fd07::2"))
        #expect(try attempt(["ip", "netns", "exec", topology.node, "ping", "-c1", "-W1", "10.7.0.3"]).status == 0)

        #expect(try place.apply(HandmadeImage.make(port: 81)).revision == 2)
        #expect(try !topology.connect(from: 0, "10.7.0.3", 80))
        #expect(try topology.connect(from: 0, "10.7.0.3", 81))

        let status = try #require(try place.status())
        #expect(status.revision == 2 && status.activeSlot == 0)
        #expect(status.slots.map(\.state) == [.ready, .ready])
        #expect(status.endpoints.map(\.name) == ["shop/pod-2", "shop/pod-3"])
        #expect(status.endpoints.map(\.interface) == ["veth-2", "veth-3"])
        #expect(status.endpoints.allSatisfy { $0.hooks.map(\.kind.rawValue) == [mode.rawValue, mode.rawValue] })
        #expect(status.problems == [])
        #expect(status.drops.contains { $0.reason == "policy-default-deny" && $0.direction == .ingress })
        let rule = try #require(status.rules.first { $0.rule == HandmadeImage.portRule.rawValue })
        #expect(rule.locations == ["policy.yaml:8"] && rule.packets > 0)
        #expect(status.maps.contains { $0.map == "ipcache4" && $0.entries == 3 && $0.capacity > 3 })

        #expect(try place.detach().detached.count == 4)
        #expect(try fixture.traces() == [])
        #expect(try topology.connect(from: 0, "10.7.0.3", 80))
        let opened = try #require(try place.status())
        #expect(opened.local.isOpened && opened.activeSlot == nil && opened.endpoints.isEmpty && opened.problems == [])
        #expect(try !place.detach().wasPresent)
    }

    @Test("the same image again changes nothing")
    func idempotent() throws {
        let fixture = try LoaderFixture()
        let image = HandmadeImage.make(port: 80)
        _ = try fixture.place.apply(image)
        let before = try #require(try fixture.place.status())
        let plan = try fixture.place.onNode { try fixture.place.loader().plan(image) }
        #expect(!plan.hasChanges && plan.maps == [])
        var steps: [ApplyStep] = []
        let outcome = try fixture.place.apply(image) { steps.append($0) }
        #expect(outcome.result == .unchanged && outcome.revision == 1)
        #expect(steps == [.checked, .pinned])
        #expect(try fixture.place.status() == before)
    }

    @Test("a new address of the node is a change")
    func nodeAddress() throws {
        let fixture = try LoaderFixture()
        let image = HandmadeImage.make(port: 80)
        _ = try fixture.place.apply(image)
        try run("ip", "-n", fixture.topology.node, "addr", "add", "192.0.2.77/32", "dev", "veth-2")
        #expect(try fixture.place.apply(image).result == .adjusted)
        let fill = try #require(try fixture.place.status()?.maps.first { $0.map == "ipcache4" })
        #expect(fill.entries == 4)
    }

    @Test("a plan names what an apply then does")
    func plan() throws {
        let fixture = try LoaderFixture()
        let (place, image) = (fixture.place, HandmadeImage.make(port: 80))
        let first = try place.onNode { try place.loader().plan(image) }
        #expect(first.isFirst && first.hasChanges && first.attach.count == 4)
        #expect(try fixture.traces() == [])
        _ = try place.apply(image)
        let other = try place.onNode { try place.loader().plan(HandmadeImage.make(port: 81, pods: [3])) }
        #expect(other.hasChanges && !other.isFirst && other.detach.count == 2 && other.attach == [])
        #expect(other.maps.contains { $0.map == "verdicts" && $0.added == 1 && $0.removed == 1 })
    }

    @Test(
        "an endpoint that goes takes its programs with it; one that comes gets them",
        arguments: [AttachMode.tcx, .clsact])
    func comingAndGoing(mode: AttachMode) throws {
        let fixture = try LoaderFixture(mode, pods: [2, 3, 4])
        _ = try fixture.place.apply(HandmadeImage.make(port: 80, pods: [2, 3]))
        let outcome = try fixture.place.apply(HandmadeImage.make(port: 80, pods: [3, 4]))
        #expect(outcome.attached.count == 2 && outcome.detached.count == 2)
        #expect(try fixture.place.status()?.endpoints.map(\.interface) == ["veth-3", "veth-4"])
        #expect(try fixture.attached() == ["veth-3/egress", "veth-3/ingress", "veth-4/egress", "veth-4/ingress"])
        try fixture.place.detach()
        #expect(try fixture.traces() == [])
    }

    @Test("an interface that was made again is attached again, and its dead link goes")
    func interfaceRecreated() throws {
        let fixture = try LoaderFixture(.tcx)
        let image = HandmadeImage.make(port: 80)
        _ = try fixture.place.apply(image)
        try run("ip", "-n", fixture.topology.node, "link", "del", "veth-2")
        #expect(try fixture.place.status()?.problems.isEmpty == false)
        try run(
            "ip", "-n", fixture.topology.node, "link", "add", "veth-2", "type", "veth", "peer", "name", "eth0", "netns",
            fixture.topology.pods[0])
        let outcome = try fixture.place.apply(image)
        #expect(outcome.attached.count == 2 && outcome.result == .adjusted)
        #expect(try fixture.linkCount() == 4)
        #expect(try fixture.place.status()?.problems == [])
    }

    @Test("other options are another program, swapped in place", arguments: [AttachMode.tcx, .clsact])
    func upgrade(mode: AttachMode) throws {
        let fixture = try LoaderFixture(mode)
        let (place, image) = (fixture.place, HandmadeImage.make(port: 80))
        _ = try place.apply(image)
        let outcome = try place.onNode {
            try place.loader { $0.programs.insert(.dhcp) }.apply(image)
        }
        #expect(outcome.swapped.count == 4 && outcome.attached == [] && outcome.detached == [])
        #expect(try FileManager.default.contentsOfDirectory(atPath: place.pinPath + "/programs").count == 1)
        #expect(try !fixture.topology.ping(from: 0, "10.7.0.3"))
        #expect(try fixture.topology.ping(from: 1, "10.7.0.2"))
    }

    @Test("another attach mode replaces the attachments")
    func otherMode() throws {
        let fixture = try LoaderFixture(.clsact)
        let (place, image) = (fixture.place, HandmadeImage.make(port: 80))
        _ = try place.apply(image)
        let outcome = try place.onNode { try place.loader { $0.attachMode = .tcx }.apply(image) }
        #expect(outcome.attached.count == 4 && outcome.detached.count == 4)
        #expect(try !run("ip", "netns", "exec", fixture.topology.node, "tc", "qdisc", "show").contains("clsact"))
        #expect(try place.onNode { try place.loader { $0.attachMode = .automatic }.apply(image) }.result == .unchanged)
    }

    @Test("what others attached stays")
    func foreignPrograms() throws {
        let fixture = try LoaderFixture(.clsact)
        let node = fixture.topology.node
        let foreign = "/sys/fs/bpf/\(node)-foreign"
        let object = try BPFObject(bytes: EmbeddedObject.bytes)
        try object.load()
        try object.program(ProgramName.toEndpoint).pin(at: foreign)
        defer { _ = try? run("rm", foreign) }
        try run("ip", "netns", "exec", node, "tc", "qdisc", "add", "dev", "veth-3", "clsact")
        // `ip netns exec` has a /sys of its own.
        try run(
            "nsenter", "--net=/run/netns/\(node)", "tc", "filter", "add", "dev", "veth-3", "ingress", "prio", "9",
            "bpf",
            "da", "object-pinned", foreign)
        _ = try fixture.place.apply(HandmadeImage.make(port: 80))
        try fixture.place.detach()
        let traces = try fixture.traces()
        #expect(traces.count == 1 && traces.allSatisfy { $0.contains("clsact") && $0.contains("veth-3") })
        #expect(
            try run("ip", "netns", "exec", node, "tc", "filter", "show", "dev", "veth-3", "ingress")
                .contains("pref 9 bpf"))
    }

    @Test("a rollback puts the policy before in force again, and again")
    func rollback() throws {
        let fixture = try LoaderFixture()
        let (topology, place) = (fixture.topology, fixture.place)
        let listener = try topology.listen(in: 1, 80)
        defer { listener.stop() }
        _ = try place.apply(HandmadeImage.make(port: 80))
        #expect(throws: LoaderError.self) { try place.onNode { try place.loader().rollback() } }
        _ = try place.apply(HandmadeImage.make(port: 81))
        #expect(try !topology.connect(from: 0, "10.7.0.3", 80))
        let outcome = try place.onNode { try place.loader().rollback() }
        #expect(outcome.revision == 3 && outcome.slot == 1)
        #expect(try topology.connect(from: 0, "10.7.0.3", 80))
        #expect(try place.status()?.problems == [])
        #expect(try place.onNode { try place.loader().activeImage() } == HandmadeImage.make(port: 80))
        #expect(try place.apply(HandmadeImage.make(port: 80)).result == .unchanged)
        #expect(try place.onNode { try place.loader().rollback() }.revision == 4)
        #expect(try !topology.connect(from: 0, "10.7.0.3", 80))
    }

    @Test("a rollback to a policy that knows other interfaces or an older inventory is refused")
    func rollbackRefused() throws {
        let fixture = try LoaderFixture()
        let place = fixture.place
        _ = try place.apply(HandmadeImage.make(port: 80, pods: [2, 3]))
        try run("ip", "-n", fixture.topology.node, "link", "del", "veth-2")
        try run(
            "ip", "-n", fixture.topology.node, "link", "add", "veth-2", "type", "veth", "peer", "name", "eth0", "netns",
            fixture.topology.pods[0])
        _ = try place.apply(HandmadeImage.make(port: 81, pods: [2, 3]))
        let endpoints = #expect(throws: LoaderError.self) { try place.onNode { try place.loader().rollback() } }
        #expect(endpoints?.description.contains("knows other endpoints") == true)
        _ = try place.onNode {
            try place.loader().apply(HandmadeImage.make(port: 79, pods: [2, 3]), generation: 7)
        }
        let generation = #expect(throws: LoaderError.self) { try place.onNode { try place.loader().rollback() } }
        #expect(generation?.description.contains("generation 0, this one of 7") == true)
        #expect(try place.status()?.revision == 3)
    }

    @Test("two sets on one machine do not meet")
    func twoSets() throws {
        let fixture = try LoaderFixture(.tcx)
        var other = fixture.place
        other.node = fixture.place.node  // The same namespace …
        let options = { (options: inout Loader.Options) in  // … with other pins.
            options.pinPath += "-b"
            options.stateDirectory += "-b"
        }
        _ = try fixture.place.apply(HandmadeImage.make(port: 80))
        _ = try other.onNode { try other.loader(options).apply(HandmadeImage.make(port: 81)) }
        #expect(try fixture.place.status()?.endpoints.first?.hooks.first?.position == 1)
        #expect(try fixture.place.status()?.endpoints.first?.hooks.first?.chainLength == 2)
        try fixture.place.detach()
        #expect(try other.onNode { try other.loader(options).status()?.revision } == 1)
        _ = try other.onNode { try other.loader(options).detach() }
        #expect(try fixture.traces() == [])
        try run("rm", "-rf", fixture.place.stateDirectory + "-b")
    }
}

@Suite("What an apply refuses", .serialized, .enabled(if: kernelTestsAreWanted))
struct RefusalTests {
    @Test("every interface that is not found is named, and nothing is made")
    func interfaces() throws {
        let fixture = try LoaderFixture()
        let image = HandmadeImage.make(port: 80, attachment: { .interface("nothing-\($0)") })
        let error = #expect(throws: LoaderError.self) { try fixture.place.apply(image) }
        let text = try #require(error).description
        #expect(text.contains("nothing-2") && text.contains("nothing-3"))
        #expect(try fixture.traces() == [])
    }

    @Test("a pin path that is not on bpffs comes with the mount command")
    func noBPFFileSystem() throws {
        let fixture = try LoaderFixture()
        let error = #expect(throws: LoaderError.self) {
            try fixture.place.onNode {
                try fixture.place.loader { $0.pinPath = "/tmp/weir" }.apply(HandmadeImage.make(port: 80))
            }
        }
        #expect(try #require(error).description.contains("mount -t bpf bpf /sys/fs/bpf"))
        #expect(try fixture.traces() == [])
    }

    @Test("a held lock ends the wait")
    func locked() throws {
        let fixture = try LoaderFixture()
        var refused: LoaderError?
        _ = try fixture.place.apply(HandmadeImage.make(port: 80)) { step in
            guard step == .checked else { return }
            do { try fixture.place.detach() } catch let error as LoaderError { refused = error }
        }
        guard case .locked = try #require(refused) else { throw try #require(refused) }
    }

    @Test("an interface whose index no flow's key can hold is refused")
    func highIndex() throws {
        let fixture = try LoaderFixture()
        let topology = fixture.topology
        let index = "\(WEIR_INTERFACE_MAX + 1)"
        try run("ip", "-n", topology.node, "link", "del", "veth-2")
        try run(
            "ip", "-n", topology.node, "link", "add", "veth-2", "index", index, "type", "veth", "peer", "name", "eth0",
            "netns", topology.pods[0])
        let error = #expect(throws: LoaderError.self) { try fixture.place.apply(HandmadeImage.make(port: 80)) }
        #expect(try #require(error).description.contains("the index of 'veth-2', \(index), is above"))
        #expect(try fixture.traces() == [])
    }

    @Test("pinned maps of another layout are listed attribute by attribute, and left alone")
    func incompatible() throws {
        let fixture = try LoaderFixture()
        let image = HandmadeImage.make(port: 80)
        _ = try fixture.place.apply(image)
        let pin = fixture.place.pinPath + "/maps/control"
        try run("rm", pin)
        var schema = NodeMap.control.schema
        schema.valueSize = 32
        schema.maxEntries = 2
        try KernelMap(creating: schema).pin(at: pin)
        let pins = FileManager.default.subpaths(atPath: fixture.place.pinPath)
        let error = #expect(throws: LoaderError.self) { try fixture.place.apply(HandmadeImage.make(port: 81)) }
        let text = try #require(error).description
        #expect(text.contains("control: value size is 32, not 24"))
        #expect(text.contains("control: max entries is 2, not 1"))
        #expect(text.contains("detach with the weir that made them, then apply again"))
        #expect(FileManager.default.subpaths(atPath: fixture.place.pinPath) == pins)
        #expect(try !fixture.topology.ping(from: 0, "10.7.0.3"))
        try fixture.place.detach()
        #expect(try fixture.traces() == [])
    }

    @Test(
        "a policy of another ABI in force is refused before a program is swapped, and left as it was",
        arguments: [(-1, "run weir detach, then apply again"), (1, "install the newer weir again")])
    func otherABI(difference: Int, remedy: String) throws {
        let fixture = try LoaderFixture()
        let place = fixture.place
        let revision = try place.apply(HandmadeImage.make(port: 80)).revision
        let slots = try #require(try KernelMap.pinned(at: place.pinPath + "/maps/slot_meta"))
        let key = UInt32(revision & 1).abiBytes
        var meta = try #require(try slots.lookup(key).flatMap(weir_slot_meta.init(abiBytes:)))
        meta.abi_version = UInt32(Int(meta.abi_version) + difference)
        try slots.update(key, meta.abiBytes, mode: .any)
        let traces = try fixture.traces()
        var steps: [ApplyStep] = []
        let error = #expect(throws: LoaderError.self) {
            try place.apply(HandmadeImage.make(port: 81)) { steps.append($0) }
        }
        let text = try #require(error).description
        #expect(
            text.contains("ABI \(Int(WEIR_ABI_VERSION) + difference), this one is of ABI \(WEIR_ABI_VERSION)"))
        #expect(text.contains(remedy))
        #expect(steps == [.checked])
        #expect(throws: LoaderError.self) {
            try place.onNode { try place.loader().plan(HandmadeImage.make(port: 81)) }
        }
        #expect(try fixture.traces() == traces)
        #expect(try place.status()?.revision == revision)
        try place.detach()
        #expect(try fixture.traces() == [])
        #expect(try place.apply(HandmadeImage.make(port: 81)).result == .committed)
    }

    @Test("what a newer weir has remembered is refused, with what to do about it, and left as it was")
    func newerState() throws {
        let fixture = try LoaderFixture()
        let place = fixture.place
        let revision = try place.apply(HandmadeImage.make(port: 80)).revision
        let path = place.stateDirectory + "/state.json"
        let newer = Array(
            try String(contentsOfFile: path, encoding: .utf8).replacing("\"format\" : 1", with: "\"format\" : 2").utf8)
        try Data(newer).write(to: URL(fileURLWithPath: path))
        let error = #expect(throws: LoaderError.self) { try place.apply(HandmadeImage.make(port: 81)) }
        let text = try #require(error).description
        #expect(text.contains("written by a newer weir: format 2, and this one knows 1"))
        #expect(text.contains("install the newer weir again"))
        #expect(try place.status()?.revision == revision)
        #expect(try Array(Data(contentsOf: URL(fileURLWithPath: path))) == newer)
    }

    @Test("another network namespace is refused")
    func otherNamespace() throws {
        let fixture = try LoaderFixture()
        _ = try fixture.place.apply(HandmadeImage.make(port: 80))
        let error = #expect(throws: LoaderError.self) {
            try NetworkNamespace(path: "/run/netns/\(fixture.topology.pods[0])").run {
                try fixture.place.loader().detach()
            }
        }
        #expect(try #require(error).description.contains("another network namespace"))
    }
}
