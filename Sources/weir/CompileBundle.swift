import ArgumentParser
import Foundation
import WeirABI
import WeirBundle
import WeirCompiler
import WeirDiagnostics
import WeirImage
import WeirInventory
import WeirLoader
import WeirModel
import WeirWireGuard

/// What a bundle says beside what is compiled.
struct BundleOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Sign the bundle with this private key, which weir bundle key makes.", valueName: "keyfile"))
    private var sign: String?

    @Option(
        help: ArgumentHelp(
            "A number that never decreases: nodes with trusted keys refuse what is older than what they had.",
            discussion: "Without it: SOURCE_DATE_EPOCH, or else 0.", valueName: "number"))
    private var serial: UInt64?

    @Option(
        help: ArgumentHelp(
            "When the bundle was made, as 2026-11-21T20:15:00Z or seconds since 1970. No clock is read.",
            discussion: "Without it: SOURCE_DATE_EPOCH, or else nothing.", valueName: "time"))
    private var created: String?

    @Option(help: ArgumentHelp("What the files are, such as a git commit.", valueName: "text"))
    private var sourceRevision: String?

    @Flag(help: "Leave the tunnel out although nodes publish WireGuard keys.")
    private var noTunnel = Environment.flag("NO_TUNNEL")

    @Flag(
        help: ArgumentHelp(
            "Leave policies and inventory out: a smaller file.",
            discussion: "Pods that change after it was applied then cost the way back by weir rollback."))
    private var withoutSources = Environment.flag("WITHOUT_SOURCES")

    var hasTunnel: Bool { !noTunnel }
    var hasSources: Bool { !withoutSources }
    private var keyPath: String? { sign ?? Environment.optional("SIGN") }
    /// Whether the command line asks for what only a bundle can have.
    var areGiven: Bool { sign != nil || serial != nil || created != nil || sourceRevision != nil }

    func validate() throws { _ = try (serialNumber, creation) }

    private static var epoch: String? {
        ProcessInfo.processInfo.environment["SOURCE_DATE_EPOCH"].flatMap { $0.isEmpty ? nil : $0 }
    }

    private static func seconds(_ text: String, _ name: String) throws -> Int64 {
        guard let seconds = Provenance.seconds(text) else {
            throw ValidationError("\(name) '\(text)' is no time such as 2026-11-21T20:15:00Z, nor seconds since 1970.")
        }
        return seconds
    }

    private var serialNumber: UInt64 {
        get throws {
            if let serial: UInt64 = serial ?? Environment.value("SERIAL") { return serial }
            return try Self.epoch.map { UInt64(try Self.seconds($0, "SOURCE_DATE_EPOCH")) } ?? 0
        }
    }

    private var creation: Int64? {
        get throws {
            if let text = created ?? Environment.optional("CREATED") { return try Self.seconds(text, "--created") }
            return try Self.epoch.map { try Self.seconds($0, "SOURCE_DATE_EPOCH") }
        }
    }

    func provenance(of loaded: SourceOptions.Sources, node: String, _ sources: SourceOptions) throws -> Provenance {
        Provenance(
            weir: Weir.version, abi: UInt32(WEIR_ABI_VERSION), node: node, serial: try serialNumber,
            created: try creation, sourceRevision: sourceRevision ?? Environment.optional("SOURCE_REVISION"),
            options: sources.written, inputs: loaded.inputs)
    }

    /// The bytes of the file.
    func encoded(_ bundle: NodeBundle) throws -> [UInt8] {
        let sealed = bundle.sealed()
        guard let keyPath else { return sealed.bytes }
        do {
            let key = try SigningKeyFile.load(keyPath)
            return try sealed.signed(by: key).bytes
        } catch let error as LoaderError {
            throw Refusal("cannot sign: \(error)")
        } catch let error as SigningKey.Unusable {
            throw Refusal("cannot sign: \(error)")
        }
    }
}

extension SourceOptions {
    /// The options that change what policies mean, by their names on the command line.
    var written: [String: String] {
        [
            "allow-localhost": meaning.allowLocalhost.rawValue, "cluster-name": meaning.clusterName,
            "encryption": meaning.encryption.rawValue, "host-firewall": "\(meaning.hostFirewall)",
            "namespace": inventorySource.namespace, "policy-cidr-match-mode": meaning.policyCidrMatchMode.rawValue,
            "policy-enforcement-mode": meaning.policyEnforcementMode.rawValue,
            "unsupported": reading.unsupported.rawValue,
        ]
    }
}

extension SourceOptions.Sources {
    /// The node's own API servers and those that the inventory names.
    var apiServers: [IPAddress] {
        inventory.kubeAPIServerAddresses + inventory.nodes.filter(\.isKubeAPIServer).flatMap(\.addresses)
    }
}

/// Bundles of the nodes of one inventory: what they share is written once.
struct BundleMaker {
    let loaded: SourceOptions.Sources
    let options: BundleOptions
    let sources: SourceOptions
    let tunnel: TunnelOptions
    private let kept: NodeBundle.Sources?

    init(_ loaded: SourceOptions.Sources, _ options: BundleOptions, _ sources: SourceOptions, _ tunnel: TunnelOptions)
        throws
    {
        self.loaded = loaded
        self.options = options
        self.sources = sources
        self.tunnel = tunnel
        kept =
            options.hasSources
            ? NodeBundle.Sources(
                policies: try KeptPolicy(policies: loaded.policies, options: loaded.options).encoded(),
                inventory: ReducedInventory(loaded.inventory).encoded(as: .json)) : nil
    }

    /// nil where the node publishes no key.
    func tunnel(of node: String, _ diagnostics: inout DiagnosticsCollector) -> TunnelConfiguration? {
        guard options.hasTunnel, let own = loaded.inventory.node(named: node) else { return nil }
        guard own.wireGuard != nil else {
            if loaded.inventory.nodes.contains(where: { $0.wireGuard != nil }) {
                diagnostics.warning(
                    .missingWireGuardKey,
                    "node \(node) has no WireGuard key, and other nodes have: its bundle has no tunnel; publish its "
                        + "public key, or say --no-tunnel",
                    at: own.location)
            }
            return nil
        }
        return TunnelCompiler.compile(
            inventory: loaded.inventory, node: node, options: tunnel, diagnostics: &diagnostics)
    }

    func bundle(_ image: Image, _ tunnel: TunnelConfiguration?) throws -> NodeBundle {
        NodeBundle(
            image: image, tunnel: tunnel, apiServers: loaded.apiServers, sources: kept,
            provenance: try options.provenance(of: loaded, node: image.node, sources))
    }
}
