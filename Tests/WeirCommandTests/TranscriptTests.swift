import Foundation
import Testing
import WeirTestSupport

/// Scripts that make a guide's transcript, on this machine.
@Suite("Transcripts in guides", .serialized)
struct TranscriptTests {
    private static let scripts = ["first-hour", "services"]

    private static func path(_ script: String) -> String { "\(Weir.package)/scripts/\(script)" }

    @Test(
        "The guide shows what really happens", .enabled(if: KernelRequirement.isMet), .timeLimit(.minutes(5)),
        arguments: scripts)
    func transcript(_ script: String) async throws {
        try #require(geteuid() == 0, "run as root: WEIR_REQUIRE_KERNEL=1 is set")
        let outcome = try await Weir.command(
            [Self.path(script), "--check"], environment: ["WEIR": try Weir.executable.get()])
        #expect(outcome.status == 0, "\(outcome.output)\(outcome.errors)")
    }

    @Test(
        "Without root they say what they need, status 3", .enabled(if: KernelRequirement.isMet), arguments: scripts)
    func withoutRoot(_ script: String) async throws {
        let outcome = try await Weir.command(try Machine.withoutRoot() + [Self.path(script)])
        #expect(outcome.status == 3)
        #expect(outcome.output.isEmpty)
        #expect(outcome.errors.contains("sudo scripts/\(script)"))
    }

    @Test("What they do not know is a usage error, status 64", arguments: scripts)
    func usage(_ script: String) async throws {
        #expect(try await Weir.command([Self.path(script), "--chekc"]).status == 64)
    }
}
