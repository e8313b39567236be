import Testing

@Suite("Nothing is a valid amount of policy")
struct EmptyInputTests {
    static let node = "apiVersion: weir.dev/v1\nkind: Node\nmetadata: {name: n}\nspec: {addresses: [192.0.2.1]}\n"

    @Test("An empty policy directory warns and compiles to an image that allows everything")
    func emptyDirectory() async throws {
        let workspace = try Workspace()
        let directory = try workspace.makeDirectory("policies")
        let sources = ["--policies", directory, "--inventory", "Policies/shop"]
        let outcome = try await Weir.run(["compile", "--output", "json"] + sources)
        #expect(outcome.status == 0)
        #expect(outcome.errors.matches(#"^.*/policies: warning: .+ \[file-unreadable\]\n$"#))
        #expect(outcome.object?["rules"] as? Int == 0)
        let verdict = try await Weir.run(
            ["verdict", "--from", "shop/db", "--to", "shop/api", "--port", "1/tcp", "--output", "jsonl"] + sources)
        #expect(verdict.object?["verdict"] as? String == "allow")
    }

    @Test(
        "Empty policy files compile without a word",
        arguments: ["", "\n", "# nothing\n", "---\n---\n", "kind: List\napiVersion: v1\nitems: []\n"])
    func emptyPolicies(_ text: String) async throws {
        let workspace = try Workspace()
        let file = try workspace.write(text, to: "p.yaml")
        let outcome = try await Weir.run(["compile", "--policies", file, "--inventory", "Policies/shop"])
        #expect(outcome.status == 0)
        #expect(outcome.errors.isEmpty)
    }

    @Test("An empty inventory asks for --node; with it, it compiles and warns that nothing is enforced")
    func emptyInventory() async throws {
        let workspace = try Workspace()
        let file = try workspace.write("", to: "i.yaml")
        let arguments = ["compile", "--policies", "Policies/shop", "--inventory", file]
        let without = try await Weir.run(arguments)
        #expect(without.status == 1)
        #expect(without.errors.contains("[ambiguous-node]"))
        let with = try await Weir.run(arguments + ["--node", "node-a", "--output", "json"])
        #expect(with.status == 0)
        #expect(with.errors.contains("warning: the inventory has no node and no pod"))
        #expect(with.object?["endpoints"] as? Int == 0)
    }

    @Test("A node that exists without pods compiles without a word")
    func nodeWithoutPods() async throws {
        let workspace = try Workspace()
        let file = try workspace.write(Self.node, to: "i.yaml")
        for arguments in [[], ["--node", "n"]] {
            let outcome = try await Weir.run(
                ["compile", "--policies", "Policies/shop", "--inventory", file, "--output", "json"] + arguments)
            #expect(outcome.status == 0)
            #expect(outcome.errors.isEmpty)
            #expect(outcome.object?["endpoints"] as? Int == 0)
        }
        let second = try await Weir.run([
            "compile", "--policies", "Policies/shop", "--inventory", "Policies/shop", file, "--node", "n",
        ])
        #expect(second.status == 0)
    }

    @Test("Policies that select nothing change no verdict")
    func selectingNothing() async throws {
        let workspace = try Workspace()
        let file = try workspace.write(
            """
            apiVersion: networking.k8s.io/v1
            kind: NetworkPolicy
            metadata: {name: nobody, namespace: elsewhere}
            spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
            """, to: "p.yaml")
        let outcome = try await Weir.run([
            "compile", "--policies", file, "--inventory", "Policies/shop", "--output", "json",
        ])
        #expect(outcome.status == 0)
        #expect(outcome.errors.isEmpty)
        #expect(outcome.object?["rules"] as? Int == 0)
    }

    @Test("An empty flow list has no answers, and that is fine", arguments: ["", "\n", "\r\n  \n\t\n"])
    func noFlows(_ text: String) async throws {
        let outcome = try await Weir.run(["verdict"] + Weir.shop + ["--flows", "-"], input: text)
        #expect(outcome.status == 0)
        #expect(outcome.output.isEmpty)
        #expect(outcome.errors.isEmpty)
    }
}
