import WeirABI
import WeirBundle
import WeirCompiler
import WeirDiagnostics
import WeirImage
import WeirInventory
import WeirModel
import WeirTestSupport
import WeirWireGuard

/// Bundles of random clusters, and one that is small enough to be damaged everywhere.
enum SampleBundle {
    /// Two nodes that publish keys, so that there is a tunnel; no pod and no policy.
    private static func publicKey(_ byte: UInt8) -> String {
        PublicKey(bytes: [UInt8](repeating: byte, count: 32))?.base64 ?? ""
    }

    private static func node(_ name: String, _ number: UInt8) -> Node {
        Node(
            name: name, labels: [:], addresses: [IPAddress("192.0.2.\(number)")].compactMap { $0 },
            podCIDRs: [Prefix("10.\(number).0.0/24")].compactMap { $0 }, isKubeAPIServer: number == 2,
            wireGuard: Node.WireGuardPeer(publicKey: publicKey(number), location: .init(file: "nodes.yaml")),
            location: .init(file: "nodes.yaml"))
    }

    static func small() throws -> NodeBundle {
        let inventory = Inventory(endpoints: [], nodes: [node("node-a", 1), node("node-b", 2)])
        let options = PolicyOptions()
        return try bundle(PolicySet(specs: []), inventory, options)
    }

    static func random(seed: UInt64) throws -> NodeBundle {
        let world = RandomWorld(seed: seed)
        return try bundle(world.policies, world.inventory, world.options)
    }

    static func bundle(_ policies: PolicySet, _ inventory: Inventory, _ options: PolicyOptions) throws -> NodeBundle {
        let image = Compiler.compile(policies: policies, inventory: inventory, node: "node-a", options: options)
        var findings = DiagnosticsCollector()
        let tunnel = TunnelCompiler.compile(inventory: inventory, node: "node-a", diagnostics: &findings)
        return NodeBundle(
            image: image, tunnel: tunnel,
            apiServers: inventory.nodes.filter(\.isKubeAPIServer).flatMap(\.addresses),
            sources: NodeBundle.Sources(
                policies: try KeptPolicy(policies: policies, options: options).encoded(),
                inventory: ReducedInventory(inventory).encoded(as: .json)),
            provenance: Provenance(
                weir: "0.0.0", abi: UInt32(WEIR_ABI_VERSION), node: "node-a", serial: 7, created: 1_700_000_000,
                sourceRevision: "main", options: ["cluster-name": "default"],
                inputs: [Provenance.Input(path: "b.yaml", sha256: "02"), .init(path: "a.yaml", sha256: "01")]))
    }
}

extension NodeBundle {
    init(decoding bytes: [UInt8]) throws { self = try NodeBundle(BundleContainer(decoding: bytes)) }
}
