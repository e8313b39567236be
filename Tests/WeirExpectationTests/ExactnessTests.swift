import InputTestSupport
import Testing
import WeirCompiler
import WeirDiagnostics
import WeirEmulator
import WeirExpectation
import WeirFlow
import WeirImage
import WeirModel
import WeirSyntax
import WeirTestSupport

/// Classes, port tables and merged pairs against one flow after the other, on random policies.
@Suite("weir test and weir verdict never disagree")
struct ExactnessTests {
    private static let baseSeed: UInt64 = 61_121

    private func run(_ world: RandomWorld) -> ExpectationRun {
        ExpectationRun(
            policies: world.policies, inventory: world.inventory, hostFirewall: world.options.hostFirewall
        ) { node in
            Compiler.compile(
                policies: world.policies, inventory: world.inventory, node: node, options: world.options)
        }
    }

    private func expectations(_ text: String, _ world: RandomWorld) throws -> [Expectations] {
        var diagnostics = DiagnosticsCollector()
        let documents = parseDocuments(SourceFile(path: "e.yaml", text: text), diagnostics: &diagnostics)
        let found = decodeExpectations(documents, inventory: world.inventory, diagnostics: &diagnostics)
        try #require(diagnostics.all.isEmpty, "\(diagnostics.sorted)")
        return found
    }

    @Test("As many flows fail as are allowed one by one", arguments: 0..<40)
    func counts(offset: UInt64) throws {
        let seed = Self.baseSeed + offset
        var world = RandomWorld(seed: seed)
        let inventory = world.inventory
        let answerer = FlowAnswerer(inventory, hostFirewall: world.options.hostFirewall) { [world] node in
            let image = Compiler.compile(
                policies: world.policies, inventory: inventory, node: node, options: world.options)
            return (image, try EmulatorJudge(image: image))
        }
        let run = run(world)
        for _ in 0..<6 {
            let proto: IPProtocol = world.pick([.tcp, .udp, .sctp])
            let low = world.pick(RandomWorld.ports)
            let high = min(low, UInt16.max - 3) + 3
            let outside = world.pick(RandomWorld.addresses.filter { !$0.isMulticast && !$0.isBroadcast })
            let text = """
                apiVersion: weir.dev/v1
                kind: Expectations
                metadata: {name: random}
                spec:
                  flows:
                    - {from: {}, to: {}, ports: \(low)-\(high)/\(proto.description.lowercased()), expect: deny}
                    - {from: {}, to: "ip:\(outside)", ports: \(low)-\(high)/\(proto.description.lowercased()), expect: deny}
                """
            var diagnostics = DiagnosticsCollector()
            let report = try run.report(try expectations(text, world), diagnostics: &diagnostics)
            try #require(report.expectations.count == 2)
            for (outcome, isOutside) in zip(report.expectations, [false, true]) {
                let found = outcome.failures.reduce(0) { total, failure in
                    total + failure.pairs * failure.ports.reduce(0) { $0 + Self.size($1) }
                }
                var expected = 0
                for source in inventory.endpoints {
                    let others: [Flow.Peer] =
                        isOutside
                        ? [.address(outside)]
                        : inventory.endpoints.filter { $0.qualifiedName != source.qualifiedName }
                            .map { .endpoint($0.qualifiedName) }
                    for destination in others {
                        for family in AddressFamily.allCases {
                            for port in low...high {
                                let flow = Flow(
                                    from: .endpoint(source.qualifiedName), to: destination, protocol: proto, port: port,
                                    family: family)
                                guard let answer = try? answerer.answer(flow) else { continue }
                                expected += answer.isAllowed ? 1 : 0
                            }
                        }
                    }
                }
                try #require(found == expected, "seed \(seed): \(outcome.name)")
            }
        }
    }

    /// Of `8/tcp`, `8-9/tcp`.
    private static func size(_ text: String) -> Int {
        let bounds = text.split(separator: "/")[0].split(separator: "-").compactMap { Int($0) }
        return (bounds.last ?? 0) - (bounds.first ?? 0) + 1
    }

    @Test("What is generated passes at once, is the same again, and fails without one of its flows", arguments: 0..<40)
    func generated(offset: UInt64) throws {
        let seed = Self.baseSeed + 1000 + offset
        let world = RandomWorld(seed: seed)
        let text = try run(world).generated(sources: "sources")
        #expect(try run(world).generated(sources: "sources") == text)
        var diagnostics = DiagnosticsCollector()
        var written = try expectations(text, world)
        let report = try run(world).report(written, diagnostics: &diagnostics)
        try #require(diagnostics.all.isEmpty, "seed \(seed): \(diagnostics.sorted)\n\(text)")
        try #require(
            report.failed == 0,
            "seed \(seed): \(report.expectations.flatMap(\.failures).map(\.message))\n\(text)")
        guard !written[0].flows.isEmpty else { return }
        written[0].flows.remove(at: written[0].flows.count / 2)
        let less = try run(world).report(written, diagnostics: &diagnostics)
        #expect(less.failed > 0, "seed \(seed)\n\(text)")
    }
}
