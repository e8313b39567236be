import Foundation
import TestNetwork
import Testing
import WeirTestSupport

/// Every system call of a run fails once, or is the last: the node has the old policy or the new one, and the same
/// command again completes it. `WEIR_FAULTS=all` tries every call with every error, a number so many of each scenario;
/// `WEIR_TEST_SEED` draws another sample.
@Suite("A run whose system calls fail", .serialized, .enabled(if: kernelTestsAreWanted))
struct FaultTests {
    private static let environment = ProcessInfo.processInfo.environment
    /// Of each scenario; `WEIR_FAULTS` is another number, or `all`.
    private static let sampleSize =
        environment["WEIR_FAULTS"].map { $0 == "all" ? Int.max / 2 : Int($0) ?? 0 } ?? 9
    private static let seed = environment["WEIR_TEST_SEED"].flatMap { UInt64($0) } ?? 20_261_121
    private static let errors = ["ENOMEM", "EPERM", "E2BIG", "EBUSY", "EINTR"]

    @Test("one call fails: one error and the old policy, or the new one", arguments: FaultScenario.all)
    func failing(scenario: FaultScenario) throws {
        let node = try FaultNode(scenario)
        let pairs = node.calls.flatMap { call in Self.errors.map { (call, TracedRun.Fault.error($0)) } }
        try check(node, pairs)
    }

    @Test(
        "kill -9 at one call: the old policy or the new one, and the next run completes it",
        arguments: FaultScenario.all)
    func killed(scenario: FaultScenario) throws {
        let node = try FaultNode(scenario)
        try check(node, node.calls.map { ($0, .kill) })
    }

    private func check(_ node: FaultNode, _ faults: [(TracedRun.Call, TracedRun.Fault)]) throws {
        var faults = faults
        var generator = SeededGenerator(seed: Self.seed)
        faults.shuffle(using: &generator)
        // Calls that change something are where it matters, and the fewest.
        let changes = faults.filter { $0.0.isChange }.prefix(Self.sampleSize * 2 / 3)
        faults = Array(changes) + faults.filter { !$0.0.isChange }.prefix(Self.sampleSize - changes.count)
        for (call, fault) in faults {
            let problems = try node.problems(of: fault, at: call)
            #expect(problems.isEmpty, "WEIR_TEST_SEED=\(Self.seed)\n\(problems.joined(separator: "\n"))")
        }
    }
}
