import Foundation
import InputProperties
import Synchronization
import WeirSyntax
import WeirTestSupport

/// Rounds until the time is over. Every input is in a file before it is used, so one that ends the process is not lost.
final class FuzzRun: Sendable {
    // A class because the watchdog looks at the same run from its own thread.
    private struct Progress {
        var round = 0
        var begin = ContinuousClock.now
        var isOver = false
    }

    let seed: UInt64
    private let seconds: Double
    private let folder: URL
    private let progress = Mutex(Progress())

    /// How long one input may take; in debug a mutated inventory takes some hundredths of a second.
    private static let patience = Duration.seconds(30)

    struct Summary {
        var rounds = 0
        var withErrors = 0
        var images = 0
        var verdicts = 0
        /// What failed, with the file of the input.
        var failures: [String] = []
        var slowest = Duration.zero
        var slowestRound = 0
    }

    init(seed: UInt64, seconds: Double) throws {
        self.seed = seed
        self.seconds = seconds
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("weir-fuzz-\(seed)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    /// Where the input of the running round is.
    var currentInput: URL { folder.appendingPathComponent("current.yaml") }

    func run() throws -> Summary {
        let watchdog = Thread { [self] in watch() }
        watchdog.start()
        defer { progress.withLock { $0.isOver = true } }
        var summary = Summary()
        let end = ContinuousClock.now + .seconds(seconds)
        while ContinuousClock.now < end, summary.failures.count < 10 {
            let round = summary.rounds
            let bytes = FuzzInput.make(seed: seed, round: round)
            try Data(bytes).write(to: currentInput)
            let begin = ContinuousClock.now
            progress.withLock { $0 = Progress(round: round, begin: begin) }
            var random = SeededGenerator(seed: seed ^ UInt64(round))
            let report = InputProperties(SourceFile(path: "input.yaml", bytes: bytes)).check(&random)
            let time = ContinuousClock.now - begin
            if time > summary.slowest { (summary.slowest, summary.slowestRound) = (time, round) }
            summary.rounds += 1
            summary.withErrors += report.hasErrors ? 1 : 0
            summary.images += report.images
            summary.verdicts += report.verdicts
            guard !report.problems.isEmpty else { continue }
            let file = folder.appendingPathComponent("failure-\(round).yaml")
            try Data(bytes).write(to: file)
            summary.failures.append("\(file.path): \(report.problems.prefix(3))")
        }
        if summary.failures.isEmpty { try FileManager.default.removeItem(at: folder) }
        return summary
    }

    /// Ends the process if one input takes too long: a hang cannot be interrupted, only reported.
    private func watch() {
        while true {
            Thread.sleep(forTimeInterval: 0.5)
            let state = progress.withLock { $0 }
            if state.isOver { return }
            guard ContinuousClock.now - state.begin > Self.patience else { continue }
            fatalError("seed \(seed), round \(state.round) takes longer than \(Self.patience): \(currentInput.path)")
        }
    }
}
