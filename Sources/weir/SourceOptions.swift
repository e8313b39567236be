import ArgumentParser
import Foundation
import WeirBundle
import WeirCompiler
import WeirDiagnostics
import WeirImage
import WeirInventory
import WeirModel
import WeirPolicy
import WeirSyntax

extension PolicyOptions.EnforcementMode: ExpressibleByArgument {}
extension PolicyOptions.AllowLocalhost: ExpressibleByArgument {}
extension PolicyOptions.Encryption: ExpressibleByArgument {}
extension UnsupportedRules: ExpressibleByArgument {}

/// `--policy-cidr-match-mode`: Cilium's list, which knows one word.
enum CIDRMatchMode: String, ExpressibleByArgument, CaseIterable {
    case none = ""
    case nodes
}

/// Options that change meaning in Cilium, with Cilium's names and defaults.
struct MeaningOptions: ParsableArguments {
    @Option(help: "When a direction is enforced: default, always or never.")
    var policyEnforcementMode = Environment.value(
        "POLICY_ENFORCEMENT_MODE", default: PolicyOptions.EnforcementMode.default)

    @Option(help: "Whether the node may always reach its own pods: always or policy.")
    var allowLocalhost = Environment.value("ALLOW_LOCALHOST", default: PolicyOptions.AllowLocalhost.always)

    @Option(help: "Set to 'nodes' to let CIDR rules match node addresses.")
    var policyCidrMatchMode = Environment.value("POLICY_CIDR_MATCH_MODE", default: CIDRMatchMode.none)

    @Flag(help: "Enforce policies with a nodeSelector on the node itself.")
    var hostFirewall = Environment.flag("HOST_FIREWALL")

    @Option(help: "How traffic between pods of different nodes is encrypted: none, or wireguard and never in clear.")
    var encryption = Environment.value("ENCRYPTION", default: PolicyOptions.Encryption.none)

    @Option(help: "The cluster's name in io.cilium.k8s.policy.cluster.")
    var clusterName = Environment.string("CLUSTER_NAME", default: "default")

    var options: PolicyOptions {
        PolicyOptions(
            enforcementMode: policyEnforcementMode, allowLocalhost: allowLocalhost,
            cidrMatchesNodes: policyCidrMatchMode == .nodes, hostFirewall: hostFirewall, encryption: encryption)
    }
}

/// How policies and an inventory are read and what they mean.
struct ReadingOptions: ParsableArguments {
    @Option(help: "What becomes of rules beyond L3/L4: error refuses them, deny compiles them to allow nothing.")
    var unsupported = Environment.value("UNSUPPORTED", default: UnsupportedRules.error)

    @OptionGroup var inventorySource: InventorySourceOptions

    @OptionGroup var meaning: MeaningOptions

    /// What was read, checked and typed; nil where a finding is an error. All findings, sorted.
    ///
    /// Policies are held until all are there; the objects of a file that is only inventory are not.
    ///
    /// - Parameter isDigesting: whether the sources are to say what their inputs were.
    /// - Parameter policies: gives the files of the policies.
    func read(
        isDigesting: Bool = false,
        policies: (inout InputReader, inout DiagnosticsCollector) -> [SourceFile]
    ) -> (sources: SourceOptions.Sources?, findings: [Diagnostic]) {
        let namespace = inventorySource.namespace
        var diagnostics = DiagnosticsCollector()
        var reader = InputReader(maximumBytes: inventorySource.maxInputBytes, isDigesting: isDigesting)
        var inventory = InventoryDecoder(
            options: InventoryOptions(clusterName: meaning.clusterName, defaultNamespace: namespace))
        var policyDocuments: [Document] = []
        // A directory may be given for both; each file is parsed once. Standard input is no file.
        var parsed: [String: [Document]] = [:]
        for file in policies(&reader, &diagnostics) {
            let documents = parseDocuments(file, diagnostics: &diagnostics)
            policyDocuments += documents
            if file.path != "-" { parsed[file.path] = documents }
        }
        if inventorySource.paths.isEmpty {
            for document in policyDocuments { inventory.add(document, diagnostics: &diagnostics) }
        } else {
            inventorySource.read(into: &inventory, with: &reader, known: parsed, &diagnostics)
        }
        let policySet = decodePolicies(
            policyDocuments,
            options: PolicyDecodingOptions(
                defaultNamespace: namespace, unsupported: unsupported, hostFirewall: meaning.options.hostFirewall),
            diagnostics: &diagnostics)
        let typedInventory = inventory.finish(diagnostics: &diagnostics)
        let sources = SourceOptions.Sources(
            policies: policySet, inventory: typedInventory, options: meaning.options,
            inputs: reader.digests.map { Provenance.Input(path: $0.key, sha256: $0.value.hexadecimal) },
            expectations: policyDocuments.filter { ObjectKind(of: $0) == .expectations })
        return (diagnostics.hasErrors ? nil : sources, diagnostics.sorted)
    }
}

/// What a command compiles: policies and an inventory.
struct SourceOptions: ParsableArguments {
    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp("Policy files or directories; - is standard input.", valueName: "path"),
        completion: .file())
    var policies: [String] = []

    @OptionGroup var reading: ReadingOptions

    var inventorySource: InventorySourceOptions { reading.inventorySource }
    var meaning: MeaningOptions { reading.meaning }

    /// As the options of a command line that reads the same.
    var description: String {
        "--policies \(policyPaths.joined(separator: " ")) --inventory \(inventorySource.paths.joined(separator: " "))"
    }

    /// Whether the command line, not the environment, names policies or an inventory.
    var areGiven: Bool { !policies.isEmpty || !inventorySource.inventory.isEmpty }
    /// Whether the environment does.
    var areInEnvironment: Bool { Environment.optional("POLICIES") != nil || Environment.optional("INVENTORY") != nil }
    private var policyPaths: [String] { policies.isEmpty ? Environment.list("POLICIES") : policies }
    var readStandardInput: Bool { (policyPaths + inventorySource.paths).contains("-") }

    /// For commands that can do nothing without them.
    func require() throws {
        guard !policyPaths.isEmpty else { throw ValidationError("Missing --policies PATH.") }
        try inventorySource.require()
    }

    /// What was read, checked and typed.
    struct Sources {
        var policies: PolicySet
        var inventory: Inventory
        var options: PolicyOptions
        /// The files behind them, where their digests were asked for.
        var inputs: [Provenance.Input] = []
        /// Of kind Expectations, among the policies.
        var expectations: [Document]

        /// Prints what the compiler has to say.
        func image(node: String) -> Image {
            var diagnostics = DiagnosticsCollector()
            let image = image(node: node, &diagnostics)
            for diagnostic in diagnostics.sorted { Terminal.report(diagnostic) }
            return image
        }

        func image(node: String, _ diagnostics: inout DiagnosticsCollector) -> Image {
            Compiler.compile(
                policies: policies, inventory: inventory, node: node, options: options, diagnostics: &diagnostics)
        }
    }

    /// Reads and checks everything; prints every finding. Errors end with status 1.
    ///
    /// - Parameter isDigesting: whether the digests of the files are wanted, too.
    func load(isDigesting: Bool = false) throws -> Sources {
        let (sources, findings) = read(isDigesting: isDigesting)
        for finding in findings { Terminal.report(finding) }
        guard let sources else { throw ExitStatus.invalidInput }
        return sources
    }

    /// What there is and every finding, sorted; nil where one of them is an error.
    func read(isDigesting: Bool = false) -> (sources: Sources?, findings: [Diagnostic]) {
        reading.read(isDigesting: isDigesting) { reader, diagnostics in
            reader.read(policyPaths, diagnostics: &diagnostics)
        }
    }
}

/// `--node`: which node the image is for.
struct NodeOptions: ParsableArguments {
    @Option(help: "The node to compile for; needed unless the inventory has one.")
    var node: String?

    var wanted: String? { node ?? Environment.optional("NODE") }

    /// The node asked for, or the only one. Unknown and ambiguous nodes end with status 1.
    ///
    /// - Parameter fallback: what a live command takes where nothing is said: the host's name.
    func resolve(_ inventory: Inventory, fallback: String? = nil) throws -> String {
        let names = Self.names(inventory)
        if names.isEmpty, wanted != nil || fallback != nil {
            // Not an error, because a node may have nothing yet; but a failed kubectl leaves such a file, too.
            Terminal.complain(
                "weir: warning: the inventory has no node and no pod, so nothing is enforced [\(DiagnosticID.unknownNode.rawValue)]"
            )
        }
        if let node = wanted {
            guard names.isEmpty || names.contains(node) else {
                // A short list is answer enough.
                let nearest =
                    names.count > 5 ? nearestName(to: node, among: names).map { "; did you mean '\($0)'?" } ?? "" : ""
                throw invalid(
                    .unknownNode,
                    "no node '\(node)' in the inventory; it has \(list(names))\(nearest)")
            }
            return node
        }
        if names.count == 1, let only = names.first { return only }
        if let fallback, names.isEmpty || names.contains(fallback) { return fallback }
        throw invalid(
            .ambiguousNode,
            names.isEmpty
                ? "the inventory names no node: say which with --node"
                : "the inventory has \(names.count) nodes: say which with --node (\(list(names)))")
    }

    /// Of every node that has a document or a pod, sorted.
    static func names(_ inventory: Inventory) -> [String] {
        Set(inventory.nodes.map(\.name)).union(inventory.endpoints.map(\.node)).sorted()
    }

    private func invalid(_ id: DiagnosticID, _ message: String) -> ExitCode {
        Terminal.complain("weir: error: \(message) [\(id.rawValue)]")
        return ExitStatus.invalidInput
    }

    private func list(_ names: [String]) -> String {
        names.prefix(5).joined(separator: ", ") + (names.count > 5 ? " and \(names.count - 5) more" : "")
    }
}
