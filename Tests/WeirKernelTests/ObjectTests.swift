import Foundation
import TestNetwork
import Testing
import WeirABI
import WeirImage
import WeirKernel
import WeirMaps
import WeirModel
import WeirNetlink

@Suite("The datapath object", .serialized, .enabled(if: kernelTestsAreWanted))
struct ObjectTests {
    private func loaded(_ options: DatapathOptions = .defaults) throws -> BPFObject {
        let object = try BPFObject(bytes: EmbeddedObject.bytes)
        try object.setOptions(options)
        try object.load()
        return object
    }

    @Test("every map of the object has the schema that the loader assumes")
    func nodeMaps() throws {
        let object = try loaded()
        for map in NodeMap.allCases {
            #expect(map.schema.differences(from: try object.map(map.rawValue).schema) == [])
        }
    }

    @Test("every slot takes an inner map of the schema, of any size", arguments: SlotMap.allCases)
    func slotMaps(map: SlotMap) throws {
        let outer = try loaded().map(map.rawValue)
        #expect(outer.schema.type == .arrayOfMaps)
        #expect(outer.schema.maxEntries == Int(WEIR_SLOT_COUNT))
        for entries in [1, 1000] {
            let inner = try KernelMap(creating: map.schema.withMaxEntries(entries))
            try outer.place(inner, at: 1)
            #expect(try outer.inner(at: 1)?.id == inner.id)
        }
        try outer.removeInner(at: 1)
        try outer.removeInner(at: 1)
        #expect(try outer.inner(at: 1) == nil)
        var other = map.schema
        other.valueSize += 4
        #expect(throws: MapError.invalid) { try outer.place(try KernelMap(creating: other), at: 1) }
    }

    @Test("structures have the sizes that the object's compiler saw")
    func structures() throws {
        let object = try BPFObject(bytes: EmbeddedObject.bytes)
        let sizes: [(String, Int)] = [
            ("weir_control", MemoryLayout<weir_control>.size), ("weir_endpoint", MemoryLayout<weir_endpoint>.size),
            ("weir_peer", MemoryLayout<weir_peer>.size), ("weir_address4", MemoryLayout<weir_address4>.size),
            ("weir_address6", MemoryLayout<weir_address6>.size), ("weir_cidr4", MemoryLayout<weir_cidr4>.size),
            ("weir_cidr6", MemoryLayout<weir_cidr6>.size),
            ("weir_verdict_key", MemoryLayout<weir_verdict_key>.size),
            ("weir_flow4", MemoryLayout<weir_flow4>.size), ("weir_flow6", MemoryLayout<weir_flow6>.size),
            ("weir_fragment_key", MemoryLayout<weir_fragment_key>.size),
            ("weir_fragment", MemoryLayout<weir_fragment>.size),
            ("weir_monitor", MemoryLayout<weir_monitor>.size),
            ("weir_monitor_state", MemoryLayout<weir_monitor_state>.size),
            ("weir_conntrack", MemoryLayout<weir_conntrack>.size), ("weir_counter", MemoryLayout<weir_counter>.size),
            ("weir_slot_meta", MemoryLayout<weir_slot_meta>.size), ("weir_event", MemoryLayout<weir_event>.size),
        ]
        for (name, size) in sizes { #expect(object.structureSize(name) == size, "\(name)") }
        #expect(object.structureSize("no_such_structure") == nil)
    }

    @Test("programs read the object's own maps")
    func programMaps() throws {
        let object = try loaded()
        for name in [ProgramName.fromEndpoint, ProgramName.toEndpoint] {
            let program = try object.program(name)
            for map in [NodeMap.control.rawValue, SlotMap.endpoints.rawValue, SlotMap.verdicts.rawValue] {
                #expect(program.mapIDs.contains(try object.map(map).id), "\(name) \(map)")
            }
        }
    }

    @Test("a shared map is the one that the programs read")
    func sharing() throws {
        let first = try loaded()
        let second = try BPFObject(bytes: EmbeddedObject.bytes)
        for map in NodeMap.allCases { try second.share(try first.map(map.rawValue), as: map.rawValue) }
        for map in SlotMap.allCases { try second.share(try first.map(map.rawValue), as: map.rawValue) }
        try second.load()
        #expect(
            try second.program(ProgramName.toEndpoint).mapIDs.contains(try first.map(NodeMap.control.rawValue).id))
    }

    @Test("what is no object is refused with libbpf's reason")
    func damaged() {
        let error = #expect(throws: KernelError.self) {
            _ = try BPFObject(bytes: Array(EmbeddedObject.bytes.prefix(100)))
        }
        #expect(error?.description.hasPrefix("cannot open object weir") == true)
    }

    @Test("the control word is stored and loaded through its mapping")
    func control() throws {
        let map = try loaded().map(NodeMap.control.rawValue)
        let word = try ControlWord(map)
        #expect(!word.load().isCommitted)
        word.store(ControlValue(word: 5 << 56 | 41))
        #expect(try ControlWord(map).load() == ControlValue(word: 5 << 56 | 41))
        #expect(word.load().revision == 41)
        #expect(word.load().activeSlot == 1)
        #expect(word.load().withRevision(42).word == 5 << 56 | 42)
        word.store(ConfirmDeadline(revision: 41, tick: 7))
        #expect(word.loadDeadline() == ConfirmDeadline(revision: 41, tick: 7))
        word.store(tunnels: Tunnels(lanes: [20, 21]))
        #expect(
            try map.lookup(UInt32(0).abiBytes) == UInt64(5 << 56 | 41).abiBytes + UInt64(41 << 32 | 7).abiBytes
                + UInt64(21 << 32 | 20).abiBytes)
        word.store(nil as ConfirmDeadline?)
        #expect(word.loadDeadline() == nil)
    }

    @Test("a tick is the power of two of jiffies that is nearest to a second")
    func ticks() {
        #expect([100, 250, 300, 1000].map { Clock.shift(hertz: $0) } == [7, 8, 8, 10])
    }

    @Test("a fence takes a moment and works again and again")
    func fence() throws {
        let fence = try Fence(try loaded().map(NodeMap.fence.rawValue))
        for _ in 0..<3 { try fence.wait() }
    }

    @Test("without a commit every packet goes on to the next program")
    func uncommitted() throws {
        let object = try loaded()
        let frame = [UInt8](repeating: 0, count: 64)
        for name in [ProgramName.fromEndpoint, ProgramName.toEndpoint] {
            let run = try object.program(name).testRun(frame: frame, interface: 1, ingress: .local)
            #expect(run.returnCode == -1)
        }
    }

    @Test("this kernel's features are found without attaching anything")
    func features() throws {
        let features = try KernelFeatures.probe()
        #expect(try TCXLink.chain(interface: 1, direction: .egress) == [])
        // The probe does not look at the version, so the version can judge the probe.
        let release = try String(contentsOfFile: "/proc/sys/kernel/osrelease", encoding: .utf8)
        let version = release.split(separator: ".").prefix(2).compactMap { Int($0) }
        #expect(features.hasTCX == !version.lexicographicallyPrecedes([6, 6]))
    }
}

@Suite("Attaching", .serialized, .enabled(if: kernelTestsAreWanted))
struct AttachTests {
    private func withProgram(_ body: (borrowing Program, borrowing Program) throws -> Void) throws {
        let object = try BPFObject(bytes: EmbeddedObject.bytes)
        try object.load()
        let other = try BPFObject(bytes: EmbeddedObject.bytes)
        try other.load()
        try body(try object.program(ProgramName.fromEndpoint), try other.program(ProgramName.fromEndpoint))
    }

    @Test("a tcx link goes to the head, is pinned, swapped and detached")
    func tcx() throws {
        try mountBPFFileSystem()
        let topology = try Topology(pods: [2])
        let pin = "/sys/fs/bpf/\(topology.node)"
        try topology.onNode {
            let index = try #require(try Netlink().interfaces().first { $0.name == "veth-2" }?.index)
            try withProgram { first, second in
                let under = try TCXLink(first, interface: index, direction: .egress)
                let link = try TCXLink(second, interface: index, direction: .egress)
                #expect(try TCXLink.chain(interface: index, direction: .egress) == [second.id, first.id])
                try link.pin(at: pin)
                #expect(throws: KernelError.self) { _ = try TCXLink(second, interface: index, direction: .egress) }
                try under.detach()
                let pinned = try #require(try TCXLink.pinned(at: pin)?.state())
                #expect(pinned.interface == index && pinned.direction == .egress && pinned.programID == second.id)
                try link.update(first)
                #expect(try TCXLink.chain(interface: index, direction: .egress) == [first.id])
                try link.detach()
                try link.detach()
                #expect(try link.state().interface == 0)
                #expect(try TCXLink.chain(interface: index, direction: .egress) == [])
            }
        }
        try run("rm", pin)
        #expect(try TCXLink.pinned(at: pin) == nil)
    }

    @Test("a clsact filter is ours by priority and handle, is swapped and detached")
    func clsact() throws {
        let topology = try Topology(pods: [2])
        try topology.onNode {
            let netlink = Netlink()
            let index = try #require(try netlink.interfaces().first { $0.name == "veth-2" }?.index)
            #expect(try !netlink.hasClsact(interface: index))
            #expect(try ClassicFilter.attachedProgram(interface: index, direction: .ingress) == nil)
            #expect(try ClassicFilter.createQdisc(interface: index))
            #expect(try !ClassicFilter.createQdisc(interface: index))
            #expect(try netlink.hasClsact(interface: index))
            try withProgram { first, second in
                try ClassicFilter.attach(first, interface: index, direction: .ingress, replacing: false)
                #expect(throws: KernelError.self) {
                    try ClassicFilter.attach(second, interface: index, direction: .ingress, replacing: false)
                }
                #expect(try ClassicFilter.attachedProgram(interface: index, direction: .ingress) == first.id)
                #expect(try ClassicFilter.attachedProgram(interface: index, direction: .egress) == nil)
                try ClassicFilter.attach(second, interface: index, direction: .ingress, replacing: true)
                #expect(try ClassicFilter.attachedProgram(interface: index, direction: .ingress) == second.id)
                #expect(try netlink.hasFilters(interface: index))
                #expect(try ClassicFilter.detach(interface: index, direction: .ingress))
                #expect(try !ClassicFilter.detach(interface: index, direction: .ingress))
            }
            #expect(try !netlink.hasFilters(interface: index))
            try ClassicFilter.destroyQdisc(interface: index)
            try ClassicFilter.destroyQdisc(interface: index)
            #expect(try !netlink.hasClsact(interface: index))
        }
    }
}
