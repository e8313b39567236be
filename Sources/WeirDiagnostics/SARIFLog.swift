/// Findings as SARIF 2.1.0 has them, for tools that collect them: one run, its rules, its results in the given order.
///
/// Depends on the findings alone, so equal findings give equal files. Paths become URI references relative to where
/// weir ran, which is the root of the sources in CI; absolute paths become `file:` URIs.
package struct SARIFLog: Hashable, Sendable, Encodable {
    private var schema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
    private var version = "2.1.0"
    private var runs: [Run]

    private enum CodingKeys: String, CodingKey {
        case schema = "$schema"
        case version, runs
    }

    /// - Parameter version: of weir.
    package init(_ findings: [Diagnostic], version: String) {
        let ids = Set(findings.map(\.id)).sorted { $0.rawValue < $1.rawValue }
        let indices = Dictionary(uniqueKeysWithValues: ids.enumerated().map { ($1, $0) })
        runs = [
            Run(
                tool: Tool(driver: Driver(version: version, rules: ids.map(Rule.init))),
                results: findings.map { Result($0, ruleIndex: indices[$0.id] ?? 0) })
        ]
    }

    private struct Run: Hashable, Sendable, Encodable {
        var tool: Tool
        /// Columns count Unicode scalars.
        var columnKind = "unicodeCodePoints"
        var results: [Result]
    }

    private struct Tool: Hashable, Sendable, Encodable {
        var driver: Driver
    }

    private struct Driver: Hashable, Sendable, Encodable {
        var name = "weir"
        var version: String
        var rules: [Rule]
    }

    private struct Text: Hashable, Sendable, Encodable {
        var text: String
    }

    private struct Rule: Hashable, Sendable, Encodable {
        var id: String
        var shortDescription: Text

        init(_ id: DiagnosticID) {
            self.id = id.rawValue
            shortDescription = Text(text: id.summary.filter { $0 != "`" })
        }
    }

    private struct Result: Hashable, Sendable, Encodable {
        var ruleId: String
        var ruleIndex: Int
        var level: String
        var message: Text
        var locations: [Location]
        /// The notes; left out where there is none.
        var relatedLocations: [Location]?

        init(_ finding: Diagnostic, ruleIndex: Int) {
            ruleId = finding.id.rawValue
            self.ruleIndex = ruleIndex
            level = finding.severity.rawValue
            message = Text(text: finding.message)
            locations = [Location(finding.location)]
            let notes = finding.notes.enumerated().map { index, note in
                Location(note.location, id: index + 1, message: note.message)
            }
            relatedLocations = notes.isEmpty ? nil : notes
        }
    }

    private struct Location: Hashable, Sendable, Encodable {
        var id: Int?
        var physicalLocation: PhysicalLocation
        var message: Text?

        init(_ location: SourceLocation, id: Int? = nil, message: String? = nil) {
            self.id = id
            physicalLocation = PhysicalLocation(location)
            self.message = message.map(Text.init)
        }
    }

    private struct PhysicalLocation: Hashable, Sendable, Encodable {
        struct Artifact: Hashable, Sendable, Encodable {
            var uri: String
        }

        struct Region: Hashable, Sendable, Encodable {
            var startLine: Int
            var startColumn: Int
        }

        var artifactLocation: Artifact
        /// Left out for the file as a whole.
        var region: Region?

        init(_ location: SourceLocation) {
            artifactLocation = Artifact(uri: SARIFLog.uri(location.path))
            region = location.line == 0 ? nil : Region(startLine: location.line, startColumn: location.column)
        }
    }

    /// `./a b.yaml` is `a%20b.yaml`, `/etc/a.yaml` is `file:///etc/a.yaml`. Standard input keeps its name, `-`.
    private static func uri(_ path: String) -> String {
        let hexadecimal = Array("0123456789ABCDEF")
        let encoded = plainPath(path).utf8.map { byte -> String in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"), UInt8(ascii: "/"):
                String(UnicodeScalar(byte))
            default: "%\(hexadecimal[Int(byte >> 4)])\(hexadecimal[Int(byte & 15)])"
            }
        }.joined()
        return path.hasPrefix("/") ? "file://" + encoded : encoded
    }
}
