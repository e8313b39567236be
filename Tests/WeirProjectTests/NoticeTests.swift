import Foundation
import Testing

/// `scripts/packaging/notices/components`: everything that weir is linked from has a licence there, and texts that exist.
/// `scripts/third-party-notices` holds the list against what the linker really took.
@Suite("Third-party notices")
struct NoticeTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path
    private static let notices = root + "/scripts/packaging/notices"

    struct Component {
        var patterns: [String]
        var name: String
        var licence: String
        var texts: [String]
    }

    private static func text(_ path: String) throws -> String {
        try String(contentsOfFile: "\(root)/\(path)", encoding: .utf8)
    }

    private static func components() throws -> [Component] {
        try text("scripts/packaging/notices/components").split(separator: "\n").filter { !$0.hasPrefix("#") }.map {
            let fields = $0.components(separatedBy: " | ")
            try #require(fields.count == 4, "\($0)")
            return Component(
                patterns: fields[0].components(separatedBy: " "), name: fields[1], licence: fields[2],
                texts: fields[3].components(separatedBy: " "))
        }
    }

    @Test("Every Swift package that was resolved has a notice")
    func packages() throws {
        let named = try Self.text("Package.swift").matches(of: /\.package\(url: "[^"]*\/([^"\/]+)"/).map {
            $0.1.lowercased()
        }
        #expect(named.count > 5)
        // With the packages of packages.
        let resolved = try Self.text("Package.resolved").matches(of: /"identity" : "([^"]+)"/).map { String($0.1) }
        #expect(Set(named).isSubset(of: resolved))
        let known = try Self.components().map(\.name)
        for name in resolved { #expect(known.contains(name), "\(name) has no notice") }
    }

    @Test("Every library on the link line has a notice")
    func libraries() throws {
        let libraries = try Self.text("Package.swift").matches(of: /linkedLibrary\(":([^"]+)"\)/).map { String($0.1) }
        #expect(libraries.count > 3)
        let known = try Self.components().flatMap(\.patterns)
        for library in libraries { #expect(known.contains(library), "\(library) has no notice") }
    }

    @Test("A library under a Lesser GPL comes with that licence's text")
    func lesser() throws {
        let lesser = try Self.components().filter { $0.licence.hasPrefix("LGPL") }
        #expect(lesser.map(\.name) == ["libelf", "libnl", "glibc"])
        for component in lesser {
            #expect(component.texts.contains { $0.hasPrefix("common:LGPL-") }, "\(component.name)")
        }
    }

    @Test("Every text beside the list is used, and every one that is named is there")
    func texts() throws {
        let named = Set(
            try Self.components().flatMap(\.texts).filter { $0.hasPrefix("text:") }.map { String($0.dropFirst(5)) })
        let there = try FileManager.default.contentsOfDirectory(atPath: Self.notices).filter { $0.hasSuffix(".txt") }
        #expect(named == Set(there))
    }
}
