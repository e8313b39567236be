package import WeirImage
package import WeirModel
internal import WeirABI

/// Compiles typed policies and an inventory into the image of one node. Pure: the result depends on
/// nothing else, and not on the order in which files were read.
package enum Compiler {
    /// - Returns: the image; a node without local endpoints has one too, with nothing to enforce.
    package static func compile(
        policies: PolicySet, inventory: Inventory, node: String, options: PolicyOptions = PolicyOptions()
    ) -> Image {
        let local = inventory.endpoints.filter { $0.node == node }
        let resolution = RuleSetResolution(policies: policies, endpoints: local, options: options)
        let catalogue = PeerCatalogue(
            inventory: inventory, node: node, rulePrefixes: resolution.prefixes, options: options)
        let matrix = DecisionMatrix(resolution: resolution, catalogue: catalogue, inventory: inventory)
        return Lowering(
            node: node, inventory: inventory, local: local, resolution: resolution, catalogue: catalogue,
            matrix: matrix
        ).image()
    }
}
