import ArgumentParser
import Foundation

/// Writes man pages from the command tree; `scripts/generate-docs` runs it.
struct ManualCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "manual",
        abstract: "Write the man pages of weir and of each of its commands.",
        discussion: """
            One file each: weir.1, weir-apply.1 and so on, made from what --help prints.

            Example: weir manual --directory .build/man
            """,
        shouldDisplay: false)

    @Option(help: "Where the pages go; it is made if it is not there.", completion: .directory)
    var directory = Environment.string("DIRECTORY", default: ".build/man")

    func run() throws {
        let tree = try JSONDecoder().decode(ManualPage.Tree.self, from: Data(Weir._dumpHelp().utf8))
        try refusing {
            do {
                try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            } catch {
                throw Refusal("cannot make \(directory)", hint: "name another one with --directory")
            }
            for page in ManualPage.pages(tree.command) {
                var file = try OutputFile(path: "\(directory)/\(page.name).1")
                try file.write(Array(page.text.utf8))
                try file.commit()
            }
        }
    }
}
