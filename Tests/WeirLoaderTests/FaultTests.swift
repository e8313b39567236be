import Foundation
import TestNetwork
import Testing
import WeirTestSupport

/// Every system call of a run fails once, or is the last: the node has the old policy or the new one, and the same
/// command again completes it. `WEIR_FAULTS=all` tries every call with every error, a number so many of each scenario;
/// `WEIR_TEST_SEED` draws another sample.
@Suite("A run whose system calls fail", .serialized, .enabled(if: kernelTestsAreWanted))
struct FaultTests {
    @Test("one call fails: one error and the old policy, or the new one", arguments: FaultScenario.all)
    func failing(scenario: FaultScenario) throws {
        let node = try FaultNode(scenario)
        let pairs = node.calls.flatMap { call in
            ["ENOMEM", "EPERM", "E2BIG", "EBUSY", "EINTR"].map { (call, TracedRun.Fault.error($0)) }
        }
        try check(node, pairs)
    }

    @Test(
        "kill -9 at one call: the old policy or the new one, and the next run completes it",
        arguments: FaultScenario.all)
    func killed(scenario: FaultScenario) throws {
        let node = try FaultNode(scenario)
        try check(node, node.calls.map { ($0, .kill) })
    }

    private func check(_ node: FaultNode, _ faults: [FaultSample.Fault]) throws {
        try FaultSample.check(faults, seed: 20_261_121) { try node.problems(of: $1, at: $0) }
    }
}
