import Foundation
import Testing
import WeirCompiler
import WeirDiagnostics
import WeirTestSupport

@Suite("Services whose backends disagree") struct DisagreementTests {
    /// `ops/api is denied on 443/TCP`: who asks is another on every node.
    private static func services(_ findings: [Diagnostic]) -> Set<String> {
        Set(
            findings.filter { $0.id == .serviceBackendsDisagree }
                .compactMap { $0.message.components(separatedBy: " to ").first })
    }

    @Test("are those of which compiling for one node or another warns", arguments: 0..<10)
    func everyNode(batch: UInt64) throws {
        var seen = 0
        for index in 0..<60 {
            let seed = 20_261_300 + batch * 1000 + UInt64(index)
            let world = RandomWorld(seed: seed)
            var diagnostics = DiagnosticsCollector()
            for node in world.inventory.nodes {
                var own = DiagnosticsCollector()
                _ = Compiler.compile(
                    policies: world.policies, inventory: world.inventory, node: node.name, options: world.options,
                    diagnostics: &own)
                diagnostics.append(contentsOf: own.all)
                let ofNode = BackendDisagreements(
                    policies: world.policies, inventory: world.inventory, node: node.name, options: world.options)
                try #require(
                    Self.services(ofNode.diagnostics) == Self.services(own.all), "seed \(seed), \(node.name)")
            }
            let everywhere = BackendDisagreements(
                policies: world.policies, inventory: world.inventory, node: nil, options: world.options)
            try #require(Self.services(everywhere.diagnostics) == Self.services(diagnostics.all), "seed \(seed)")
            seen += Self.services(diagnostics.all).count
        }
        #expect(seen > 0)
    }
}
