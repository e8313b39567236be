import Foundation
import Testing

@Suite("weir lint")
struct LintCommandTests {
    static let narrow = """
        apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: extra, namespace: shop}
        spec:
          endpointSelector: {matchLabels: {app: db}}
          ingress:
            - fromEndpoints: [{matchLabels: {app: apii}}]

        """

    private func lint(_ arguments: String..., policy: String? = nil) async throws -> Outcome {
        let workspace = try Workspace()
        var sources = Weir.shop
        if let policy { sources.insert(try workspace.write(policy, to: "extra.yaml"), at: 2) }
        var outcome = try await Weir.run(["lint"] + sources + arguments)
        outcome.bytes = Array(outcome.output.replacing(workspace.path + "/", with: "").utf8)
        return outcome
    }

    @Test("The example prints its findings and the forecast, and nothing else")
    func golden() async throws {
        let outcome = try await lint()
        #expect(outcome.status == 0)
        #expect(outcome.errors.isEmpty)
        #expect(
            outcome.output == """
                Policies/shop/frontend.yaml:12:7: note: "world" allows traffic from every address outside the cluster [wide-entity]
                Policies/shop/frontend.yaml:18:7: note: "world" allows traffic from every address outside the cluster [wide-entity]

                MAP            ENTRIES  ROOM FOR  AT MOST    BYTES
                cidrs4         3        67        134217727  528
                cidrs6         2        66        134217727  400
                endpoints      4        69        53687091   2480
                ipcache4       5        70        134217727  2468
                ipcache6       5        70        134217727  2528
                peers          2        2         8388607    512
                rule_counters  17       17        16384      2856
                verdicts       12       79        268435455  2016
                on node node-a

                """)
    }

    @Test("The example of a whole cluster has one finding, which it explains; its node selects under the host firewall")
    func cluster() async throws {
        let sources = ["--policies", "Policies/cluster", "--inventory", "Policies/cluster"]
        let hostFirewallOff =
            "Policies/cluster/nodes.yaml:7:3: warning: the policy selects nodes, and is not enforced without --host-firewall [host-firewall-off]"
        for (arguments, warnings) in [([], [hostFirewallOff]), (["--host-firewall"], [])] {
            let outcome = try await Weir.run(["lint"] + sources + arguments)
            #expect(outcome.status == 0)
            #expect(outcome.errors.isEmpty)
            let places = outcome.lines.filter { $0.hasPrefix("Policies/") }
            #expect(places.filter { $0.hasSuffix("[host-firewall-off]") } == warnings)
            #expect(
                places.filter { !$0.hasSuffix("[host-firewall-off]") } == [
                    "Policies/cluster/inventory.yaml:72:18: warning: blue/mixed is denied on 80/TCP to blue/web: policy allows some of its backends and not others [service-backends-disagree]",
                    "Policies/cluster/teams.yaml:12:7: note: 10.7.0.3 port 8080 is allowed here",
                    "Policies/cluster/teams.yaml:8:1: note: 10.7.1.4 port 8080 is denied by this",
                ])
            #expect(outcome.output.hasSuffix("\non node node-b\n"))
        }
    }

    @Test("JSON is one object with the same findings and the forecast, its keys sorted")
    func json() async throws {
        let outcome = try await lint("--output", "json", policy: Self.narrow)
        #expect(outcome.status == 0)
        let object = try #require(outcome.object)
        #expect(object.keys.sorted() == ["capacity", "findings"])
        let findings = try #require(object["findings"] as? [[String: Any]])
        let found = try #require(findings.first { $0["id"] as? String == "unmatched-selector" })
        #expect(found.keys.sorted() == ["column", "id", "line", "message", "notes", "path", "severity"])
        #expect(found["severity"] as? String == "warning")
        #expect(found["path"] as? String == "extra.yaml")
        #expect(found["line"] as? Int == 7)
        #expect((found["message"] as? String)?.contains("did you mean \"api\"?") == true)
        let capacity = try #require(object["capacity"] as? [String: Any])
        #expect(capacity["node"] as? String == "node-a")
        #expect((capacity["maps"] as? [Any])?.count == 8)
        let keys = outcome.lines.filter { $0.hasPrefix("      \"") }.prefix(7)
        #expect(keys.map { $0 } == keys.sorted())
    }

    struct Threshold: CustomTestStringConvertible {
        var testDescription: String
        var failOn: [String]
        var policy: String?
        var status: Int32
    }

    @Test(
        "The status says whether a finding is severe enough",
        arguments: [
            Threshold(testDescription: "a warning is 0 by default", failOn: [], policy: narrow, status: 0),
            Threshold(
                testDescription: "a warning is 2 for warning", failOn: ["--fail-on", "warning"], policy: narrow,
                status: 2),
            Threshold(testDescription: "a note is 0 for warning", failOn: ["--fail-on", "warning"], status: 0),
            Threshold(testDescription: "a note is 2 for note", failOn: ["--fail-on", "note"], status: 2),
            Threshold(
                testDescription: "nothing is 2 for never", failOn: ["--fail-on", "never"], policy: narrow, status: 0),
            Threshold(
                testDescription: "what is switched off does not count",
                failOn: ["--fail-on", "note", "--disable", "wide-entity"], status: 0),
            Threshold(
                testDescription: "an unknown id is 64, with the known ones", failOn: ["--disable", "wide"], status: 64),
            Threshold(
                testDescription: "what does not compile is 1", failOn: ["--fail-on", "never"],
                policy: narrow.replacing("app: db", with: "app: 1"), status: 1),
        ])
    func status(_ threshold: Threshold) async throws {
        let workspace = try Workspace()
        var sources = Weir.shop
        if let policy = threshold.policy { sources.insert(try workspace.write(policy, to: "extra.yaml"), at: 2) }
        let outcome = try await Weir.run(["lint"] + sources + threshold.failOn)
        #expect(outcome.status == threshold.status)
        #expect(outcome.errors.isEmpty == [0, 2].contains(threshold.status))
        #expect(outcome.output.isEmpty != [0, 2].contains(threshold.status))
    }

    @Test("An unknown node is an error, and --output-file takes the data")
    func nodeAndFile() async throws {
        let unknown = try await lint("--node", "node-x")
        #expect(unknown.status == 1)
        #expect(unknown.errors.contains("[unknown-node]"))
        let workspace = try Workspace()
        let outcome = try await lint("--node", "node-a", "--output-file", workspace.path + "/report")
        #expect(outcome.status == 0)
        #expect(outcome.output.isEmpty)
        #expect(try workspace.contents("report") == (try await lint()).output)
    }

    @Test("An inventory of several nodes needs no --node")
    func severalNodes() async throws {
        let workspace = try Workspace()
        let second = try workspace.write(CompileTests.second, to: "b.yaml")
        let outcome = try await Weir.run(["lint"] + Weir.shop + [second])
        #expect(outcome.status == 0)
        #expect(outcome.errors.isEmpty)
        #expect(outcome.output.contains("on node node-a"))
    }
}
