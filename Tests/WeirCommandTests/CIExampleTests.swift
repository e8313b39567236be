import Foundation
import Testing

/// `Policies/ci`: what a repository copies must be valid, and its commands must work as they stand.
@Suite("The examples for CI")
struct CIExampleTests {
    /// A repository with the shop's policies under policies/.
    private func repository() throws -> Workspace {
        let workspace = try Workspace()
        try FileManager.default.copyItem(
            atPath: Weir.package + "/Policies/shop", toPath: workspace.path + "/policies")
        return workspace
    }

    private func run(_ command: String, in workspace: Workspace) async throws -> Outcome {
        try await Weir.script(
            "set -euo pipefail; PATH=$(dirname \"$weir\"):$PATH; GITHUB_PATH=path; \(command)", in: workspace.path)
    }

    @Test("The workflow is YAML, and every command in it succeeds on policies that are fine")
    func workflow() async throws {
        let text = try String(
            contentsOfFile: Weir.package + "/Policies/ci/.github/workflows/policies.yaml", encoding: .utf8)
        // YAML 1.1 reads the key "on" as a boolean, GitHub does not.
        let read = try await Python.json(
            "d = yaml.safe_load(sys.stdin); print(json.dumps({'on': d[True], 'steps': d['jobs']['weir']['steps']}))",
            input: text)
        #expect((read["on"] as? [String: Any])?.keys.sorted() == ["pull_request", "push"])
        let steps = try #require(read["steps"] as? [[String: Any]])
        let commands = steps.compactMap { $0["run"] as? String }
        #expect(commands.filter { $0.hasPrefix("weir ") }.count == 4)
        let workspace = try repository()
        for command in commands {
            let outcome = try await run(command, in: workspace)
            #expect(outcome.status == 0, "\(command): \(outcome.errors)")
        }
        #expect(try workspace.names == ["compile.sarif", "lint.sarif", "path", "policies", "weir-test.xml"])
        let uploaded = steps.compactMap { ($0["with"] as? [String: Any])?["path"] as? String }
        #expect(uploaded == ["weir-test.xml"])
    }

    @Test("The workflow for bundles signs one for each node, gives each run a higher serial, and leaves no key behind")
    func bundles() async throws {
        let text = try String(
            contentsOfFile: Weir.package + "/Policies/ci/.github/workflows/bundles.yaml", encoding: .utf8)
        let read = try await Python.json("print(json.dumps(yaml.safe_load(sys.stdin)['jobs']))", input: text)
        let jobs = try #require(read as? [String: [String: Any]])
        #expect(jobs["deliver"]?["needs"] as? String == "compile")
        let steps = try #require(jobs["compile"]?["steps"] as? [[String: Any]])
        #expect(steps.compactMap { ($0["with"] as? [String: Any])?["path"] as? String } == ["bundles"])
        let workspace = try repository()
        let setUp = try await run(
            """
            weir bundle key key >/dev/null
            git init -q && git add policies
            git -c user.name=t -c user.email=t@example.org commit -qm first
            """, in: workspace)
        #expect(setUp.status == 0, "\(setUp.errors)")
        for command in steps.compactMap({ $0["run"] as? String }) {
            let outcome = try await run("WEIR_SIGNING_KEY=$(cat key); \(command)", in: workspace)
            #expect(outcome.status == 0, "\(command): \(outcome.errors)")
        }
        #expect(try workspace.names == [".git", "bundles", "key", "key.pub", "path", "policies"])
        let check = try await run(
            """
            mkdir keys && cp key.pub keys/
            weir inspect bundles/node-a.weir --trusted-keys keys --verify >/dev/null
            cd bundles && sha256sum --check --quiet SHA256SUMS && ls
            """, in: workspace)
        #expect(check.output == "SHA256SUMS\nnode-a.weir\n", "\(check.errors)")
    }

    @Test("The hooks of pre-commit are YAML, pass on policies that are fine, and fail on those that are not")
    func preCommit() async throws {
        let text = try String(contentsOfFile: Weir.package + "/Policies/ci/.pre-commit-config.yaml", encoding: .utf8)
        let read = try await Python.json(
            "print(json.dumps({'hooks': [h for r in yaml.safe_load(sys.stdin)['repos'] for h in r['hooks']]}))",
            input: text)
        let hooks = try #require(read["hooks"] as? [[String: Any]])
        #expect(hooks.map { $0["id"] as? String } == ["weir-lint", "weir-test"])
        let workspace = try repository()
        for hook in hooks {
            let entry = try #require(hook["entry"] as? String)
            #expect(hook["pass_filenames"] as? Bool == false)
            #expect(try await run(entry, in: workspace).status == 0, "\(entry)")
        }
        try FileManager.default.removeItem(atPath: workspace.path + "/policies/api.yaml")
        #expect(try await run(try #require(hooks[1]["entry"] as? String), in: workspace).status == 4)
        try workspace.write(FindingFormatTests.broken, to: "policies/broken.yaml")
        #expect(try await run(try #require(hooks[0]["entry"] as? String), in: workspace).status == 1)
    }

    @Test("Whoever reads all of Policies passes over the files for CI")
    func directories() async throws {
        let outcome = try await Weir.run([
            "inventory", "--inventory", "Policies/ci", "--inventory", "Policies/shop/inventory.yaml", "--output",
            "table",
        ])
        #expect(outcome.status == 0)
        #expect(
            outcome.errors == "Policies/ci: warning: the directory has no .yaml, .yml or .json file [file-unreadable]\n"
        )
    }
}
