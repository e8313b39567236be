package import WeirBundle
package import WeirCompiler
internal import WeirDiagnostics
package import WeirImage
internal import WeirInventory
package import WeirLoader
package import WeirModel
internal import WeirSyntax

/// What becomes of endpoints of this node that have no interface here.
package enum AbsentEndpoints: String, Hashable, Sendable, CaseIterable {
    /// The apply is refused: somebody expects them to be protected.
    case refuse
    /// They are as if the inventory did not have them, until `weir cni` or `weir endpoint add` registers them.
    case leaveOut = "leave-out"
}

/// A policy for one node, before anybody looked at which endpoints the node has.
package struct NodePolicy {
    /// What it can be compiled from again.
    package struct Sources {
        package var policy: KeptPolicy
        package var inventory: Inventory
        package var clusterName: String

        package init(policy: KeptPolicy, inventory: Inventory, clusterName: String) {
            self.policy = policy
            self.inventory = inventory
            self.clusterName = clusterName
        }
    }

    /// For the inventory as it is.
    package let image: Image
    /// nil in a bundle that was made without them: then only the endpoints in it can be known.
    package let sources: Sources?
    package let bundle: RestorableBundle
    private let policies: [UInt8]?

    /// Why the sources of a bundle that has some cannot be used.
    package let sourcesProblem: String?

    /// Sources that this weir cannot read are as good as none.
    ///
    /// - Parameter bytes: the file that the bundle was read from.
    package init(_ bundle: NodeBundle, bytes: [UInt8], inventoryTime: Int64? = nil) {
        var found: Sources?
        var problem: String?
        do { found = try bundle.readSources() } catch { problem = "\(error)" }
        self.init(bundle, bytes, found, problem, inventoryTime ?? bundle.provenance.created)
    }

    /// What was compiled a moment ago.
    package init(_ bundle: NodeBundle, from sources: Sources, inventoryTime: Int64) {
        self.init(bundle, bundle.sealed().bytes, sources, nil, inventoryTime)
    }

    private init(
        _ bundle: NodeBundle, _ bytes: [UInt8], _ sources: Sources?, _ problem: String?, _ inventoryTime: Int64?
    ) {
        image = bundle.image
        self.sources = sources
        sourcesProblem = problem
        policies = bundle.sources?.policies
        self.bundle = RestorableBundle(bytes: bytes, inventoryTime: inventoryTime)
    }

    /// The one that was in force last.
    package init(_ kept: RestorableBundle) throws {
        self.init(
            try NodeBundle(BundleContainer(decoding: kept.bytes)), bytes: kept.bytes, inventoryTime: kept.inventoryTime)
    }

    /// What that is today, with the endpoints that this node was told of.
    ///
    /// - Parameter removed: registrations that are about to go, whose names an inventory may still have here.
    package func order(
        in session: NodeSession, absent: AbsentEndpoints, without removed: Set<Registration.Key> = []
    ) throws -> ApplyOrder {
        let living = try session.registrations()
        let registrations = living.filter { !removed.contains($0.key) }
        let removed = Set(living.filter { removed.contains($0.key) }.map(\.qualifiedName))
        guard let sources, let policies else { return try order(registrations, in: session, absent, removed) }
        let present = try PresentEndpoints(sources, node: image.node, registrations, in: session, absent, removed)
        return ApplyOrder(
            image: present.isAsItWas ? image : sources.policy.image(present.inventory, node: image.node),
            policy: PolicySource(bytes: policies) { [image] bytes in
                try KeptPolicy(decoding: bytes).image(present.inventory, node: image.node)
            },
            bundle: bundle, denied: present.denied, absent: present.missing.sorted())
    }

    /// Of a bundle without sources: the endpoints are those of the image, and a registration can only say where one is.
    private func order(
        _ registrations: [Registration], in session: NodeSession, _ absent: AbsentEndpoints, _ removed: Set<String>
    ) throws -> ApplyOrder {
        let sought = image.endpoints.compactMap(SoughtEndpoint.init)
        let places = try EndpointPlaces(sought, displaced: [], [], in: session, absent, removed)
        let interfaces = registrations.isEmpty ? [:] : try session.locate(sought).interfaces
        let denied = registrations.filter { registration in
            !sought.contains {
                $0.name == registration.qualifiedName && $0.addresses == registration.addresses
                    && interfaces[$0.name]?.index == registration.interfaceIndex
            }
        }
        return ApplyOrder(
            image: places.missing.isEmpty ? image : image.leavingOut(places.missing), bundle: bundle,
            denied: denied.map {
                $0.denied(
                    "the bundle in force was made --without-sources and does not have it under these addresses")
            } + places.denied, absent: places.missing.sorted())
    }
}

extension NodeBundle {
    /// What it was compiled from; nil where that was left out.
    ///
    /// Throws `BundleFormatError` and `KeptPolicy.FormatError`.
    package func readSources() throws -> NodePolicy.Sources? {
        guard let sources else { return nil }
        let clusterName = provenance.options["cluster-name"] ?? InventoryOptions().clusterName
        var diagnostics = DiagnosticsCollector()
        let documents = parseDocuments(
            SourceFile(path: "bundle", bytes: sources.inventory), diagnostics: &diagnostics)
        let inventory = decodeInventory(
            documents, options: InventoryOptions(clusterName: clusterName), diagnostics: &diagnostics)
        if let error = diagnostics.sorted.first(where: { $0.severity == .error }) {
            throw BundleFormatError("the bundle's inventory cannot be read: \(error.message)")
        }
        return NodePolicy.Sources(
            policy: try KeptPolicy(decoding: sources.policies), inventory: inventory, clusterName: clusterName)
    }
}
