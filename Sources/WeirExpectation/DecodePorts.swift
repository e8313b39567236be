internal import WeirDiagnostics
internal import WeirFlow
internal import WeirModel
internal import WeirSyntax

/// `5432/tcp`, `8000-8100/tcp`, `8/icmp` (a type), `tcp` (all of it), `gre`, `protocol-89`, `other`, `any`: one, or a list. What is wrong is
/// reported and left out.
func decodePorts(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> [PortChoice] {
    let items = items(of: cursor)
    if items.isEmpty {
        diagnostics.error(.missingField, "ports needs at least one port; \"any\" is every one", at: cursor.location)
    }
    return items.compactMap { item in
        guard let text = item.string(&diagnostics) else { return nil }
        do throws(PortProblem) {
            return try PortChoice(written: text)
        } catch {
            diagnostics.error(.invalidPort, error.message, at: item.location)
            return nil
        }
    }
}

private struct PortProblem: Error {
    var message: String
}

extension PortChoice {
    fileprivate init(written text: String) throws(PortProblem) {
        switch text.lowercased() {
        case "any":
            self = .everything
            return
        case "other":
            self = .other
            return
        default: break
        }
        let halves = text.split(separator: "/", omittingEmptySubsequences: false)
        let name = halves.last ?? ""
        guard halves.count <= 2, let proto = IPProtocol(written: name) else {
            let hint = halves.count == 1 && UInt16(text) != nil ? "; write \(text)/tcp" : ""
            throw PortProblem(
                message: "\"\(text)\" is not PORT/PROTOCOL, such as 5432/tcp, 8000-8100/udp or 8/icmp\(hint)")
        }
        guard halves.count == 2 else {
            self = .range(proto, proto.portDomain)
            return
        }
        guard proto.portDomain != 0...0 else {
            throw PortProblem(message: "\(proto) has no ports; write \"\(name)\"")
        }
        let bounds = halves[0].split(separator: "-", omittingEmptySubsequences: false)
        let numbers = bounds.compactMap { UInt16($0) }.filter { proto.portDomain.contains($0) }
        guard (1...2).contains(bounds.count), numbers.count == bounds.count, let low = numbers.first,
            let high = numbers.last
        else {
            throw PortProblem(
                message: "\"\(halves[0])\" is no \(proto.hasPorts ? "port" : "type") from 0 to "
                    + "\(proto.portDomain.upperBound), and no range of them")
        }
        guard low <= high else { throw PortProblem(message: "\(high) is below \(low)") }
        self = .range(proto, low...high)
    }
}

extension IPProtocol {
    /// A name in any case, or `protocol-89`: a number alone would be taken for a port.
    fileprivate init?(written name: Substring) {
        if let named = IPProtocol(name: name) {
            self = named
        } else if name.hasPrefix("protocol-"), let number = UInt8(name.dropFirst(9)) {
            self.init(rawValue: number)
        } else {
            return nil
        }
    }
}
