internal import WeirJSON

extension ExpectationReport {
    /// TAP version 14: a test point for each expectation, its failures below it in YAML.
    package func tap(withCoverage: Bool) -> String {
        var lines = ["TAP version 14", "1..\(expectations.count)"]
        for (index, outcome) in expectations.enumerated() {
            let name = Self.escaped("\(outcome.expectations): \(outcome.name)")
            lines.append("\(outcome.hasPassed ? "ok" : "not ok") \(index + 1) - \(name)")
            guard !outcome.hasPassed else { continue }
            lines += [
                "  ---", "  severity: fail", "  at:", "    file: \(outcome.path.quoted)",
                "    line: \(outcome.line)", "    column: \(outcome.column)", "  failures:",
            ]
            lines += outcome.failures.map { "    - \($0.message.quoted)" }
            lines.append("  ...")
        }
        if withCoverage {
            lines.append("# coverage: \(coverage.text)")
            lines += coverage.untouched.map { "# untouched: \(Self.line("\($0.place) \($0.rule)"))" }
        }
        return lines.map { $0 + "\n" }.joined()
    }

    /// One line, without what would begin a directive.
    private static func escaped(_ text: String) -> String {
        line(text).map { $0 == "#" || $0 == "\\" ? "\\\($0)" : String($0) }.joined()
    }

    private static func line(_ text: String) -> String { String(text.map { $0.isNewline ? " " : $0 }) }
}
