import Foundation
import LoaderBed
import TestNetwork
import Testing
import WeirLoader

/// A policy that goes away by itself, and one that only reports, with real packets.
@Suite("Confirmation and audit mode", .serialized, .enabled(if: kernelTestsAreWanted))
struct ConfirmTests {
    private let fixture: LoaderFixture
    private let servers: [BackgroundCommand]

    init() throws {
        let fixture = try LoaderFixture()
        servers = try [80, 81].map { try fixture.topology.listen(in: 1, $0) }
        self.fixture = fixture
    }

    private func apply(_ port: UInt16, _ adjust: (inout Loader.Options) -> Void = { _ in }) throws -> Loader.Outcome {
        try fixture.place.onNode { try fixture.place.loader(adjust).apply(HandmadeImage.make(port: port)) }
    }

    /// The ports that answer.
    private func open() throws -> [Int] {
        try [80, 81].filter { try fixture.topology.connect(from: 0, "10.7.0.3", $0) }
    }

    private func confirm() throws -> Loader.ConfirmOutcome {
        try fixture.place.onNode { try fixture.place.loader().confirm() }
    }

    private func stop() { for server in servers { server.stop() } }

    @Test("past its deadline an unconfirmed policy is gone without anybody's help; confirmed it stays")
    func deadline() throws {
        defer { stop() }
        _ = try apply(80)
        #expect(try !confirm().wasPending)
        #expect(try apply(81) { $0.confirmWithin = .seconds(3) }.revision == 2)
        #expect(try open() == [81])
        let pending = try #require(try fixture.place.status()?.secondsToConfirm)
        #expect(pending > 0 && pending < 6)
        // The slot to go back to is not for filling.
        #expect(throws: LoaderError.self) { try apply(82) }
        sleep(6)
        #expect(try open() == [80])
        let status = try #require(try fixture.place.status())
        #expect(status.revision == 3 && status.activeSlot == 1)
        #expect(status.problems.contains { $0.contains("was not confirmed in time") })
        #expect(throws: LoaderError.self) { try confirm() }
        #expect(try fixture.place.status()?.problems == [])
        #expect(try apply(81) { $0.confirmWithin = .seconds(60) }.revision == 4)
        #expect(try confirm().wasPending)
        #expect(try fixture.place.status()?.secondsToConfirm == nil)
        #expect(try open() == [81])
    }

    @Test("a first policy that nobody confirms leaves the node as it was before")
    func first() throws {
        defer { stop() }
        _ = try apply(80) { $0.confirmWithin = .seconds(2) }
        #expect(try open() == [80])
        sleep(5)
        #expect(try open() == [80, 81])
        #expect(try apply(81).revision == 3)
        #expect(try open() == [81])
    }

    @Test("audit mode is not changed by what may go away by itself: the policy before would be left in it")
    func auditBeside() throws {
        defer { stop() }
        _ = try apply(80)
        #expect(throws: LoaderError.self) {
            try apply(81) {
                $0.confirmWithin = .seconds(60)
                $0.isAudited = true
            }
        }
        #expect(try open() == [80])
        #expect(try fixture.place.status()?.revision == 1)
    }

    @Test("a rollback does not wait for the deadline")
    func rollback() throws {
        defer { stop() }
        _ = try apply(80)
        _ = try apply(81) { $0.confirmWithin = .seconds(60) }
        _ = try fixture.place.onNode { try fixture.place.loader().rollback() }
        #expect(try open() == [80])
        #expect(try fixture.place.status()?.secondsToConfirm == nil)
    }

    @Test("in audit mode everything passes, and afterwards nothing of it is left")
    func audit() throws {
        defer { stop() }
        _ = try apply(80) { $0.isAudited = true }
        #expect(try open() == [80, 81])
        #expect(try fixture.place.status()?.isAudited == true)
        #expect(try apply(80) { $0.isAudited = true }.result == .unchanged)
        #expect(try apply(80).result == .committed)
        #expect(try open() == [80])
        #expect(try fixture.place.status()?.isAudited == false)
    }
}
