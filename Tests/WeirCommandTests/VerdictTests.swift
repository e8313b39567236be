import Foundation
import Testing
import WeirTestSupport

@Suite("weir verdict")
struct VerdictTests {
    static let good = #"{"from":"shop/frontend","to":"shop/api","protocol":"TCP","port":8080}"#
    static let answer =
        #""egress":"allow","ingress":"allow","verdict":"allow","rules":{"egress":["Policies/shop/frontend.yaml:29"],"#
        + #""ingress":["Policies/shop/api.yaml:12"]}}"#

    private func judge(_ flows: String, _ arguments: String...) async throws -> Outcome {
        try await Weir.run(["verdict"] + Weir.shop + ["--flows", "-"] + arguments, input: flows)
    }

    @Test("The shop's flows get the answers that they expect, each in its place and with nothing else changed")
    func shop() async throws {
        let flows = try String(contentsOfFile: Weir.shopFlows, encoding: .utf8)
        let outcome = try await judge(flows)
        #expect(outcome.status == 0)
        #expect(outcome.errors.isEmpty)
        let questions = flows.split(separator: "\n")
        try #require(outcome.lines.count == questions.count)
        for (question, line) in zip(questions, outcome.lines) {
            #expect(line.hasPrefix(question.dropLast()))
            let answer = try #require(Outcome.object(line))
            #expect(answer["verdict"] as? String == answer["expect"] as? String, "\(line)")
            let rules = try #require(answer["rules"] as? [String: [String]])
            #expect(rules.keys.sorted() == ["egress", "ingress"])
            for (side, places) in rules {
                #expect(places == places.sorted())
                for place in places { #expect(place.matches(#"^Policies/shop/[a-z-]+\.yaml:\d+$"#)) }
                let kind = try #require(answer[side] as? String)
                #expect(["allow", "deny", "default-deny", "none"].contains(kind))
                if kind == "none" { #expect(places.isEmpty) }
            }
        }
    }

    @Test("The example of a whole cluster gets the answers that it promises: tiers, Services, the host")
    func cluster() async throws {
        let folder = "Policies/cluster"
        let outcome = try await Weir.run([
            "verdict", "--policies", folder, "--inventory", folder, "--host-firewall", "--flows",
            "\(folder)/flows.jsonl",
        ])
        #expect(outcome.status == 0)
        #expect(outcome.lines.count == 19)
        for line in outcome.lines {
            let answer = try #require(Outcome.object(line))
            #expect(answer["verdict"] as? String == answer["expect"] as? String, "\(line)")
        }
        // The one Service whose backends are not judged alike.
        #expect(outcome.errors.contains("blue/mixed is denied on 80/TCP to blue/web"))
        #expect(outcome.errors.contains("[service-backends-disagree]"))
    }

    @Test(
        "What a line has besides the flow comes back as it was written",
        arguments: [
            #"{"note":"a } b","from":"shop/frontend","to":"shop/api","protocol":"TCP","port":8080}"#,
            #"{"from":"shop/frontend","to":"shop/api","protocol":"TCP","port":8080,"n":{"deep":[1.50,{"x":"}]"}],"y":null}}"#,
            #"  { "from" : "shop/frontend", "to":"shop/api","protocol":"TCP" ,"port":8080 , "é":"ü\n\u00e9😀" }  "#,
            #"{"from":"shop\/frontend","to":"shop/ap\u0069","protocol":"tcp","port":"8080","trailing":"spaces   "}   "#,
            #"{"fr\u006fm":"shop/frontend","to":"shop/api","protocol":6,"port":8.08e3,"big":123456789012345678901234567890}"#,
            #"{"from":"shop/frontend","to":"shop/api","protocol":"TCP","port":8080.0,"same":1,"same":2}"#,
        ])
    func untouched(_ line: String) async throws {
        let outcome = try await judge(line + "\n")
        #expect(outcome.status == 0)
        #expect(outcome.errors.isEmpty)
        let brace = try #require(line.lastIndex(of: "}"))
        #expect(outcome.output == line[..<brace] + "," + Self.answer + "\n")
        #expect(outcome.object != nil)
    }

    struct BadLine: CustomTestStringConvertible {
        var testDescription: String
        var line: String
        var message: String

        init(_ description: String, _ line: String, _ message: String) {
            testDescription = description
            self.line = line
            self.message = message
        }

        /// A flow of the shop with one field replaced or added.
        init(_ description: String, _ field: String, _ value: String, _ message: String) {
            var fields = ["from": #""shop/frontend""#, "to": #""shop/api""#, "protocol": #""TCP""#, "port": "8080"]
            fields[field] = value
            let text = fields.sorted { $0.key < $1.key }.map { "\"\($0)\":\($1)" }.joined(separator: ",")
            self.init(description, "{\(text)}", message)
        }
    }

    static let badLines = [
        BadLine("bad JSON", "{bad", "not a JSON object"),
        BadLine("an array", "[1]", "not a JSON object"),
        BadLine("a string", #""x""#, "not a JSON object"),
        BadLine("two objects", good + " " + good, "not a JSON object"),
        BadLine("a comma at the end", #"{"from":"shop/api",}"#, "not a JSON object"),
        BadLine("a number with a leading zero", "port", "080", "not a JSON object"),
        BadLine("half a surrogate pair", "note", #""\ud800""#, "not a JSON object"),
        BadLine("a control character", "note", "\"\u{1}\"", "not a JSON object"),
        BadLine("a line that does not end", String(good.dropLast()), "not a JSON object"),
        BadLine(
            "deep nesting", "note", String(repeating: "[", count: 100_000) + String(repeating: "]", count: 100_000),
            "nested deeper than 128 levels"),
        BadLine("no fields", "{}", "field 'from' is missing"),
        BadLine("an unknown pod", "from", #""shop/nope""#, "no pod 'shop/nope' in the inventory"),
        BadLine("a name that is none", "from", #""frontend""#, "is neither namespace/pod"),
        BadLine("a bad address", "from", #""ip:10.0.0.256""#, "'10.0.0.256' is not an IP address"),
        BadLine("a node that is none", "from", #""remote-node:10.0.0.1""#, "no node of the inventory"),
        BadLine("another node as host", "from", #""host:10.0.0.1""#, "is no address of node-a"),
        BadLine("an unknown protocol", "protocol", #""QUIC""#, "unknown protocol 'QUIC'"),
        BadLine("a protocol beyond 255", "protocol", "256", "field 'protocol' must be"),
        BadLine("a port out of range", "port", "65536", "field 'port' must be a number from 0 to 65535"),
        BadLine("a negative port", "port", "-1", "field 'port' must be"),
        BadLine("a broken port", "port", "80.5", "field 'port' must be"),
        BadLine("a port beyond numbers", "port", "1e99", "field 'port' must be"),
        BadLine("a port that is no number", "port", "true", "field 'port' must be"),
        BadLine("a port name", "port", #""http""#, "field 'port' must be"),
        BadLine(
            "an ICMP type out of range", #"{"from":"shop/api","to":"shop/db","protocol":"ICMP","port":256}"#,
            "from 0 to 255"),
        BadLine("an unknown family", "family", #""IPv5""#, "family 'IPv5' is neither IPv4 nor IPv6"),
        BadLine(
            "a family conflict", #"{"from":"shop/api","to":"shop/db","protocol":"ICMP","port":8,"family":"IPv6"}"#,
            "ICMP does not travel over IPv6"),
        BadLine(
            "no family in common", #"{"from":"ip:192.0.2.1","to":"ip:fd07::3","protocol":"TCP","port":1}"#, "in common"),
        BadLine(
            "no pod at all", #"{"from":"ip:192.0.2.1","to":"ip:192.0.2.2","protocol":"TCP","port":1}"#,
            "neither end is a pod"),
        BadLine(
            "a field twice", #"{"from":"shop/api","from":"shop/db","to":"shop/api","protocol":"TCP","port":1}"#,
            "field 'from' is there twice"),
        BadLine("an answer", "verdict", #""allow""#, "field 'verdict' belongs to the answer"),
        BadLine("an answer's audit", "audit", "{}", "field 'audit' belongs to the answer"),
        BadLine("an answer's error", "error", #""x""#, "field 'error' belongs to the answer"),
    ]

    @Test("A line that cannot be judged is answered with its error, the others are answered", arguments: badLines)
    func badLine(_ scenario: BadLine) async throws {
        let outcome = try await judge("\(Self.good)\n\(scenario.line)\n\n\(Self.good)\n")
        #expect(outcome.status == 1)
        try #require(outcome.lines.count == 3)
        #expect(outcome.lines[0] == Self.good.dropLast() + "," + Self.answer)
        #expect(outcome.lines[2] == outcome.lines[0])
        let answer = try #require(Outcome.object(outcome.lines[1]))
        let message = try #require(answer["error"] as? String)
        #expect(message.contains(scenario.message))
        #expect(answer["verdict"] as? String != "deny")
        if let input = answer["input"] as? String {
            #expect(input == scenario.line)
        } else {
            #expect(outcome.lines[1].hasPrefix(scenario.line.dropLast()))
        }
        #expect(outcome.errors.matches(#"^-:2:\d+: error: .+ \[invalid-flow\]\n$"#))
        #expect(outcome.errors.contains(message))
    }

    @Test("All bad lines in one list: each is told with its number, in order")
    func allBadLines() async throws {
        let outcome = try await judge(Self.badLines.map(\.line).joined(separator: "\n"))
        #expect(outcome.status == 1)
        #expect(outcome.lines.count == Self.badLines.count)
        #expect(outcome.errorLines.count == Self.badLines.count)
        for (number, line) in outcome.errorLines.enumerated() { #expect(line.hasPrefix("-:\(number + 1):")) }
    }

    @Test("CRLF line ends, empty lines and a missing last line feed change no answer")
    func lineEnds() async throws {
        let outcome = try await judge("\r\n\(Self.good)\r\n\n   \n\(Self.good)")
        #expect(outcome.status == 0)
        #expect(outcome.lines == Array(repeating: Self.good.dropLast() + "," + Self.answer, count: 2))
    }

    @Test("A line that is not UTF-8 is an error, not another text")
    func invalidUTF8() async throws {
        let outcome = try await Weir.script(
            #"printf '{"from":"shop/frontend","to":"shop/api","protocol":"TCP","port":8080,"x":"\xff"}\n' | "#
                + #""$weir" verdict --policies Policies/shop --inventory Policies/shop --flows -"#)
        #expect(outcome.status == 1)
        #expect(outcome.object?["error"] as? String == "not UTF-8")
        #expect(outcome.errors == "-:1:1: error: not UTF-8 [invalid-flow]\n")
    }

    @Test("A huge line is answered with an error, without its text, and the rest is judged", arguments: [1, 40])
    func hugeLine(_ mebibytes: Int) async throws {
        let outcome = try await Weir.script(
            """
            { echo '\(Self.good)'; head -c \(mebibytes << 20) /dev/zero | tr '\\0' x; echo x; echo '\(Self.good)'; } |
            "$weir" verdict --policies Policies/shop --inventory Policies/shop --flows -
            """)
        #expect(outcome.status == 1)
        try #require(outcome.lines.count == 3)
        #expect(outcome.lines[1] == #"{"error":"longer than 1048576 bytes"}"#)
        #expect(outcome.lines[2] == outcome.lines[0])
        #expect(outcome.errors.hasPrefix("-:2:1: error: "))
    }

    @Test("A long line below the limit is judged")
    func longLine() async throws {
        let note = String(repeating: "x}", count: 500_000)
        let outcome = try await judge(#"{"note":"\#(note)","# + Self.good.dropFirst() + "\n")
        #expect(outcome.status == 0)
        #expect(outcome.object?["note"] as? String == note)
    }

    @Test("One flow of the options, as table and as JSON")
    func single() async throws {
        let arguments = ["verdict"] + Weir.shop + ["--from", "shop/frontend", "--to", "shop/api", "--port", "8080/tcp"]
        let text = try await Weir.run(arguments)
        #expect(text.status == 0)
        #expect(text.lines.count == 2)
        #expect(
            text.lines.last?.matches(
                #"^shop/frontend +shop/api +TCP/8080 +allow \(.+frontend\.yaml:29\) +allow \(.+api\.yaml:12\) +allow$"#)
                == true)
        let json = try await Weir.run(arguments + ["--output", "jsonl", "--family", "IPv6"])
        #expect(json.object?["verdict"] as? String == "allow")
        #expect(json.object?["family"] as? String == "IPv6")
        let denied = try await Weir.run(
            ["verdict"] + Weir.shop + ["--from", "shop/frontend", "--to", "shop/db", "--port", "0/47"])
        #expect(denied.status == 0)
        #expect(denied.lines.last?.hasSuffix("  deny") == true)
    }

    @Test("A table of a list has one row for each line, errors with their line number")
    func tableOfList() async throws {
        let outcome = try await judge("\(Self.good)\n{bad\n", "--output", "table")
        #expect(outcome.status == 1)
        #expect(outcome.lines.count == 3)
        #expect(outcome.lines.last?.hasPrefix("line 2") == true)
        #expect(outcome.lines.last?.contains("error: not a JSON object") == true)
    }

    @Test("100,000 flows through a pipe come back in order")
    func stream() async throws {
        let workspace = try Workspace()
        let questions = try String(contentsOfFile: Weir.shopFlows, encoding: .utf8).split(separator: "\n")
        let flows = (0..<100_000).map { #"{"id":\#($0),"# + questions[$0 % questions.count].dropFirst() }
        let file = try workspace.write(flows.joined(separator: "\n") + "\n", to: "flows.jsonl")
        let outcome = try await Weir.script(
            #"cat \#(file) | "$weir" verdict --policies Policies/shop --inventory Policies/shop --flows -"#)
        #expect(outcome.status == 0)
        try #require(outcome.lines.count == flows.count)
        let isInOrder = zip(flows, outcome.lines).allSatisfy { flow, line in
            line.utf8.starts(with: flow.utf8.dropLast())
        }
        #expect(isInOrder)
        let asExpected = outcome.lines.allSatisfy {
            $0.contains("\"expect\":\"deny\"") == $0.contains("\"verdict\":\"deny\"")
        }
        #expect(asExpected)
    }

    @Test("--output-file has what standard output would have, and appears when it is complete")
    func outputFile() async throws {
        let workspace = try Workspace()
        let arguments = ["verdict"] + Weir.shop + ["--flows", "Policies/shop/flows.jsonl"]
        let outcome = try await Weir.run(arguments + ["--output-file", workspace.path + "/answers"])
        #expect(outcome.status == 0)
        #expect(outcome.output.isEmpty)
        #expect(try workspace.names == ["answers"])
        #expect(try workspace.contents("answers") == (try await Weir.run(arguments)).output)
    }

    @Test(
        "The kernel answers the shop's flows byte for byte as the emulator does", .enabled(if: KernelRequirement.isMet))
    func kernel() async throws {
        try await Machine.mountBPFFileSystem()
        let arguments = ["verdict"] + Weir.shop + ["--flows", "Policies/shop/flows.jsonl"]
        let emulator = try await Weir.run(arguments)
        let kernel = try await Weir.run(arguments + ["--backend", "kernel"])
        #expect(kernel.errors.isEmpty)
        #expect(kernel.status == 0)
        #expect(kernel.bytes == emulator.bytes)
    }

    @Test("Without rights the kernel's answers are refused with a hint", .enabled(if: KernelRequirement.isMet))
    func kernelWithoutRights() async throws {
        let outcome = try await Weir.run(
            ["verdict"] + Weir.shop + ["--flows", "Policies/shop/flows.jsonl", "--backend", "kernel"],
            under: try Machine.withoutRoot())
        #expect(outcome.status == 3)
        #expect(outcome.output.isEmpty)
        #expect(outcome.errors.contains("weir: hint: this needs root"))
    }
}
