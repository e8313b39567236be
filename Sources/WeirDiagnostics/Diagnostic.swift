/// A place in an input: path, line and column, both from 1. Line 0 means the file as a whole.
package struct SourceLocation: Hashable, Sendable, Comparable, Codable {
    package var path: String
    package var line: Int
    package var column: Int

    package init(path: String, line: Int, column: Int) {
        self.path = path
        self.line = line
        self.column = column
    }

    /// The file as a whole, for problems that have no line (missing, too large, not UTF-8).
    package init(file path: String) {
        self.init(path: path, line: 0, column: 0)
    }

    package static func < (left: Self, right: Self) -> Bool {
        (left.path, left.line, left.column) < (right.path, right.line, right.column)
    }

    /// `path:line`, the form in which verdicts name a rule.
    package var lineDescription: String { line == 0 ? path : "\(path):\(line)" }
}

extension SourceLocation: CustomStringConvertible {
    package var description: String { line == 0 ? path : "\(path):\(line):\(column)" }
}

package enum Severity: String, Sendable, Comparable, Codable {
    case note, warning, error

    private var rank: Int {
        switch self {
        case .note: 0
        case .warning: 1
        case .error: 2
        }
    }

    package static func < (left: Self, right: Self) -> Bool { left.rank < right.rank }
}

/// One finding about the user's input. The library returns findings; the tool prints them.
package struct Diagnostic: Hashable, Sendable {
    /// Another place that explains the finding, such as the first of two duplicates.
    package struct Note: Hashable, Sendable {
        package var location: SourceLocation
        package var message: String

        package init(_ message: String, at location: SourceLocation) {
            self.location = location
            self.message = message
        }
    }

    package var severity: Severity
    /// Stable, kebab-case: scripts match on it. `ExitCodesAndDiagnostics.md` lists them.
    package var id: DiagnosticID
    package var message: String
    package var location: SourceLocation
    package var notes: [Note]

    package init(
        _ severity: Severity, _ id: DiagnosticID, _ message: String, at location: SourceLocation,
        notes: [Note] = []
    ) {
        self.severity = severity
        self.id = id
        self.message = message
        self.location = location
        self.notes = notes
    }
}

extension Diagnostic: CustomStringConvertible {
    /// `path:line:column: error: message [stable-id]`, each note on a line of its own below.
    package var description: String {
        var lines = ["\(location): \(severity.rawValue): \(message) [\(id.rawValue)]"]
        for note in notes { lines.append("\(note.location): note: \(note.message)") }
        return lines.joined(separator: "\n")
    }
}

/// Collects every finding of a run; phases append and go on.
package struct DiagnosticsCollector: Sendable {
    package private(set) var all: [Diagnostic] = []

    package init() {}

    package mutating func append(_ diagnostic: Diagnostic) { all.append(diagnostic) }

    package mutating func append(contentsOf diagnostics: some Sequence<Diagnostic>) {
        all.append(contentsOf: diagnostics)
    }

    package mutating func error(
        _ id: DiagnosticID, _ message: String, at location: SourceLocation, notes: [Diagnostic.Note] = []
    ) {
        append(Diagnostic(.error, id, message, at: location, notes: notes))
    }

    package mutating func warning(
        _ id: DiagnosticID, _ message: String, at location: SourceLocation, notes: [Diagnostic.Note] = []
    ) {
        append(Diagnostic(.warning, id, message, at: location, notes: notes))
    }

    package var hasErrors: Bool { all.contains { $0.severity == .error } }

    /// By place, then severity, then text; identical findings once. Independent of input order.
    package var sorted: [Diagnostic] {
        Set(all).sorted {
            ($0.location, $1.severity, $0.id.rawValue, $0.message)
                < ($1.location, $0.severity, $1.id.rawValue, $1.message)
        }
    }
}
