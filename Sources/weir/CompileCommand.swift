import ArgumentParser
import Foundation
import WeirDiagnostics
import WeirImage
import WeirMaps
import WeirModel
import WeirWireGuard

struct CompileCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compile",
        abstract: "Compile policies for one node, or into a bundle for each. Needs no root and no kernel.",
        discussion: """
            A bundle has everything that weir apply needs: equal policies give equal bytes, whatever the order of the
            files. It is written where --output-file ends in .weir, or with --output bundle.

            With --output sarif or github the findings are the data, errors too, so that a workflow can show them beside
            their lines; without --node every node of the inventory is compiled then.

            Examples:
              weir compile --policies Policies/shop --inventory Policies/shop
              weir compile --policies Policies/shop --inventory Policies/shop --node node-a \\
                --output-file node-a.weir --source-revision "$(git rev-parse HEAD)" --sign release.key
              weir compile --policies Policies/shop --inventory Policies/shop --all-nodes bundles
            """)

    enum Format: String, ExpressibleByArgument, CaseIterable { case table, json, bundle, sarif, github }

    @OptionGroup(title: "Sources") var sources: SourceOptions
    @OptionGroup var node: NodeOptions
    @Option(
        help: ArgumentHelp(
            "Write a bundle for every node of the inventory: DIR/NODE.weir. Other files there stay.", valueName: "dir"))
    var allNodes: String?
    @Option(
        help: ArgumentHelp(
            "Format: table (default) and json summarise the image, bundle is everything that apply needs, sarif and "
                + "github are the findings."))
    var output: Format?
    @OptionGroup var outputFile: OutputFileOptions
    @OptionGroup(title: "Bundle") var bundle: BundleOptions
    @OptionGroup(title: "Tunnel of the bundle") var tunnel: TunnelShapeOptions

    struct Summary: Encodable {
        var node: String
        var digest: String
        var endpoints: Int
        var peerGroups: Int
        var rules: Int
        var imageBytes: Int
        var entries: [String: Int]
        var skipped: [String: Int]
    }

    /// What the command line says goes before the file's name, and that before the environment.
    private var format: Format {
        output ?? (outputFile.path?.hasSuffix(".weir") == true ? .bundle : Environment.value("OUTPUT", default: .table))
    }

    private var directory: String? { allNodes ?? Environment.optional("ALL_NODES") }

    func validate() throws {
        try sources.require()
        if let output, output != .bundle, directory == nil, let path = outputFile.path, path.hasSuffix(".weir") {
            throw ValidationError(
                "\(path) would be no bundle: leave --output \(output.rawValue) out, or name it otherwise.")
        }
        if directory != nil {
            guard output == nil || output == .table || output == .json, outputFile.path == nil, node.node == nil else {
                throw ValidationError("--all-nodes names nodes and files itself: leave --node and --output-file out.")
            }
        } else if format != .bundle, bundle.areGiven {
            throw ValidationError(
                "--sign, --serial, --created and --source-revision are for a bundle: name one with --output-file "
                    + "NODE.weir.")
        }
    }

    func run() throws {
        if let directory { return try compileAll(into: directory) }
        switch format {
        case .sarif: return try report(sarif)
        case .github: return try report(annotations)
        case .table, .json, .bundle: try compileOne()
        }
    }

    private func compileOne() throws {
        let loaded = try sources.load(isDigesting: format == .bundle)
        let name = try node.resolve(loaded.inventory)
        switch format {
        case .bundle:
            let maker = try BundleMaker(loaded, bundle, sources, tunnel.options)
            let tunnel = try tunnels(of: [name], maker)[name]
            let image = loaded.image(node: name)
            try refusing { try outputFile.write(try bundle.encoded(try maker.bundle(image, tunnel))) }
        case .json:
            let image = loaded.image(node: name)
            try refusing { try outputFile.write(try json(summary(image, loaded))) }
        case .table, .sarif, .github:
            let image = loaded.image(node: name)
            try refusing { try outputFile.write(text(summary(image, loaded))) }
        }
    }

    /// Writes every finding; errors end with status 1.
    private func report(_ format: ([Diagnostic]) throws -> String) throws {
        var (loaded, findings) = sources.read()
        if let loaded {
            let nodes =
                try node.wanted.map { _ in [try node.resolve(loaded.inventory)] } ?? NodeOptions.names(loaded.inventory)
            var diagnostics = DiagnosticsCollector()
            diagnostics.append(contentsOf: findings)
            for node in nodes { _ = loaded.image(node: node, &diagnostics) }
            findings = diagnostics.sorted
        }
        try refusing { try outputFile.write(try format(findings)) }
        if loaded == nil { throw ExitStatus.invalidInput }
    }

    /// Of the nodes that have one. Findings are printed, each once; errors end with status 1.
    private func tunnels(of nodes: [String], _ maker: BundleMaker) throws -> [String: TunnelConfiguration] {
        var tunnels: [String: TunnelConfiguration] = [:]
        var findings = DiagnosticsCollector()
        for node in nodes { tunnels[node] = maker.tunnel(of: node, &findings) }
        for finding in findings.sorted { Terminal.report(finding) }
        guard !findings.hasErrors else {
            Terminal.complain("weir: hint: --no-tunnel makes bundles without the tunnel")
            throw ExitStatus.invalidInput
        }
        return tunnels
    }

    // MARK: Every node

    /// A file that was written.
    private struct Written: Encodable {
        var node: String
        var path: String
        var bytes: Int
        var imageDigest: String
    }

    private func compileAll(into directory: String) throws {
        let loaded = try sources.load(isDigesting: true)
        let names = NodeOptions.names(loaded.inventory)
        // Before anything is written.
        guard !names.isEmpty else {
            Terminal.complain("weir: error: the inventory has no node [\(DiagnosticID.unknownNode.rawValue)]")
            throw ExitStatus.invalidInput
        }
        for name in names where !Self.isFileName(name) {
            Terminal.complain(
                "weir: error: node '\(name)' cannot be the name of a file; compile it by itself, with --node and "
                    + "--output-file [\(DiagnosticID.invalidValue.rawValue)]")
            throw ExitStatus.invalidInput
        }
        let maker = try BundleMaker(loaded, bundle, sources, tunnel.options)
        let tunnels = try tunnels(of: names, maker)
        var findings = DiagnosticsCollector()
        var written: [Written] = []
        try refusing {
            do { try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true) } catch {
                throw Refusal("cannot create the directory \(directory)", hint: "see --all-nodes")
            }
            for name in names {
                let image = loaded.image(node: name, &findings)
                let bytes = try bundle.encoded(try maker.bundle(image, tunnels[name]))
                let path = "\(directory)/\(name).weir"
                var file = try OutputFile(path: path)
                try file.write(bytes)
                try file.commit()
                written.append(
                    Written(node: name, path: path, bytes: bytes.count, imageDigest: image.digest.hexadecimal))
            }
        }
        for finding in findings.sorted { Terminal.report(finding) }
        let known = Set(names.map { "\($0).weir" })
        let found = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        for stale in found.sorted() where stale.hasSuffix(".weir") && !known.contains(stale) {
            Terminal.complain("weir: note: \(directory)/\(stale) is of no node of this inventory; it was left alone")
        }
        try refusing {
            try Terminal.output(
                format == .json
                    ? try json(written)
                    : table(
                        ["NODE", "BUNDLE", "BYTES", "IMAGE"],
                        written.map { [$0.node, $0.path, "\($0.bytes)", String($0.imageDigest.prefix(12))] }))
        }
    }

    /// Neither a path, nor hidden, nor longer than a name may be.
    static func isFileName(_ name: String) -> Bool {
        !name.isEmpty && !name.hasPrefix(".") && name.utf8.count <= 200
            && name.utf8.allSatisfy { $0 > 0x1f && $0 != 0x7f && $0 != UInt8(ascii: "/") }
    }

    // MARK: One image

    private func summary(_ image: Image, _ loaded: SourceOptions.Sources) -> Summary {
        let skipped = loaded.inventory.skipped
        return Summary(
            node: image.node, digest: image.digest.hexadecimal, endpoints: image.endpoints.count,
            peerGroups: image.groupCount, rules: Set(image.attributions.joined()).count,
            imageBytes: image.encoded().count,
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
            ["image", "\(summary.imageBytes) bytes"],
        ]
        rows += summary.entries.sorted { $0.key < $1.key }.map { ["entries in \($0.key)", "\($0.value)"] }
        rows += summary.skipped.sorted { $0.key < $1.key }.filter { $0.value > 0 }.map {
            ["skipped \($0.key)", "\($0.value)"]
        }
        return table(["IMAGE", ""], rows)
    }
}
