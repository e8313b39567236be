import Foundation
import Testing

@Suite("weir diff")
struct DiffTests {
    /// The shop in two versions, as folders `old` and `new` below the working directory.
    private func diff(_ edit: String, _ arguments: String) async throws -> Outcome {
        try await Weir.script(
            """
            set -e
            folder=$(mktemp -d); trap 'rm -r "$folder"' EXIT
            cp -r Policies/shop "$folder/old"; cp -r Policies/shop "$folder/new"
            rm -f "$folder"/*/expectations.yaml
            cd "$folder"
            \(edit)
            "$weir" diff \(arguments)
            """)
    }

    /// The database takes another pod's connections; the front end may use more of the API's ports.
    private static let edit = """
        sed -i 's/app: api/app: frontend/' new/db.yaml
        sed -i 's/- port: "8080"/&\\n              endPort: 8085/' new/frontend.yaml
        """

    @Test("Flows that open and close, by the rules that did it, and the entries behind them; status 2")
    func table() async throws {
        let outcome = try await diff(Self.edit, "old new --entries")
        #expect(outcome.status == 2)
        try Golden.expect(outcome.output, "diff.txt")
    }

    @Test("The same as JSON")
    func json() async throws {
        let outcome = try await diff(Self.edit, "old new --output json")
        #expect(outcome.status == 2)
        try Golden.expect(outcome.output, "diff.json")
    }

    @Test("Comments and the order of files change nothing, status 0")
    func nothing() async throws {
        let outcome = try await diff("sed -i '1i # a comment' new/*.yaml; mv new/db.yaml new/a.yaml", "old new")
        #expect(outcome.status == 0)
        #expect(outcome.output == "no flow changes\n\nno map entry of node-a changes\n")
    }

    @Test(
        "--fail-on counts what it names",
        arguments: [("any", 2), ("widened", 0), ("narrowed", 2), ("never", 0)] as [(String, Int32)])
    func failOn(_ name: String, _ status: Int32) async throws {
        let outcome = try await diff("rm new/db.yaml", "old new --fail-on \(name)")
        #expect(outcome.status == status)
        #expect(outcome.output.contains("- shop/api -> shop/db  5432/tcp"))
    }

    @Test("git revisions, a bundle against files, and a bundle against a bundle")
    func sources() async throws {
        let outcome = try await diff(
            """
            mv old policies; rm -r new
            git init -q . && git add . && git -c user.name=t -c user.email=t@t commit -qm one
            sed -i 's/5432/5433/' policies/db.yaml
            "$weir" diff HEAD policies && exit 9 || [ $? = 2 ]
            "$weir" diff HEAD:policies policies | head -2
            "$weir" compile --policies policies --inventory policies --output bundle --output-file new.weir
            git stash -q
            "$weir" compile --policies policies --inventory policies --output bundle --output-file old.weir
            "$weir" diff policies new.weir > files.txt && exit 9 || [ $? = 2 ]
            """, "old.weir new.weir --output json")
        #expect(outcome.status == 2)
        #expect(outcome.output.contains("before: ingress allow by HEAD:policies/db.yaml:14"))
        #expect(outcome.output.contains("\"5432/tcp\""))
        #expect(outcome.output.contains("\"node\" : \"node-a\""))
    }

    @Test("An endpoint that comes or goes is a difference, and its flows are not compared")
    func endpoints() async throws {
        let outcome = try await diff(
            "python3 - <<'X'\nimport re\np='new/inventory.yaml'\ns=open(p).read()\ns=s.replace('name: db','name: database',1)\nopen(p,'w').write(s)\nX",
            "old new --output json")
        #expect(outcome.status == 2)
        let endpoints = outcome.object?["endpoints"] as? [String: [String]]
        #expect(endpoints?["removed"]?.isEmpty == false)
        #expect(endpoints?["added"]?.isEmpty == false)
    }

    @Test("What is no source is an error that says what one is, status 1")
    func unknown() async throws {
        let outcome = try await diff("", "old nothing")
        #expect(outcome.status == 1)
        #expect(outcome.output.isEmpty)
        #expect(outcome.errors == "nothing: error: neither a path, nor a git revision, nor 'live' [file-unreadable]\n")
    }

    @Test("A policy that cannot be compiled is an error at its place, status 1")
    func invalid() async throws {
        let outcome = try await diff("sed -i 's/podSelector: {}/podSelektor: {}/' new/default-deny.yaml", "old new")
        #expect(outcome.status == 1)
        #expect(outcome.errors.contains("new/default-deny.yaml:8:3: error:"))
    }
}
