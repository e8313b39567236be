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
    /// Some backends are allowed and some are not.
    var isMixed = false

    /// Allowed if and only if every backend is; without a backend denied wherever anything is enforced.
    init(backends: [Ruling], fallback: Ruling) {
        let allowing = backends.filter { $0.kind == .allow }
        guard allowing.count < backends.count else {
            ruling =
                backends.isEmpty
                ? (fallback.kind == .allow ? nil : fallback)
                : Ruling(.allow, origins: allowing.flatMap(\.origins))
            return
        }
        let kind = backends.map(\.kind).max() ?? fallback.kind
        ruling = Ruling(kind, origins: backends.filter { $0.kind == kind }.flatMap(\.origins))
        isMixed = !allowing.isEmpty
    }
}
