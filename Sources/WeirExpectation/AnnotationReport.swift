package import WeirDiagnostics

extension ExpectationReport {
    /// An annotation for each failure at the line of its expectation, and what untouched rules have to say.
    package func annotations(withCoverage: Bool) -> [GitHubAnnotation] {
        let failures = expectations.flatMap { outcome in
            outcome.failures.map {
                GitHubAnnotation(
                    .error, at: outcome.location, title: "weir test: \(outcome.name)", message: $0.message)
            }
        }
        guard withCoverage else { return failures }
        return failures
            + coverage.untouched.map {
                GitHubAnnotation(
                    .warning, at: SourceLocation(path: $0.path, line: $0.line, column: 1), title: "weir test: coverage",
                    message: "no expectation touches \($0.rule)")
            }
    }
}
