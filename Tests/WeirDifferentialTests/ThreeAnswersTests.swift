import Testing
import WeirCompiler
import WeirEmulator
import WeirFlow
import WeirImage
import WeirKernel
import WeirModel
import WeirTestSupport

/// What the policies say, what the image says, and what the kernel does.
@Suite("Oracle, emulator and kernel give one verdict", .serialized, .enabled(if: KernelRequirement.isMet))
struct ThreeAnswersTests {
    private static let baseSeed: UInt64 = 20_261_121

    @Test("the same question, three answers")
    func agreement() throws {
        var kernel: KernelJudge?
        for offset in 0..<25 as Range<UInt64> { try agreement(seed: Self.baseSeed + offset, &kernel) }
    }

    /// - Parameter kernel: made for the first world, and shown the others.
    private func agreement(seed: UInt64, _ kernel: inout KernelJudge?) throws {
        var world = RandomWorld(seed: seed)
        let image = Compiler.compile(
            policies: world.policies, inventory: world.inventory, node: "node-a", options: world.options)
        let oracle = PolicyOracle(policies: world.policies, inventory: world.inventory, options: world.options)
        let emulator = try EmulatorJudge(image: image)
        let judge =
            try kernel
            ?? KernelJudge(image: image, object: EmbeddedObject.bytes, frame: { PacketBuilder.frame(for: $0) })
        if kernel != nil { try judge.show(image) }
        kernel = judge
        var asked = 0
        for _ in 0..<400 {
            let question = world.question()
            guard let query = Self.query(question, image) else { continue }
            asked += 1
            let expected = oracle.answer(question)
            let decision = try emulator.judge(query)
            try #require(Self.letter(decision) == expected.letter, "seed \(seed): \(question): \(decision)")
            let done = try judge.judge(query)
            try #require(done == decision, "seed \(seed): \(question): kernel \(done), emulator \(decision)")
        }
        #expect(asked > 100)
    }

    private static func letter(_ decision: Decision) -> Character {
        switch decision.kind {
        case .allow: "A"
        case .deny: decision.isAudited ? "d" : "D"
        case .defaultDeny: decision.isAudited ? "n" : "N"
        }
    }

    /// nil where no packet can ask: the endpoint has no address of that family, or the family no such protocol.
    private static func query(_ question: PolicyOracle.Question, _ image: Image) -> FlowQuery? {
        guard let record = image.endpoint(named: question.endpoint),
            let local = record.addresses.first(where: { $0.family == question.peer.family })
        else { return nil }
        switch (question.protocol, local.family) {
        // A type is read where the protocol is ICMP in that family; elsewhere it is a protocol without ports.
        case (.icmp, .ipv6), (.icmpv6, .ipv4): return nil
        default: break
        }
        return FlowQuery(
            endpoint: record.id, direction: question.direction, localAddress: local, peerAddress: question.peer,
            path: question.fromHost ? .host : .forwarded, protocol: question.protocol, port: question.port)
    }
}
