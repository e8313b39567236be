import Foundation
import Testing

@Suite("weir test")
struct TestCommandTests {
    /// A file with one expectation that holds and two that do not.
    static let failing = """
        apiVersion: weir.dev/v1
        kind: Expectations
        metadata: {name: sample}
        spec:
          flows:
            - {name: "the API, 100% \\"ours\\" <#1>", from: shop/frontend, to: shop/api, ports: 8080/tcp, expect: allow}
            - {from: shop/frontend, to: shop/db, ports: 5432/tcp, family: IPv4, expect: allow}
          noOtherFlows: {between: {namespace: shop, labels: {tier: backend}}}

        """

    static let message =
        "shop/frontend → shop/db 5432/tcp over IPv4 is denied, and expected to be allowed: egress default-deny by "
        + "Policies/shop/default-deny.yaml:7, Policies/shop/dns.yaml:6, Policies/shop/frontend.yaml:7, ingress default-deny "
        + "by Policies/shop/db.yaml:7, Policies/shop/default-deny.yaml:7"

    private func test(_ arguments: String..., file: String? = failing) async throws -> Outcome {
        let workspace = try Workspace()
        let paths = try file.map { [try workspace.write($0, to: "e.yaml")] } ?? []
        var outcome = try await Weir.run(["test"] + paths + Weir.shop + arguments)
        outcome.bytes = Array(outcome.output.replacing(workspace.path + "/", with: "").utf8)
        outcome.errors = outcome.errors.replacing(workspace.path + "/", with: "")
        return outcome
    }

    @Test("The expectations of the examples hold; they are found among the policies")
    func examples() async throws {
        let shop = try await test("--coverage", file: nil)
        #expect(shop.status == 0)
        #expect(shop.errors.isEmpty)
        #expect(
            shop.output == """
                RESULT  PAIRS  EXPECTATION
                ok      2      the frontend calls the API
                ok      2      only the API reaches the database
                ok      2      the frontend does not go around the API
                ok      6      everybody may ask DNS
                ok      2      the world may use the shop and ping it
                ok      2      DNS answers whoever asks
                ok      3      the abusive address gets nowhere
                ok      1      it is refused by its own rule, not by chance
                ok      6      nothing of the shop leaves the cluster
                ok      24     inside the cluster nothing else is open
                ok      8      from outside nothing else is open

                UNTOUCHED RULE                                     AT
                CiliumClusterwideNetworkPolicy dns spec.egress[0]  Policies/shop/dns.yaml:34

                11 expectations: 11 passed, 0 failed; coverage 93.7 % (15 of 16 rules)

                """)
        let cluster = try await Weir.run([
            "test", "Policies/cluster/expectations.yaml", "--policies", "Policies/cluster", "--inventory",
            "Policies/cluster", "--host-firewall",
        ])
        #expect(cluster.status == 0, "\(cluster.output)")
        #expect(cluster.output.hasSuffix("\n12 expectations: 12 passed, 0 failed\n"))
    }

    @Test("A failure has the line of its expectation and the lines that decided; status 4")
    func table() async throws {
        let outcome = try await test()
        #expect(outcome.status == 4)
        #expect(outcome.errors.isEmpty)
        #expect(
            outcome.output == """
                RESULT  PAIRS  EXPECTATION
                ok      2      the API, 100% "ours" <#1>
                FAILED  1      shop/frontend → shop/db 5432/tcp
                ok      0      no other flows between shop:{tier=backend}

                e.yaml:7:7: failed: \(Self.message)

                3 expectations: 2 passed, 1 failed

                """)
    }

    @Test("JSON has every expectation, its failures and the coverage")
    func json() async throws {
        let outcome = try await test("--output", "json")
        #expect(outcome.status == 4)
        let object = try #require(outcome.object)
        #expect(object.keys.sorted() == ["coverage", "expectations", "failed", "passed"])
        let found = try #require(object["expectations"] as? [[String: Any]])
        #expect(found.map { $0["line"] as? Int } == [6, 7, 8])
        let failure = try #require((found[1]["failures"] as? [[String: Any]])?.first)
        #expect(failure["ports"] as? [String] == ["5432/tcp"])
        #expect(failure["family"] as? String == "IPv4")
        let ingress = try #require(failure["ingress"] as? [String: Any])
        #expect(ingress["verdict"] as? String == "default-deny")
        #expect(ingress["rules"] as? [String] == ["Policies/shop/db.yaml:7", "Policies/shop/default-deny.yaml:7"])
    }

    @Test("TAP has a point for each expectation, names escaped, and YAML that a reader of YAML takes")
    func tap() async throws {
        let outcome = try await test("--output", "tap", "--coverage")
        #expect(outcome.status == 4)
        #expect(
            outcome.lines.prefix(4) == [
                "TAP version 14", "1..3", "ok 1 - sample: the API, 100% \"ours\" <\\#1>",
                "not ok 2 - sample: shop/frontend → shop/db 5432/tcp",
            ])
        #expect(outcome.lines.contains("ok 3 - sample: no other flows between shop:{tier=backend}"))
        #expect(outcome.lines.contains { $0.hasPrefix("# coverage: ") })
        let begin = try #require(outcome.lines.firstIndex(of: "  ---"))
        let end = try #require(outcome.lines.firstIndex(of: "  ..."))
        let block = outcome.lines[(begin + 1)..<end].joined(separator: "\n")
        let read = try await Python.json("print(json.dumps(yaml.safe_load(sys.stdin)))", input: block)
        let failures = try #require(read["failures"] as? [String])
        #expect(failures == [Self.message])
        #expect((read["at"] as? [String: Any])?["line"] as? Int == 7)
    }

    @Test("JUnit is XML with a case for each expectation")
    func junit() async throws {
        let outcome = try await test("--output", "junit")
        #expect(outcome.status == 4)
        let script = """
            root = xml.etree.ElementTree.fromstring(sys.stdin.read())
            print(json.dumps({"tests": root.get("tests"), "failures": root.get("failures"),
                "names": [c.get("name") for c in root.iter("testcase")],
                "failed": [f.get("message") for f in root.iter("failure")],
                "text": [f.text for f in root.iter("failure")]}))
            """
        let read = try await Python.json(script, input: outcome.output)
        #expect(read["tests"] as? String == "3")
        #expect(read["failures"] as? String == "1")
        #expect((read["names"] as? [String])?.first == "the API, 100% \"ours\" <#1>")
        #expect(read["failed"] as? [String] == [Self.message])
        #expect(read["text"] as? [String] == ["e.yaml:7:7: \(Self.message)"])
    }

    @Test("GitHub gets a command for each failure, with what would end it escaped")
    func github() async throws {
        let outcome = try await test("--output", "github")
        #expect(outcome.status == 4)
        #expect(
            outcome.lines == [
                "::error file=e.yaml,line=7,col=7,title=weir test%3A shop/frontend → shop/db 5432/tcp::\(Self.message)",
                "3 expectations: 2 passed, 1 failed",
            ])
    }

    @Test(
        "Too little coverage is status 4, enough is not",
        arguments: [("93.7", 0), ("93.8", 4), ("100", 4)] as [(String, Int32)])
    func failUnder(_ percent: String, _ status: Int32) async throws {
        let outcome = try await test("--fail-under", percent, file: nil)
        #expect(outcome.status == status)
        #expect(outcome.errors.contains("below --fail-under") == (status == 4))
    }

    @Test("What is generated is small, the same again, and passes at once", arguments: ["shop", "cluster"])
    func generate(_ example: String) async throws {
        let sources = ["--policies", "Policies/\(example)", "--inventory", "Policies/\(example)"]
        let first = try await Weir.run(["test", "--generate"] + sources)
        #expect(first.status == 0)
        #expect(first.lines.count < 80)
        #expect(first.output.hasPrefix("# What these policies allowed when this was written, by\n"))
        #expect(try await Weir.run(["test", "--generate"] + sources).output == first.output)
        let outcome = try await Weir.run(["test", "-"] + sources, input: first.output)
        #expect(outcome.status == 0, "\(outcome.output)\(outcome.errors)")
        #expect(outcome.output.contains(" passed, 0 failed"))
    }

    @Test("A mistake in a file is an error at its place, status 1, and nothing is judged")
    func mistake() async throws {
        let outcome = try await test(file: Self.failing.replacing("shop/db", with: "shop/dbb"))
        #expect(outcome.status == 1)
        #expect(outcome.output.isEmpty)
        #expect(
            outcome.errors
                == "e.yaml:7:33: error: no pod 'shop/dbb' in the inventory; did you mean shop/db? [invalid-flow]\n")
    }

    @Test("Without expectations there is nothing to test, and a hint says how to begin")
    func none() async throws {
        let workspace = try Workspace()
        let policy = try workspace.write(LintCommandTests.narrow, to: "p.yaml")
        let outcome = try await Weir.run(["test", "--policies", policy, "--inventory", "Policies/shop"])
        #expect(outcome.status == 1)
        #expect(outcome.errors.contains("weir test --generate"))
        let wrong = try await Weir.run(["test", policy] + Weir.shop)
        #expect(wrong.status == 1)
        #expect(wrong.errors.contains("p.yaml: error: there is no document of kind Expectations"))
        let twice = try await Weir.run(["test", "-", "--policies", "-", "--inventory", "Policies/shop"])
        #expect(twice.status == 1)
        #expect(twice.errors.contains("[stdin-twice]"))
    }
}

/// The reader that CI systems' own tools would be: Debian's python3 with its yaml and jsonschema.
enum Python {
    /// Runs a script that prints one JSON object.
    static func json(_ script: String, input: String) async throws -> [String: Any] {
        let outcome = try await Weir.command(
            ["python3", "-c", "import json, sys, yaml, xml.etree.ElementTree\n" + script], input: input)
        try #require(outcome.status == 0, "\(outcome.errors)")
        return try #require(outcome.object)
    }
}
