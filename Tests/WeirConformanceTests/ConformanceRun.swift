import Foundation
import WeirCompiler
import WeirDiagnostics
import WeirFlow
import WeirImage
import WeirInventory
import WeirModel
import WeirPolicy
import WeirSyntax

/// Judges one case with one backend and lists every letter that differs.
struct ConformanceRun {
    var testCase: ConformanceCase
    var makeJudge: (Image) throws -> any FlowJudge

    struct Outcome {
        var compared = 0
        var differences: [String] = []
    }

    func outcome() throws -> Outcome {
        var diagnostics = DiagnosticsCollector()
        var reader = InputReader(maximumBytes: 1 << 30)
        let policyDocuments = parseDocuments(
            reader.read([testCase.folder.appendingPathComponent("policies.yaml").path], diagnostics: &diagnostics),
            diagnostics: &diagnostics)
        let inventoryDocuments = parseDocuments(
            reader.read([testCase.inventory.path], diagnostics: &diagnostics), diagnostics: &diagnostics)
        let policies = decodePolicies(policyDocuments, diagnostics: &diagnostics)
        let inventory = decodeInventory(inventoryDocuments, diagnostics: &diagnostics)
        let options = try testCase.options
        switch try testCase.expectation {
        case .rejected:
            return Outcome(compared: 1, differences: diagnostics.hasErrors ? [] : ["should be rejected"])
        case .table(let probes, let rows):
            guard !diagnostics.hasErrors else {
                return Outcome(compared: 1, differences: diagnostics.sorted.map(\.description))
            }
            let answerer = FlowAnswerer(inventory, hostFirewall: options.hostFirewall) { node in
                let image = Compiler.compile(
                    policies: policies, inventory: inventory, node: node, options: options)
                return (image, try makeJudge(image))
            }
            return try compare(rows, probes, answerer)
        }
    }

    private func compare(
        _ rows: [ConformanceCase.Row], _ probes: [ConformanceCase.Probe], _ answerer: FlowAnswerer
    ) throws -> Outcome {
        var outcome = Outcome()
        for row in rows {
            for peer in row.peers {
                for (probe, letter) in zip(probes, row.letters) where letter != "?" {
                    let (from, to) = row.side == "ingress" ? (peer, row.subject) : (row.subject, peer)
                    for family in AddressFamily.allCases {
                        let flow = Flow(
                            from: try .init(from), to: try .init(to), protocol: probe.protocol, port: probe.port,
                            family: family)
                        guard let answer = try self.answer(flow, answerer) else { continue }
                        outcome.compared += 1
                        let seen = Self.letter(answer, side: row.side)
                        if seen != letter {
                            outcome.differences.append(
                                "\(row.subject) \(row.side) \(peer) \(probe.protocol)/\(probe.port) "
                                    + "\(family.rawValue): \(seen), expected \(letter)")
                        }
                    }
                }
            }
        }
        return outcome
    }

    /// nil where the ends have no address of the family, or the protocol does not travel over it.
    private func answer(_ flow: Flow, _ answerer: FlowAnswerer) throws -> FlowAnswer? {
        do {
            return try answerer.answer(flow)
        } catch let error as FlowError {
            let isFamily = ["address in common", "does not travel over"].contains(where: error.description.contains)
            guard isFamily else { throw error }
            return nil
        }
    }

    private static func letter(_ answer: FlowAnswer, side: String) -> Character {
        switch side {
        case "egress": letter(answer.egress.kind)
        case "ingress": letter(answer.ingress.kind)
        default: answer.isAllowed ? "A" : "N"
        }
    }

    private static func letter(_ kind: SideVerdict.Kind) -> Character {
        switch kind {
        case .allow: "A"
        case .deny: "D"
        case .defaultDeny: "N"
        case .none: "-"
        }
    }
}
