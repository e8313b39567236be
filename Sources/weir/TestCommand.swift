import ArgumentParser
import WeirDiagnostics
import WeirExpectation
import WeirModel
import WeirSyntax

struct TestCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test",
        abstract: "Hold policies against what they are meant to do, as CI would. Needs no root.",
        discussion: """
            Expectations are documents of weir.dev/v1, kind Expectations, in the files and directories that are named first, or
            else among the policies. Every pair of ends and every port of a range is judged, by the verdicts of weir verdict;
            without "family" both families are. A failure has the line of its expectation and of the rules that decided.
            Status 4 where an expectation failed.

            Examples:
              weir test --policies Policies/shop --inventory Policies/shop --coverage
              weir test expectations.yaml --output junit --output-file report.xml \\
                --policies Policies/shop --inventory Policies/shop
              weir test --generate --policies Policies/shop --inventory Policies/shop > expectations.yaml
            """)

    enum Format: String, ExpressibleByArgument, CaseIterable { case table, tap, junit, github, json }

    @Argument(help: ArgumentHelp("Files or directories with expectations; - is standard input.", valueName: "path"))
    var paths: [String] = []

    @OptionGroup(title: "Sources") var sources: SourceOptions
    @Flag(help: "List the rules that no expectation touched.")
    var coverage = Environment.flag("COVERAGE")
    @Option(help: "Status 4 if fewer rules than this were touched, in percent.")
    var failUnder: Double?
    @Flag(help: "Write expectations from today's verdicts, as a file to begin with, instead of testing any.")
    var generate = Environment.flag("GENERATE")
    @Option(help: "Format: table, tap (version 14), junit, github (annotations of a workflow) or json.")
    var output = Environment.value("OUTPUT", default: Format.table)
    @OptionGroup var outputFile: OutputFileOptions

    private var expectationPaths: [String] { paths.isEmpty ? Environment.list("EXPECTATIONS") : paths }
    private var threshold: Double? { failUnder ?? Environment.value("FAIL_UNDER") }
    private var wantsCoverage: Bool { coverage || threshold != nil }

    func validate() throws {
        try sources.require()
        if let threshold, !(0...100).contains(threshold) {
            throw ValidationError("--fail-under must be from 0 to 100.")
        }
        guard !generate || paths.isEmpty else {
            throw ValidationError("--generate writes expectations and reads none; leave the paths out.")
        }
    }

    func run() throws {
        if expectationPaths.contains("-"), sources.readStandardInput, !generate {
            Terminal.report(
                Diagnostic(
                    .error, .stdinTwice, "stdin can be read once, and - is here a second time",
                    at: SourceLocation(file: "-")))
            throw ExitStatus.invalidInput
        }
        let loaded = try sources.load()
        // The compiler's warnings are about the policies; compile and lint say them.
        let run = ExpectationRun(
            policies: loaded.policies, inventory: loaded.inventory, hostFirewall: loaded.options.hostFirewall
        ) { node in
            var warnings = DiagnosticsCollector()
            return loaded.image(node: node, &warnings)
        }
        if generate {
            let text = try run.generated(sources: sources.description)
            return try refusing { try outputFile.write(text) }
        }
        var diagnostics = DiagnosticsCollector()
        let documents = try documents(loaded, &diagnostics)
        let expectations = decodeExpectations(documents, inventory: loaded.inventory, diagnostics: &diagnostics)
        try stop(&diagnostics)
        let report = try run.report(expectations, diagnostics: &diagnostics)
        try stop(&diagnostics)
        try refusing {
            switch output {
            case .table: try outputFile.write(text(report))
            case .tap: try outputFile.write(report.tap(withCoverage: wantsCoverage))
            case .junit: try outputFile.write(report.junit(withCoverage: wantsCoverage))
            case .json: try outputFile.write(try json(report))
            case .github:
                let annotations = report.annotations(withCoverage: wantsCoverage).map { "\($0)\n" }.joined()
                try outputFile.write(annotations + summary(report) + "\n")
            }
        }
        let isUncovered = threshold.map { report.coverage.percent < $0 } ?? false
        if isUncovered, let threshold {
            Terminal.complain(
                "weir: coverage is \(report.coverage.text), below --fail-under \(threshold); --coverage lists the rules"
            )
        }
        if report.failed > 0 || isUncovered { throw ExitStatus.failed }
    }

    /// Those of the paths, or those among the policies. None at all is an error.
    private func documents(
        _ loaded: SourceOptions.Sources, _ diagnostics: inout DiagnosticsCollector
    ) throws -> [Document] {
        guard !expectationPaths.isEmpty else {
            if loaded.expectations.isEmpty {
                Terminal.complain("weir: error: no document of kind Expectations among the policies")
                Terminal.complain("weir: hint: name a file, or begin with one that weir test --generate writes")
                throw ExitStatus.invalidInput
            }
            return loaded.expectations
        }
        var reader = InputReader(maximumBytes: sources.inventorySource.maxInputBytes)
        let files = reader.read(expectationPaths, diagnostics: &diagnostics)
        let documents = parseDocuments(files, diagnostics: &diagnostics)
        if !diagnostics.hasErrors, !documents.contains(where: { ObjectKind(of: $0) == .expectations }) {
            diagnostics.error(
                .emptyExpectation, "there is no document of kind Expectations (apiVersion weir.dev/v1)",
                at: SourceLocation(file: expectationPaths.joined(separator: ", ")))
        }
        return documents
    }

    /// Prints what was found so far, and ends with status 1 on an error.
    private func stop(_ diagnostics: inout DiagnosticsCollector) throws {
        for diagnostic in diagnostics.sorted { Terminal.report(diagnostic) }
        if diagnostics.hasErrors { throw ExitStatus.invalidInput }
        diagnostics = DiagnosticsCollector()
    }

    private func summary(_ report: ExpectationReport) -> String {
        report.summary + (wantsCoverage ? "; coverage \(report.coverage.text)" : "")
    }

    private func text(_ report: ExpectationReport) -> String {
        var text = table(
            ["RESULT", "PAIRS", "EXPECTATION"],
            report.expectations.map { [$0.hasPassed ? "ok" : "FAILED", "\($0.pairs)", $0.name] })
        let failures = report.expectations.flatMap { outcome in
            outcome.failures.map { "\(outcome.location): failed: \($0.message)\n" }
        }
        if !failures.isEmpty { text += "\n" + failures.joined() }
        if coverage, !report.coverage.untouched.isEmpty {
            text += "\n" + table(["UNTOUCHED RULE", "AT"], report.coverage.untouched.map { [$0.rule, $0.place] })
        }
        return text + "\n" + summary(report) + "\n"
    }
}
