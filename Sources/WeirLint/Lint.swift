internal import WeirCompiler
package import WeirDiagnostics
package import WeirModel

/// What compiles and is probably not meant, and how full the maps will be.
package struct LintReport: Sendable {
    /// Sorted by place.
    package var findings: [Diagnostic]
    package var capacity: CapacityForecast

    /// - Parameters:
    ///   - node: endpoints of this node only are subjects, and its maps are forecast; nil is every endpoint, and the
    ///     fullest node, or the only one. Peers are looked for everywhere in either case.
    ///   - warnings: what reading the policies and the inventory found.
    ///   - disabled: these are not reported.
    package init(
        policies: PolicySet, inventory: Inventory, node: String? = nil, options: PolicyOptions = PolicyOptions(),
        warnings: [Diagnostic] = [], disabled: Set<DiagnosticID> = []
    ) {
        let nodes = Set(inventory.nodes.map(\.name)).union(inventory.endpoints.map(\.node))
        let node = node ?? (nodes.count == 1 ? nodes.first : nil)
        let population = Population(inventory)
        let analysis = PolicyAnalysis(policies: policies, inventory: inventory, node: node, options: options)
        capacity = CapacityForecast(policies: policies, inventory: inventory, node: node, options: options)
        var findings = DiagnosticsCollector()
        findings.append(contentsOf: warnings)
        for spec in policies.specs {
            SpecFindings(
                spec: spec, inventory: inventory, population: population, analysis: analysis, node: node,
                options: options
            ).report(to: &findings)
        }
        findings.append(contentsOf: coverageFindings(analysis, inventory, node: node))
        findings.append(contentsOf: serviceFindings(analysis, inventory))
        findings.append(
            contentsOf: BackendDisagreements(
                policies: policies, inventory: inventory, node: node, options: options
            ).diagnostics)
        findings.append(contentsOf: capacity.findings(inventory))
        self.findings = findings.sorted.filter { !disabled.contains($0.id) }
    }
}
