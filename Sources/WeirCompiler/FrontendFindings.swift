internal import WeirDiagnostics
internal import WeirModel

/// Services of which some backends are allowed and some are not: nobody can tell which one a packet will
/// reach, so the Service is denied, and that is said.
struct FrontendFindings {
    let inventory: Inventory
    let local: [Endpoint]
    let resolution: RuleSetResolution
    let catalogue: PeerCatalogue
    let matrix: DecisionMatrix

    /// A port of a Service.
    struct ServicePort: Hashable {
        var service: String
        var `protocol`: IPProtocol
        var port: UInt16
    }

    /// One for each port of a Service, whoever asks; the notes show one backend of either kind.
    var diagnostics: [Diagnostic] { byPort.map(\.finding) }

    var byPort: [(port: ServicePort, finding: Diagnostic)] {
        guard !matrix.mixedFrontends.isEmpty else { return [] }
        return inventory.services.flatMap { service in
            service.ports.compactMap { port in
                finding(service, port).map {
                    (ServicePort(service: service.qualifiedName, protocol: port.protocol, port: port.port), $0)
                }
            }
        }
    }

    private func finding(_ service: Service, _ port: Service.Port) -> Diagnostic? {
        for address in service.addresses {
            guard let candidate = catalogue.serviceCandidates[address] else { continue }
            let mixed = matrix.mixedFrontends.filter {
                $0.service == matrix.classOfCandidate[candidate] && $0.protocol == port.protocol
                    && $0.port == port.port
            }
            guard let ruleSet = mixed.map(\.ruleSet).min() else { continue }
            let source = zip(local, resolution.endpointRuleSets).first { $0.1.egress == ruleSet }?.0.qualifiedName
            return Diagnostic(
                .warning, .serviceBackendsDisagree,
                "\(service.qualifiedName) is denied on \(port.port)/\(port.protocol) to \(source ?? "the host"): "
                    + "policy allows some of its backends and not others", at: service.location,
                notes: notes(
                    catalogue.candidates[candidate].frontends.first {
                        $0.protocol == port.protocol && $0.port == port.port
                    }, of: address, ruleSet: ruleSet))
        }
        return nil
    }

    private func notes(_ frontend: Frontend?, of service: IPAddress, ruleSet: Int) -> [Diagnostic.Note] {
        guard let frontend else { return [] }
        var allowed: Diagnostic.Note?
        var denied: Diagnostic.Note?
        let backends = Set(
            inventory.services.filter { $0.addresses.contains(service) }.flatMap(\.ports).flatMap(\.backends)
                .map(\.address))
        let addresses = Dictionary(
            catalogue.addresses.filter { backends.contains($0.address) }.map { ($0.candidate, $0.address) }
        ) { first, _ in first }
        for backend in frontend.backends {
            let ruling =
                matrix.ruling(ofCandidate: backend.peer, ruleSet: ruleSet, frontend.protocol, backend.port)
                ?? resolution.ruleSets[ruleSet].fallback
            guard let rule = ruling.origins.first else { continue }
            let who = addresses[backend.peer].map { "\($0) " } ?? ""
            let place = resolution.origins[rule].location
            if ruling.passes {
                allowed = allowed ?? Diagnostic.Note("\(who)port \(backend.port) is allowed here", at: place)
            } else {
                denied = denied ?? Diagnostic.Note("\(who)port \(backend.port) is denied by this", at: place)
            }
        }
        return [allowed, denied].compactMap(\.self)
    }
}
