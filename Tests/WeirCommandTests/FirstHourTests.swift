import Foundation
import Testing
import WeirTestSupport

@Suite("The first hour")
struct FirstHourTests {
    private static let script = Weir.package + "/scripts/first-hour"

    @Test("The guide shows what really happens", .enabled(if: KernelRequirement.isMet), .timeLimit(.minutes(5)))
    func transcript() async throws {
        try #require(geteuid() == 0, "run as root: WEIR_REQUIRE_KERNEL=1 is set")
        let outcome = try await Weir.command(
            [Self.script, "--check"], environment: ["WEIR": try Weir.executable.get()])
        #expect(outcome.status == 0, "\(outcome.output)\(outcome.errors)")
    }

    @Test("Without root it says what it needs, status 3", .enabled(if: KernelRequirement.isMet))
    func withoutRoot() async throws {
        let outcome = try await Weir.command(try Machine.withoutRoot() + [Self.script])
        #expect(outcome.status == 3)
        #expect(outcome.output.isEmpty)
        #expect(outcome.errors.contains("sudo scripts/first-hour"))
    }

    @Test("What it does not know is a usage error, status 64")
    func usage() async throws {
        #expect(try await Weir.command([Self.script, "--chekc"]).status == 64)
    }
}
