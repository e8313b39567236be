import InputTestSupport
import WeirSyntax
import InputProperties
import WeirTestSupport

/// Makes the input of a round; the same seed and round make the same bytes.
enum FuzzInput {

    /// Files of the fixtures, small enough for many rounds.
    static let corpus: [[UInt8]] = ["conformance", "inventory", "situations"].flatMap { Fixtures.sources($0) }
        .map(\.bytes).filter { $0.count < 20_000 }

    static func make(seed: UInt64, round: Int) -> [UInt8] {
        var random = SeededGenerator(seed: seed &+ UInt64(round) &* 0x9e37_79b9)
        return random.chance(35) ? bytes(&random) : structured(&random)
    }

    private static func bytes(_ random: inout SeededGenerator) -> [UInt8] {
        if random.chance(5) || corpus.isEmpty { return random.bytes(random.below(200)) }
        var bytes = random.pick(corpus)
        for _ in 0..<1 + random.below(4) { ByteMutation.apply(to: &bytes, &random) }
        return bytes
    }

    /// Right in four of ten cases; else with a few mutations of documents, seldom of bytes.
    private static func structured(_ random: inout SeededGenerator) -> [UInt8] {
        var documents = RandomPolicies.documents(&random) + RandomCluster.documents(&random)
        if random.chance(60) {
            for _ in 0..<1 + random.below(3) {
                let index = random.below(documents.count)
                random.pick(TreeMutation.allCases).apply(to: &documents[index], &random)
            }
        }
        documents.shuffle(using: &random)
        let writer = TreeWriter(style: random.pick(TreeWriter.Style.allCases), flowTenths: random.below(4))
        var bytes = Array(writer.write(documents, random: &random).utf8)
        if random.chance(5) { ByteMutation.apply(to: &bytes, &random) }
        return bytes
    }
}
