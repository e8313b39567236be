import Foundation
import Testing
import WeirTestSupport

/// Two services on one machine without Kubernetes, started and stopped by a systemd of their own in namespaces.
@Suite("Services without Kubernetes", .serialized)
struct ServicesTests {
    private static let script = Weir.package + "/scripts/services"

    @Test("The guide shows what really happens", .enabled(if: KernelRequirement.isMet), .timeLimit(.minutes(5)))
    func transcript() async throws {
        try #require(geteuid() == 0, "run as root: WEIR_REQUIRE_KERNEL=1 is set")
        let outcome = try await Weir.command(
            [Self.script, "--check"], environment: ["WEIR": try Weir.executable.get()])
        #expect(outcome.status == 0, "\(outcome.output)\(outcome.errors)")
    }

    @Test(
        "Nothing that policy denies passes at any moment of a start, a stop, a loss of power and the boot after it",
        .enabled(if: KernelRequirement.isMet), .timeLimit(.minutes(10)))
    func promises() async throws {
        try #require(geteuid() == 0, "run as root: WEIR_REQUIRE_KERNEL=1 is set")
        let outcome = try await Weir.command([Weir.package + "/Tests/services/suite", try Weir.executable.get()])
        #expect(outcome.status == 0, "\(outcome.output)\(outcome.errors)")
        #expect(outcome.lines.count { $0.hasPrefix("ok: ") } == 26, "\(outcome.output)")
    }

    @Test("Without root it says what it needs, status 3", .enabled(if: KernelRequirement.isMet))
    func withoutRoot() async throws {
        let outcome = try await Weir.command(try Machine.withoutRoot() + [Self.script])
        #expect(outcome.status == 3)
        #expect(outcome.output.isEmpty)
        #expect(outcome.errors.contains("sudo scripts/services"))
    }

    @Test("What it does not know is a usage error, status 64")
    func usage() async throws {
        #expect(try await Weir.command([Self.script, "--chekc"]).status == 64)
    }
}
