internal import WeirDiagnostics
internal import WeirModel
internal import WeirSyntax

/// A Service of our own, which lists its backends itself.
func decodeWeirService(
    _ document: Document, _ options: InventoryOptions, _ names: inout NameRegister,
    _ diagnostics: inout DiagnosticsCollector
) -> ServiceDraft? {
    let parts = decodeParts(document, defaultNamespace: options.defaultNamespace, &names, &diagnostics)
    guard let metadata = parts.metadata, var spec = parts.spec else { return nil }
    let addresses = spec.optional("addresses")
    let selector = spec.optional("selector")
    let ports = spec.optional("ports")
    spec.reportUnknown(&diagnostics)
    return ServiceDraft(
        namespace: metadata.namespace ?? options.defaultNamespace, name: metadata.name,
        labels: metadata.labelDictionary, selector: decodeSelector(selector, &diagnostics),
        addresses: (addresses?.list(&diagnostics) ?? []).compactMap { decodeAddress($0, &diagnostics)?.address },
        ports: decodePorts(ports, &diagnostics), location: metadata.location, needsSlices: false)
}

private func decodePorts(_ list: Cursor?, _ diagnostics: inout DiagnosticsCollector) -> [ServiceDraft.Port] {
    var ports: [ServiceDraft.Port] = []
    for item in list?.list(&diagnostics) ?? [] {
        guard var fields = item.fields(&diagnostics) else { continue }
        let number = fields.required("port", &diagnostics)
        let name = fields.optional("name")
        let protocolName = fields.optional("protocol")
        let backends = fields.optional("backends")
        fields.reportUnknown(&diagnostics)
        let found = (backends?.list(&diagnostics) ?? []).compactMap { decodeBackend($0, &diagnostics) }
        guard let number, let port = decodePortNumber(number, &diagnostics),
            let `protocol` = decodePortProtocol(protocolName, &diagnostics),
            let name = name.map({ $0.string(&diagnostics) }) ?? ""
        else { continue }
        ports.append(
            ServiceDraft.Port(
                name: name, protocol: `protocol`, port: port, backends: found, location: item.location))
    }
    checkDistinct(ports, &diagnostics)
    return ports
}

/// `10.0.0.5:8080` or `[fd00::5]:8080`.
private func decodeBackend(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> Service.Backend? {
    guard let text = cursor.string(&diagnostics) else { return nil }
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    let host = parts.dropLast().joined(separator: ":")
    let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
    let address = IPAddress(isBracketed ? host.dropFirst().dropLast() : host[...])
    guard let address, (address.family == .ipv6) == isBracketed, let last = parts.last else {
        diagnostics.error(
            .invalidAddress, "\"\(text)\" is not ADDRESS:PORT, such as 10.0.0.5:8080 or [fd00::5]:8080",
            at: cursor.location)
        return nil
    }
    guard last.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }), let port = UInt16(last),
        port > 0
    else {
        diagnostics.error(.invalidPort, "\"\(last)\" is not a port: 1 to 65535", at: cursor.location)
        return nil
    }
    guard isUsable(address, at: cursor.location, &diagnostics) else { return nil }
    return Service.Backend(address: address, port: port)
}
