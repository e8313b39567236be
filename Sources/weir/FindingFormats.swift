import WeirDiagnostics

/// Findings as one SARIF 2.1.0 log.
func sarif(_ findings: [Diagnostic]) throws -> String { try json(SARIFLog(findings, version: Weir.version)) }

/// Findings as GitHub's workflow commands, a line each.
func annotations(_ findings: [Diagnostic]) -> String {
    findings.map { "\(GitHubAnnotation($0))\n" }.joined()
}
