import ArgumentParser
import Foundation
import WeirCompiler
import WeirDiff
import WeirModel

/// The differences of two sets of policies over all nodes, typed to typed: as multiples of compiling one node.
enum DiffRows {
    private static let name = "diff"
    static let group = RowGroup(
        name: name,
        about:
            "every flow that two sets of policies judge differently, over all pods: as a multiple of compiling one node",
        needsRoot: false, rows: rows)

    private static func rows(_ run: Run) throws -> [Row] {
        var rows: [Row] = []
        for (pods, policies) in run.isQuick ? [(500, 50)] : [(1_000, 1_000), (10_000, 1_000)] {
            let row = "\(name)/\(pods)x\(policies)"
            guard run.wants(row) else { continue }
            let old = try Workload(pods: pods, policies: policies).typed()
            // Ten rules ask for another port.
            var specs = old.policies.specs
            for index in stride(from: 0, to: specs.count, by: specs.count / 10) where !specs[index].rules.isEmpty {
                specs[index].rules[0].ports = .list([.range(.tcp, 12_345...12_345)])
            }
            let new = PolicySet(specs: specs)
            var ratios: [Double] = []
            var seconds = 0.0
            var changes = 0
            for _ in 0..<run.choose(5, quick: 1) {
                let compiled = WeirBench.seconds {
                    _ = Compiler.compile(policies: new, inventory: old.inventory, node: Workload.node)
                }
                seconds = WeirBench.seconds {
                    changes =
                        FlowDifference(
                            from: VerdictMatrix(
                                policies: old.policies, inventory: old.inventory, options: PolicyOptions()),
                            to: VerdictMatrix(policies: new, inventory: old.inventory, options: PolicyOptions())
                        ).changes.count
                }
                ratios.append(seconds / compiled)
            }
            rows.append(
                Row(
                    row, Samples(ratios), .times, goal: nil, peers: "no other tool does",
                    note: "\(short(seconds)) s in the last round, \(changes) changes"))
        }
        return rows
    }
}
