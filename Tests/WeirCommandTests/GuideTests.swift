import Foundation
import Testing

/// The guides in `Sources/weir/Documentation.docc`: what they show must work as it stands.
@Suite("The examples in the guides")
struct GuideTests {
    private static let folder = Weir.package + "/Sources/weir/Documentation.docc"

    private static func page(_ name: String) throws -> String {
        try String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)
    }

    /// The code blocks of a language, and the line on which each begins.
    private static func blocks(_ language: String, in text: String) -> [(line: Int, text: String)] {
        var blocks: [(line: Int, text: String)] = []
        var open: (line: Int, lines: [Substring])?
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            if let block = open {
                if line == "```" {
                    blocks.append((block.line, block.lines.joined(separator: "\n") + "\n"))
                    open = nil
                } else {
                    open = (block.line, block.lines + [line])
                }
            } else if line == "```\(language)" {
                open = (index + 2, [])
            }
        }
        return blocks
    }

    // MARK: The policy reference

    /// What an example promises in its first lines.
    struct Example: CustomTestStringConvertible {
        var page: String
        var line: Int
        var text: String

        var testDescription: String { "\(page):\(line)" }
        private var lines: [Substring] { text.split(separator: "\n") }
        var error: String? { lines[0].wholeMatch(of: /# error: ([a-z-]+)/).map { String($0.1) } }
        /// Options and a warning; nil where it is not to compile.
        var compiles: (options: [String], warning: String?)? {
            lines[0].wholeMatch(of: /# compiles(?: with ([^,]+))?(?:, warning ([a-z-]+))?/).map { match in
                (match.1?.split(separator: " ").map(String.init) ?? [], match.2.map(String.init))
            }
        }
        var flows: [(from: String, to: String, port: String, verdict: String)] {
            lines.dropFirst().prefix { $0.hasPrefix("# ") }.compactMap { line in
                line.wholeMatch(of: /# (\S+) -> (\S+) (\S+): (allow|deny)/).map { match in
                    (String(match.1), String(match.2), String(match.3), String(match.4))
                }
            }
        }
        var comments: Int { lines.prefix { $0.hasPrefix("# ") }.count }
    }

    /// What is Calico's says so, and is only to be read.
    private static let examples = ["PolicyReference.md", "MovingFromCiliumAndCalico.md"].flatMap { name in
        blocks("yaml", in: (try? page(name)) ?? "").filter { !$0.text.hasPrefix("# Calico\n") }.map {
            Example(page: name, line: $0.line, text: $0.text)
        }
    }

    @Test("Every policy in the guides compiles, or is refused, and judges as it says", arguments: examples)
    func policies(_ example: Example) async throws {
        if example.text.hasPrefix("# inventory\n") { return }
        let inventory = try #require(Self.examples.first { $0.text.hasPrefix("# inventory\n") })
        let workspace = try Workspace()
        try workspace.write(inventory.text, to: "inventory.yaml")
        try workspace.write(example.text, to: "policy.yaml")
        let sources = ["--policies", "policy.yaml", "--inventory", "inventory.yaml"]
        let options = example.compiles?.options ?? []
        let outcome = try await Weir.run(
            ["compile", "--node", "node-a"] + sources + options, in: workspace.path)
        let found = outcome.errors.matches(of: /(error|warning): .*\[([a-z-]+)\]/).map { "\($0.1) \($0.2)" }
        if let error = example.error {
            #expect(outcome.status == 1)
            #expect(found == ["error \(error)"])
        } else {
            let promise = try #require(example.compiles, "neither compiles nor error")
            #expect(outcome.status == 0)
            #expect(found == (promise.warning.map { ["warning \($0)"] } ?? []))
        }
        #expect(example.flows.count == example.comments - 1, "a line that is no flow")
        for flow in example.flows {
            let answer = try await Weir.run(
                ["verdict"] + sources + options + ["--from", flow.from, "--to", flow.to, "--port", flow.port],
                in: workspace.path)
            #expect(answer.output.hasSuffix(" \(flow.verdict)\n"), "\(flow): \(answer.output)\(answer.errors)")
        }
    }

    @Test("The policy reference has examples of every kind, and its flows are judged both ways")
    func coverage() {
        let texts = Self.examples.map(\.text).joined()
        for kind in [
            "CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy", "CiliumCIDRGroup", "NetworkPolicy",
            "AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy",
        ] { #expect(texts.contains("\nkind: \(kind)\n"), "\(kind)") }
        let verdicts = Self.examples.flatMap(\.flows).map(\.verdict)
        #expect(verdicts.filter { $0 == "allow" }.count > 15)
        #expect(verdicts.filter { $0 == "deny" }.count > 15)
    }

    @Test("The expectations in the guide to CI hold for the example shop, and would not without its policies")
    func expectations() async throws {
        let block = try #require(Self.blocks("yaml", in: try Self.page("ContinuousIntegration.md")).first)
        #expect(block.text.hasPrefix("# holds for Policies/shop\n"))
        let workspace = try Workspace()
        let file = try workspace.write(block.text, to: "expectations.yaml")
        let outcome = try await Weir.run(["test", file] + Weir.shop)
        #expect(outcome.status == 0, "\(outcome.output)\(outcome.errors)")
        let other = try await Weir.run(
            ["test", file, "--policies", "Policies/shop/dns.yaml", "--inventory", "Policies/shop"])
        #expect(other.status == 4)
    }

    @Test("Every configuration in the guide to container networking is one that weir takes")
    func containerNetworking() async throws {
        let blocks = Self.blocks("json", in: try Self.page("ContainerNetworking.md"))
        #expect(blocks.count == 2)
        for block in blocks {
            let list = try #require(Outcome.object(block.text), "line \(block.line)")
            let plugins = try #require(list["plugins"] as? [[String: Any]])
            var entry = try #require(plugins.last)
            #expect(entry["type"] as? String == "weir-cni")
            entry["name"] = list["name"]
            entry["cniVersion"] = list["cniVersion"]
            entry["disableCheck"] = true
            let outcome = try await Weir.run(
                ["cni"], input: String(decoding: try JSONSerialization.data(withJSONObject: entry), as: UTF8.self),
                environment: [
                    "CNI_COMMAND": "CHECK", "CNI_CONTAINERID": "c", "CNI_IFNAME": "eth0", "CNI_NETNS": "/run/netns/c",
                ])
            #expect(outcome.status == 0, "line \(block.line): \(outcome.output)")
        }
    }

    // MARK: Commands

    private static let pages =
        ["README.md"]
        + ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).filter { $0.hasSuffix(".md") }.sorted()
        .map { "Sources/weir/Documentation.docc/\($0)" }

    /// Up to what ends a command in a shell; quotes hold words together.
    private static func words(_ line: String) -> [String] {
        var words: [String] = []
        var word = ""
        var quote: Character?
        for character in line {
            if let open = quote {
                if character == open { quote = nil } else { word.append(character) }
            } else if character == "\"" || character == "'" {
                quote = character
            } else if character == " " {
                if !word.isEmpty { words.append(word) }
                word = ""
            } else {
                word.append(character)
            }
        }
        if !word.isEmpty { words.append(word) }
        return Array(words.prefix { !["|", ">", "#", "&&", "||", ";", "&", "<"].contains($0) })
    }

    @Test("Every command in a guide exists, with its options and their values", arguments: pages)
    func commands(_ page: String) async throws {
        let root = try await MannersTests.tree()
        let text = try String(contentsOfFile: "\(Weir.package)/\(page)", encoding: .utf8)
        for block in Self.blocks("sh", in: text) {
            let lines = block.text.replacing(/\\\n\s*/, with: "").split(separator: "\n").map {
                $0.hasPrefix("sudo ") ? String($0.dropFirst(5)) : String($0)
            }
            for line in lines where line.hasPrefix("weir ") {
                let place = "\(page), the block at \(block.line): \(line)"
                try Self.requireCommand(Self.words(line).dropFirst(), in: root, place)
            }
        }
    }

    /// A command of the tree, with options of its own and values that these take.
    static func requireCommand(
        _ words: some Collection<String>, in root: MannersTests.Command, _ place: String
    ) throws {
        var words = Array(words)
        var command = root
        while let next = command.subcommands?.first(where: { $0.commandName == words.first }) {
            command = next
            words.removeFirst()
        }
        #expect((command.subcommands ?? []).allSatisfy { $0.commandName == "help" }, "\(place)")
        // --name=value is --name value.
        var rest = words.flatMap { $0.hasPrefix("--") ? $0.split(separator: "=", maxSplits: 1).map(String.init) : [$0] }
        while !rest.isEmpty {
            let word = rest.removeFirst()
            guard word.hasPrefix("--") else { continue }
            let option = command.arguments?.first { argument in
                argument.names?.contains { "--\($0.name)" == word } ?? false
            }
            let known = try #require(option, "\(place): \(word)")
            if let values = known.allValues, let value = rest.first {
                #expect(values.contains(value), "\(place)")
            }
        }
    }

    // MARK: References

    @Test("Every command has its line among the exit codes, and every line is a command")
    func statuses() async throws {
        let page = try Self.page("ExitCodesAndDiagnostics.md")
        let listed = page.matches(of: /\n\| `(weir [a-z ]+)` \|/).map { String($0.1) }
        let commands = try await MannersTests.tree().all.filter { command in
            (command.subcommands ?? []).allSatisfy { $0.commandName == "help" } && command.commandName != "manual"
        }
        #expect(listed == commands.map(\.words).sorted())
    }

    @Test("Every drop reason has a section of its own in the guide to troubleshooting, in their order")
    func reasons() throws {
        let reference = try Self.page("ExitCodesAndDiagnostics.md")
        let reasons = reference.matches(of: /\]\(Troubleshooting\.md#([a-z0-9-]+)\)/).map { String($0.1) }
        #expect(reasons.count == 24)
        let page = try Self.page("Troubleshooting.md")
        let headings = page.split(separator: "\n").filter { $0.hasPrefix("### ") }.map { String($0.dropFirst(4)) }
        #expect(headings.prefix(reasons.count).elementsEqual(reasons))
    }
}
