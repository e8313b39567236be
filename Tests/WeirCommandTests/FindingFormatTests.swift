import Foundation
import Testing

/// Findings for CI: SARIF that its official schema takes, and GitHub's annotations.
@Suite("Findings as SARIF and annotations")
struct FindingFormatTests {
    static let broken = """
        apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: extra, namespace: shop}
        spec:
          endpointSelector: {}
          ingress: [{}]
          ingres:
            - {}

        """

    /// Fails the test with the validator's words where the schema refuses the log.
    private func validate(_ log: String) async throws {
        let schema = Weir.package + "/Tests/Fixtures/sarif/sarif-schema-2.1.0.json"
        let script = """
            import json, sys, jsonschema
            schema = json.load(open(sys.argv[1]))
            validator = jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker())
            errors = [f"{list(e.path)}: {e.message}" for e in validator.iter_errors(json.load(sys.stdin))]
            print("\\n".join(errors))
            sys.exit(1 if errors else 0)
            """
        let outcome = try await Weir.command(["python3", "-c", script, schema], input: log)
        #expect(outcome.status == 0, "\(outcome.output)\(outcome.errors)")
    }

    private func results(_ outcome: Outcome) throws -> (run: [String: Any], results: [[String: Any]]) {
        let run = try #require((outcome.object?["runs"] as? [[String: Any]])?.first)
        return (run, try #require(run["results"] as? [[String: Any]]))
    }

    @Test("lint's findings are a log that the schema takes, with rules, regions and the notes' places")
    func lint() async throws {
        let arguments = [
            "lint", "--policies", "Policies/cluster", "--inventory", "Policies/cluster", "--output", "sarif",
        ]
        let outcome = try await Weir.run(arguments)
        #expect(outcome.status == 0)
        #expect(outcome.errors.isEmpty)
        try await validate(outcome.output)
        let (run, results) = try results(outcome)
        #expect(run["columnKind"] as? String == "unicodeCodePoints")
        let driver = try #require((run["tool"] as? [String: Any])?["driver"] as? [String: Any])
        let rules = try #require(driver["rules"] as? [[String: Any]])
        #expect(rules.map { $0["id"] as? String } == ["host-firewall-off", "service-backends-disagree"])
        for result in results {
            let index = try #require(result["ruleIndex"] as? Int)
            #expect(rules[index]["id"] as? String == result["ruleId"] as? String)
        }
        let found = try #require(results.first { $0["ruleId"] as? String == "service-backends-disagree" })
        #expect(found["level"] as? String == "warning")
        let notes = try #require(found["relatedLocations"] as? [[String: Any]])
        #expect(notes.count == 2)
        let place = try #require((notes[0]["physicalLocation"] as? [String: Any]))
        #expect((place["artifactLocation"] as? [String: Any])?["uri"] as? String == "Policies/cluster/teams.yaml")
        #expect((place["region"] as? [String: Int]) == ["startLine": 12, "startColumn": 7])
        #expect(try await Weir.run(arguments).bytes == outcome.bytes)
    }

    @Test("No finding is a log, too")
    func none() async throws {
        let outcome = try await Weir.run(["compile", "--output", "sarif"] + Weir.shop)
        #expect(outcome.status == 0)
        try await validate(outcome.output)
        #expect(try results(outcome).results.isEmpty)
    }

    @Test("What cannot be compiled is still written, status 1", arguments: ["lint", "compile"])
    func invalid(_ command: String) async throws {
        let workspace = try Workspace()
        try workspace.write(Self.broken, to: "my policies/100% [a].yaml")
        let arguments = [command, "--policies", "./my policies", "--inventory", "missing.yaml", "--output"]
        let outcome = try await Weir.run(arguments + ["sarif"], in: workspace.path)
        #expect(outcome.status == 1)
        #expect(outcome.errors.isEmpty)
        try await validate(outcome.output)
        let (_, results) = try results(outcome)
        let places = results.map { result -> String in
            let location = (result["locations"] as? [[String: Any]])?.first
            let place = location?["physicalLocation"] as? [String: Any]
            let region = place?["region"] as? [String: Int]
            let uri = (place?["artifactLocation"] as? [String: Any])?["uri"] as? String
            return "\(uri ?? "?") \(region?["startLine"] ?? 0)"
        }
        #expect(places == ["my%20policies/100%25%20%5Ba%5D.yaml 7", "missing.yaml 0"])
        let github = try await Weir.run(arguments + ["github"], in: workspace.path)
        #expect(github.status == 1)
        #expect(github.errors.isEmpty)
        #expect(
            github.lines == [
                "::error file=my policies/100%25 [a].yaml,line=7,col=3,title=weir unknown-field::"
                    + "spec has no field \"ingres\"; did you mean ingress?",
                "::error file=missing.yaml,title=weir file-unreadable::cannot be read: No such file or directory",
            ])
    }

    @Test("A note's place is a line of the annotation, a warning a warning, a note a notice")
    func annotations() async throws {
        let outcome = try await Weir.run([
            "lint", "--policies", "Policies/cluster", "--inventory", "Policies/cluster", "--output", "github",
        ])
        #expect(outcome.status == 0)
        let found = try #require(outcome.lines.first { $0.contains("service-backends-disagree") })
        #expect(
            found
                == "::warning file=Policies/cluster/inventory.yaml,line=72,col=18,title=weir service-backends-disagree::"
                + "blue/mixed is denied on 80/TCP to blue/web: policy allows some of its backends and not others"
                + "%0APolicies/cluster/teams.yaml:12:7: 10.7.0.3 port 8080 is allowed here"
                + "%0APolicies/cluster/teams.yaml:8:1: 10.7.1.4 port 8080 is denied by this")
        let shop = try await Weir.run(["lint", "--output", "github"] + Weir.shop)
        #expect(shop.lines.allSatisfy { $0.hasPrefix("::notice file=Policies/shop/frontend.yaml,line=") })
    }

    @Test("compile's findings are those of every node, or of the one that is named")
    func nodes() async throws {
        let sources = ["--policies", "Policies/cluster", "--inventory", "Policies/cluster"]
        for (node, count) in [([], 2), (["--node", "node-a"], 2), (["--node", "node-b"], 1)] {
            let outcome = try await Weir.run(["compile", "--output", "sarif"] + sources + node)
            #expect(outcome.status == 0)
            try await validate(outcome.output)
            #expect(try results(outcome).results.count == count, "\(node)")
        }
    }
}
