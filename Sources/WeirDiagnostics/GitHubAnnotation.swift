/// A path without `./` before it, as tools that compare paths with those of a repository want it.
func plainPath(_ path: String) -> String {
    var rest = path[...]
    while rest.hasPrefix("./") { rest = rest.dropFirst(2).drop { $0 == "/" } }
    return String(rest)
}

/// A workflow command that GitHub shows beside the line it is about:
/// `::error file=a.yaml,line=3,col=7,title=weir syntax::message`.
package struct GitHubAnnotation: Hashable, Sendable, CustomStringConvertible {
    package var severity: Severity
    package var location: SourceLocation?
    package var title: String
    package var message: String

    package init(_ severity: Severity, at location: SourceLocation?, title: String, message: String) {
        self.severity = severity
        self.location = location
        self.title = title
        self.message = message
    }

    /// The notes are lines of the message: a command has one place only.
    package init(_ finding: Diagnostic) {
        let notes = finding.notes.map { "\n\($0.location): \($0.message)" }.joined()
        self.init(
            finding.severity, at: finding.location, title: "weir \(finding.id.rawValue)",
            message: finding.message + notes)
    }

    package var description: String {
        var properties: [String] = []
        if let location {
            properties.append("file=\(Self.escaped(plainPath(location.path), isProperty: true))")
            if location.line > 0 { properties += ["line=\(location.line)", "col=\(location.column)"] }
        }
        properties.append("title=\(Self.escaped(title, isProperty: true))")
        let command = severity == .note ? "notice" : severity.rawValue
        return "::\(command) \(properties.joined(separator: ","))::\(Self.escaped(message, isProperty: false))"
    }

    /// Percent and line ends would end a command; colons and commas would end a property, too.
    private static func escaped(_ text: String, isProperty: Bool) -> String {
        text.unicodeScalars.map { scalar -> String in
            switch scalar {
            case "%": "%25"
            case "\r": "%0D"
            case "\n": "%0A"
            case ":" where isProperty: "%3A"
            case "," where isProperty: "%2C"
            default: String(scalar)
            }
        }.joined()
    }
}
