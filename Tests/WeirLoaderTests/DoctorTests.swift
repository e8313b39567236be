import CLibbpf
import Foundation
import LoaderBed
import TestNetwork
import Testing
import WeirABI
import WeirKernel
import WeirLoader
import WeirMaps
import WeirModel
import WeirNetlink

@Suite("weir doctor", .serialized, .enabled(if: kernelTestsAreWanted))
struct DoctorTests {
    private static let image = HandmadeImage.make(port: 80)

    /// Something wrong on a node that enforces `image`, and everything that is found then.
    struct Condition: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var mode: AttachMode
        var found: Set<Finding.ID>
        var severity: Finding.Severity
        var make: @Sendable (LoaderFixture) throws -> Void

        init(
            _ description: String, _ severity: Finding.Severity, _ found: Set<Finding.ID>, on mode: AttachMode = .tcx,
            make: @escaping @Sendable (LoaderFixture) throws -> Void
        ) {
            testDescription = description
            self.mode = mode
            self.found = found
            self.severity = severity
            self.make = make
        }
    }

    private static func map(_ fixture: LoaderFixture, _ name: String) throws -> KernelMap {
        try #require(try KernelMap.pinned(at: "\(fixture.place.pinPath)/maps/\(name)"))
    }

    /// Changes what a slot says of itself; the first apply fills slot 1.
    private static func change(
        _ fixture: LoaderFixture, slot: UInt32, _ body: (inout weir_slot_meta) -> Void
    ) throws {
        let slots = try map(fixture, "slot_meta")
        var meta = try #require(try slots.lookup(slot.abiBytes).flatMap(weir_slot_meta.init(abiBytes:)))
        body(&meta)
        try slots.update(slot.abiBytes, meta.abiBytes, mode: .any)
    }

    private static func drop(_ fixture: LoaderFixture, _ reason: weir_reason) throws {
        let drops = try map(fixture, "drops")
        let key = (reason.rawValue * 2).abiBytes
        var counters = try #require(try drops.lookup(key))
        counters[0] = 3
        try drops.update(key, counters, mode: .any)
    }

    /// A program of nobody's, pinned; it says "go on".
    private static func pinForeignProgram(_ fixture: LoaderFixture) throws -> String {
        let path = "/sys/fs/bpf/\(fixture.place.node)-foreign"
        let program = weir_probe_program()
        defer { close(program) }
        // SAFETY: the path outlives the call.
        try #require(unsafe bpf_obj_pin(program, path) == 0)
        return path
    }

    /// `words` come after `tc filter add dev veth-3 ingress`: before packets of pod 3 enter the node.
    private static func addFilter(_ fixture: LoaderFixture, _ words: String...) throws {
        let status = try attempt(
            ["nsenter", "--net=/run/netns/\(fixture.place.node)", "tc", "filter", "add", "dev", "veth-3", "ingress"]
                + words)
        try #require(status.status == 0, "\(status.output)")
    }

    private static func attachForeignLink(_ fixture: LoaderFixture) throws {
        let foreign = try pinForeignProgram(fixture)
        try fixture.topology.onNode {
            let interface = try #require(try Netlink().interfaces().first { $0.name == "veth-3" })
            // SAFETY: the paths outlive the calls.
            let program = unsafe bpf_obj_get(foreign)
            let link = weir_tcx_link_create(program, interface.index, 0)
            defer {
                close(program)
                close(link)
            }
            try #require(unsafe bpf_obj_pin(link, foreign + "-link") == 0)
        }
    }

    private static let conditions: [Condition] = [
        Condition("control is frozen", .error, [.controlFrozen]) { fixture in
            // SAFETY: the path outlives the call.
            let control = unsafe bpf_obj_get("\(fixture.place.pinPath)/maps/control")
            defer { close(control) }
            try #require(bpf_map_freeze(control) == 0)
        },
        Condition("a detach ended after its store", .error, [.notEnforcing]) { fixture in
            let control = try ControlWord(try map(fixture, "control"))
            control.store(control.load().withRevision(0))
        },
        Condition("the other slot is half built", .warning, [.slotBuilding]) { fixture in
            try change(fixture, slot: 0) { $0.state = WEIR_SLOT_BUILDING.rawValue }
        },
        Condition("the slot in force is not complete", .error, [.slotNotReady]) { fixture in
            try change(fixture, slot: 1) { $0.state = WEIR_SLOT_BUILDING.rawValue }
        },
        Condition("another ABI is in force", .error, [.otherABI]) { fixture in
            try change(fixture, slot: 1) { $0.abi_version -= 1 }
        },
        Condition("a first apply left its staging directory", .warning, [.stagingLeft]) { fixture in
            try run("mkdir", fixture.place.pinPath + "-new")
        },
        Condition("an upgrade left its staging directory", .warning, [.stagingLeft]) { fixture in
            try run("mkdir", fixture.place.pinPath + "/programs/00ff_new")
        },
        Condition("programs that no hook runs", .warning, [.programUnused]) { fixture in
            let directory = fixture.place.pinPath + "/programs/00ff"
            try run("mkdir", directory)
            let object = try BPFObject(bytes: EmbeddedObject.bytes)
            try object.load()
            for name in ProgramName.judging + [ProgramName.readTick] {
                try object.program(name).pin(at: "\(directory)/\(name)")
            }
        },
        Condition("a pinned map that no program reads", .error, [.programOtherMaps]) { fixture in
            let old = try map(fixture, "peers")
            let inner = try #require(try old.inner(at: 1))
            let new = try KernelMap(creating: old.schema, inner: inner.schema.withMaxEntries(1))
            try run("rm", "\(fixture.place.pinPath)/maps/peers")
            try new.pin(at: "\(fixture.place.pinPath)/maps/peers")
        },
        Condition("a map of another layout", .error, [.pinsIncompatible]) { fixture in
            let pin = "\(fixture.place.pinPath)/maps/conntrack4"
            var schema = try map(fixture, "conntrack4").schema
            schema.valueSize += 8
            try run("rm", pin)
            try KernelMap(creating: schema).pin(at: pin)
        },
        Condition("a link that somebody removed", .error, [.hookMissing]) { fixture in
            let links = fixture.place.pinPath + "/links"
            let first = try #require(try FileManager.default.contentsOfDirectory(atPath: links).first)
            try run("rm", "\(links)/\(first)")
        },
        Condition("a filter that somebody removed", .error, [.hookMissing], on: .clsact) { fixture in
            try run("ip", "netns", "exec", fixture.place.node, "tc", "filter", "del", "dev", "veth-3", "ingress")
        },
        Condition("an interface that is gone", .warning, [.interfaceGone, .linkDead]) { fixture in
            try run("ip", "-n", fixture.place.node, "link", "del", "veth-2")
        },
        Condition("an interface that the policy does not know", .warning, [.hookUnneeded]) { fixture in
            let endpoints = try #require(try map(fixture, "endpoints").inner(at: 1))
            try endpoints.delete(try #require(try endpoints.entries().first).key)
        },
        Condition("somebody's tcx program before ours", .warning, [.programBefore]) { fixture in
            try attachForeignLink(fixture)
        },
        Condition("somebody's tcx program before our filter", .warning, [.programBefore], on: .clsact) { fixture in
            try attachForeignLink(fixture)
        },
        Condition("a direct-action filter before ours", .error, [.filterBefore], on: .clsact) { fixture in
            try addFilter(
                fixture, "prio", "1", "bpf", "da", "object-pinned", try pinForeignProgram(fixture))
        },
        Condition("a classifier without a verdict before ours", .warning, [.filterBefore], on: .clsact) { fixture in
            try addFilter(fixture, "prio", "1", "bpf", "object-pinned", try pinForeignProgram(fixture))
        },
        Condition("flows up to the brim", .warning, [.conntrackFull]) { fixture in
            let flows = try map(fixture, "conntrack4_new")
            let value = [UInt8](repeating: 0, count: flows.schema.valueSize)
            try flows.updateBatch(
                (0..<UInt32(flows.schema.maxEntries)).map { number in
                    let rest = [UInt8](repeating: 0, count: flows.schema.keySize - 4)
                    return MapEntry(key: number.abiBytes + rest, value: value)
                })
        },
        Condition("packets without a slot", .error, [.dropsNoSlot]) { try drop($0, WEIR_REASON_NO_SLOT) },
        Condition("packets without a verdict", .error, [.dropsNoVerdict]) { try drop($0, WEIR_REASON_NO_VERDICT) },
        Condition("flows that could not be recorded", .warning, [.dropsConntrackInsert]) {
            try drop($0, WEIR_REASON_CONNTRACK_INSERT)
        },
        Condition("no state file", .warning, [.stateMissing]) { fixture in
            try run("rm", fixture.place.stateDirectory + "/state.json")
        },
        Condition("a damaged state file", .error, [.stateDamaged]) { fixture in
            try run("sh", "-c", "echo { > \(fixture.place.stateDirectory)/state.json")
        },
        Condition("files that belong to nothing", .warning, [.stateLeftovers]) { fixture in
            try run(
                "touch", fixture.place.stateDirectory + "/image-00ff", fixture.place.stateDirectory + "/state.json.tmp")
        },
        Condition("no image of the policy in force", .warning, [.imageMissing]) { fixture in
            try run("sh", "-c", "rm \(fixture.place.stateDirectory)/image-*")
        },
        Condition("a policy that wants encryption, without a tunnel", .error, [.tunnelMissing]) { fixture in
            var image = HandmadeImage.make(port: 81)
            image.maps[.ipcache4] = image.entries(.ipcache4).map { entry in
                var peer = weir_peer(abiBytes: entry.value) ?? weir_peer()
                peer.flags |= WEIR_PEER_ENCRYPTED.rawValue
                return MapEntry(key: entry.key, value: peer.abiBytes)
            }
            _ = try fixture.place.apply(image)
        },
        Condition("no pins, as after a boot", .error, [.notLoaded]) { fixture in
            try run("rm", "-r", fixture.place.pinPath)
        },
    ]

    @Test("nothing is found where all is well", arguments: [AttachMode.tcx, .clsact])
    func allWell(mode: AttachMode) throws {
        let fixture = try LoaderFixture(mode)
        let place = fixture.place
        let empty = try place.onNode { try place.loader().examine() }
        #expect(empty.findings == [] && !empty.isLoaded)
        #expect(try fixture.traces() == [])
        _ = try place.apply(Self.image)
        _ = try place.apply(HandmadeImage.make(port: 81))
        #expect(try !fixture.topology.connect(from: 0, "10.7.0.3", 80))
        let report = try place.onNode { try place.loader().examine() }
        #expect(report.findings == [] && report.isLoaded && report.neighbours == [])
        try place.detach()
        var opened = try place.onNode { try place.loader().examine() }
        #expect(opened.local?.isOpened == true)
        opened.local = empty.local
        #expect(opened == empty)
    }

    @Test("is found, with what to do, and stays as it is", arguments: conditions)
    func condition(_ condition: Condition) throws {
        let fixture = try LoaderFixture(condition.mode)
        let place = fixture.place
        let foreign = "/sys/fs/bpf/\(place.node)-foreign"
        defer { _ = try? attempt(["rm", "-f", foreign, foreign + "-link"]) }
        _ = try place.apply(Self.image)
        try condition.make(fixture)
        let traces = try fixture.traces()
        let report = try place.onNode { try place.loader().examine() }
        #expect(Set(report.findings.map(\.id)) == condition.found, "\(report.findings)")
        #expect(Set(report.findings.map(\.severity)) == [condition.severity])
        #expect(report.findings.allSatisfy { !$0.remedy.isEmpty })
        #expect(try fixture.traces() == traces)
        var again = try place.onNode { try place.loader().examine() }
        // Ages are counted in seconds.
        again.local?.policyAgeSeconds = report.local?.policyAgeSeconds
        again.local?.inventoryAgeSeconds = report.local?.inventoryAgeSeconds
        #expect(again == report)
    }

    @Test("another namespace is said, and nothing of its interfaces is judged")
    func elsewhere() throws {
        let fixture = try LoaderFixture()
        _ = try fixture.place.apply(Self.image)
        let report = try NetworkNamespace(path: "/run/netns/\(fixture.topology.pods[0])").run {
            try fixture.place.loader().examine()
        }
        #expect(report.findings.map(\.id) == [.stateElsewhere])
    }

    @Test("others' programs after ours are named and are no finding")
    func neighbours() throws {
        let fixture = try LoaderFixture(.tcx)
        let place = fixture.place
        let foreign = try Self.pinForeignProgram(fixture)
        defer { _ = try? attempt(["rm", "-f", foreign]) }
        _ = try place.apply(Self.image)
        try run("ip", "netns", "exec", place.node, "tc", "qdisc", "add", "dev", "veth-3", "clsact")
        try Self.addFilter(fixture, "prio", "1", "bpf", "da", "object-pinned", foreign)
        let report = try place.onNode { try place.loader().examine() }
        #expect(report.findings == [])
        let neighbour = try #require(report.neighbours.first)
        #expect(report.neighbours.count == 1 && neighbour.name == "weir_probe" && !neighbour.isBefore)
        #expect(neighbour.interface == "veth-3" && neighbour.direction == .egress && neighbour.kind == .clsact)
    }

    @Test("a quarantine in front of ours is named and is no finding", arguments: [AttachKind.tcx, .clsact])
    func quarantine(kind: AttachKind) throws {
        let fixture = try LoaderFixture(kind == .tcx ? .tcx : .clsact)
        let place = fixture.place
        _ = try place.apply(Self.image)
        let report = try place.onNode {
            let interface = try #require(try Netlink().interface(named: "veth-3"))
            try Quarantine.impose(on: interface.index, kind: kind)
            return try place.loader().examine()
        }
        #expect(report.findings == [])
        #expect(report.neighbours.map(\.name) == ["weir_quarantine", "weir_quarantine"])
        #expect(report.neighbours.allSatisfy { $0.isBefore && $0.kind == kind })
    }

    @Test("what the kernel lacks is named: helpers and programs that it refuses")
    func features() throws {
        let fixture = try LoaderFixture()
        let place = fixture.place
        let refused = try BrokenObject.bytes()
        let broken = try place.onNode { try place.loader(object: refused).examine() }
        #expect(broken.findings.map(\.id) == [.programsRefused])
        #expect(broken.findings.first?.message.contains("verifier: R9 !read_ok") == true)
        let unknown = try BrokenObject.withUnknownHelper()
        let helper = try place.onNode { try place.loader(object: unknown).examine() }
        #expect(helper.findings.map(\.id) == [.helperMissing, .programsRefused])
        #expect(helper.findings.first?.message.contains("helper 9999") == true)

        let calls = try TracedRun.listing(["doctor"], on: place).calls
        let trie = try #require(calls.first { $0.text.contains("MAP_CREATE") && $0.text.contains("LPM_TRIE") })
        #expect(try TracedRun.faulty(["doctor"], .error("EINVAL"), at: trie, on: place).status == 2)
        #expect(try TracedRun.faulty(["doctor"], .error("ENOMEM"), at: trie, on: place).status == 3)
    }

    @Test("the machine: no JIT, BPF for every user, no bpf file system, one over another; and no right to look")
    func machine() throws {
        let fixture = try LoaderFixture()
        let doctor = [try builtExecutable(), "doctor", "--output", "json", "--pin-path"]
        // A mount namespace of its own: nobody else sees the files that lie over the kernel's.
        func under(_ mounts: String, _ pinPath: String) throws -> (Int32, String) {
            let script = "zero=$(mktemp); echo 0 >$zero; \(mounts); rm $zero; exec \"$@\""
            let run = try attempt(["unshare", "-m", "sh", "-euc", script, "sh"] + doctor + [pinPath])
            return (run.status, run.output)
        }
        let pinPath = fixture.place.pinPath
        for (mounts, path, id) in [
            ("mount --bind $zero /proc/sys/net/core/bpf_jit_enable", pinPath, "jit-off"),
            ("mount --bind $zero /proc/sys/kernel/unprivileged_bpf_disabled", pinPath, "unprivileged-bpf"),
            ("umount -l /sys/fs/bpf", pinPath, "bpffs-missing"), ("true", "/tmp/weir", "bpffs-missing"),
            ("mount -t bpf bpf /sys/fs/bpf", pinPath, "bpffs-hidden"),
        ] {
            let (status, output) = try under(mounts, path)
            #expect(status == 2, "\(output)")
            #expect(output.contains("\"id\" : \"\(id)\""), "\(output)")
        }
        let (status, output) = try under("true", pinPath)
        #expect(status == 0, "\(output)")
        let user = try attempt(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] + doctor + [pinPath])
        #expect(user.status == 3 && user.output.contains("root"), "\(user.output)")
    }
}
