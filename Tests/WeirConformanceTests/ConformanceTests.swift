import Testing
import WeirEmulator
import WeirFlow
import WeirImage
import WeirKernel
import WeirTestSupport

/// The verdicts of Cilium's own engine. The last line of each test's output says how many of how many agree.
@Suite("Conformance with Cilium's engine")
struct ConformanceTests {
    private static let cases = ConformanceCase.all

    @Test("Every case agrees in the emulator")
    func emulator() throws {
        try run("emulator") { try EmulatorJudge(image: $0) }
    }

    @Test("Every case agrees through the kernel's programs", .enabled(if: KernelRequirement.isMet))
    func kernel() throws {
        // One for each node of a case; the next case has it with an image of its own.
        var judges: [String: KernelJudge] = [:]
        try run("kernel") { image in
            if let judge = judges[image.node] {
                try judge.show(image)
                return judge
            }
            let judge = try KernelJudge(
                image: image, object: EmbeddedObject.bytes, frame: PacketBuilder.frame(for:))
            judges[image.node] = judge
            return judge
        }
    }

    private func run(_ backend: String, _ makeJudge: @escaping (Image) throws -> any FlowJudge) throws {
        try #require(!Self.cases.isEmpty)
        var agreeing = 0
        var letters = 0
        for testCase in Self.cases {
            let outcome = try ConformanceRun(testCase: testCase, makeJudge: makeJudge).outcome()
            try #require(outcome.compared > 0, "\(testCase.name) compares nothing")
            letters += outcome.compared
            if outcome.differences.isEmpty { agreeing += 1 }
            let different = outcome.differences.count
            #expect(
                different == 0,
                "\(testCase.name): \(different) of \(outcome.compared) differ, first: \(outcome.differences.prefix(5))")
        }
        print("conformance (\(backend)): \(agreeing) of \(Self.cases.count) cases agree, \(letters) verdicts")
    }
}
