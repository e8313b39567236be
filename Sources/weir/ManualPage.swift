/// A page in the macros of man(7), from what ArgumentParser says of a command.
struct ManualPage {
    /// The part that is read of `--experimental-dump-help`.
    struct Tree: Decodable { var command: Command }

    struct Command: Decodable {
        var commandName: String
        var superCommands: [String]?
        var shouldDisplay: Bool
        var abstract: String?
        var discussion: String?
        var subcommands: [Command]?
        var arguments: [Argument]?

        /// `weir wireguard apply`.
        var words: [String] { (superCommands ?? []) + [commandName] }
    }

    struct Argument: Decodable {
        struct Name: Decodable {
            var kind: String
            var name: String

            var text: String { (kind == "long" ? "--" : "-") + name }
        }

        var kind: String
        var shouldDisplay: Bool
        var names: [Name]?
        var valueName: String?
        var defaultValue: String?
        var abstract: String?
    }

    var name: String
    var text: String

    /// Of a command and of all below it that are shown.
    static func pages(_ command: Command) -> [ManualPage] {
        guard command.shouldDisplay, command.commandName != "help" else { return [] }
        return [ManualPage(command)] + (command.subcommands ?? []).flatMap(pages)
    }

    private init(_ command: Command) {
        name = command.words.joined(separator: "-")
        var lines = [
            #".TH "\#(Self.escaped(name.uppercased()))" 1 "" "weir \#(Weir.version)" "weir manual""#,
            ".SH NAME", "\(Self.escaped(name)) \\- \(Self.escaped(Self.phrase(command.abstract ?? "")))",
            ".SH SYNOPSIS", ".B \(Self.escaped(command.words.joined(separator: " ")))",
        ]
        let subcommands = (command.subcommands ?? []).filter { $0.shouldDisplay && $0.commandName != "help" }
        if !subcommands.isEmpty { lines.append(#"\fIcommand\fR"#) }
        lines.append(#"[\fIoption\fR]..."#)
        let (description, examples) = Self.parts(of: command.discussion ?? "")
        lines += [".SH DESCRIPTION"] + Self.paragraphs([command.abstract ?? "", ""] + description)
        if !subcommands.isEmpty {
            lines.append(".SH COMMANDS")
            for sub in subcommands {
                lines += [".TP", ".B \(Self.escaped(sub.commandName))", Self.escaped(sub.abstract ?? "")]
            }
        }
        let options = (command.arguments ?? []).filter { $0.shouldDisplay && $0.kind != "positional" }
        if !options.isEmpty {
            lines.append(".SH OPTIONS")
            for option in options { lines += Self.entry(option) }
        }
        if !examples.isEmpty { lines += [".SH EXAMPLES", ".nf"] + examples.map(Self.escaped) + [".fi"] }
        lines += [
            ".SH ENVIRONMENT",
            Self.escaped("Every option can come from a variable: --pin-path is WEIR_PIN_PATH, and so on."),
        ]
        lines += [".SH EXIT STATUS"]
        for (status, meaning) in Self.statuses { lines += [".TP", ".B \(status)", Self.escaped(meaning)] }
        let others = subcommands.map { ($0.words).joined(separator: "-") }
        let related =
            (command.superCommands ?? []).isEmpty ? others : [command.words.dropLast().joined(separator: "-")] + others
        if !related.isEmpty {
            lines += [".SH SEE ALSO", related.map { "\\fB\(Self.escaped($0))\\fR(1)" }.joined(separator: ",\n")]
        }
        text = lines.joined(separator: "\n") + "\n"
    }

    private static let statuses = [
        ("0", "done"), ("1", "invalid input"), ("2", "something asked about was found"),
        ("3", "the kernel or permissions refused"), ("4", "expectations failed"), ("64", "usage"),
        (#"128 + \fIn\fR"#, "signal n ended it"),
    ]

    private static func entry(_ option: Argument) -> [String] {
        let names = (option.names ?? []).map { "\\fB\(escaped($0.text))\\fR" }.joined(separator: ", ")
        let value = option.kind == "option" ? option.valueName.map { " \\fI\(escaped($0))\\fR" } ?? "" : ""
        let fallback = option.defaultValue.map { $0.isEmpty || $0 == "false" ? "" : " (default: \($0))" } ?? ""
        return [".TP", names + value, escaped((option.abstract ?? "") + fallback)]
    }

    /// What stands before the examples, and those.
    private static func parts(of discussion: String) -> (description: [String], examples: [String]) {
        let lines = discussion.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard let start = lines.firstIndex(where: { $0.hasPrefix("Example:") || $0.hasPrefix("Examples:") }) else {
            return (lines, [])
        }
        let end = lines[start...].firstIndex(of: "") ?? lines.endIndex
        let first = lines[start].drop { $0 != ":" }.dropFirst().drop { $0 == " " }
        let examples = (first.isEmpty ? [] : [String(first)]) + lines[(start + 1)..<end]
        return (Array(lines[..<start] + lines[end...]), examples)
    }

    /// Empty lines part paragraphs; indented lines stay as they are.
    private static func paragraphs(_ lines: [String]) -> [String] {
        var output: [String] = []
        var isLiteral = false
        var isPending = false
        for line in lines {
            guard !line.isEmpty else {
                isPending = true
                continue
            }
            if isLiteral != line.hasPrefix(" ") {
                isLiteral.toggle()
                output.append(isLiteral ? ".nf" : ".fi")
            }
            if isPending, !output.isEmpty { output.append(".PP") }
            isPending = false
            output.append(escaped(line))
        }
        return output + (isLiteral ? [".fi"] : [])
    }

    /// Without its full stop, as NAME has it.
    private static func phrase(_ sentence: String) -> String {
        sentence.hasSuffix(".") ? String(sentence.dropLast()) : sentence
    }

    private static func escaped(_ text: String) -> String {
        let escaped = text.replacing("\\", with: "\\e").replacing("-", with: "\\-").replacing("'", with: "\\(aq")
        return escaped.hasPrefix(".") ? "\\&" + escaped : escaped
    }
}
