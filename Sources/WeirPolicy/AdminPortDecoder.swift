internal import WeirDiagnostics
internal import WeirModel
internal import WeirSyntax

/// One item of `ports` (`v1alpha1`) or `protocols` (`v1alpha2`).
struct AdminPortDecoder {
    var portField: AdminDialect.PortField

    /// A name means every protocol with ports: the API has no protocol beside it.
    func decode(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> PortMatch? {
        guard var fields = cursor.fields(&diagnostics) else { return nil }
        let choices =
            switch portField {
            case .ports: ["portNumber", "portRange", "namedPort"]
            case .protocols: ["tcp", "udp", "sctp", "destinationNamedPort"]
            }
        let written = choices.compactMap { fields.optional($0) }
        fields.reportUnknown(&diagnostics)
        guard let only = written.first, written.count == 1 else {
            reportChoice(of: written, cursor.name, among: choices, at: cursor.location, &diagnostics)
            return nil
        }
        switch only.name {
        case "portNumber": return decodePortNumber(only, &diagnostics)
        case "portRange": return decodePortRange(only, &diagnostics)
        case "tcp": return decodeTransport(only, .tcp, &diagnostics)
        case "udp": return decodeTransport(only, .udp, &diagnostics)
        case "sctp": return decodeTransport(only, .sctp, &diagnostics)
        default: return decodeName(only, &diagnostics)
        }
    }

    private func decodeName(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> PortMatch? {
        guard let text = cursor.string(&diagnostics) else { return nil }
        guard isServiceName(text) else {
            diagnostics.error(.invalidPort, "\"\(text)\" is not a port name", at: cursor.location)
            return nil
        }
        return .named(text.lowercased(), IPProtocol.withPorts)
    }

    // MARK: v1alpha1

    private func decodePortNumber(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> PortMatch? {
        guard var fields = cursor.fields(&diagnostics) else { return nil }
        let protocolName = fields.optional("protocol")
        let port = fields.required("port", &diagnostics)
        fields.reportUnknown(&diagnostics)
        guard let `protocol` = decodeTransportProtocol(protocolName, &diagnostics), let port,
            let number = decodeNonZeroPort(port, &diagnostics)
        else { return nil }
        return .range(`protocol`, number...number)
    }

    private func decodePortRange(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> PortMatch? {
        guard var fields = cursor.fields(&diagnostics) else { return nil }
        let protocolName = fields.optional("protocol")
        let range = decodeRange(&fields, &diagnostics)
        guard let `protocol` = decodeTransportProtocol(protocolName, &diagnostics), let range else { return nil }
        return .range(`protocol`, range)
    }

    // MARK: v1alpha2

    private func decodeTransport(
        _ cursor: Cursor, _ protocol: IPProtocol, _ diagnostics: inout DiagnosticsCollector
    ) -> PortMatch? {
        guard var fields = cursor.fields(&diagnostics) else { return nil }
        let port = fields.required("destinationPort", &diagnostics)
        fields.reportUnknown(&diagnostics)
        guard let port, var portFields = port.fields(&diagnostics) else { return nil }
        let number = portFields.optional("number")
        let range = portFields.optional("range")
        portFields.reportUnknown(&diagnostics)
        switch (number, range) {
        case (let number?, nil):
            return decodeNonZeroPort(number, &diagnostics).map { .range(`protocol`, $0...$0) }
        case (nil, let range?):
            guard var rangeFields = range.fields(&diagnostics) else { return nil }
            return decodeRange(&rangeFields, &diagnostics).map { .range(`protocol`, $0) }
        case (nil, nil), (_?, _?):
            reportChoice(
                of: [number, range].compactMap(\.self), "destinationPort", among: ["number", "range"],
                at: port.location, &diagnostics)
            return nil
        }
    }

    // MARK: Both

    /// `start` must lie below `end`, so that a single port is written in one way.
    private func decodeRange(
        _ fields: inout Fields, _ diagnostics: inout DiagnosticsCollector
    ) -> ClosedRange<UInt16>? {
        let start = fields.required("start", &diagnostics)
        let end = fields.required("end", &diagnostics)
        fields.reportUnknown(&diagnostics)
        guard let first = start.flatMap({ decodeNonZeroPort($0, &diagnostics) }), let end,
            let last = decodeNonZeroPort(end, &diagnostics)
        else { return nil }
        guard first < last else {
            diagnostics.error(
                .emptyPortRange, "the range \(first)–\(last) must end above its start", at: end.location)
            return nil
        }
        return first...last
    }
}
