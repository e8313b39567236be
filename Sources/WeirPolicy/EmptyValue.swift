internal import WeirDiagnostics
internal import WeirSyntax

extension Fields {
    /// Warns of a list that is written without a value: it counts as missing, and a missing list is rarely nobody.
    func warnOfEmptyValue(_ name: String, meaning: String, _ diagnostics: inout DiagnosticsCollector) {
        guard isNull(name), let place = keyLocation(of: name) else { return }
        diagnostics.warning(.emptyValue, "\(name) has no value: \(meaning)", at: place)
    }
}
