internal import WeirDiagnostics
internal import WeirModel
internal import WeirSyntax

/// The items of `toPorts` and `icmps`.
struct CiliumPortDecoder {
    var action: RuleAction
    var unsupported: UnsupportedRules

    /// Cilium's limit on one list of ports or of ICMP types.
    private static let maximumCount = 40

    private static let unsupportedFields = [
        ("rules", "an L7 proxy"), ("terminatingTLS", "a proxy that terminates TLS"),
        ("originatingTLS", "a proxy that originates TLS"), ("serverNames", "a proxy that reads TLS server names"),
        ("listener", "a listener of Envoy's"),
    ]

    func decodePortRule(
        _ cursor: Cursor, _ gaps: inout Set<RuleDraft.Gap>, _ diagnostics: inout DiagnosticsCollector
    ) -> [PortMatch] {
        guard var fields = cursor.fields(&diagnostics) else { return [] }
        let list = fields.optional("ports")
        let items = list?.list(&diagnostics) ?? []
        for (name, needs) in Self.unsupportedFields where fields.optional(name) != nil {
            let field = UnsupportedField(name, needs: needs, gap: items.isEmpty ? .ports : .condition)
            field.report(
                unsupported, in: action, at: fields.keyLocation(of: name) ?? fields.location, &diagnostics)
            gaps.insert(field.gap)
        }
        fields.reportUnknown(&diagnostics)
        checkCount(of: items, "ports", at: list, &diagnostics)
        return items.flatMap { decodePort($0, &diagnostics) }
    }

    private func checkCount(
        of items: [Cursor], _ what: String, at list: Cursor?, _ diagnostics: inout DiagnosticsCollector
    ) {
        guard items.count > Self.maximumCount, let list else { return }
        diagnostics.error(
            .tooManyPorts, "\(items.count) \(what) in one list; at most \(Self.maximumCount)", at: list.location)
    }

    private func decodePort(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> [PortMatch] {
        guard var fields = cursor.fields(&diagnostics) else { return [] }
        let port = fields.optional("port")
        let endPort = fields.optional("endPort")
        let protocolName = fields.optional("protocol")
        fields.reportUnknown(&diagnostics)

        let protocols = protocolName.map { decodeProtocol($0, &diagnostics) } ?? IPProtocol.withPorts
        guard let protocols, let number = decodePortNumber(port, &diagnostics) else { return [] }
        var end: Int?
        if let endPort {
            guard let value = endPort.integer(&diagnostics) else { return [] }
            guard (0...65535).contains(value) else {
                diagnostics.error(.invalidPort, "\(value) is not a port; the last is 65535", at: endPort.location)
                return []
            }
            // Cilium cannot tell 0 from missing.
            end = value == 0 ? nil : value
        }
        if let portless = protocols.first(where: IPProtocol.withoutPorts.contains) {
            let place = number == .any ? (end == nil ? nil : endPort) : port
            if let place {
                diagnostics.error(.invalidPort, "\(portless) has no ports: leave it out", at: place.location)
                return []
            }
        }
        switch (number, end) {
        case (.any, nil): return protocols.map { .range($0, 0...UInt16.max) }
        case (.named(let name), nil): return [.named(name, protocols)]
        case (.number(let first), nil): return protocols.map { .range($0, first...first) }
        case (.any, _?) where port == nil, (.named, _?):
            diagnostics.error(
                .invalidPort, "endPort needs a port number to start from", at: (endPort ?? cursor).location)
            return []
        case (_, let last?):
            let first = if case .number(let first) = number { first } else { UInt16(0) }
            guard Int(first) <= last else {
                reportEmptyRange(first, last, at: (endPort ?? cursor).location, &diagnostics)
                return []
            }
            return protocols.map { .range($0, first...UInt16(last)) }
        }
    }

    /// Cilium takes such a range and it matches nothing. That is what an allow may do; a deny that
    /// denies nothing is wider than anyone can have meant.
    private func reportEmptyRange(
        _ first: UInt16, _ last: Int, at location: SourceLocation, _ diagnostics: inout DiagnosticsCollector
    ) {
        let message = "the range \(first)–\(last) is empty and matches nothing"
        switch action {
        case .allow: diagnostics.warning(.emptyPortRange, message, at: location)
        case .deny, .pass: diagnostics.error(.emptyPortRange, message, at: location)
        }
    }

    /// Nil, reported, where it is none of those that `toPorts` takes; any case, as in Cilium.
    private func decodeProtocol(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> [IPProtocol]? {
        guard let text = cursor.string(&diagnostics) else { return nil }
        if text.isEmpty || text.uppercased() == "ANY" { return IPProtocol.withPorts }
        let taken = IPProtocol.withPorts + IPProtocol.withoutPorts
        guard let known = IPProtocol(name: text), taken.contains(known) else {
            let isICMP = text.uppercased().hasPrefix("ICMP")
            var message =
                isICMP ? "\(text) has types, not ports; use icmps" : "\"\(text)\" is not a protocol of toPorts"
            if !isICMP, let nearest = nearestName(to: text, among: taken.map(\.description) + ["ANY"]) {
                message += "; did you mean \(nearest)?"
            }
            diagnostics.error(.invalidValue, message, at: cursor.location)
            return nil
        }
        return [known]
    }

    private enum PortNumber: Equatable {
        /// Missing, or 0.
        case any
        case number(UInt16)
        case named(String)
    }

    private func decodePortNumber(
        _ cursor: Cursor?, _ diagnostics: inout DiagnosticsCollector
    ) -> PortNumber? {
        guard let cursor else { return .any }
        let number: UInt64?
        let text: String
        if case .scalar(let scalar) = cursor.node.content, case .integer(let value) = scalar.value {
            text = scalar.text
            number = UInt64(exactly: value)
        } else {
            guard let string = cursor.string(&diagnostics) else { return nil }
            if string.isEmpty { return .any }
            if isServiceName(string) { return .named(string.lowercased()) }
            text = string
            number = parseGoUnsigned(string)
        }
        guard let number, let port = UInt16(exactly: number) else {
            let why = number == nil ? "neither a port number nor a port name" : "not a port; the last is 65535"
            diagnostics.error(.invalidPort, "\"\(text)\" is \(why)", at: cursor.location)
            return nil
        }
        return port == 0 ? .any : .number(port)
    }

    // MARK: ICMP

    func decodeICMPRule(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> [PortMatch] {
        guard var fields = cursor.fields(&diagnostics) else { return [] }
        let list = fields.optional("fields")
        fields.reportUnknown(&diagnostics)
        let items = list?.list(&diagnostics) ?? []
        checkCount(of: items, "types", at: list, &diagnostics)
        return items.compactMap { decodeICMPField($0, &diagnostics) }
    }

    private func decodeICMPField(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> PortMatch? {
        guard var fields = cursor.fields(&diagnostics) else { return nil }
        let familyName = fields.optional("family")
        let type = fields.required("type", &diagnostics)
        fields.reportUnknown(&diagnostics)
        var family = AddressFamily.ipv4
        if let familyName {
            guard let text = familyName.string(&diagnostics) else { return nil }
            guard let known = text.isEmpty ? .ipv4 : AddressFamily(rawValue: text) else {
                diagnostics.error(.invalidValue, "\"\(text)\" is neither IPv4 nor IPv6", at: familyName.location)
                return nil
            }
            family = known
        }
        guard let type, let number = decodeICMPType(type, family, &diagnostics) else { return nil }
        return .range(family == .ipv4 ? .icmp : .icmpv6, UInt16(number)...UInt16(number))
    }

    private func decodeICMPType(
        _ cursor: Cursor, _ family: AddressFamily, _ diagnostics: inout DiagnosticsCollector
    ) -> UInt8? {
        let text: String
        if case .scalar(let scalar) = cursor.node.content, case .integer(let value) = scalar.value {
            if let type = UInt8(exactly: value) { return type }
            text = scalar.text
        } else {
            guard let string = cursor.string(&diagnostics) else { return nil }
            if let type = ICMPTypeNames.type(named: string, family) { return type }
            if let first = string.utf8.first, first != UInt8(ascii: "+"), let type = UInt8(string) { return type }
            text = string
        }
        var message = "\"\(text)\" is not an ICMP type of \(family.rawValue)"
        if let nearest = nearestName(to: text, among: ICMPTypeNames.names(family)) {
            message += "; did you mean \(nearest)?"
        }
        diagnostics.error(.invalidValue, message, at: cursor.location)
        return nil
    }
}

/// IANA's service names, which Cilium's port names are: 1 to 15 letters, digits and single hyphens inside,
/// at least one letter. So `0x50` is a name.
func isServiceName(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    guard (1...15).contains(bytes.count), isAlphanumeric(bytes.first), isAlphanumeric(bytes.last) else { return false }
    let isDigit = { (byte: UInt8) in (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
    return bytes.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
        && bytes.contains { isAlphanumeric($0) && !isDigit($0) } && !text.contains("--")
}

/// Go's `ParseUint(text, 0, 64)`: `0x`, `0o`, `0b`, octal after a leading zero, underscores between digits.
func parseGoUnsigned(_ text: String) -> UInt64? {
    var digits = text[...]
    var radix = 10
    var hasPrefix = false
    if digits.count > 1, digits.first == "0" {
        digits = digits.dropFirst()
        hasPrefix = true
        switch digits.first {
        case "x", "X": radix = 16
        case "o", "O": radix = 8
        case "b", "B": radix = 2
        default: radix = 0
        }
        if radix == 0 { radix = 8 } else { digits = digits.dropFirst() }
    }
    let isDigit = { (byte: UInt8) in isAlphanumeric(byte) }
    var previousIsDigit = hasPrefix
    var plain = ""
    for byte in digits.utf8 {
        if byte == UInt8(ascii: "_") {
            guard previousIsDigit else { return nil }
            previousIsDigit = false
        } else {
            guard isDigit(byte) else { return nil }
            previousIsDigit = true
            plain.append(Character(Unicode.Scalar(byte)))
        }
    }
    return previousIsDigit ? UInt64(plain, radix: radix) : nil
}
