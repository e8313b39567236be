extension ExpectationReport {
    /// JUnit's XML as CI systems read it: a suite for each object of kind Expectations, a case for each expectation.
    package func junit(withCoverage: Bool) -> String {
        var suites: [(name: String, outcomes: [Outcome])] = []
        for outcome in expectations {
            if suites.last?.name == outcome.expectations {
                suites[suites.count - 1].outcomes.append(outcome)
            } else {
                suites.append((outcome.expectations, [outcome]))
            }
        }
        var lines = [
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
            "<testsuites name=\"weir test\" tests=\"\(expectations.count)\" failures=\"\(failed)\" errors=\"0\">",
        ]
        for suite in suites {
            let failures = suite.outcomes.count { !$0.hasPassed }
            lines.append(
                "  <testsuite name=\"\(Self.escaped(suite.name))\" tests=\"\(suite.outcomes.count)\" "
                    + "failures=\"\(failures)\" errors=\"0\" skipped=\"0\">")
            for outcome in suite.outcomes {
                let head =
                    "    <testcase classname=\"\(Self.escaped(suite.name))\" name=\"\(Self.escaped(outcome.name))\" "
                    + "file=\"\(Self.escaped(outcome.path))\" line=\"\(outcome.line)\""
                guard let first = outcome.failures.first else {
                    lines.append(head + "/>")
                    continue
                }
                let text = outcome.failures.map(\.message).joined(separator: "\n")
                lines += [
                    head + ">",
                    "      <failure type=\"expectation\" message=\"\(Self.escaped(first.message))\">"
                        + "\(Self.escaped("\(outcome.location): \(text)", isAttribute: false))</failure>",
                    "    </testcase>",
                ]
            }
            lines.append("  </testsuite>")
        }
        lines.append("</testsuites>")
        if withCoverage { lines.append("<!-- coverage: \(coverage.text) -->") }
        return lines.map { $0 + "\n" }.joined()
    }

    /// What XML 1.0 cannot hold becomes U+FFFD; line ends of attributes are kept as references.
    private static func escaped(_ text: String, isAttribute: Bool = true) -> String {
        text.unicodeScalars.map { scalar -> String in
            switch scalar {
            case "&": "&amp;"
            case "<": "&lt;"
            case ">": "&gt;"
            case "\"": "&quot;"
            case "\t", "\n", "\r": isAttribute || scalar == "\r" ? "&#\(scalar.value);" : String(scalar)
            case _ where scalar.value < 0x20 || scalar.value == 0xfffe || scalar.value == 0xffff: "\u{fffd}"
            default: String(scalar)
            }
        }.joined()
    }
}
