import ArgumentParser
import WeirDiagnostics
import WeirLint
import WeirModel

/// From which severity on `weir lint` fails.
enum FailureThreshold: String, ExpressibleByArgument, CaseIterable {
    case note, warning, error, never

    func isReached(by severity: Severity) -> Bool {
        switch self {
        case .note: true
        case .warning: severity >= .warning
        case .error: severity >= .error
        case .never: false
        }
    }
}

struct LintCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lint",
        abstract: "Find what compiles and is probably not meant, and forecast how full the maps will be.",
        discussion: """
            Findings are the data: they go to standard output, warnings of other commands among them. What cannot be compiled is an error as everywhere, with
            status 1; as sarif and github it is data, too. Every endpoint of the inventory is looked at, whichever node it
            runs on.

            Examples:
              weir lint --policies Policies/shop --inventory Policies/shop --fail-on warning
              weir lint --policies Policies/shop --inventory Policies/shop \\
                --output sarif --output-file weir.sarif
            """)

    enum Format: String, ExpressibleByArgument, CaseIterable { case table, json, sarif, github }

    @OptionGroup(title: "Sources") var sources: SourceOptions
    @Option(help: "Look at this node's endpoints only, and forecast its maps; else at all, and the fullest node's.")
    var node: String?
    @Option(help: "Status 2 if a finding is at least this severe: note, warning, error or never.")
    var failOn = Environment.value("FAIL_ON", default: FailureThreshold.error)
    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp("Findings that are not to be reported.", valueName: "id"))
    var disable: [String] = []
    @Option(
        help:
            "Format: table, json, sarif (2.1.0) or github (annotations of a workflow); the last two leave the forecast out."
    )
    var output = Environment.value("OUTPUT", default: Format.table)
    @OptionGroup var outputFile: OutputFileOptions

    private var disabled: [String] { disable.isEmpty ? Environment.list("DISABLE") : disable }

    func validate() throws {
        try sources.require()
        let known = DiagnosticID.allCases.map(\.rawValue).sorted()
        for name in disabled where !known.contains(name) {
            throw ValidationError("No finding '\(name)' to disable; there are \(known.joined(separator: ", ")).")
        }
    }

    func run() throws {
        let (readable, warnings) = sources.read()
        guard let loaded = readable else {
            try refusing {
                switch output {
                case .sarif: try outputFile.write(try sarif(warnings))
                case .github: try outputFile.write(annotations(warnings))
                case .json, .table: for finding in warnings { Terminal.report(finding) }
                }
            }
            throw ExitStatus.invalidInput
        }
        var wanted = NodeOptions()
        wanted.node = node
        let report = LintReport(
            policies: loaded.policies, inventory: loaded.inventory,
            node: try wanted.wanted.map { _ in try wanted.resolve(loaded.inventory) }, options: loaded.options,
            warnings: warnings, disabled: Set(disabled.compactMap(DiagnosticID.init)))
        try refusing {
            switch output {
            case .json: try outputFile.write(try json(Summary(report)))
            case .table: try outputFile.write(text(report))
            case .sarif: try outputFile.write(try sarif(report.findings))
            case .github: try outputFile.write(annotations(report.findings))
            }
        }
        if report.findings.contains(where: { failOn.isReached(by: $0.severity) }) { throw ExitStatus.found }
    }

    // MARK: Output

    struct Summary: Encodable {
        struct Note: Encodable {
            var message: String
            var path: String
            var line: Int
            var column: Int

            init(_ message: String, _ location: SourceLocation) {
                self.message = message
                path = location.path
                line = location.line
                column = location.column
            }
        }

        struct Finding: Encodable {
            var id: DiagnosticID
            var severity: Severity
            var message: String
            var path: String
            var line: Int
            var column: Int
            var notes: [Note]

            init(_ finding: Diagnostic) {
                id = finding.id
                severity = finding.severity
                message = finding.message
                path = finding.location.path
                line = finding.location.line
                column = finding.location.column
                notes = finding.notes.map { Note($0.message, $0.location) }
            }
        }

        var findings: [Finding]
        var capacity: CapacityForecast

        init(_ report: LintReport) {
            findings = report.findings.map(Finding.init)
            capacity = report.capacity
        }
    }

    private func text(_ report: LintReport) -> String {
        var text = report.findings.map { $0.description + "\n" }.joined()
        guard let node = report.capacity.node else { return text }
        if !text.isEmpty { text += "\n" }
        text += table(
            ["MAP", "ENTRIES", "ROOM FOR", "AT MOST", "BYTES"],
            report.capacity.maps.map {
                ["\($0.map)", "\($0.entries)", "\($0.maxEntries)", "\($0.limit)", "\($0.bytes)"]
            })
        return text + "on node \(node)\n"
    }
}
