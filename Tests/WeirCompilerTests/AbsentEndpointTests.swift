import Testing
import WeirCompiler
import WeirEmulator
import WeirFlow
import WeirImage
import WeirModel
import WeirTestSupport

/// What a node does with an image whose endpoints have no interface there.
@Suite("An image without some of its endpoints")
struct AbsentEndpointTests {
    private func image(_ world: RandomWorld, _ inventory: Inventory) -> Image {
        Compiler.compile(policies: world.policies, inventory: inventory, node: "node-a", options: world.options)
    }

    @Test("allows nothing that the image of an inventory without them refuses", arguments: 0..<20)
    func neverWider(batch: UInt64) throws {
        var compared = 0
        for index in 0..<25 {
            let seed = 20_270_501 + batch * 25 + UInt64(index)
            var world = RandomWorld(seed: seed)
            world.options.hostFirewall = false
            let whole = image(world, world.inventory)
            let gone = Set(whole.endpoints.map(\.name).filter { _ in world.chance(2) })
            guard !gone.isEmpty, gone.count < whole.endpoints.count else { continue }
            let rest = world.inventory.with(
                endpoints: world.inventory.endpoints.filter { !gone.contains($0.qualifiedName) })
            let (reduced, wanted) = (whole.leavingOut(gone), image(world, rest))
            try #require(reduced.endpoints.map(\.name) == wanted.endpoints.map(\.name), "seed \(seed)")
            try #require(reduced.endpoints.map(\.id) == wanted.endpoints.map(\.id), "seed \(seed)")
            let (judge, expected) = (try EmulatorJudge(image: reduced), try EmulatorJudge(image: wanted))
            let frontends = Set(rest.services.flatMap(\.addresses))
            for _ in 0..<120 {
                let question = world.question()
                // A Service is its backends, and who they were was settled when it was compiled.
                guard !frontends.contains(question.peer),
                    let query = CompilerPropertyTests.query(question, rest, reduced),
                    let other = CompilerPropertyTests.query(question, rest, wanted)
                else { continue }
                let (answer, reference) = (try judge.judge(query), try expected.judge(other))
                try #require(answer.kind == reference.kind, "seed \(seed): \(question)")
                compared += 1
            }
        }
        #expect(compared > 300)
    }

    @Test("is the same where none of them is in it")
    func nothing() {
        let world = RandomWorld(seed: 7)
        let whole = image(world, world.inventory)
        #expect(whole.leavingOut([]) == whole && whole.leavingOut(["shop/none"]) == whole)
    }
}
