import ArgumentParser
import WeirDiagnostics
import WeirInventory
import WeirModel
import WeirSyntax

struct InventoryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inventory",
        abstract: "Reduce what kubectl prints to what weir reads: about 300 bytes a pod.",
        discussion: """
            Every command takes the result in place of the original and does the same with it.
            Equal inventories give equal bytes. Standard error says what was read and what was skipped.

            Examples:
              weir inventory --inventory Policies/shop/inventory.yaml --output table
              kubectl get pods,namespaces,nodes,services,endpointslices,ciliumnodes -A \\
                -o json | weir inventory --inventory - --output-file inventory.yaml
            """)

    enum Format: String, ExpressibleByArgument, CaseIterable { case yaml, json, table }

    @OptionGroup(title: "Sources") var source: InventorySourceOptions
    @Option(help: "Format: yaml and json are the inventory, table only says what is in it.")
    var output = Environment.value("OUTPUT", default: Format.yaml)
    @OptionGroup var outputFile: OutputFileOptions

    func validate() throws { try source.require() }

    func run() throws {
        var diagnostics = DiagnosticsCollector()
        var reader = InputReader(maximumBytes: source.maxInputBytes)
        // Names the cluster in a label that every reader derives again.
        var decoder = InventoryDecoder(options: InventoryOptions(defaultNamespace: source.namespace))
        source.read(into: &decoder, with: &reader, &diagnostics)
        let otherKinds = decoder.otherKinds
        let inventory = decoder.finish(diagnostics: &diagnostics)
        for diagnostic in diagnostics.sorted { Terminal.report(diagnostic) }
        guard !diagnostics.hasErrors else { throw ExitStatus.invalidInput }
        let summary = InventorySummary(inventory, otherKinds: otherKinds)
        try refusing {
            switch output {
            case .yaml: try outputFile.write(ReducedInventory(inventory).encoded(as: .yaml))
            case .json: try outputFile.write(ReducedInventory(inventory).encoded(as: .json))
            case .table:
                try outputFile.write(
                    table(
                        ["INVENTORY", ""], summary.lines.map { [$0.subject, $0.text] }, width: outputFile.tableWidth))
            }
        }
        guard output != .table else { return }
        for line in summary.lines { Terminal.complain("weir: \(line.subject): \(line.text)") }
    }
}

/// Where an inventory comes from.
struct InventorySourceOptions: ParsableArguments {
    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "Inventory files or directories: what kubectl get -o yaml prints, or weir.dev/v1; - is standard input.",
            valueName: "path"),
        completion: .file())
    var inventory: [String] = []

    @Option(help: "The namespace of policies and endpoints that name none.")
    var namespace = Environment.string("NAMESPACE", default: "default")

    @Option(help: "Refuse to read more than this.")
    var maxInputBytes = Environment.value("MAX_INPUT_BYTES", default: Self.defaultMaximumBytes)
    static let defaultMaximumBytes = 1 << 30

    var paths: [String] { inventory.isEmpty ? Environment.list("INVENTORY") : inventory }

    /// For commands that can do nothing without one.
    func require() throws {
        guard !paths.isEmpty else { throw ValidationError("Missing --inventory PATH.") }
    }

    func validate() throws {
        guard maxInputBytes > 0 else { throw ValidationError("--max-input-bytes must be positive.") }
    }

    /// Adds every object, and forgets it: an inventory may be larger than memory.
    ///
    /// - Parameter known: what was parsed already, by path.
    func read(
        into decoder: inout InventoryDecoder, with reader: inout InputReader, known: [String: [Document]] = [:],
        _ diagnostics: inout DiagnosticsCollector
    ) {
        for path in reader.files(at: paths, diagnostics: &diagnostics) {
            if let documents = known[path] {
                for document in documents { decoder.add(document, diagnostics: &diagnostics) }
                continue
            }
            reader.open(path, diagnostics: &diagnostics) { stream, diagnostics in
                readDocuments(from: &stream, diagnostics: &diagnostics) { document, diagnostics in
                    decoder.add(document, diagnostics: &diagnostics)
                }
            }
        }
    }
}
