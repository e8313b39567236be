import CLibbpf
import Foundation
import LoaderBed
import TestNetwork
import Testing
import WeirABI
import WeirImage
import WeirKernel
import WeirModel
import WeirNetlink

@Suite("The quarantine", .serialized, .enabled(if: kernelTestsAreWanted))
struct QuarantineTests {
    @Test("nothing passes in either direction until it is lifted", arguments: AttachKind.allCases)
    func denies(kind: AttachKind) throws {
        let bed = try QuarantineBed()
        #expect(try bed.passed() == .everything)
        #expect(try bed.state() == nil)
        try bed.impose(kind)
        #expect(try bed.passed() == .nothing)
        let state = try #require(try bed.state())
        #expect(state.deniesBothDirections)
        #expect(state.hooks.map(\.direction) == [.egress, .ingress])
        for hook in state.hooks {
            #expect(hook.kind == kind)
            #expect(hook.packets > 0 && hook.bytes >= hook.packets * 42)
        }
        #expect(try bed.lift())
        #expect(try bed.passed() == .everything)
        #expect(try bed.state() == nil)
        #expect(try !bed.lift())
    }

    @Test("it counts what the pod sends, each packet once", arguments: AttachKind.allCases)
    func counts(kind: AttachKind) throws {
        let bed = try QuarantineBed()
        try bed.impose(kind)
        func sent() throws -> [UInt64] {
            try ["packets", "bytes"].map {
                let text = try bed.topology.inPod(0, "cat", "/sys/class/net/eth0/statistics/tx_\($0)").output
                return try #require(UInt64(text.trimmingCharacters(in: .whitespacesAndNewlines)))
            }
        }
        func dropped() throws -> [UInt64] {
            let hook = try #require(try bed.state()?.hooks.first)
            return [hook.packets, hook.bytes]
        }
        // The pod's own stack may send something between two readings.
        let agrees = try (0..<10).contains { _ in
            let (before, start) = (try sent(), try dropped())
            #expect(try !bed.topology.ping(from: 0, "10.7.0.1"))
            let (after, end) = (try sent(), try dropped())
            return after != before && zip(after, before).map(-) == zip(end, start).map(-)
        }
        #expect(agrees)
    }

    @Test("from the moment it returns on nothing of a stream passes", arguments: AttachKind.allCases)
    func atOnce(kind: AttachKind) throws {
        let bed = try QuarantineBed()
        let streams = try [(bed.topology.pods[0], "10.7.0.1"), (bed.topology.node, "10.7.0.2")].map {
            try BackgroundCommand(["ip", "netns", "exec", $0, "ping", "-f", "-q", $1])
        }
        defer { for stream in streams { stream.stop() } }
        while try bed.counted().fromPod["ipv4", default: 0] < 10 {}
        try bed.impose(kind)
        _ = try bed.counted()
        while try bed.state()?.hooks.allSatisfy({ $0.packets > 50 }) != true {}
        let passed = try bed.counted()
        #expect(passed.fromPod == [:] && passed.toPod == [:])
    }

    @Test("it outlives the process that imposed it and goes with the interface", arguments: AttachKind.allCases)
    func outlives(kind: AttachKind) throws {
        let bed = try QuarantineBed()
        if kind == .clsact { _ = try bed.topology.onNode { try ClassicFilter.createQdisc(interface: bed.interface) } }
        let errand = Errand.impose(interface: bed.interface, node: bed.topology.node, kind: kind)
        #expect(try errand.send() == 0)
        #expect(try bed.passed() == .nothing)
        let programs = try Direction.allCases.map { direction in
            try #require(kind == .tcx ? try bed.chain(direction).first : try bed.filter(direction))
        }
        try run("ip", "-n", bed.topology.node, "link", "del", "veth-2")
        #expect(try bed.state() == nil)
        #expect(try !bed.lift())
        // The kernel frees programs some time after their last use.
        for _ in 0..<500 where try programs.contains(where: isLoaded) { usleep(10_000) }
        #expect(try !programs.contains(where: isLoaded))
    }

    private func isLoaded(_ id: UInt32) throws -> Bool {
        guard let program = try Program.withID(id) else { return false }
        return program.id == id
    }

    @Test("a hook that is denied stays as it is, also under another version's program", arguments: AttachKind.allCases)
    func again(kind: AttachKind) throws {
        let bed = try QuarantineBed()
        let older = try changedQuarantine(adding: 2)
        func programs() throws -> [[UInt32]] {
            try Direction.allCases.map { try bed.chain($0) + [try bed.filter($0)].compactMap(\.self) }
        }
        switch kind {
        case .tcx: try bed.attach(try older.program(ProgramName.quarantine), .egress)
        case .clsact:
            try bed.topology.onNode {
                _ = try ClassicFilter.createQdisc(interface: bed.interface)
                try ClassicFilter.attach(
                    try older.program(ProgramName.quarantine), interface: bed.interface, direction: .egress,
                    handle: ClassicFilter.quarantineHandle, replacing: false)
            }
        }
        let half = try #require(try bed.state())
        #expect(half.hooks.map(\.direction) == [.egress] && !half.deniesBothDirections)
        try bed.impose(kind)
        let first = try programs()
        #expect(first[0] == [try older.program(ProgramName.quarantine).id] && first[1].count == 1)
        try bed.impose(kind)
        #expect(try programs() == first)
        #expect(try bed.passed() == .nothing)
        #expect(try bed.lift())
        #expect(try programs() == [[], []])
    }

    @Test("it denies before and behind the policy's programs, and leaves them")
    func besidePolicy() throws {
        let bed = try QuarantineBed()
        let policy = try BPFObject(bytes: EmbeddedObject.bytes)
        try policy.load()
        let from = try policy.program(ProgramName.fromEndpoint)
        let to = try policy.program(ProgramName.toEndpoint)
        try bed.topology.onNode {
            let before = try TCXLink(from, interface: bed.interface, direction: .egress)
            try bed.impose(.tcx)
            let after = try TCXLink(to, interface: bed.interface, direction: .ingress)
            #expect(try bed.chain(.egress).last == from.id && bed.chain(.ingress).first == to.id)
            #expect(try bed.passed() == .nothing)
            #expect(try bed.lift())
            #expect(try bed.chain(.egress) == [from.id] && bed.chain(.ingress) == [to.id])
            #expect(try bed.passed() == .everything)
            try before.detach()
            try after.detach()
        }
    }

    @Test("a program that accepts everything does not stand in front of it, and its counts move with it")
    func moves() throws {
        let bed = try QuarantineBed()
        let foreign = try changedQuarantine(returning: 0, map: "another_map")
        let program = try foreign.program(ProgramName.quarantine)
        for direction in Direction.allCases { try bed.attach(program, direction) }
        try bed.impose(.tcx)
        #expect(try bed.passed() == .nothing)
        let counted = try #require(try bed.state()?.hooks.last?.packets)

        let other = try changedQuarantine(returning: 0, map: "another_map")
        try bed.attach(try other.program(ProgramName.quarantine), .ingress)
        #expect(try bed.passed() != .nothing)
        try bed.impose(.tcx)
        #expect(try bed.passed() == .nothing)
        #expect(try #require(try bed.state()?.hooks.last?.packets) > counted)
        #expect(try bed.chain(.ingress).count == 3)
        #expect(try bed.lift())
        #expect(try bed.chain(.ingress) == [try other.program(ProgramName.quarantine).id, program.id])
        #expect(try bed.chain(.egress) == [program.id])
    }

    @Test("beside filters of others, and the policy's, clsact denies and changes none of them")
    func besideFilters() throws {
        let bed = try QuarantineBed()
        let topology = bed.topology
        let policy = try BPFObject(bytes: EmbeddedObject.bytes)
        try policy.load()
        _ = try topology.onNode { try ClassicFilter.createQdisc(interface: bed.interface) }
        let (passing, accepting) = (Int32(-1), Int32(0))
        for (priority, action) in [(UInt32(1), passing), (50, accepting)] {
            let foreign = try changedQuarantine(returning: action, map: "another_map")
            let descriptor = bpf_prog_get_fd_by_id(try foreign.program(ProgramName.quarantine).id)
            defer { close(descriptor) }
            for hook in [Int32(0), 1] {
                let result = try topology.onNode { weir_tc_attach(bed.interface, hook, descriptor, 1, priority, 0) }
                try #require(result == 0)
            }
        }
        func filters() throws -> [String] {
            try ["ingress", "egress"].map {
                try run("tc", "-n", topology.node, "filter", "show", "dev", "veth-2", $0)
            }
        }
        try topology.onNode {
            try ClassicFilter.attach(
                try policy.program(ProgramName.fromEndpoint), interface: bed.interface, direction: .egress,
                replacing: false)
            try ClassicFilter.attach(
                try policy.program(ProgramName.toEndpoint), interface: bed.interface, direction: .ingress,
                replacing: false)
        }
        let before = try filters()
        #expect(try bed.passed() == .everything)
        try bed.impose(.clsact)
        #expect(try bed.passed() == .nothing)
        // Once more with ours there first.
        try topology.onNode {
            for direction in Direction.allCases {
                #expect(try ClassicFilter.detach(interface: bed.interface, direction: direction))
                let name = ProgramName.judging(direction, hasEthernet: true)
                try ClassicFilter.attach(
                    try policy.program(name), interface: bed.interface, direction: direction, replacing: false)
            }
        }
        #expect(try bed.passed() == .nothing)
        #expect(try bed.lift())
        #expect(try filters() == before)
        #expect(try bed.passed() == .everything)
    }

    @Test("both kinds are found and lifted together")
    func bothKinds() throws {
        let bed = try QuarantineBed()
        try bed.impose(.clsact)
        try bed.impose(.tcx)
        #expect(try bed.state()?.hooks.map(\.kind) == [.tcx, .clsact, .tcx, .clsact])
        #expect(try bed.lift())
        #expect(try bed.state() == nil)
        #expect(try bed.passed() == .everything)
    }

    @Test("a program of that name with another map is somebody else's", arguments: AttachKind.allCases)
    func namesake(kind: AttachKind) throws {
        let bed = try QuarantineBed()
        let foreign = try changedQuarantine(map: "another_map")
        let program = try foreign.program(ProgramName.quarantine)
        switch kind {
        case .tcx:
            for direction in Direction.allCases { try bed.attach(program, direction) }
            #expect(try bed.state() == nil)
            #expect(try !bed.lift())
            try bed.impose(kind)
            #expect(try bed.chain(.egress).count == 2)
            #expect(try bed.lift())
            #expect(try bed.chain(.egress) == [program.id] && bed.chain(.ingress) == [program.id])
        case .clsact:
            try bed.topology.onNode {
                _ = try ClassicFilter.createQdisc(interface: bed.interface)
                try ClassicFilter.attach(
                    program, interface: bed.interface, direction: .ingress, handle: ClassicFilter.quarantineHandle,
                    replacing: false)
            }
            #expect(try bed.state() == nil)
            #expect(try !bed.lift())
            let error = #expect(throws: KernelError.self) { try bed.impose(kind) }
            #expect(
                error?.description
                    == "cannot attach (clsact) weir_quarantine to interface \(bed.interface): File exists "
                    + "(another filter has priority 7 and our handle)")
            #expect(try bed.filter(.egress) == nil)
            #expect(try bed.filter(.ingress) == program.id)
        }
    }

    @Test("where the second hook has no room the first is taken back, unless it was denied before")
    func allOrNothing() throws {
        let bed = try QuarantineBed()
        var result: Int32 = 0
        while result == 0 {
            let descriptor = weir_probe_program()
            defer { close(descriptor) }
            result = try bed.topology.onNode { weir_tcx_attach(descriptor, bed.interface, 1) }
        }
        try #require(result == -ERANGE)
        let full = try bed.chain(.ingress)
        let refusal =
            "cannot attach (tcx) weir_quarantine to interface \(bed.interface): Numerical result out of range "
            + "(the hook has as many programs as it takes; detach one: bpftool net)"
        let refused = #expect(throws: KernelError.self) { try bed.impose(.tcx) }
        #expect(refused?.description == refusal)
        #expect(try bed.chain(.egress) == [] && bed.chain(.ingress) == full)
        #expect(try bed.passed() == .everything)

        let object = try changedQuarantine()
        try bed.attach(try object.program(ProgramName.quarantine), .egress)
        let again = #expect(throws: KernelError.self) { try bed.impose(.tcx) }
        #expect(again?.description == refusal)
        #expect(try bed.chain(.egress) == [try object.program(ProgramName.quarantine).id])
    }

    @Test("an interface that is gone has none to lift and takes none", arguments: AttachKind.allCases)
    func gone(kind: AttachKind) throws {
        let bed = try QuarantineBed()
        try run("ip", "-n", bed.topology.node, "link", "del", "veth-2")
        #expect(try !bed.lift())
        #expect(try bed.state() == nil)
        let error = #expect(throws: KernelError.self) {
            try bed.topology.onNode { try Quarantine.impose(on: bed.interface, kind: kind) }
        }
        #expect(error?.description.contains("(the interface is gone)") == true)
    }
}
