import Foundation
import Testing
import WeirTestSupport

@Suite("endpoint add and remove among others", .serialized, .enabled(if: KernelRequirement.isMet))
struct EndpointStormTests {
    /// Afterwards status, doctor, hooks and registrations say the same.
    private func expectAgreement(_ node: LivingNode, _ names: [String], _ pods: [Int]) async throws {
        #expect(try await node.endpoints() == names)
        #expect(node.kept("registrations").filter { $0.hasSuffix(".json") }.count == names.count)
        #expect(try await node.hooks() == pods.map { "veth-\($0) judged" })
        #expect(try await node.complaints() == [])
        #expect(!node.deniedFile.contains("\"index\""))
        let addresses = try await node.weir("map", "dump", "ipcache4", "--output", "jsonl").lines
            .filter { $0.contains("\"endpoint\":\"shop/") }
        #expect(addresses.count == names.count, "\(addresses)")
    }

    @Test("Twenty at once, of four endpoints: each is in force once")
    func twenty() async throws {
        try await LivingNode.use { node in
            try #require(try await node.apply().status == 0)
            let outcome = try await Weir.script(
                """
                for i in $(seq 20); do
                  pod=$((i % 4 + 2))
                  nsenter --net=/run/netns/\(node.node.name) "$weir" endpoint add shop/pod-$pod --label app=web \
                    --netns \(node.node.name)-$pod --timeout 60 \(node.node.place.joined(separator: " ")) &
                done
                wait
                """)
            #expect(
                outcome.lines.count == 20
                    && outcome.lines.allSatisfy { $0.hasSuffix("is judged by the policy in force") })
            #expect(outcome.errors.isEmpty)
            try await expectAgreement(node, (2...5).map { "shop/pod-\($0)" }, [2, 3, 4, 5])
        }
    }

    /// `WEIR_TEST_SEED` draws another storm.
    @Test("With apply, rollback and detach beside it, and kill -9 at random, all agree in the end")
    func storm() async throws {
        let seed = ProcessInfo.processInfo.environment["WEIR_TEST_SEED"].flatMap { UInt64($0) } ?? 20_261_122
        var generator = SeededGenerator(seed: seed)
        try await LivingNode.use { node in
            try #require(try await node.apply().status == 0)
            let place = node.node.place.joined(separator: " ")
            let sources =
                "--policies \(node.workspace.path)/policies.yaml --inventory \(node.workspace.path)/inventory.yaml"
                + " --node node-a"
            for round in 0..<4 {
                var script = ""
                for _ in 0..<24 {
                    let pod = Int.random(in: 2...5, using: &generator)
                    let command =
                        switch Int.random(in: 0..<10, using: &generator) {
                        case 0..<5: "endpoint add shop/pod-\(pod) --label app=web --netns \(node.namespace(pod))"
                        case 5..<7: "endpoint remove shop/pod-\(pod)"
                        case 7: "rollback"
                        case 8: round == 2 ? "detach" : "apply \(sources)"
                        default: "apply \(sources)"
                        }
                    let isKilled = Bool.random(using: &generator)
                    let milliseconds = Int.random(in: 1...400, using: &generator)
                    script += """
                        (\(isKilled ? "timeout -s KILL 0.\(String(milliseconds + 1000).dropFirst()) " : "")\
                        nsenter --net=/run/netns/\(node.node.name) "$weir" \(command) --timeout 30 \(place)) >/dev/null 2>&1 &

                        """
                }
                _ = try await Weir.script(script + "wait")
                // Whatever was killed, the next ones complete it.
                try #require(try await node.apply().status == 0, "seed \(seed), round \(round)")
                for pod in [2, 3, 4] {
                    let outcome = try await node.add("pod-\(pod)", pod, "--label", "app=db")
                    #expect(outcome.status == 0, "seed \(seed), round \(round): \(outcome.errors)")
                }
                _ = try await node.remove("pod-5", "--open")
                try await expectAgreement(node, (2...4).map { "shop/pod-\($0)" }, [2, 3, 4])
                #expect(try await node.reached() == LivingNode.pairs((2, 5), (3, 5), (4, 5)), "seed \(seed)")
            }
            #expect(try await node.weir("detach", "--all").status == 0)
            #expect(try await node.node.traces() == "")
            #expect(try await node.hooks() == [])
        }
    }
}
