import Foundation
import Testing
import WeirDiagnostics
import WeirMaps

/// Where the guides are, and what the generated ones begin with.
enum GuideText {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    static let folder = root.appendingPathComponent("Sources/weir/Documentation.docc")
    static let notice = "<!-- Written by scripts/generate-docs. Change the sources it is made from, not this file. -->"

    static func header() throws -> ABIHeader {
        ABIHeader(try String(contentsOf: root.appendingPathComponent("bpf/abi/weir_abi.h"), encoding: .utf8))
    }

    static var guides: [String] {
        get throws {
            try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".md") }.sorted()
        }
    }
}

@Suite("The guides")
struct GuideTests {
    @Test(
        "A guide that is made from the sources is as they are; WEIR_RECORD=1 writes it anew",
        arguments: ["ExitCodesAndDiagnostics.md", "MapReference.md"])
    func generated(_ name: String) throws {
        let header = try GuideText.header()
        let made = name == "MapReference.md" ? MapGuide(header: header).text : DiagnosticsGuide(header: header).text
        let file = GuideText.folder.appendingPathComponent(name)
        if ProcessInfo.processInfo.environment["WEIR_RECORD"] == "1" {
            try made.write(to: file, atomically: true, encoding: .utf8)
        }
        let kept = try String(contentsOf: file, encoding: .utf8)
        #expect(kept == made, "\(name) is out of date: scripts/generate-docs")
    }

    @Test("Offsets and sizes of the map reference are those that the header asserts")
    func layouts() throws {
        let header = try GuideText.header()
        var found: [String: Int] = [:]
        for structure in header.structures {
            found[structure.name] = structure.size
            for field in structure.fields {
                found["\(structure.name).\(field.name)"] = field.offset
                #expect(!field.comment.isEmpty, "\(structure.name).\(field.name) has no comment")
            }
        }
        #expect(header.asserted.count > 80)
        for (name, value) in header.asserted { #expect(found[name] == value, "\(name)") }
        for structure in header.structures { #expect(header.asserted[structure.name] != nil, "\(structure.name)") }
        let entries = try #require(header.enumerations.flatMap(\.constants).first { $0.name == "WEIR_DROPS_ENTRIES" })
        #expect(entries.value == NodeMap.drops.schema.maxEntries)
    }

    @Test("Keys and values of maps in the reference are as long as those of the maps")
    func mapSizes() throws {
        let sizes = Dictionary(try GuideText.header().structures.map { ($0.name, $0.size) }) { $1 }
        let maps =
            SlotMap.allCases.map { ($0.schema, MapGuide.words($0)) }
            + NodeMap.allCases.filter { $0 != .events }.map { ($0.schema, MapGuide.words($0)) }
        for (schema, words) in maps {
            #expect(schema.keySize == sizes[words.key] ?? 4, "\(schema.name)")
            #expect(schema.valueSize == sizes[words.value] ?? 4, "\(schema.name)")
        }
    }

    @Test("Every id is in the reference once")
    func ids() throws {
        let lines = DiagnosticsGuide(header: try GuideText.header()).text.split(separator: "\n")
        for id in DiagnosticID.allCases {
            #expect(lines.filter { $0 == "| `\(id.rawValue)` | \(id.summary) |" }.count == 1, "\(id.rawValue)")
        }
    }

    @Test("Every relative link in README, ARCHITECTURE and the guides leads somewhere")
    func links() throws {
        let pages =
            ["README.md", "ARCHITECTURE.md"].map { GuideText.root.appendingPathComponent($0) }
            + (try GuideText.guides.map { GuideText.folder.appendingPathComponent($0) })
        var count = 0
        for page in pages {
            let text = try String(contentsOf: page, encoding: .utf8)
            for match in text.matches(of: /\]\(([^)\s]+)\)/) where !match.1.contains("://") {
                count += 1
                let parts = match.1.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
                let target =
                    parts[0].isEmpty ? page : page.deletingLastPathComponent().appendingPathComponent(String(parts[0]))
                #expect(
                    FileManager.default.fileExists(atPath: target.path), "\(page.lastPathComponent): \(match.1)")
                guard parts.count == 2, target.pathExtension == "md" else { continue }
                let anchors = Self.anchors(try String(contentsOf: target, encoding: .utf8))
                #expect(anchors.contains(String(parts[1])), "\(page.lastPathComponent): \(match.1)")
            }
        }
        #expect(count > 40)
    }

    @Test("The landing page lists every guide")
    func landing() throws {
        let page = try String(contentsOf: GuideText.folder.appendingPathComponent("weir.md"), encoding: .utf8)
        for guide in try GuideText.guides where guide != "weir.md" { #expect(page.contains("](\(guide))"), "\(guide)") }
    }

    /// What GitHub makes of headings.
    private static func anchors(_ text: String) -> Set<String> {
        Set(
            text.split(separator: "\n").filter { $0.hasPrefix("#") }.map { line in
                String(
                    line.drop { $0 == "#" }.dropFirst().lowercased().replacing(" ", with: "-").filter {
                        $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_"
                    })
            })
    }
}
