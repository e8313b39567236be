import ArgumentParser
import Foundation
import WeirCompiler
import WeirEmulator
import WeirExplain
import WeirFlow
import WeirImage
import WeirModel

struct ExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract:
            "Why a flow is allowed or denied: every rule considered, the lines that decide, and what would change it.",
        discussion: """
            From policies and an inventory it shows for either side who the peer is, which rules were considered in the
            order in which they count, which of them decide, and changes after which the answer is the opposite; each
            of those changes was tried. So it does from a bundle that has its sources. From one without, or from this
            node with --live, it shows how the maps answer: there the pods of other nodes are ip:ADDR.

            Examples:
              weir explain --policies Policies/shop --inventory Policies/shop \\
                --from shop/frontend --to shop/db --port 5432/tcp
              sudo weir explain --live --from shop/api --to ip:10.7.0.9 --port 443/tcp
            """)

    enum Format: String, ExpressibleByArgument, CaseIterable { case table, json }

    @OptionGroup(title: "Flow") var flow: FlowOptions
    @OptionGroup var source: PolicySourceOptions
    @Option(help: "Format: table or json.")
    var output = Environment.value("OUTPUT", default: Format.table)
    @OptionGroup var outputFile: OutputFileOptions

    func validate() throws {
        _ = try source.source()
        _ = try line()
    }

    private func line() throws -> [UInt8] {
        guard let line = try flow.line() else { throw ValidationError("Give --from, --to and --port.") }
        return line
    }

    func run() throws {
        let explanation: FlowExplanation
        do {
            let flow = try FlowObject(line: try line()).flow()
            explanation = try explainer().explain(flow)
        } catch let error as FlowError {
            Terminal.complain("weir: error: \(error) [invalid-flow]")
            throw ExitStatus.invalidInput
        }
        let report = ExplainReport(explanation)
        try refusing {
            try outputFile.write(output == .json ? try json(report.json) : report.text)
        }
    }

    private func explainer() throws -> FlowExplainer {
        let judge: (Image) throws -> any FlowJudge = { try EmulatorJudge(image: $0) }
        switch try source.source() {
        case .files:
            let loaded = try source.files.load()
            return Self.explainer(
                of: loaded.policies, loaded.inventory, loaded.options, image: loaded.image(node:), judge)
        case .bundle(let path):
            let bundle = try BundleFile.bundle(at: path, node: source.node.wanted)
            guard let sources = try? bundle.readSources() else { return Self.explainer(of: bundle.image, judge) }
            // Of its own node the image is what was signed.
            return Self.explainer(
                of: sources.policy.policies, sources.inventory, sources.policy.options,
                image: { $0 == bundle.image.node ? bundle.image : sources.policy.image(sources.inventory, node: $0) },
                judge)
        case .live:
            let image = try source.place.onPins { try source.place.loader().activeImage() }
            guard let image else {
                Terminal.report(
                    Refusal("nothing is enforced at \(source.place.pinPath)", hint: "weir status says what is loaded"))
                throw ExitStatus.refused
            }
            return Self.explainer(of: image, judge)
        }
    }

    private static func explainer(
        of policies: PolicySet, _ inventory: Inventory, _ options: PolicyOptions, image: @escaping (String) -> Image,
        _ judge: @escaping (Image) throws -> any FlowJudge
    ) -> FlowExplainer {
        var images: [String: Image] = [:]
        return FlowExplainer(
            inventory, hostFirewall: options.hostFirewall,
            explainer: Explainer(policies: policies, inventory: inventory, options: options),
            image: { node in
                if let known = images[node] { return known }
                let made = image(node)
                images[node] = made
                return made
            }, judge: judge)
    }

    private static func explainer(
        of image: Image, _ judge: @escaping (Image) throws -> any FlowJudge
    ) -> FlowExplainer {
        FlowExplainer(
            Inventory(of: image), hostFirewall: image.endpoint(named: Image.hostName) != nil, explainer: nil,
            image: { _ in image }, judge: judge)
    }
}
