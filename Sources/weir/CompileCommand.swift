import ArgumentParser
import WeirDiagnostics
import WeirImage
import WeirMaps
import WeirModel

struct CompileCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compile",
        abstract: "Compile policies into the map image of one node. Needs no root and no kernel.",
        discussion: """
            Equal policies give equal bytes, whatever the order of the files.

            With --output sarif or github the findings are the data, errors too, so that a workflow can show them beside their
            lines; without --node every node of the inventory is compiled then.

            Example: weir compile --policies Policies/shop --inventory Policies/shop \\
              --output bundle --output-file node-a.weir
            """)

    enum Format: String, ExpressibleByArgument, CaseIterable { case table, json, bundle, sarif, github }

    @OptionGroup(title: "Sources") var sources: SourceOptions
    @OptionGroup var node: NodeOptions
    @Option(
        help:
            "Format: table and json summarise the image, bundle is the image itself, sarif and github are the findings."
    )
    var output = Environment.value("OUTPUT", default: Format.table)
    @OptionGroup var outputFile: OutputFileOptions

    struct Summary: Encodable {
        var node: String
        var digest: String
        var endpoints: Int
        var peerGroups: Int
        var rules: Int
        var bundleBytes: Int
        var entries: [String: Int]
        var skipped: [String: Int]
    }

    func validate() throws { try sources.require() }

    func run() throws {
        switch output {
        case .sarif: return try report(sarif)
        case .github: return try report(annotations)
        case .table, .json, .bundle: break
        }
        let loaded = try sources.load()
        let image = loaded.image(node: try node.resolve(loaded.inventory))
        try refusing {
            switch output {
            case .bundle: try outputFile.write(image.encoded())
            case .json: try outputFile.write(try json(summary(image, loaded)))
            case .table, .sarif, .github: try outputFile.write(text(summary(image, loaded)))
            }
        }
    }

    /// Writes every finding; errors end with status 1.
    private func report(_ format: ([Diagnostic]) throws -> String) throws {
        var (loaded, findings) = sources.read()
        if let loaded {
            let nodes =
                try node.wanted.map { _ in [try node.resolve(loaded.inventory)] }
                ?? Set(loaded.inventory.nodes.map(\.name)).union(loaded.inventory.endpoints.map(\.node)).sorted()
            var diagnostics = DiagnosticsCollector()
            diagnostics.append(contentsOf: findings)
            for node in nodes { _ = loaded.image(node: node, diagnostics: &diagnostics) }
            findings = diagnostics.sorted
        }
        try refusing { try outputFile.write(try format(findings)) }
        if loaded == nil { throw ExitStatus.invalidInput }
    }

    private func summary(_ image: Image, _ loaded: SourceOptions.Sources) -> Summary {
        let skipped = loaded.inventory.skipped
        return Summary(
            node: image.node, digest: image.digest.hexadecimal, endpoints: image.endpoints.count,
            peerGroups: image.groupCount, rules: Set(image.attributions.joined()).count,
            bundleBytes: image.encoded().count,
            entries: Dictionary(
                uniqueKeysWithValues: SlotMap.allCases.map {
                    ($0.rawValue, $0 == .endpoints ? image.endpoints.count : image.entries($0).count)
                }),
            skipped: [
                "finished pods": skipped.finishedPods, "pods without an address": skipped.podsWithoutAddress,
                "host-network pods": skipped.hostNetworkPods,
                "other documents": skipped.otherDocuments + loaded.policies.skippedDocuments,
            ])
    }

    private func text(_ summary: Summary) -> String {
        var rows = [
            ["node", summary.node], ["digest", summary.digest], ["local endpoints", "\(summary.endpoints)"],
            ["peer groups", "\(summary.peerGroups)"], ["rules in use", "\(summary.rules)"],
            ["bundle", "\(summary.bundleBytes) bytes"],
        ]
        rows += summary.entries.sorted { $0.key < $1.key }.map { ["entries in \($0.key)", "\($0.value)"] }
        rows += summary.skipped.sorted { $0.key < $1.key }.filter { $0.value > 0 }.map {
            ["skipped \($0.key)", "\($0.value)"]
        }
        return table(["IMAGE", ""], rows)
    }
}
