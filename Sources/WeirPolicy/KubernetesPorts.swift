internal import WeirDiagnostics
internal import WeirModel
internal import WeirSyntax

/// A port number of Kubernetes' own kinds, 1 to 65535; nil, reported, where it is none.
func decodeNonZeroPort(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> UInt16? {
    guard let value = cursor.integer(&diagnostics) else { return nil }
    guard (1...65535).contains(value) else {
        diagnostics.error(.invalidPort, "\(value) is not a port: 1 to 65535", at: cursor.location)
        return nil
    }
    return UInt16(value)
}

/// TCP where it is missing. Unlike Cilium's kinds, Kubernetes' take capitals only.
func decodeTransportProtocol(_ cursor: Cursor?, _ diagnostics: inout DiagnosticsCollector) -> IPProtocol? {
    guard let cursor else { return .tcp }
    guard let text = cursor.string(&diagnostics) else { return nil }
    let known = IPProtocol.withPorts.first { $0.description == text }
    if known == nil {
        var message = "\"\(text)\" is not TCP, UDP or SCTP"
        if let nearest = nearestName(to: text, among: ["TCP", "UDP", "SCTP"]) {
            message += "; did you mean \(nearest)?"
        }
        diagnostics.error(.invalidValue, message, at: cursor.location)
    }
    return known
}
