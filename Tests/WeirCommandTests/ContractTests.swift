import Foundation
import Testing

@Suite("The contract of the command line")
struct ContractTests {
    static let commands = [
        "compile", "bundle", "inspect", "lint", "inventory", "verdict", "explain", "test", "diff", "apply", "rollback",
        "status",
        "monitor", "detach", "doctor", "wireguard", "cni", "version", "map", "endpoint", "identity", "rule", "ct",
    ]

    struct StatusCase: CustomTestStringConvertible {
        var testDescription: String
        var arguments: [String]
        var status: Int32
    }

    @Test(
        "The exit status says what kind of end it was",
        arguments: [
            StatusCase(testDescription: "done is 0", arguments: ["compile"] + Weir.shop, status: 0),
            StatusCase(
                testDescription: "a denied flow is an answer, so 0",
                arguments: ["verdict"] + Weir.shop + ["--from", "shop/db", "--to", "shop/api", "--port", "80/tcp"],
                status: 0),
            StatusCase(testDescription: "help is 0", arguments: ["--help"], status: 0),
            StatusCase(
                testDescription: "a missing file is 1",
                arguments: ["compile", "--policies", "/nowhere", "--inventory", "Policies/shop"], status: 1),
            StatusCase(
                testDescription: "a missing flow list is 1",
                arguments: ["verdict"] + Weir.shop + ["--flows", "/nowhere"],
                status: 1),
            StatusCase(
                testDescription: "a directory as flow list is 1",
                arguments: ["verdict"] + Weir.shop + ["--flows", "/tmp"],
                status: 1),
            StatusCase(
                testDescription: "a flow that cannot be judged is 1",
                arguments: ["verdict"] + Weir.shop + ["--from", "shop/x", "--to", "shop/api", "--port", "80/tcp"],
                status: 1),
            StatusCase(
                testDescription: "an output file that cannot be written is 3",
                arguments: ["compile"] + Weir.shop + ["--output-file", "/nowhere/image"], status: 3),
            StatusCase(testDescription: "an unknown command is 64", arguments: ["enforce"], status: 64),
            StatusCase(testDescription: "an unknown option is 64", arguments: ["compile", "--what"], status: 64),
            StatusCase(testDescription: "missing sources are 64", arguments: ["compile"], status: 64),
            StatusCase(
                testDescription: "a missing inventory is 64", arguments: ["verdict", "--policies", "Policies/shop"],
                status: 64),
            StatusCase(
                testDescription: "an unknown format is 64", arguments: ["compile"] + Weir.shop + ["--output", "xml"],
                status: 64),
            StatusCase(
                testDescription: "half a flow is 64", arguments: ["verdict"] + Weir.shop + ["--from", "shop/db"],
                status: 64),
            StatusCase(
                testDescription: "a flow and a list are 64",
                arguments: ["verdict"] + Weir.shop + ["--flows", "x", "--from", "shop/db"], status: 64),
            StatusCase(
                testDescription: "a port without protocol is 64",
                arguments: ["verdict"] + Weir.shop + ["--from", "shop/db", "--to", "shop/api", "--port", "80"],
                status: 64),
            StatusCase(
                testDescription: "a bundle and policies are 64", arguments: ["apply", "--bundle", "x"] + Weir.shop,
                status: 64),
            StatusCase(
                testDescription: "--detailed-exitcode alone is 64",
                arguments: ["apply", "--detailed-exitcode"] + Weir.shop, status: 64),
            StatusCase(
                testDescription: "a relative pin path is 64", arguments: ["status", "--pin-path", "weir"], status: 64),
            StatusCase(
                testDescription: "a negative timeout is 64", arguments: ["detach", "--timeout", "-1"], status: 64),
        ])
    func exitStatus(_ scenario: StatusCase) async throws {
        let outcome = try await Weir.run(scenario.arguments)
        #expect(outcome.status == scenario.status)
        if scenario.status == 0 {
            #expect(outcome.errors.isEmpty)
            #expect(!outcome.output.isEmpty)
        } else {
            #expect(!outcome.errors.isEmpty)
            #expect(!outcome.errors.contains("NSCocoaErrorDomain"))
        }
        if scenario.status == 64 {
            #expect(outcome.output.isEmpty)
            // The hint is about the command that was run.
            if let command = scenario.arguments.first, Self.commands.contains(command) {
                #expect(outcome.errors.contains("weir \(command)"))
            }
        }
    }

    @Test("A diagnostic is path:line:column: error: message [id], on standard error")
    func diagnosticShape() async throws {
        let workspace = try Workspace()
        let file = try workspace.write(
            "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: a}\nspec:\n  what: 1\n  endpointSelector: {}\n  ingress: [{}]\n",
            to: "a.yaml")
        let outcome = try await Weir.run(["compile", "--policies", file, "--inventory", "Policies/shop"])
        #expect(outcome.status == 1)
        #expect(outcome.output.isEmpty)
        for line in outcome.errorLines { #expect(line.matches(#"^.+\.yaml:\d+:\d+: (error|note): .+"#)) }
        #expect(outcome.errors.matches(#":5:3: error: .*what"#))
        #expect(outcome.errors.contains("[unknown-field]"))
    }

    @Test("--help of every command has an example and is data", arguments: commands)
    func help(_ command: String) async throws {
        for arguments in [[command, "--help"], ["help", command]] {
            let outcome = try await Weir.run(arguments)
            #expect(outcome.status == 0)
            #expect(outcome.errors.isEmpty)
            #expect(outcome.output.matches("Examples?:\\s+(sudo )?weir \(command)"))
        }
    }

    @Test("weir version --output json has the version, the ABI, the object and libbpf")
    func version() async throws {
        let outcome = try await Weir.run(["version", "--output", "json"])
        #expect(outcome.status == 0)
        let report = try #require(outcome.object)
        #expect(report.keys.sorted() == ["abi", "imageFormat", "libbpf", "object", "weir"])
        #expect((report["object"] as? String)?.matches("^[0-9a-f]{64}$") == true)
    }

    @Test("WEIR_* variables stand in for options that are not given")
    func environment() async throws {
        let sources = ["WEIR_POLICIES": "Policies/shop", "WEIR_INVENTORY": "Policies/shop"]
        let plain = try await Weir.run(["compile", "--output", "bundle"] + Weir.shop)
        let outcome = try await Weir.run(
            ["compile"], environment: sources.merging(["WEIR_OUTPUT": "bundle"]) { $1 })
        #expect(outcome.status == 0)
        #expect(outcome.bytes == plain.bytes)
        let single = try await Weir.run(
            ["verdict"],
            environment: sources.merging([
                "WEIR_FROM": "shop/api", "WEIR_TO": "shop/db", "WEIR_PORT": "5432/tcp", "WEIR_FAMILY": "ipv6",
                "WEIR_OUTPUT": "jsonl",
            ]) { $1 })
        #expect(single.object?["verdict"] as? String == "allow")
        #expect(single.object?["family"] as? String == "ipv6")
    }

    @Test("WEIR_POLICIES takes several paths, separated by colons")
    func environmentList() async throws {
        let whole = try await Weir.run(["compile", "--output", "bundle"] + Weir.shop)
        let files = ["api", "db", "default-deny", "dns", "frontend"].map { "Policies/shop/\($0).yaml" }
        let outcome = try await Weir.run(
            ["compile", "--output", "bundle", "--inventory", "Policies/shop"],
            environment: ["WEIR_POLICIES": files.joined(separator: ":")])
        #expect(outcome.bytes == whole.bytes)
    }

    @Test(
        "What the command line says goes before the environment",
        arguments: [
            ["compile", "--node", "node-a"] + Weir.shop,
            ["verdict", "--from", "shop/api", "--to", "shop/db", "--port", "5432/tcp"] + Weir.shop,
        ])
    func precedence(_ arguments: [String]) async throws {
        let outcome = try await Weir.run(
            arguments,
            environment: [
                "WEIR_NODE": "elsewhere", "WEIR_POLICIES": "/nowhere", "WEIR_INVENTORY": "/nowhere",
                "WEIR_FLOWS": "/nowhere", "WEIR_BUNDLE": "/nowhere",
            ])
        #expect(outcome.status == 0)
        #expect(outcome.errors.isEmpty)
    }

    @Test(
        "WEIR_NODE is --node, WEIR_PIN_PATH is --pin-path, WEIR_BUNDLE is --bundle",
        arguments: [
            (["compile"] + Weir.shop, "WEIR_NODE", "elsewhere", Int32(1), "no node 'elsewhere'"),
            (["status"], "WEIR_PIN_PATH", "relative", 64, "--pin-path must be an absolute path"),
            (["status"], "WEIR_STATE_DIR", "relative", 64, "--state-dir must be an absolute path"),
            (
                ["apply"], "WEIR_BUNDLE", "/nowhere/image", 1,
                "/nowhere/image: error: cannot be read: No such file or directory"
            ),
            (["compile"] + Weir.shop, "WEIR_MAX_INPUT_BYTES", "10", 1, "[input-too-large]"),
            (["verdict"] + Weir.shop, "WEIR_FLOWS", "/nowhere", 1, "/nowhere: error: cannot be read"),
        ])
    func environmentNames(
        _ arguments: [String], _ variable: String, _ value: String, _ status: Int32, _ message: String
    ) async throws {
        let outcome = try await Weir.run(arguments, environment: [variable: value])
        #expect(outcome.status == status)
        #expect(outcome.errors.contains(message))
    }

    @Test(
        "A bad value in a variable is a usage error that names it",
        arguments: [
            ("verdict", "WEIR_BACKEND", "cloud"), ("apply", "WEIR_ATTACH", "xdp"), ("status", "WEIR_TIMEOUT", "soon"),
            ("status", "WEIR_TIMEOUT", "-1"), ("compile", "WEIR_MAX_INPUT_BYTES", "much"),
            ("compile", "WEIR_MAX_INPUT_BYTES", "0"), ("compile", "WEIR_OUTPUT", "xml"),
            ("verdict", "WEIR_OUTPUT", "xml"),
            ("compile", "WEIR_POLICY_ENFORCEMENT_MODE", "sometimes"), ("compile", "WEIR_ALLOW_LOCALHOST", "maybe"),
            ("compile", "WEIR_POLICY_CIDR_MATCH_MODE", "pods"), ("apply", "WEIR_DRY_RUN", "perhaps"),
        ])
    func badEnvironment(_ command: String, _ variable: String, _ value: String) async throws {
        let sources = command == "status" ? [] : Weir.shop
        let flow = command == "verdict" ? ["--flows", "Policies/shop/flows.jsonl"] : []
        let outcome = try await Weir.run([command] + sources + flow, environment: [variable: value])
        #expect(outcome.status == 64)
        #expect(outcome.output.isEmpty)
        let option = "--" + variable.dropFirst(5).lowercased().replacingOccurrences(of: "_", with: "-")
        #expect(outcome.errors.contains(variable) || outcome.errors.contains(option))
    }

    @Test("- is standard input, for policies, inventory and flows alike")
    func standardInput() async throws {
        let whole = try await Weir.run(["compile"] + Weir.shop + ["--output", "json"])
        let inventory = try String(contentsOfFile: Weir.package + "/Policies/shop/inventory.yaml", encoding: .utf8)
        let piped = try await Weir.run(
            ["compile", "--policies", "Policies/shop", "--inventory", "-", "--output", "json"], input: inventory)
        #expect(piped.status == 0)
        #expect(piped.object?["digest"] as? String == whole.object?["digest"] as? String)
        let flows = try String(contentsOfFile: Weir.shopFlows, encoding: .utf8)
        let answers = try await Weir.run(["verdict"] + Weir.shop + ["--flows", "-"], input: flows)
        #expect(answers.status == 0)
        #expect(answers.lines.count == 19)
    }

    @Test(
        "- twice is an error",
        arguments: [
            ["compile", "--policies", "-", "--inventory", "-"],
            ["compile", "--policies", "-", "-", "--inventory", "Policies/shop"],
            ["verdict", "--policies", "Policies/shop", "--inventory", "-", "--flows", "-"],
        ])
    func standardInputTwice(_ arguments: [String]) async throws {
        let outcome = try await Weir.run(arguments, input: "")
        #expect(outcome.status == 1)
        #expect(outcome.output.isEmpty)
        #expect(outcome.errors.contains("[stdin-twice]"))
    }

    @Test("A closed pipe ends the run without a word, also where SIGPIPE is ignored", arguments: ["", "trap '' PIPE;"])
    func closedPipe(_ trap: String) async throws {
        let outcome = try await Weir.script(
            """
            \(trap) for i in {1..1000}; do cat Policies/shop/flows.jsonl; done |
            "$weir" verdict --policies Policies/shop --inventory Policies/shop --flows - | head -1
            echo ${PIPESTATUS[1]}
            """)
        #expect(outcome.errors.replacingOccurrences(of: "cat: write error: Broken pipe\n", with: "").isEmpty)
        #expect(outcome.lines.count == 2)
        #expect(outcome.lines.last == "141")
    }

    @Test(
        "Output that cannot be written is a refusal, not silence and not a crash",
        arguments: [
            "version", "compile --policies Policies/shop --inventory Policies/shop",
            "verdict --policies Policies/shop --inventory Policies/shop --flows Policies/shop/flows.jsonl",
        ])
    func fullDisk(_ command: String) async throws {
        let outcome = try await Weir.script(#""$weir" "# + command + " > /dev/full")
        #expect(outcome.status == 3)
        #expect(outcome.errors == "weir: error: cannot write to standard output: No space left on device\n")
    }

    @Test("A closed standard error takes the message, not the status")
    func closedStandardError() async throws {
        let outcome = try await Weir.script(#""$weir" compile --policies /nowhere --inventory /nowhere 2>&-"#)
        #expect(outcome.status == 1)
    }

    @Test("--output-file writes to a device, and leaves it a device")
    func device() async throws {
        let outcome = try await Weir.run(
            ["compile"] + Weir.shop + ["--output", "bundle", "--output-file", "/dev/null"])
        #expect(outcome.status == 0)
        #expect(
            try FileManager.default.attributesOfItem(atPath: "/dev/null")[.type] as? FileAttributeType
                == .typeCharacterSpecial)
    }

    @Test("Output has no colour, whatever NO_COLOR says", arguments: [[:], ["NO_COLOR": "1"], ["FORCE_COLOR": "1"]])
    func colour(_ environment: [String: String]) async throws {
        let outcome = try await Weir.run(
            ["verdict"] + Weir.shop + ["--from", "shop/api", "--to", "shop/db", "--port", "5432/tcp"],
            environment: environment)
        #expect(!outcome.output.contains("\u{1b}"))
    }
}
