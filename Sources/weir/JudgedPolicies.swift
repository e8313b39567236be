import WeirBundle
import WeirCompiler
import WeirEmulator
import WeirExplain
import WeirFlow
import WeirImage
import WeirModel
import WeirNode

/// What flows are judged by, wherever it comes from: the inventory that names their ends, and the image of each node.
struct JudgedPolicies {
    let inventory: Inventory
    let hostFirewall: Bool
    /// nil where only an image is known.
    let explainer: Explainer?
    /// Of a node, made when it is first asked for.
    let image: (String) -> Image

    /// Policies and an inventory. Findings of compiling are printed.
    init(_ sources: SourceOptions.Sources) {
        self.init(sources.policies, sources.inventory, sources.options, image: sources.image(node:))
    }

    /// A bundle: its sources where it has them, and for its own node the image that was signed. Sources that this weir
    /// cannot read are said, and the image answers alone.
    init(_ bundle: NodeBundle) {
        guard let sources = bundle.sourcesOrWarning() else {
            self.init(image: bundle.image)
            return
        }
        self.init(sources.policy.policies, sources.inventory, sources.policy.options) { node in
            node == bundle.image.node ? bundle.image : sources.policy.image(sources.inventory, node: node)
        }
    }

    /// One node, of which nothing but the image is known.
    init(image: Image) {
        inventory = Inventory(of: image)
        hostFirewall = image.endpoint(named: Image.hostName) != nil
        explainer = nil
        self.image = { _ in image }
    }

    private init(
        _ policies: PolicySet, _ inventory: Inventory, _ options: PolicyOptions, image: @escaping (String) -> Image
    ) {
        self.inventory = inventory
        hostFirewall = options.hostFirewall
        explainer = Explainer(policies: policies, inventory: inventory, options: options)
        var images: [String: Image] = [:]
        self.image = { node in
            if let known = images[node] { return known }
            let made = image(node)
            images[node] = made
            return made
        }
    }

    /// Explains by the emulator.
    var flowExplainer: FlowExplainer {
        FlowExplainer(
            inventory, hostFirewall: hostFirewall, explainer: explainer, image: { image($0) },
            judge: { try EmulatorJudge(image: $0) })
    }
}

extension NodeBundle {
    /// What it was compiled from; sources that this weir cannot read are said, and are as good as none.
    func sourcesOrWarning() -> NodePolicy.Sources? {
        do { return try readSources() } catch {
            Terminal.complain(
                "weir: warning: the bundle's sources cannot be read, so its maps answer alone: \(error); compile it again "
                    + "with this weir")
            return nil
        }
    }
}
