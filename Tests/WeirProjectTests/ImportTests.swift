import Foundation
import Testing

/// The import rule of ARCHITECTURE.md, held against the sources: SwiftPM knows which target may use which, but not which
/// library belongs to one target alone.
@Suite("What a target may import")
struct ImportTests {
    private static let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Sources")

    /// Module names by target.
    private static func imports() throws -> [String: Set<String>] {
        var imports: [String: Set<String>] = [:]
        for target in try FileManager.default.contentsOfDirectory(atPath: sources.path) {
            let folder = sources.appendingPathComponent(target)
            let files = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)
            for case let file as URL in files ?? .init() where file.pathExtension == "swift" {
                imports[target, default: []].formUnion([])
                for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
                    let words = line.split(separator: " ")
                    guard let at = words.firstIndex(of: "import"), at <= 1, words.count > at + 1 else { continue }
                    imports[target, default: []].insert(String(words[at + 1]))
                }
            }
        }
        return imports
    }

    @Test(
        "A library that belongs to one target is imported by no other",
        arguments: [
            ("Yams", ["WeirSyntax"]), ("CYaml", ["WeirSyntax"]), ("CLibbpf", ["WeirKernel"]),
            ("WeirObjects", ["WeirKernel"]), ("CLibnl", ["WeirNetlink"]), ("ArgumentParser", ["weir"]),
        ])
    func owners(module: String, targets: [String]) throws {
        let users = try Self.imports().filter { $0.value.contains(module) }.keys
        #expect(Set(users).isSubset(of: targets), "\(module) is imported by \(users.sorted())")
    }

    @Test("What compiles, judges and prints knows no backend of the kernel")
    func pureTargets() throws {
        let imports = try Self.imports()
        let node: Set = ["WeirKernel", "WeirNetlink", "WeirLoader", "CLibbpf", "CLibnl", "Glibc", "SystemPackage"]
        let pure = [
            "WeirDiagnostics", "WeirJSON", "WeirModel", "WeirPolicy", "WeirInventory", "WeirMaps", "WeirImage",
            "WeirCompiler", "WeirLint", "WeirDiff", "WeirCNI", "WeirFlow", "WeirEmulator", "WeirExpectation",
            "WeirExplain",
            "WeirInspect",
        ]
        for target in pure {
            let found = try #require(imports[target], "no sources of \(target)")
            #expect(found.isDisjoint(with: node), "\(target) imports \(found.intersection(node))")
        }
    }

    @Test("Imports go up the table of ARCHITECTURE.md, never down")
    func order() throws {
        let root = Self.sources.deletingLastPathComponent()
        let page = try String(contentsOf: root.appendingPathComponent("ARCHITECTURE.md"), encoding: .utf8)
        let section = try #require(page.components(separatedBy: "\n## Targets\n").dropFirst().first)
        let rows = try #require(section.components(separatedBy: "\n## ").first).split(separator: "\n")
            .filter { $0.hasPrefix("| `") }
        var rank: [String: Int] = [:]
        for (index, row) in rows.enumerated() {
            for name in row.split(separator: "|")[0].split(separator: "`") where name.first?.isLetter == true {
                rank[String(name)] = index
            }
        }
        for (target, modules) in try Self.imports() {
            let own = try #require(rank[target], "\(target) is not in the table")
            for module in modules {
                guard let other = rank[module] else { continue }
                #expect(other <= own, "\(target) imports \(module), which stands below it")
            }
        }
    }
}
