import Foundation
import InputProperties
import InputTestSupport
import Testing
import WeirSyntax
import WeirTestSupport

/// Random documents and damaged files through everything up to verdicts. `WEIR_FUZZ_SECONDS` sets how long,
/// `WEIR_TEST_SEED` begins elsewhere, `WEIR_FUZZ_INPUT` checks one file.
@Suite("Fuzzing the inputs")
struct FuzzTests {
    private static let environment = ProcessInfo.processInfo.environment

    @Test("No input crashes or hangs; findings have places; nothing depends on the order; what compiles can be judged")
    func inputs() throws {
        let seed = Self.environment["WEIR_TEST_SEED"].flatMap { UInt64($0) } ?? 20_261_121
        let seconds = Self.environment["WEIR_FUZZ_SECONDS"].flatMap { Double($0) } ?? 20
        let run = try FuzzRun(seed: seed, seconds: seconds)
        print("fuzz: WEIR_TEST_SEED=\(seed); if the process dies, its input is \(run.currentInput.path)")
        let summary = try run.run()
        print(
            "fuzz: \(summary.rounds) inputs, \(summary.withErrors) with errors, \(summary.images) images, "
                + "\(summary.verdicts) verdicts; slowest round \(summary.slowestRound) took \(summary.slowest)")
        for failure in summary.failures { Issue.record("seed \(seed): \(failure)") }
        // A fuzzer that never reaches the compiler tests nothing.
        #expect(summary.rounds < 100 || summary.images > summary.rounds / 20)
        #expect(summary.rounds < 100 || summary.verdicts > summary.rounds / 10)
    }

    /// What earlier runs found, and the file that `WEIR_FUZZ_INPUT` names.
    private static var found: [String] {
        let directory = "\(Fixtures.directory)/fuzz"
        let kept = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return kept.sorted().map { "\(directory)/\($0)" } + (environment["WEIR_FUZZ_INPUT"].map { [$0] } ?? [])
    }

    @Test("An input that was found once has all properties", arguments: found)
    func oneInput(_ path: String) throws {
        let source = SourceFile(path: path, bytes: Array(try Data(contentsOf: URL(fileURLWithPath: path))))
        var random = SeededGenerator(seed: 0)
        #expect(InputProperties(source).check(&random).problems == [])
    }
}
