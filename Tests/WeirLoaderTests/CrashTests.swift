import Foundation
import TestNetwork
import Testing
import WeirLoader

/// The port that pod 3 accepts tells which image is in force: 80 before, 81 after.
@Suite("An apply that does not end", .serialized, .enabled(if: kernelTestsAreWanted))
struct CrashTests {
    private static let first = HandmadeImage.make(port: 80, pods: [2, 3])
    /// Comes with an endpoint and goes without another, so that attachments change as well.
    private static let second = HandmadeImage.make(port: 81, pods: [3, 4])

    private static func isAfter(_ step: ApplyStep) -> Bool {
        let order = ApplyStep.allCases
        guard let index = order.firstIndex(of: step), let commit = order.firstIndex(of: .committed) else { return false }
        return index >= commit
    }

    private func openPorts(_ topology: Topology) throws -> [Int] {
        let listeners = try [80, 81].map { try topology.listen(in: 1, $0) }
        defer { for listener in listeners { listener.stop() } }
        return try [80, 81].filter { try topology.connect(from: 0, "10.7.0.3", $0) }
    }

    /// Ends an apply with SIGKILL in another process when it reports the step.
    private func kill(_ place: LoaderFixture.Place, isFirst: Bool, at step: ApplyStep) async {
        await #expect(processExitsWith: .signal(SIGKILL)) {
            [place = place as LoaderFixture.Place, isFirst = isFirst as Bool, name = step.rawValue as String] in
            _ = try place.apply(isFirst ? CrashTests.first : CrashTests.second) { reported in
                if reported.rawValue == name { raise(SIGKILL) }
            }
        }
    }

    @Test("a first apply killed at any step leaves the node open or enforcing, and the next completes it",
        arguments: ApplyStep.allCases)
    func killedFirst(step: ApplyStep) async throws {
        let fixture = try LoaderFixture(.tcx)
        await kill(fixture.place, isFirst: true, at: step)
        #expect(try openPorts(fixture.topology) == (Self.isAfter(step) ? [80] : [80, 81]))
        _ = try fixture.place.apply(Self.first)
        #expect(try openPorts(fixture.topology) == [80])
        #expect(try fixture.place.status()?.problems == [])
        try fixture.place.detach()
        #expect(try fixture.traces() == [])
    }

    @Test(
        "an apply killed at any step finds the node before or after, and the next completes it",
        arguments: [AttachMode.tcx, .clsact], ApplyStep.allCases)
    func killed(mode: AttachMode, step: ApplyStep) async throws {
        let fixture = try LoaderFixture(mode, pods: [2, 3, 4])
        _ = try fixture.place.apply(Self.first)
        await kill(fixture.place, isFirst: false, at: step)
        #expect(try openPorts(fixture.topology) == (Self.isAfter(step) ? [81] : [80]))
        _ = try fixture.place.apply(Self.second)
        #expect(try openPorts(fixture.topology) == [81])
        let status = try #require(try fixture.place.status())
        #expect(status.problems == [])
        #expect(status.endpoints.map(\.interface) == ["veth-3", "veth-4"])
        let attached = try run("ip", "netns", "exec", fixture.topology.node, "bpftool", "net", "show")
        #expect(!attached.contains("veth-2"))
        try fixture.place.detach()
        #expect(try fixture.traces() == [])
    }

    @Test(
        "an apply that fails before its commit leaves the node as it was",
        arguments: [AttachMode.tcx, .clsact], ApplyStep.allCases)
    func failed(mode: AttachMode, step: ApplyStep) throws {
        let fixture = try LoaderFixture(mode, pods: [2, 3, 4])
        _ = try fixture.place.apply(HandmadeImage.make(port: 79, pods: [2, 3]))
        _ = try fixture.place.apply(Self.first)
        let before = try #require(try fixture.place.status())
        let links = try fixture.linkCount()
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
            #expect(after.endpoints == before.endpoints && after.maps.filter { !$0.map.hasPrefix("conn") } == before.maps.filter { !$0.map.hasPrefix("conn") })
            #expect(try fixture.linkCount() == links)
            let attached = try run("ip", "netns", "exec", fixture.topology.node, "bpftool", "net", "show")
            #expect(!attached.contains("veth-4"))
        }
        _ = try fixture.place.apply(Self.second)
        #expect(try fixture.place.status()?.problems == [])
        try fixture.place.detach()
        #expect(try fixture.traces() == [])
    }
}
