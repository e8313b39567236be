import ArgumentParser
import Foundation
import WeirBundle
import WeirCompiler
import WeirDiagnostics
import WeirDiff
import WeirImage
import WeirLoader
import WeirModel
import WeirNode
import WeirSyntax

struct DiffCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Which flows become allowed or denied between two sets of policies, and by which rules.",
        discussion: """
            OLD and NEW are each a file or directory of policies, a bundle, a git revision (main, or main:path/to/policies),
            or 'live' for the maps of this node as they are. Exact: every class of peers and every range of ports is compared,
            none is sampled. Without --inventory the policies' own files are read for it. Where one side is a bundle or the
            node, both are compared for that node alone; else for all nodes. Beside 'live' a side has the endpoints that were
            added on this node (weir cni, weir endpoint add), as it would after an apply.

            Exit status 2 if there is a difference; --fail-on widened counts only what becomes allowed.

            Examples:
              weir diff main Policies/shop --inventory inventory.yaml
              weir diff old/ new/ --inventory inventory.yaml --fail-on widened
              sudo weir diff live node-a.weir
            """)

    enum Format: String, ExpressibleByArgument, CaseIterable { case table, wide, json }

    /// Which differences end with status 2.
    enum FailOn: String, ExpressibleByArgument, CaseIterable {
        case any, widened, narrowed, never

        func isReached(by difference: FlowDifference) -> Bool {
            switch self {
            case .any: !difference.isEmpty
            case .widened: difference.changes.contains { $0.effect == .allowed }
            case .narrowed: difference.changes.contains { $0.effect == .denied }
            case .never: false
            }
        }
    }

    @Argument(help: "What is now.")
    var old: String
    @Argument(help: "What will be.")
    var new: String
    @OptionGroup(title: "Sources") var reading: ReadingOptions
    @OptionGroup var node: NodeOptions
    @OptionGroup(title: "Place") var place: PlaceOptions
    @Flag(help: "List the map entries of the node that differ, not only how many.")
    var entries = Environment.flag("ENTRIES")
    @Option(help: "Status 2 on: any difference, widened, narrowed, or never.")
    var failOn = Environment.value("FAIL_ON", default: FailOn.any)
    @Option(help: "Format: table, wide (every name) or json.")
    var output = Environment.value("OUTPUT", default: Format.table)
    @OptionGroup var outputFile: OutputFileOptions

    func run() throws {
        let sides = try (side(old, opposite: new), side(new, opposite: old))
        let matrices: (old: VerdictMatrix, new: VerdictMatrix)
        var images: (old: Image, new: Image)?
        if case (.sources(let old), .sources(let new)) = sides, node.wanted == nil {
            matrices = (matrix(old), matrix(new))
            if let only = Self.onlyNode(old, new) { images = (old.image(node: only), new.image(node: only)) }
        } else {
            let name = try commonNode(sides.0, sides.1)
            let pair = (
                old: try image(sides.0, name, beside: sides.1), new: try image(sides.1, name, beside: sides.0)
            )
            matrices = (VerdictMatrix(image: pair.old), VerdictMatrix(image: pair.new))
            images = pair
        }
        let report = DiffReport(
            flows: FlowDifference(from: matrices.old, to: matrices.new), node: images?.new.node,
            maps: images.map { $0.old.changes(to: $0.new) } ?? [])
        try refusing {
            switch output {
            case .json: try outputFile.write(try json(report.json))
            case .table, .wide:
                try outputFile.write(report.text(allNames: output == .wide, allEntries: entries))
            }
        }
        if failOn.isReached(by: report.flows) { throw ExitStatus.found }
    }

    // MARK: Sides

    private enum Side {
        case sources(SourceOptions.Sources)
        case bundle(NodeBundle)
        case live(LiveImage)

        /// What is for one node already.
        var image: Image? {
            switch self {
            case .sources: nil
            case .bundle(let bundle): bundle.image
            case .live(let live): live.image
            }
        }
    }

    private func side(_ text: String, opposite: String) throws -> Side {
        if text == "live" {
            return .live(try place.onLiveImage { $1 })
        }
        if FileManager.default.fileExists(atPath: text) {
            if text.hasSuffix(".weir") { return .bundle(try BundleFile.bundle(at: text, node: node.wanted)) }
            return .sources(
                try sources { reader, diagnostics in reader.read([text], diagnostics: &diagnostics) })
        }
        return .sources(try revision(text, opposite: opposite))
    }

    /// `REVISION` has the policies where the other side has them.
    private func revision(_ text: String, opposite: String) throws -> SourceOptions.Sources {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let name = parts.first ?? text
        guard !name.isEmpty, GitTree.isRevision(name) else {
            throw invalid(text, "neither a path, nor a git revision, nor 'live'")
        }
        let path: String
        if let given = parts.dropFirst().first {
            path = given.isEmpty ? "." : given
        } else if FileManager.default.fileExists(atPath: opposite), !opposite.hasSuffix(".weir"),
            !opposite.hasPrefix("/")
        {
            path = opposite
        } else if let other = opposite.split(separator: ":", maxSplits: 1).dropFirst().first {
            path = String(other)
        } else {
            throw invalid(text, "say where its policies are: \(text):path/to/policies")
        }
        let files: [SourceFile]
        do { files = try GitTree.files(revision: name, path: path) } catch {
            throw invalid(text, "cannot be read: \(error.message)")
        }
        guard !files.isEmpty else { throw invalid(text, "has no .yaml, .yml or .json file in \(path)") }
        return try sources { _, _ in files }
    }

    private func sources(
        policies: (inout InputReader, inout DiagnosticsCollector) -> [SourceFile]
    ) throws -> SourceOptions.Sources {
        let (sources, findings) = reading.read(policies: policies)
        for finding in findings { Terminal.report(finding) }
        guard let sources else { throw ExitStatus.invalidInput }
        return sources
    }

    private func matrix(_ sources: SourceOptions.Sources) -> VerdictMatrix {
        VerdictMatrix(policies: sources.policies, inventory: sources.inventory, options: sources.options)
    }

    /// Beside the node's maps it is what apply would make of it on the node.
    private func image(_ side: Side, _ node: String, beside other: Side) throws -> Image {
        guard case .live(let live) = other else { return image(side, node) }
        let sources: NodePolicy.Sources? =
            switch side {
            case .sources(let sources):
                NodePolicy.Sources(
                    policy: KeptPolicy(policies: sources.policies, options: sources.options),
                    inventory: sources.inventory, clusterName: reading.meaning.clusterName)
            case .bundle(let bundle): bundle.sourcesOrWarning()
            case .live: nil
            }
        let present = try sources.flatMap { sources in
            try place.onNode { try NodeOperator(place.options()).image(of: sources, node: node) }
        }
        return live.completing(present ?? image(side, node))
    }

    private func image(_ side: Side, _ node: String) -> Image {
        switch side {
        case .sources(let sources): sources.image(node: node)
        case .bundle(let bundle): bundle.image
        case .live(let live): live.image
        }
    }

    /// nil where there is not exactly one.
    private static func onlyNode(_ sides: SourceOptions.Sources...) -> String? {
        let names = Set(sides.flatMap { $0.inventory.nodes.map(\.name) })
        return names.count == 1 ? names.first : nil
    }

    private func commonNode(_ old: Side, _ new: Side) throws -> String {
        switch (old, new) {
        case (.sources(let old), .sources(let new)):
            _ = try node.resolve(old.inventory)
            return try node.resolve(new.inventory)
        case (.sources(let sources), let other), (let other, .sources(let sources)):
            let name = other.image?.node ?? ""
            guard sources.inventory.node(named: name) != nil else {
                throw invalid(self.new, "the inventory has no node '\(name)', which the other side is for")
            }
            return name
        default:
            let (first, second) = (old.image?.node ?? "", new.image?.node ?? "")
            guard first == second else {
                throw invalid(self.new, "is for node '\(second)', and \(self.old) for '\(first)'")
            }
            return second
        }
    }

    private func invalid(_ place: String, _ message: String) -> ExitCode {
        Terminal.report(Diagnostic(.error, .fileUnreadable, message, at: SourceLocation(file: place)))
        return ExitStatus.invalidInput
    }
}
