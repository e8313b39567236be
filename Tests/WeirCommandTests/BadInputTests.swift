import Foundation
import Testing

@Suite("Bad input is an error with a place, never a crash and never half a result")
struct BadInputTests {
    struct Case: CustomTestStringConvertible {
        var testDescription: String
        var text: [UInt8]
        var id: String
        /// What follows the path in the first error: the place.
        var place: String

        init(_ description: String, _ id: String, at place: String, _ text: String) {
            self.init(description, id, at: place, bytes: Array(text.utf8))
        }

        init(_ description: String, _ id: String, at place: String, bytes: [UInt8]) {
            testDescription = description
            self.id = id
            self.place = place
            text = bytes
        }
    }

    static func policy(_ spec: String, name: String = "p") -> String {
        """
        apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: \(name), namespace: shop}
        spec:
          endpointSelector: {}
        \(spec.split(separator: "\n").map { "  " + $0 }.joined(separator: "\n"))

        """
    }

    static let bomb =
        "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        + (1..<12).map {
            "a\($0): &a\($0) [" + Array(repeating: "*a\($0 - 1)", count: 10).joined(separator: ", ") + "]\n"
        }
        .joined()

    static let cases = [
        Case("an unknown field", "unknown-field", at: ":7:7:", policy("ingress:\n  - fromEndpoint: []")),
        Case("a wrong type", "wrong-type", at: ":6:12:", policy("ingress: 7")),
        Case(
            "an empty port range", "empty-port-range", at: ":9:",
            policy("ingressDeny:\n  - toPorts:\n      - ports:\n          - {port: \"90\", endPort: 80, protocol: TCP}")
        ),
        Case(
            "an empty port range of a NetworkPolicy", "empty-port-range", at: ":4:",
            """
            apiVersion: networking.k8s.io/v1
            kind: NetworkPolicy
            metadata: {name: p}
            spec: {podSelector: {}, ingress: [{ports: [{port: 90, endPort: 80}]}]}
            """),
        Case("a bad CIDR", "invalid-cidr", at: ":7:18:", policy("ingress:\n  - fromCIDR: [10.0.0.0/33]")),
        Case("duplicate names", "duplicate-name", at: ":", policy("ingress: [{}]") + "---\n" + policy("egress: [{}]")),
        Case("an alias bomb", "alias-expansion", at: ":", bomb),
        Case("bytes that are not UTF-8", "invalid-utf8", at: ":", bytes: Array("kind: ".utf8) + [0xff, 0xfe, 0x0a]),
        Case(
            "100,000 brackets in YAML", "nesting-too-deep", at: ":1:",
            "a: " + String(repeating: "[", count: 100_000) + String(repeating: "]", count: 100_000)),
        Case(
            "100,000 brackets that never close", "nesting-too-deep", at: ":1:", String(repeating: "[", count: 100_000)),
        Case("100,000 braces", "nesting-too-deep", at: ":1:", String(repeating: "{\"a\":", count: 100_000)),
        Case(
            "an unknown kind", "unknown-kind", at: ":2:",
            "apiVersion: cilium.io/v2\nkind: CiliumThing\nmetadata: {name: a}\n"),
        Case("a key given twice", "duplicate-key", at: ":7:", policy("ingress: [{}]\ningress: [{}]")),
        Case("broken YAML", "syntax", at: ":", "a: [1, 2\nb: }\n"),
    ]

    @Test("One problem, in policies or inventory", arguments: cases)
    func refusal(_ scenario: Case) async throws {
        let workspace = try Workspace()
        let file = try workspace.write(scenario.text, to: "p.yaml")
        for arguments in [
            ["compile", "--policies", file, "--inventory", "Policies/shop"],
            ["verdict", "--policies", file, "--inventory", "Policies/shop", "--flows", "Policies/shop/flows.jsonl"],
            ["apply", "--policies", file, "--inventory", "Policies/shop", "--dry-run"],
        ] {
            let outcome = try await Weir.run(arguments)
            #expect(outcome.status == 1)
            #expect(outcome.output.isEmpty)
            let first = try #require(outcome.errorLines.first)
            #expect(first.hasPrefix(file + scenario.place))
            #expect(outcome.errors.contains("[\(scenario.id)]"))
        }
    }

    @Test(
        "The same through --inventory",
        arguments: cases.filter { ["alias-expansion", "invalid-utf8", "nesting-too-deep", "syntax"].contains($0.id) })
    func inventory(_ scenario: Case) async throws {
        let workspace = try Workspace()
        let file = try workspace.write(scenario.text, to: "i.yaml")
        let outcome = try await Weir.run(["compile", "--policies", "Policies/shop", "--inventory", file])
        #expect(outcome.status == 1)
        #expect(outcome.errors.contains("[\(scenario.id)]"))
    }

    @Test("The same through standard input", arguments: cases.filter { $0.id != "invalid-utf8" })
    func standardInput(_ scenario: Case) async throws {
        let outcome = try await Weir.run(
            ["compile", "--policies", "-", "--inventory", "Policies/shop"],
            input: String(decoding: scenario.text, as: UTF8.self))
        #expect(outcome.status == 1)
        #expect(outcome.errors.hasPrefix("-" + scenario.place))
    }

    @Test("Input over --max-input-bytes is refused, from a file and from a pipe")
    func tooLarge() async throws {
        let file = try await Weir.run(["compile"] + Weir.shop + ["--max-input-bytes", "100"])
        #expect(file.status == 1)
        #expect(file.errors.contains("[input-too-large]"))
        let pipe = try await Weir.script(
            #"yes 'a: b' | "$weir" compile --policies - --inventory Policies/shop --max-input-bytes 100000"#)
        #expect(pipe.status == 1)
        #expect(pipe.errors.contains("[input-too-large]"))
    }

    @Test("A refused compile leaves no file, and an existing file as it was")
    func noPartialEffect() async throws {
        let workspace = try Workspace()
        let bad = try workspace.write(Self.policy("ingress: 7"), to: "bad.yaml")
        try workspace.write("precious", to: "old.weir")
        for name in ["new.weir", "old.weir"] {
            let outcome = try await Weir.run([
                "compile", "--policies", bad, "--inventory", "Policies/shop", "--output", "bundle", "--output-file",
                "\(workspace.path)/\(name)",
            ])
            #expect(outcome.status == 1)
        }
        #expect(try workspace.names == ["bad.yaml", "old.weir"])
        #expect(try workspace.contents("old.weir") == "precious")
    }

    @Test("A good compile replaces an existing file and leaves nothing else")
    func replaced() async throws {
        let workspace = try Workspace()
        let file = try workspace.write(String(repeating: "x", count: 100_000), to: "old.weir")
        let arguments = ["compile"] + Weir.shop + ["--output", "bundle"]
        let outcome = try await Weir.run(arguments + ["--output-file", file])
        #expect(outcome.status == 0)
        #expect(outcome.output.isEmpty)
        #expect(try workspace.names == ["old.weir"])
        #expect(try await Weir.run(arguments).bytes == Array(Data(contentsOf: URL(fileURLWithPath: file))))
    }

    @Test("A run reports the problems of all files, sorted, whatever the order they were given in")
    func allProblems() async throws {
        let workspace = try Workspace()
        let a = try workspace.write(Self.policy("ingress: 7\negress: 8", name: "a"), to: "a.yaml")
        let b = try workspace.write(
            Self.policy("ingress:\n  - fromCIDR: [10.0.0.0/40]\n  - fromCIDRs: []", name: "b"), to: "b.yaml")
        let c = try workspace.write(
            "apiVersion: weir.dev/v1\nkind: Endpoint\nmetadata: {name: c}\nspec: {address: 1}\n", to: "c.yaml")
        var reports: Set<String> = []
        for order in [[a, b], [b, a]] {
            let outcome = try await Weir.run(["compile", "--policies"] + order + ["/nowhere.yaml", "--inventory", c])
            #expect(outcome.status == 1)
            reports.insert(outcome.errors)
            let places = outcome.errorLines.filter { $0.contains(": error: ") }
            for (file, count) in [(a, 2), (b, 2), ("/nowhere.yaml", 1)] {
                #expect(places.count { $0.hasPrefix(file + ":") } == count)
            }
            #expect(places.contains { $0.hasPrefix(c) })
            let files = places.map { $0.prefix { $0 != ":" } }
            #expect(files == files.sorted())
        }
        #expect(reports.count == 1)
    }
}
