import Foundation
import Testing
import WeirTestSupport

/// Two services on one machine without Kubernetes, started and stopped by a systemd of their own in namespaces.
@Suite("Services without Kubernetes", .enabled(if: KernelRequirement.isMet))
struct ServicesTests {
    @Test(
        "Nothing that policy denies passes at any moment of a start, a stop, a loss of power and the boot after it",
        .timeLimit(.minutes(10)))
    func promises() async throws {
        try #require(geteuid() == 0, "run as root: WEIR_REQUIRE_KERNEL=1 is set")
        let outcome = try await Weir.command([Weir.package + "/Tests/services/suite", try Weir.executable.get()])
        #expect(outcome.status == 0, "\(outcome.output)\(outcome.errors)")
        #expect(outcome.lines.count { $0.hasPrefix("ok: ") } == 26, "\(outcome.output)")
    }
}
