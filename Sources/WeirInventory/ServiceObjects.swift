// Services and EndpointSlices as the API server prints them. A Service says where clients connect,
// its slices say who answers; each may come without the other and in any order.
internal import WeirDiagnostics
internal import WeirModel
internal import WeirSyntax

/// A Service before its slices are known.
struct ServiceDraft {
    struct Port {
        /// Empty where a Service's only port has no name.
        var name: String
        var `protocol`: IPProtocol
        var port: UInt16
        /// Those that the document itself lists; Kubernetes lists them in slices.
        var backends: [Service.Backend] = []
        var location: SourceLocation
    }

    var namespace: String
    var name: String
    var labels: [String: String]
    var selector: [String: String]?
    var addresses: [IPAddress]
    var ports: [Port]
    var location: SourceLocation
    /// Its backends are in EndpointSlices, not in the document itself.
    var needsSlices: Bool
}

/// The usable backends of one slice, for each of its ports.
struct EndpointSliceDraft {
    struct Port {
        var name: String
        var `protocol`: IPProtocol
        var port: UInt16
    }

    var namespace: String
    /// Of the Service that the slice belongs to; empty where it belongs to none.
    var serviceName: String
    var ports: [Port]
    /// Those that take connections.
    var addresses: [IPAddress]
    /// All of them.
    var listedAddresses: [IPAddress]
}

func decodeService(_ object: Cursor, _ metadata: Metadata, _ diagnostics: inout DiagnosticsCollector) -> ServiceDraft {
    let spec = object["spec"]
    return ServiceDraft(
        namespace: metadata.namespace ?? "", name: metadata.name, labels: metadata.labelDictionary,
        selector: decodeSelector(spec?["selector"], &diagnostics), addresses: decodeFrontends(object, &diagnostics),
        ports: decodeServicePorts(spec?["ports"], &diagnostics), location: metadata.location, needsSlices: true)
}

/// An empty selector chooses nothing: somebody else lists the backends.
func decodeSelector(_ cursor: Cursor?, _ diagnostics: inout DiagnosticsCollector) -> [String: String]? {
    var selector: [String: String] = [:]
    for (key, value) in cursor?.members(&diagnostics) ?? [] {
        if let text = value.string(&diagnostics) { selector[key.text] = text }
    }
    return selector.isEmpty ? nil : selector
}

/// Cluster IPs, external IPs and load balancer addresses. An ExternalName and a headless Service have none,
/// whatever else is written: nothing is translated for them.
private func decodeFrontends(_ object: Cursor, _ diagnostics: inout DiagnosticsCollector) -> [IPAddress] {
    let spec = object["spec"]
    let type = spec?["type"]?.string(&diagnostics)
    var written = spec?["clusterIP"].map { [$0] } ?? []
    written += spec?["clusterIPs"]?.list(&diagnostics) ?? []
    let texts = written.compactMap { $0.string(&diagnostics) }
    guard type != "ExternalName", !texts.contains("None") else { return [] }
    written = written.filter { $0.isText && !$0.isEmptyText }
    written += spec?["externalIPs"]?.list(&diagnostics) ?? []
    for entry in object["status"]?["loadBalancer"]?["ingress"]?.list(&diagnostics) ?? [] {
        // Some local clusters publish 127.0.0.1 here, which no pod can mean.
        guard let cursor = entry["ip"], !cursor.isEmptyText, cursor.address?.isLoopback != true else { continue }
        written.append(cursor)
    }
    return written.compactMap { decodeAddress($0, &diagnostics)?.address }
}

extension Cursor {
    fileprivate var isText: Bool {
        if case .scalar(let scalar) = node.content { scalar.value == .string } else { false }
    }

    /// How Go prints a string that is not set.
    var isEmptyText: Bool { if case .scalar(let scalar) = node.content { scalar.text.isEmpty } else { false } }

    fileprivate var address: IPAddress? {
        if case .scalar(let scalar) = node.content { IPAddress(scalar.text) } else { nil }
    }
}

private func decodeServicePorts(
    _ list: Cursor?, _ diagnostics: inout DiagnosticsCollector
) -> [ServiceDraft.Port] {
    let ports: [ServiceDraft.Port] = (list?.list(&diagnostics) ?? []).compactMap { item in
        guard let number = item["port"] else {
            diagnostics.error(.missingField, "\(item.name) needs the field port", at: item.location)
            return nil
        }
        guard let port = decodePortNumber(number, &diagnostics),
            let `protocol` = decodePortProtocol(item["protocol"], &diagnostics),
            let name = item["name"].map({ $0.string(&diagnostics) }) ?? ""
        else { return nil }
        return ServiceDraft.Port(name: name, protocol: `protocol`, port: port, location: item.location)
    }
    checkDistinct(ports, &diagnostics)
    return ports
}

/// A name, and a number of a protocol, mean one port of a Service.
func checkDistinct(_ ports: [ServiceDraft.Port], _ diagnostics: inout DiagnosticsCollector) {
    for (index, port) in ports.enumerated() {
        let earlier = ports[..<index].first {
            $0.name == port.name || $0.protocol == port.protocol && $0.port == port.port
        }
        guard let earlier else { continue }
        let what =
            if earlier.name != port.name {
                "\(port.port)/\(port.protocol)"
            } else { port.name.isEmpty ? "without a name" : "\"\(port.name)\"" }
        diagnostics.error(
            .duplicateName, "the port \(what) is here twice", at: port.location,
            notes: [Diagnostic.Note("the first is here", at: earlier.location)])
    }
}

/// A slice that belongs to no Service, or has names instead of addresses, has nothing for us.
func decodeEndpointSlice(
    _ object: Cursor, _ metadata: Metadata, _ diagnostics: inout DiagnosticsCollector
) -> EndpointSliceDraft {
    var slice = EndpointSliceDraft(
        namespace: metadata.namespace ?? "",
        serviceName: metadata.labelDictionary["kubernetes.io/service-name"] ?? "",
        ports: [], addresses: [], listedAddresses: [])
    guard !slice.serviceName.isEmpty else { return slice }
    if let type = object["addressType"]?.string(&diagnostics), type != "IPv4", type != "IPv6" { return slice }
    for item in object["ports"]?.list(&diagnostics) ?? [] {
        // A port without a number is any port, which no Service port can be translated to.
        guard let number = item["port"], let port = decodePortNumber(number, &diagnostics),
            let `protocol` = decodePortProtocol(item["protocol"], &diagnostics),
            let name = item["name"].map({ $0.string(&diagnostics) }) ?? ""
        else { continue }
        slice.ports.append(EndpointSliceDraft.Port(name: name, protocol: `protocol`, port: port))
    }
    for endpoint in object["endpoints"]?.list(&diagnostics) ?? [] {
        let addresses = (endpoint["addresses"]?.list(&diagnostics) ?? []).compactMap {
            decodeAddress($0, &diagnostics)?.address
        }
        slice.listedAddresses += addresses
        if takesConnections(endpoint["conditions"], &diagnostics) { slice.addresses += addresses }
    }
    return slice
}

/// Ready, or not known to be otherwise; or still serving while it terminates.
private func takesConnections(_ conditions: Cursor?, _ diagnostics: inout DiagnosticsCollector) -> Bool {
    let ready = conditions?["ready"]?.boolean(&diagnostics)
    let serving = conditions?["serving"]?.boolean(&diagnostics)
    return ready != false || serving == true
}
