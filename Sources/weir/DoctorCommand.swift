import ArgumentParser
import WeirLoader

struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Look for what keeps this node from enforcing its policy, and say what to do about it.",
        discussion: """
            Kernel features, bpffs, pins, slots, hooks and who else is on them, counters, the state directory.
            Changes nothing. Exit status: 0 all is well; 2 something was found; 3 it may not look.

            Example: sudo weir doctor --output json
            """)

    enum Format: String, ExpressibleByArgument, CaseIterable { case table, json }

    @OptionGroup var place: PlaceOptions
    @Option(help: "Format: table or json.")
    var output = Environment.value("OUTPUT", default: Format.table)

    func run() throws {
        let report = try place.onNode { try place.loader().examine() }
        try refusing { try Terminal.output(output == .json ? try json(report) : report.text) }
        if !report.findings.isEmpty { throw ExitStatus.found }
    }
}

extension DoctorReport {
    fileprivate var text: String {
        var lines = findings.flatMap { finding in
            [
                "\(finding.severity.rawValue): \(finding.message) [\(finding.id.rawValue)]",
                "  remedy: \(finding.remedy)",
            ]
        }
        if findings.isEmpty {
            lines.append(isLoaded ? "all is well at \(pinPath)" : "all is well; nothing is loaded at \(pinPath)")
        }
        if let age = local?.ageText { lines.append(age) }
        guard !neighbours.isEmpty else { return lines.joined(separator: "\n") + "\n" }
        return lines.joined(separator: "\n") + "\n\n"
            + table(
                ["INTERFACE", "DIRECTION", "HOOK", "PROGRAM", "NAME", "RUNS"],
                neighbours.map { neighbour in
                    [
                        neighbour.interface, neighbour.direction.rawValue, neighbour.kind.rawValue,
                        neighbour.programID.map(String.init) ?? "-", neighbour.name,
                        neighbour.isBefore ? "before weir" : "after weir",
                    ]
                })
    }
}
