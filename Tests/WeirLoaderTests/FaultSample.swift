import Foundation
import Testing
import WeirTestSupport

/// Which of the faults that a scenario can meet are tried: a few, or with `WEIR_FAULTS=all` every one; a number is so
/// many of each scenario. `WEIR_TEST_SEED` draws others.
enum FaultSample {
    typealias Fault = (call: TracedRun.Call, fault: TracedRun.Fault)

    private static let environment = ProcessInfo.processInfo.environment
    private static let size =
        environment["WEIR_FAULTS"].map { $0 == "all" ? Int.max / 2 : Int($0) ?? 0 } ?? 9

    /// - Parameter problems: what is not as promised after the fault at the call, in sentences.
    static func check(
        _ faults: [Fault], seed: UInt64, problems: (TracedRun.Call, TracedRun.Fault) throws -> [String]
    ) throws {
        let seed = environment["WEIR_TEST_SEED"].flatMap { UInt64($0) } ?? seed
        var generator = SeededGenerator(seed: seed)
        let shuffled = faults.shuffled(using: &generator)
        // Calls that change something are where it matters, and the fewest.
        let changes = shuffled.filter(\.call.isChange).prefix(size * 2 / 3)
        for (call, fault) in changes + shuffled.filter({ !$0.call.isChange }).prefix(size - changes.count) {
            let found = try problems(call, fault)
            #expect(found.isEmpty, "WEIR_TEST_SEED=\(seed)\n\(found.joined(separator: "\n"))")
        }
    }
}
