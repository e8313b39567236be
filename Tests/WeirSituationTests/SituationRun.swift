import InputTestSupport
import WeirCompiler
import WeirDiagnostics
import WeirEmulator
import WeirFlow
import WeirInventory
import WeirModel
import WeirPolicy
import WeirSyntax

/// Judges every step of a situation, each pod on its own node, and lists every verdict that differs.
struct SituationRun {
    var situation: Situation

    struct Probe {
        var from: End
        var to: End
        var `protocol`: IPProtocol
        var port: UInt16
        var family: AddressFamily
    }

    struct Outcome {
        var compared = 0
        var differences: [String] = []
    }

    private static let ports: [UInt16] = [80, 81]

    func outcome() throws -> Outcome {
        var outcome = Outcome()
        for step in situation.steps { try compare(step, &outcome) }
        return outcome
    }

    private func compare(_ step: Situation.Step, _ outcome: inout Outcome) throws {
        var diagnostics = DiagnosticsCollector()
        let written = parseDocuments(step.source, diagnostics: &diagnostics)
        let shared = parseDocuments(Fixtures.sources("situations/inventory.yaml"), diagnostics: &diagnostics)
        let named = Set(written.map(Self.name))
        let policies = decodePolicies(written, diagnostics: &diagnostics)
        let inventory = decodeInventory(
            shared.filter { !named.contains(Self.name($0)) } + written, diagnostics: &diagnostics)
        guard !diagnostics.hasErrors else {
            outcome.differences += diagnostics.sorted.map(\.description)
            return
        }
        let answerer = FlowAnswerer(inventory) { node in
            let image = Compiler.compile(policies: policies, inventory: inventory, node: node)
            return (image, try EmulatorJudge(image: image))
        }
        var idle = Set(step.lines.map(\.place))
        for probe in Self.probes(try End.all(in: inventory)) {
            var isExpected = true
            for line in step.lines where line.matches(probe) {
                if isExpected != line.isAllowed { idle.remove(line.place) }
                isExpected = line.isAllowed
            }
            let flow = Flow(
                from: try probe.from.flowEnd(probe.family, isSource: true),
                to: try probe.to.flowEnd(probe.family, isSource: false), protocol: probe.protocol, port: probe.port,
                family: probe.family)
            let isAllowed = try answerer.answer(flow).isAllowed
            outcome.compared += 1
            guard isAllowed != isExpected else { continue }
            outcome.differences.append(
                "\(step.title) \(probe.from.name) -> \(probe.to.name) \(probe.protocol)/\(probe.port) "
                    + "\(probe.family.rawValue) is \(isAllowed ? "allowed" : "denied")")
        }
        // A line that says nothing new is a slip of the pen; only "everything is allowed" may stand alone.
        if step.lines.count == 1, step.lines[0].isAllowed { return }
        outcome.differences += idle.sorted().map { "\($0): this line changes nothing" }
    }

    private static func probes(_ ends: [End]) -> [Probe] {
        var probes: [Probe] = []
        for from in ends {
            for to in ends where from.isAsked(to: to) {
                for proto in IPProtocol.withPorts {
                    for port in ports {
                        for family in AddressFamily.allCases {
                            probes.append(Probe(from: from, to: to, protocol: proto, port: port, family: family))
                        }
                    }
                }
            }
        }
        return probes
    }

    /// What a document of a step replaces in the shared inventory.
    private static func name(_ document: Document) -> [String] {
        let metadata = document.root["metadata"]
        return [document.kind]
            + ["namespace", "name"].map { key in
                if case .scalar(let scalar) = metadata?[key]?.content { scalar.text } else { "" }
            }
    }
}
