import Foundation
import WeirDiagnostics

/// The lines of a file that a rule is written on, for people.
struct SourceQuotation {
    private static let limit = 6
    private static let maximumBytes = 1 << 24
    private var files: [String: [Substring]] = [:]

    /// From the rule's line on, as far as lines are indented deeper, a few at most; empty where the file cannot be
    /// read, as standard input and git revisions.
    mutating func lines(at location: SourceLocation) -> [String] {
        guard location.line > 0, let file = lines(of: location.path), location.line <= file.count else { return [] }
        let first = file[location.line - 1]
        let depth = Self.depth(first)
        var quoted = [first]
        for line in file[location.line...].prefix(Self.limit - 1) {
            guard Self.depth(line) > depth, !line.allSatisfy(\.isWhitespace) else { break }
            quoted.append(line)
        }
        let width = String(location.line + quoted.count - 1).count
        return quoted.enumerated().map { index, line in
            let number = String(location.line + index)
            return String(repeating: " ", count: width - number.count) + "\(number) | \(line)"
        }
    }

    private mutating func lines(of path: String) -> [Substring]? {
        if let known = files[path] { return known }
        guard path != "-", let bytes = (try? Stream.contents(of: path, limit: Self.maximumBytes)) ?? nil else {
            return nil
        }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        files[path] = lines
        return lines
    }

    private static func depth(_ line: Substring) -> Int { line.prefix { $0 == " " }.count }
}
