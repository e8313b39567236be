internal import WeirCompiler
internal import WeirDiagnostics
internal import WeirModel

/// Endpoints that no policy covers, one finding for each namespace and direction.
func coverageFindings(_ analysis: PolicyAnalysis, _ inventory: Inventory, node: String?) -> [Diagnostic] {
    let all = Dictionary(grouping: inventory.endpoints.filter { node == nil || $0.node == node }, by: \.namespace)
    return Direction.allCases.flatMap { direction in
        Dictionary(grouping: analysis.uncovered[direction] ?? [], by: \.namespace).compactMap { namespace, endpoints in
            guard let first = endpoints.first else { return nil }
            let total = all[namespace]?.count ?? endpoints.count
            let share = total == endpoints.count ? "all \(total)" : "\(endpoints.count) of \(total)"
            return Diagnostic(
                .note, .uncoveredEndpoint,
                "no policy covers the \(direction.rawValue) of \(share) endpoints in namespace \"\(namespace)\": "
                    + list(endpoints.map(\.name)), at: first.location)
        }
    }
}

/// Services that answer nobody: egress to them is denied wherever it is enforced, whatever the rules say.
func serviceFindings(_ analysis: PolicyAnalysis, _ inventory: Inventory) -> [Diagnostic] {
    guard analysis.enforcesEgress else { return [] }
    return inventory.services.compactMap { service in
        let silent = service.ports.filter(\.backends.isEmpty)
        guard !service.addresses.isEmpty, !silent.isEmpty else { return nil }
        let ports = silent.map { "\($0.port)/\($0.protocol)" }
        return Diagnostic(
            .note, .serviceWithoutBackends,
            "Service \(service.qualifiedName) has no backend on \(list(ports)): egress to it is denied wherever egress is "
                + "enforced", at: service.location)
    }
}
