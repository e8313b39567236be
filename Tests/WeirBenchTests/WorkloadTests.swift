import Testing
import WeirBench
import WeirModel

@Suite("The workload of scripts/bench")
struct WorkloadTests {
    @Test("Its pods and policies are typed without a finding, each pod an identity, the first 100 local")
    func typed() throws {
        let typed = try Workload(pods: 1_000, policies: 100).typed()
        #expect(typed.inventory.endpoints.count == 1_000)
        #expect(Set(typed.inventory.endpoints.map(\.labels)).count == 1_000)
        #expect(typed.inventory.endpoints.count { $0.node == Workload.node } == 100)
        #expect(typed.policies.specs.count == 100)
        #expect(typed.policies.specs.flatMap(\.rules).count == 110)
    }

    /// Cilium's engine counts 6 entries an endpoint more, for peers that are no pods.
    @Test(
        "The usual layout needs as many entries for it as Cilium's engine counts",
        arguments: [(1_000, 100, 35_203), (1_000, 1_000, 193_300), (10_000, 100, 347_053)])
    func entries(pods: Int, policies: Int, counted: Int) throws {
        let typed = try Workload(pods: pods, policies: policies).typed()
        let entries = PerEndpointLayout.entries(typed, node: Workload.node, unmentioned: "pod")
        #expect((counted - 600...counted).contains(entries))
    }
}
