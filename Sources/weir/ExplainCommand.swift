import ArgumentParser
import Foundation
import WeirCompiler
import WeirEmulator
import WeirExplain
import WeirFlow
import WeirImage
import WeirLoader
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
            node with --live, it shows how the maps answer: there the pods of other nodes are ip:ADDR. With --live the maps
            are read as they are, with what their rules counted, what was dropped, and the flow if the node remembers it.

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
        let report: ExplainReport
        switch try source.source() {
        case .files: report = ExplainReport(try explanation(JudgedPolicies(try source.files.load()).flowExplainer))
        case .bundle(let path):
            let bundle = try BundleFile.bundle(at: path, node: source.node.wanted)
            report = ExplainReport(try explanation(JudgedPolicies(bundle).flowExplainer))
        case .live: report = try liveReport()
        }
        try refusing {
            try outputFile.write(output == .json ? try json(report.json) : report.text)
        }
    }

    private func explanation(_ explainer: FlowExplainer) throws -> FlowExplanation {
        do {
            return try explainer.explain(try FlowObject(line: try line()).flow())
        } catch let error as FlowError {
            Terminal.complain("weir: error: \(error) [invalid-flow]")
            throw ExitStatus.invalidInput
        }
    }

    private func liveReport() throws -> ExplainReport {
        try source.place.onLiveImage { maps, live in
            let explanation: FlowExplanation
            do {
                explanation = try self.explanation(JudgedPolicies(image: live.image).flowExplainer)
            } catch let error as BrokenInvariant {
                throw Refusal(
                    "the maps give no answer: \(error)", hint: "weir detach and weir apply make them anew")
            }
            let flow = explanation.flow
            func counted(_ side: FlowExplanation.Side) throws -> LiveSide {
                try maps.side(
                    of: side.endpoint, side.direction, local: side.localAddress, peer: side.peerAddress,
                    protocol: flow.protocol, port: flow.port, decision: side.path.decision)
            }
            return ExplainReport(
                explanation,
                live: ExplainReport.Live(
                    revision: live.revision, differences: live.differences, egress: try explanation.egress.map(counted),
                    ingress: try explanation.ingress.map(counted)))
        }
    }
}
