import Foundation

/// Whether a stream shows colours: a terminal does, unless NO_COLOR is set or it is a dumb one.
struct TextStyle {
    enum Colour: Int {
        case red = 31
        case green, yellow
        case blue
    }

    private let hasColour: Bool

    init(of descriptor: Int32) {
        let variables = ProcessInfo.processInfo.environment
        hasColour =
            isatty(descriptor) == 1 && variables["NO_COLOR", default: ""].isEmpty && variables["TERM"] != "dumb"
    }

    func text(_ text: String, _ colour: Colour) -> String {
        hasColour ? "\u{1b}[\(colour.rawValue)m\(text)\u{1b}[0m" : text
    }

    /// A line of a plan: what begins with `+` comes, with `-` goes, with `~` changes.
    func change(_ line: String) -> String {
        switch line.first {
        case "+": text(line, .green)
        case "-": text(line, .red)
        case "~": text(line, .yellow)
        default: line
        }
    }
}
