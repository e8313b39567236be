import ArgumentParser
import Foundation
import Glibc

@main
struct WeirBenchmarks: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scripts/bench", abstract: "Measure weir, and what it is compared with, in one run.",
        discussion: """
            Figures are medians; FROM and TO are the extremes of the repetitions, or an interval of 95 % where a row \
            says so. Peers' figures are not of this run.

            Groups:

            """
                + RowGroup.all.map { "  \($0.name): \($0.about)\($0.needsRoot ? " (root)" : "")" }
                .joined(separator: "\n")
                + "\n\nExample: scripts/bench compile load/ --output json --output-file bench.json",
        subcommands: [RunRows.self, CompileOnce.self, ConfigureOnce.self], defaultSubcommand: RunRows.self)
}

struct RunRows: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "rows", shouldDisplay: false)

    enum Format: String, ExpressibleByArgument, CaseIterable { case table, json }

    @Argument(help: ArgumentHelp("Groups or rows, or beginnings of rows; everything without.", valueName: "row"))
    var wanted: [String] = []
    @Option(help: "Format of the result: table or json.")
    var output = Format.table
    @Option(help: ArgumentHelp("Write the result there instead of to standard output.", valueName: "path"))
    var outputFile: String?
    @Flag(help: "Small sizes, one repetition, no judgement: shows that everything runs.")
    var quick = false

    func validate() throws {
        for name in wanted where !RowGroup.all.contains(where: { Run(wanted: [name]).wants($0) }) {
            throw ValidationError(
                "No group '\(name)'; there are \(RowGroup.all.map(\.name).joined(separator: ", ")).")
        }
    }

    func run() throws {
        let run = Run(isQuick: quick, wanted: wanted)
        var rows: [Row] = []
        var skipped: [Report.Skipped] = []
        let seconds = try WeirBench.seconds {
            for group in RowGroup.all where run.wants(group) {
                if group.needsRoot, geteuid() != 0 {
                    skipped.append(Report.Skipped(group: group.name, reason: "it needs root"))
                    continue
                }
                FileHandle.standardError.write(Data("bench: \(group.name) ...\n".utf8))
                rows += try group.rows(run).filter { run.wants($0.name) }
            }
        }
        let report = Report(
            kernel: Self.kernel, cpus: ProcessInfo.processInfo.activeProcessorCount, isQuick: quick, seconds: seconds,
            rows: rows, skipped: skipped)
        let text = output == .json ? try report.json : report.table
        if let outputFile {
            try text.write(toFile: outputFile, atomically: true, encoding: .utf8)
        } else {
            print(text, terminator: "")
        }
    }

    private static var kernel: String {
        (try? String(contentsOfFile: "/proc/sys/kernel/osrelease", encoding: .utf8))?
            .trimmingCharacters(in: .whitespacesAndNewlines) ?? "of unknown version"
    }
}
