import Foundation
import WeirModel

/// One folder of conformance cases: policies, options and the expected letters.
/// The format is described in Tests/Fixtures/conformance/README.md.
struct ConformanceCase: Sendable {
    var folder: URL
    var inventory: URL

    var name: String { folder.lastPathComponent }

    static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fixtures/conformance")

    /// The committed cases, or those of the folder that `WEIR_CONFORMANCE` names.
    static let all: [ConformanceCase] = {
        let base = ProcessInfo.processInfo.environment["WEIR_CONFORMANCE"].map { URL(fileURLWithPath: $0) }
        return cases(in: base ?? fixtures)
    }()

    /// Folders with an `expect.txt`; the inventory is in the folder or the nearest folder above.
    static func cases(in base: URL) -> [ConformanceCase] {
        let manager = FileManager.default
        guard let walk = manager.enumerator(at: base, includingPropertiesForKeys: nil) else { return [] }
        var found: [ConformanceCase] = []
        for case let file as URL in walk where file.lastPathComponent == "expect.txt" {
            let folder = file.deletingLastPathComponent()
            var place = folder
            while place.path.count > 1 {
                let inventory = place.appendingPathComponent("inventory.yaml")
                if manager.fileExists(atPath: inventory.path) {
                    found.append(ConformanceCase(folder: folder, inventory: inventory))
                    break
                }
                place = place.deletingLastPathComponent()
            }
        }
        return found.sorted { $0.folder.path < $1.folder.path }
    }

    var options: PolicyOptions {
        get throws {
            var policy = PolicyOptions()
            let file = folder.appendingPathComponent("options.txt")
            guard FileManager.default.fileExists(atPath: file.path) else { return policy }
            for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
                let parts = line.split(separator: "=").map(String.init)
                switch (parts.first, parts.last) {
                case ("allow-localhost", "policy"): policy.allowLocalhost = .policy
                case ("policy-cidr-match-mode", "nodes"): policy.cidrMatchesNodes = true
                case ("policy-enforcement-mode", let mode?):
                    guard let mode = PolicyOptions.EnforcementMode(rawValue: mode) else { throw Malformed(line) }
                    policy.enforcementMode = mode
                case ("host-firewall", "true"): policy.hostFirewall = true
                default: throw Malformed(line)
                }
            }
            return policy
        }
    }

    struct Malformed: Error, CustomStringConvertible {
        var description: String
        init(_ line: Substring) { description = "malformed line: \(line)" }
    }

    struct Probe: Sendable {
        var `protocol`: IPProtocol
        var port: UInt16
    }

    /// One row: who is asked, from which side, and a letter for each probe.
    struct Row: Sendable {
        var subject: String
        var side: String
        var letters: [Character]
        var peers: [String]
    }

    enum Expectation: Sendable {
        case rejected
        case table(probes: [Probe], rows: [Row])
    }

    /// With `*` already replaced by the peers that no other row of the subject and side names.
    var expectation: Expectation {
        get throws {
            let text = try String(contentsOf: folder.appendingPathComponent("expect.txt"), encoding: .utf8)
            var probes: [Probe] = []
            var peers: [String] = []
            var rows: [Row] = []
            for line in text.split(separator: "\n") {
                let words = line.split(separator: " ").map(String.init)
                switch words.first {
                case "rejected": return .rejected
                case "ports":
                    probes = try words.dropFirst().map { word in
                        let parts = word.split(separator: "/")
                        guard parts.count == 2, let proto = IPProtocol(name: parts[0]), let port = UInt16(parts[1])
                        else { throw Malformed(line) }
                        return Probe(protocol: proto, port: port)
                    }
                case "peers": peers = Array(words.dropFirst())
                default:
                    guard words.count >= 4 else { throw Malformed(line) }
                    rows.append(
                        Row(subject: words[0], side: words[1], letters: Array(words[2]), peers: Array(words[3...])))
                }
            }
            for index in rows.indices where rows[index].peers == ["*"] {
                let row = rows[index]
                let named = rows.filter { $0.subject == row.subject && $0.side == row.side && $0.peers != ["*"] }
                // What a pod says to itself never leaves it, so nobody was asked.
                rows[index].peers = peers.filter { peer in
                    peer != row.subject && !named.contains { $0.peers.contains(peer) }
                }
            }
            return .table(probes: probes, rows: rows)
        }
    }
}
