import Foundation
import Testing

/// How the command line behaves towards people: what it says without being asked, and what it leaves behind.
@Suite("Manners")
struct MannersTests {
    struct Command: Decodable {
        struct Argument: Decodable {
            struct Name: Decodable { var name: String }
            var names: [Name]?
            var abstract: String?
            var valueName: String?
            var allValues: [String]?
        }
        var commandName: String
        var superCommands: [String]?
        var abstract: String?
        var discussion: String?
        var subcommands: [Command]?
        var arguments: [Argument]?

        var words: String { ((superCommands ?? []) + [commandName]).joined(separator: " ") }
        var all: [Command] {
            [self] + (subcommands ?? []).filter { $0.commandName != "help" }.flatMap(\.all)
        }
    }

    static func tree() async throws -> Command {
        struct Tree: Decodable { var command: Command }
        let outcome = try await Weir.run(["--experimental-dump-help"])
        return try JSONDecoder().decode(Tree.self, from: Data(outcome.bytes)).command
    }

    @Test("Every command says what it is for, has an example of itself, and help for every option")
    func help() async throws {
        let commands = try await Self.tree().all
        #expect(commands.count > 15)
        for command in commands {
            #expect(command.abstract?.isEmpty == false, "\(command.words)")
            let examples = command.discussion?.components(separatedBy: "Example").dropFirst().joined() ?? ""
            #expect(
                examples.contains("\(command.words) ") || examples.contains("\(command.words)\n")
                    || examples.hasSuffix(command.words), "\(command.words)")
            for argument in command.arguments ?? [] {
                let name = argument.names?.last?.name ?? argument.valueName ?? "?"
                #expect(argument.abstract?.isEmpty == false, "\(command.words) --\(name)")
            }
        }
    }

    @Test("weir alone shows the three jobs, with commands that exist")
    func jobs() async throws {
        let outcome = try await Weir.run([])
        #expect(outcome.status == 0)
        #expect(outcome.errors.isEmpty)
        for job in ["Load:", "Dry-run:", "Inspect:"] { #expect(outcome.output.contains("\n\(job)")) }
        let names = Set(try await Self.tree().subcommands?.map(\.commandName) ?? [])
        for match in outcome.output.matches(of: /\n  (?:sudo )?weir ([a-z]+)/) {
            #expect(names.contains(String(match.1)))
        }
    }

    @Test(
        "A command that does not exist is answered with the nearest one",
        arguments: [
            (["statsu"], "'weir' has no command 'statsu'; did you mean 'weir status'?"),
            (["wireguard", "aply"], "'weir wireguard' has no command 'aply'; did you mean 'weir wireguard apply'?"),
            (["zzzzzz"], "'weir' has no command 'zzzzzz'\nweir: hint: weir --help lists its commands"),
        ])
    func unknownCommand(_ words: [String], _ message: String) async throws {
        let outcome = try await Weir.run(words)
        #expect(outcome.status == 64)
        #expect(outcome.output.isEmpty)
        #expect(outcome.errors.hasPrefix("weir: error: \(message)"))
    }

    @Test("A misspelt pod or node is answered with the nearest one")
    func nearest() async throws {
        let pod = try await Weir.run(
            ["verdict"] + Weir.shop + ["--from", "shop/frontent", "--to", "shop/db", "--port", "5432/tcp"])
        #expect(pod.status == 1)
        #expect(pod.errors.contains("no pod 'shop/frontent' in the inventory; did you mean 'shop/frontend'?"))
        let nodes = (1...7).map {
            "{apiVersion: weir.dev/v1, kind: Node, metadata: {name: rack-\($0)}, spec: {addresses: [192.0.2.\($0)]}}"
        }
        let node = try await Weir.run(
            ["compile", "--policies", "Policies/shop/db.yaml", "--inventory", "-", "--node", "rak-7"],
            input: nodes.joined(separator: "\n---\n"))
        #expect(node.status == 1)
        #expect(node.errors.contains("no node 'rak-7' in the inventory; it has rack-1, "))
        #expect(node.errors.contains("and 2 more; did you mean 'rack-7'?"))
    }

    /// Runs a shell command on a terminal of so many columns; the terminal's line ends are taken away.
    private static func onTerminal(
        _ command: String, columns: Int = 80, environment: [String: String] = ["TERM": "xterm", "NO_COLOR": ""]
    ) async throws -> String {
        let outcome = try await Weir.script(
            "script -qec \"stty cols \(columns); \(command)\" /dev/null", environment: environment)
        return outcome.output.replacingOccurrences(of: "\r\n", with: "\n")
    }

    private static let question =
        "$weir verdict --policies Policies/shop --inventory Policies/shop --from shop/api --to shop/frontend --port 5432/tcp"

    @Test("On a terminal a row of a table fits, elsewhere it is whole", arguments: [60, 100])
    func width(_ columns: Int) async throws {
        let whole = try await Weir.script(Self.question)
        #expect(whole.lines.contains { $0.count > columns })
        let narrow = try await Self.onTerminal(Self.question, columns: columns)
        let lines = narrow.split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines.allSatisfy { $0.count <= columns })
        #expect(narrow.contains("…"))
        #expect(lines.last?.hasSuffix("deny") == true)
        let file = try await Self.onTerminal(Self.question + " --output-file /dev/stderr 2>&1", columns: columns)
        #expect(file.split(separator: "\n").map(String.init) == whole.lines)
        let wide = try await Self.onTerminal("COLUMNS=500 " + Self.question, columns: columns)
        #expect(wide.split(separator: "\n").map(String.init) == whole.lines)
    }

    @Test("Errors are red on a terminal, unless NO_COLOR is set or it is a dumb one")
    func colour() async throws {
        let command = "$weir compile --policies /nowhere --inventory /nowhere"
        let red = "\u{1b}[31merror:\u{1b}[0m"
        #expect(try await Self.onTerminal(command).contains("/nowhere: \(red) "))
        #expect(try await Self.onTerminal("$weir nothing").contains("weir: \(red) "))
        for environment in [["TERM": "xterm", "NO_COLOR": "1"], ["TERM": "dumb", "NO_COLOR": ""]] {
            let plain = try await Self.onTerminal(command, environment: environment)
            #expect(plain.contains("/nowhere: error: "))
            #expect(!plain.contains("\u{1b}"))
        }
    }

    @Test("A run that a signal ends leaves no file, neither whole nor half", arguments: ["INT", "TERM", "HUP"])
    func interrupted(_ signal: String) async throws {
        let workspace = try Workspace()
        let outcome = try await Weir.script(
            """
            set -m
            mkfifo \(workspace.path)/flows
            "$weir" verdict --policies Policies/shop --inventory Policies/shop --flows \(workspace.path)/flows \\
                --output-file \(workspace.path)/answers &
            reader=$!
            exec 3>\(workspace.path)/flows
            for i in {1..2000}; do cat Policies/shop/flows.jsonl; done >&3
            ls \(workspace.path) | grep -c tmp
            kill -\(signal) $reader; wait $reader; echo $?
            """)
        let number = ["INT": 2, "TERM": 15, "HUP": 1][signal, default: 0]
        #expect(outcome.lines == ["1", "\(128 + number)"])
        #expect(try workspace.names == ["flows"])
    }

    @Test(
        "A closed pipe ends every command with much to say without a word",
        arguments: [
            "verdict --policies Policies/shop --inventory Policies/shop --flows Policies/shop/flows.jsonl",
            "compile --policies Policies/shop --inventory Policies/shop --output json",
            "lint --policies Policies/shop --inventory Policies/shop --output json",
            "inventory --inventory Policies/shop", "--help", "version", "",
        ])
    func closedPipe(_ command: String) async throws {
        let outcome = try await Weir.script("exec 3> >(true); wait $!\n\"$weir\" \(command) >&3; echo $?")
        #expect(outcome.lines.last == "141")
        #expect(!outcome.errors.contains("weir: error"))
    }

    @Test("Completions are scripts that their shells take, and complete paths")
    func completions() async throws {
        let workspace = try Workspace()
        for shell in ["bash", "zsh", "fish"] {
            let outcome = try await Weir.run(["--generate-completion-script", shell])
            #expect(outcome.status == 0)
            #expect(outcome.output.contains("monitor"))
            try workspace.write(outcome.bytes, to: shell)
        }
        let checks = try await Weir.script(
            "bash -n bash; for shell in zsh fish; do ! command -v $shell >/dev/null || $shell -n $shell; done",
            in: workspace.path)
        #expect(checks.status == 0, "\(checks.errors)")
        let bash = try await Weir.script(
            """
            source ./bash; cd \(Weir.package)
            COMP_WORDS=(weir verdict --flows Policies/shop/fl); COMP_CWORD=3; COMP_LINE="${COMP_WORDS[*]}"; COMP_POINT=${#COMP_LINE}
            _weir weir Policies/shop/fl --flows; echo "${COMPREPLY[@]}"
            """, in: workspace.path)
        #expect(bash.output == "Policies/shop/flows.jsonl\n")
    }

    @Test("Every command has a man page that man takes without a warning")
    func manual() async throws {
        let workspace = try Workspace()
        let outcome = try await Weir.run(["manual", "--directory", workspace.path + "/man"])
        #expect(outcome.status == 0)
        let pages = try FileManager.default.contentsOfDirectory(atPath: workspace.path + "/man").sorted()
        let commands = try await Self.tree().all.filter { $0.commandName != "manual" }
        #expect(pages == commands.map { $0.words.replacingOccurrences(of: " ", with: "-") + ".1" }.sorted())
        for page in pages {
            let rendered = try await Weir.command([
                "groff", "-man", "-Tutf8", "-P-cbou", "-ww", "\(workspace.path)/man/\(page)",
            ])
            #expect(rendered.status == 0)
            #expect(rendered.errors.isEmpty, "\(page): \(rendered.errors)")
            for section in ["NAME", "SYNOPSIS", "OPTIONS", "EXAMPLES", "EXIT STATUS"]
            where section != "OPTIONS" || page.contains("-") { #expect(rendered.output.contains(section), "\(page)") }
        }
    }
}
