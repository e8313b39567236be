package import WeirDiagnostics
package import WeirImage
package import WeirModel

/// Compiles typed policies and an inventory into the image of one node. Pure: the result depends on
/// nothing else, and not on the order in which files were read.
package enum Compiler {
    /// - Parameter diagnostics: takes warnings about what the image means; there are no errors left.
    /// - Returns: the image; a node without local endpoints has one too, with nothing to enforce.
    package static func compile(
        policies: PolicySet, inventory: Inventory, node: String, options: PolicyOptions = PolicyOptions(),
        diagnostics: inout DiagnosticsCollector
    ) -> Image {
        let local = inventory.endpoints.filter { $0.node == node }
        let resolution = RuleSetResolution(
            policies: policies.resolvingServices(inventory), endpoints: local,
            hosts: options.hostFirewall ? inventory.node(named: node).map { [$0] } ?? [] : [], options: options)
        let catalogue = PeerCatalogue(
            inventory: inventory, node: node, distinctions: resolution.distinctions, options: options)
        let matrix = DecisionMatrix(resolution: resolution, catalogue: catalogue, everyPort: inventory.everyPort)
        let findings = FrontendFindings(
            inventory: inventory, local: local, resolution: resolution, catalogue: catalogue, matrix: matrix)
        diagnostics.append(contentsOf: findings.diagnostics)
        return Lowering(
            node: node, inventory: inventory, local: local, resolution: resolution, catalogue: catalogue,
            matrix: matrix, encrypted: EncryptedPeers(inventory, node: node, options: options)
        ).image()
    }

    /// For those who have no use for warnings.
    package static func compile(
        policies: PolicySet, inventory: Inventory, node: String, options: PolicyOptions = PolicyOptions()
    ) -> Image {
        var diagnostics = DiagnosticsCollector()
        return compile(
            policies: policies, inventory: inventory, node: node, options: options, diagnostics: &diagnostics)
    }
}
