internal import WeirDiagnostics
internal import WeirModel

/// One port of a Service address, with what stands behind it.
struct Frontend: Hashable, Sendable {
    struct Backend: Hashable, Sendable, Comparable {
        /// Index into the catalogue's candidates; where tables are made, their class.
        var peer: Int
        var port: UInt16

        static func < (left: Self, right: Self) -> Bool { (left.peer, left.port) < (right.peer, right.port) }
    }

    var `protocol`: IPProtocol
    var port: UInt16
    /// Sorted, distinct.
    var backends: [Backend]

    init(protocol: IPProtocol, port: UInt16, backends: some Sequence<Backend>) {
        self.protocol = `protocol`
        self.port = port
        self.backends = Set(backends).sorted()
    }
}

/// How one frontend is judged, from how its backends are.
struct FrontendRuling {
    /// nil: what holds for every port of the address.
    var ruling: Ruling?
    /// Some backends are allowed and some are not. What only policies in audit mode refuse is allowed.
    var isMixed = false

    /// Allowed if and only if every backend is; without a backend denied wherever anything is enforced.
    ///
    /// - Parameter elsewhere: what every port of the address gets.
    init(backends: [Ruling], elsewhere: Ruling, fallback: Ruling) {
        guard !backends.isEmpty else {
            // Policies in force that refuse it already are not to be undone by an audited default deny.
            ruling = fallback.kind == .allow || fallback.isAudited && !elsewhere.passes ? nil : fallback
            return
        }
        let refused = backends.filter { !$0.passes }
        isMixed = !refused.isEmpty && refused.count < backends.count
        let deciding = refused.isEmpty ? backends : refused
        let kind = deciding.map(\.kind).max() ?? fallback.kind
        var ruling = Ruling(kind, origins: deciding.filter { $0.kind == kind }.flatMap(\.origins))
        ruling.isAudited = refused.isEmpty && kind != .allow
        self.ruling = ruling
    }
}
