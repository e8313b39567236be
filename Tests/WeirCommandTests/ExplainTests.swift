import Foundation
import Testing

@Suite("weir explain")
struct ExplainTests {
    private func explain(_ from: String, _ to: String, _ port: String, _ arguments: String...) async throws -> Outcome {
        try await Weir.run(["explain"] + Weir.shop + ["--from", from, "--to", to, "--port", port] + arguments)
    }

    @Test("A denied flow: both sides, every rule, the source lines, and what would change it")
    func denied() async throws {
        let table = try await explain("shop/frontend", "shop/db", "5432/tcp")
        #expect(table.status == 0)
        try Golden.expect(table.output, "explain-deny.txt")
        let json = try await explain("shop/frontend", "shop/db", "5432/tcp", "--output", "json")
        try Golden.expect(json.output, "explain-deny.json")
    }

    @Test("An allowed flow to an address outside: one side is nobody's")
    func allowed() async throws {
        let outcome = try await explain("ip:203.0.113.7", "shop/frontend", "8080/tcp")
        #expect(outcome.status == 0)
        try Golden.expect(outcome.output, "explain-allow.txt")
    }

    @Test("The verdict is that of weir verdict, for every flow of the examples")
    func agrees() async throws {
        let flows = try String(contentsOfFile: Weir.shopFlows, encoding: .utf8).split(separator: "\n")
        for line in flows {
            let flow = try #require(Outcome.object(String(line)))
            let port = try #require(flow["port"] as? Int)
            let proto = try #require(flow["protocol"] as? String)
            var arguments = ["--output", "json"]
            if let family = flow["family"] as? String { arguments += ["--family", family] }
            let outcome = try await Weir.run(
                ["explain"] + Weir.shop
                    + [
                        "--from", try #require(flow["from"] as? String), "--to", try #require(flow["to"] as? String),
                        "--port", "\(port)/\(proto)",
                    ] + arguments)
            #expect(outcome.object?["verdict"] as? String == flow["expect"] as? String, "\(line)")
        }
    }

    @Test("A bundle explains what the files explain; without its sources by its maps alone")
    func bundle() async throws {
        let flow = "--from shop/frontend --to shop/db --port 5432/tcp"
        let outcome = try await Weir.script(
            """
            set -e
            folder=$(mktemp -d); trap 'rm -r "$folder"' EXIT
            shop="--policies Policies/shop --inventory Policies/shop"
            "$weir" compile $shop --output-file "$folder/a.weir"
            "$weir" explain --bundle "$folder/a.weir" \(flow) > "$folder/bundle.txt"
            "$weir" explain $shop \(flow) | cmp - "$folder/bundle.txt" >&2
            "$weir" compile $shop --without-sources --output-file "$folder/b.weir"
            "$weir" explain --bundle "$folder/b.weir" \(flow)
            """)
        #expect(outcome.status == 0)
        #expect(outcome.errors.isEmpty)
        try Golden.expect(outcome.output, "explain-bundle.txt")
    }

    @Test("A pod that is not there is an error with its name, status 1")
    func unknown() async throws {
        let outcome = try await explain("shop/nobody", "shop/db", "5432/tcp")
        #expect(outcome.status == 1)
        #expect(outcome.output.isEmpty)
        #expect(outcome.errors.contains("no pod 'shop/nobody' in the inventory"))
    }

    @Test(
        "What is missing or too much is a usage error",
        arguments: [
            ["--from", "shop/db", "--port", "1/tcp"], ["--from", "shop/db", "--to", "shop/api", "--port", "1"],
            ["--from", "shop/db", "--to", "shop/api", "--port", "1/tcp", "--live"],
        ])
    func usage(_ arguments: [String]) async throws {
        #expect(try await Weir.run(["explain"] + Weir.shop + arguments).status == 64)
    }
}
