import Foundation
import LoaderBed
import TestNetwork
import Testing
import WeirKernel
import WeirLoader

/// The port that pod 3 accepts tells which image is in force: 80 before, 81 after.
@Suite("An apply that does not end", .serialized, .enabled(if: kernelTestsAreWanted))
struct CrashTests {
    private static let first = HandmadeImage.make(port: 80, pods: [2, 3])
    /// Comes with an endpoint and goes without another, so that attachments change as well.
    private static let second = HandmadeImage.make(port: 81, pods: [3, 4])
    private static let killedFirst = Errand.Policy.handmade(port: 80, pods: [2, 3])
    private static let killedSecond = Errand.Policy.handmade(port: 81, pods: [3, 4])

    private static let steps = ApplyStep.allCases.filter { ![.written, .advanced].contains($0) }

    private static func isAfter(_ step: ApplyStep) -> Bool {
        let order = ApplyStep.allCases
        guard let index = order.firstIndex(of: step), let commit = order.firstIndex(of: .committed) else {
            return false
        }
        return index >= commit
    }

    private func openPorts(_ topology: Topology) throws -> [Int] {
        let listeners = try [80, 81].map { try topology.listen(in: 1, $0) }
        defer { for listener in listeners { listener.stop() } }
        return try [80, 81].filter { try topology.connect(from: 0, "10.7.0.3", $0) }
    }

    @Test(
        "a first apply killed at any step leaves the node open or enforcing, and the next completes it",
        arguments: steps)
    func killedFirst(step: ApplyStep) throws {
        let fixture = try LoaderFixture(.tcx)
        #expect(try Errand.apply(Self.killedFirst, on: fixture.place, until: .init(step)).send() == 128 + SIGKILL)
        #expect(try openPorts(fixture.topology) == (Self.isAfter(step) ? [80] : [80, 81]))
        _ = try fixture.place.apply(Self.first)
        #expect(try openPorts(fixture.topology) == [80])
        #expect(try fixture.place.status()?.problems == [])
        try fixture.place.detach()
        #expect(try fixture.traces() == [])
    }

    @Test(
        "an apply killed at any step finds the node before or after, and the next completes it",
        arguments: [AttachMode.tcx, .clsact], steps)
    func killed(mode: AttachMode, step: ApplyStep) throws {
        let fixture = try LoaderFixture(mode, pods: [2, 3, 4])
        _ = try fixture.place.apply(Self.first)
        #expect(try Errand.apply(Self.killedSecond, on: fixture.place, until: .init(step)).send() == 128 + SIGKILL)
        #expect(try openPorts(fixture.topology) == (Self.isAfter(step) ? [81] : [80]))
        _ = try fixture.place.apply(Self.second)
        #expect(try openPorts(fixture.topology) == [81])
        let status = try #require(try fixture.place.status())
        #expect(status.problems == [])
        #expect(status.endpoints.map(\.interface) == ["veth-3", "veth-4"])
        #expect(try fixture.attached() == ["veth-3/egress", "veth-3/ingress", "veth-4/egress", "veth-4/ingress"])
        try fixture.place.detach()
        #expect(try fixture.traces() == [])
    }

    @Test(
        "an apply that fails before its commit leaves the node as it was",
        arguments: [AttachMode.tcx, .clsact], steps)
    func failed(mode: AttachMode, step: ApplyStep) throws {
        let fixture = try LoaderFixture(mode, pods: [2, 3, 4])
        _ = try fixture.place.apply(HandmadeImage.make(port: 79, pods: [2, 3]))
        _ = try fixture.place.apply(Self.first)
        let before = try #require(try fixture.place.status())
        let (links, attached) = (try fixture.linkCount(), try fixture.attached())
        let error = #expect(throws: LoaderError.self) {
            try fixture.place.apply(Self.second) { reported in
                if reported == step { throw CommandFailure(description: "as the test wants it") }
            }
        }
        let after = try #require(try fixture.place.status())
        if Self.isAfter(step) {
            guard case .afterCommit(revision: 3, _) = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(after.revision == 3)
        } else {
            guard case .stopped(step, _) = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(after.revision == before.revision && after.slots == before.slots)
            #expect(after.endpoints == before.endpoints)
            let fill = { (status: NodeStatus) in status.maps.filter { !$0.map.hasPrefix("conntrack") } }
            #expect(fill(after) == fill(before))
            #expect(try fixture.linkCount() == links)
            #expect(try fixture.attached() == attached)
        }
        _ = try fixture.place.apply(Self.second)
        #expect(try fixture.place.status()?.problems == [])
        try fixture.place.detach()
        #expect(try fixture.traces() == [])
    }

    @Test(
        "a first apply that fails leaves nothing", arguments: [AttachMode.tcx, .clsact],
        steps.filter { !isAfter($0) })
    func failedFirst(mode: AttachMode, step: ApplyStep) throws {
        let fixture = try LoaderFixture(mode)
        #expect(throws: LoaderError.self) {
            try fixture.place.apply(Self.first) { reported in
                if reported == step { throw CommandFailure(description: "as the test wants it") }
            }
        }
        #expect(try fixture.traces() == [])
    }

    @Test("a program that the verifier refuses leaves the node as it was, and the error keeps the log")
    func refusedByVerifier() throws {
        let fixture = try LoaderFixture(.tcx)
        let place = fixture.place
        _ = try place.apply(Self.paired)
        let before = try #require(try place.status())
        let snapshot = try NodeSnapshot(fixture)
        let damaged = try BrokenObject.bytes()
        let error = #expect(throws: LoaderError.self) {
            try place.onNode { try place.loader(object: damaged).apply(HandmadeImage.make(port: 81)) }
        }
        guard case .kernel(let refusal) = try #require(error) else { throw try #require(error) }
        #expect(refusal.description.contains("verifier: R9 !read_ok"))
        #expect(!refusal.description.contains("\n"))
        #expect(refusal.log?.contains("BEGIN PROG LOAD LOG") == true)
        #expect(try place.status() == before)
        #expect(try NodeSnapshot(fixture) == snapshot)
    }

    @Test("a set that is refused a hook leaves the other set's filter there")
    func occupiedHandle() throws {
        let fixture = try LoaderFixture(.clsact)
        let place = fixture.place
        _ = try place.apply(Self.paired)
        let attached = try fixture.attached()
        let other = { (options: inout Loader.Options) in
            options.pinPath += "-b"
            options.stateDirectory += "-b"
        }
        let error = #expect(throws: LoaderError.self) {
            try place.onNode { try place.loader(other).apply(HandmadeImage.make(port: 81)) }
        }
        #expect(try #require(error).description.contains("another filter has priority"))
        #expect(try fixture.attached() == attached)
        #expect(try place.status()?.problems == [])
        _ = try place.onNode { try place.loader(other).detach() }
        #expect(try fixture.attached() == attached)
        try run("rm", "-rf", place.stateDirectory + "-b")
    }

    private static let paired = HandmadeImage.make(port: 80)
}

/// The datapath object, damaged: with a first instruction that reads a register nobody has written.
enum BrokenObject {
    static func bytes() throws -> [UInt8] {
        try patched { elf, code in
            elf.replaceSubrange(code..<code + 8, with: [0x79, 0x90, 0, 0, 0, 0, 0, 0])  // r0 = *(u64 *)(r9 + 0)
        }
    }

    /// The first helper that is called becomes one that no kernel has: number 9999.
    static func withUnknownHelper() throws -> [UInt8] {
        try patched { elf, code in
            let call = stride(from: code, to: elf.count, by: 8).first { elf[$0] == 0x85 && elf[$0 + 1] & 0xf0 == 0 }
            if let call { elf.replaceSubrange(call + 4..<call + 8, with: [0x0f, 0x27, 0, 0]) }
        }
    }

    /// `change` is told where the code of section 'tc' begins.
    private static func patched(_ change: (inout [UInt8], Int) -> Void) throws -> [UInt8] {
        var elf = EmbeddedObject.bytes
        func number(_ offset: Int, _ size: Int) -> Int {
            (0..<size).reversed().reduce(0) { $0 << 8 | Int(elf[offset + $1]) }
        }
        // Section headers: offset at 40, size of one at 58, count at 60, index of the names' section at 62.
        let (table, size, count, names) = (number(40, 8), number(58, 2), number(60, 2), number(62, 2))
        let text = number(table + names * size + 24, 8)
        for index in 0..<count {
            let header = table + index * size
            let name = text + number(header, 4)
            guard elf[name..<name + 3] == [UInt8(ascii: "t"), UInt8(ascii: "c"), 0] else { continue }
            change(&elf, number(header + 24, 8))
            return elf
        }
        throw CommandFailure(description: "the object has no section 'tc'")
    }
}
