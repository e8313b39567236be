import ArgumentParser
import WeirLoader

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show what this node enforces: revision, endpoints, counters by rule, drops by reason.",
        discussion: """
            Read from the kernel; nothing is asked of a running process, because there is none.

            Example: sudo weir status --output json
            """)

    enum Format: String, ExpressibleByArgument, CaseIterable { case table, json }

    @OptionGroup var place: PlaceOptions
    @Option(help: "Format: table or json.")
    var output = Environment.value("OUTPUT", default: Format.table)

    func run() throws {
        let status = try place.onPins { try place.loader().status() }
        try refusing {
            switch output {
            case .json: try Terminal.output(try json(status))
            case .table: try Terminal.output(status?.text ?? "nothing is loaded at \(place.pinPath)\n")
            }
        }
    }
}

extension NodeStatus {
    fileprivate var text: String {
        guard revision > 0 || !slots.isEmpty else {
            return (["nothing is loaded at \(pinPath)"] + [local.ageText].compactMap(\.self)).joined(separator: "\n")
                + "\n" + local.text + problems.map { "\nproblem: \($0)\n" }.joined()
        }
        var text = "revision \(revision)"
        if let activeSlot, let slot = slots.first(where: { $0.index == activeSlot }) {
            text += " in slot \(activeSlot), node \(node ?? "unknown"), image \(slot.imageDigest.prefix(12))"
        }
        text += "\n"
        if let age = local.ageText { text += age + "\n" }
        if isAudited { text += "audit mode: what policy would drop passes and is reported\n" }
        if let secondsToConfirm {
            text += "goes away in \(Int(secondsToConfirm)) seconds unless confirmed: weir confirm\n"
        }
        text += "\n"
        text += table(
            ["ENDPOINT", "ADDRESSES", "INTERFACE", "ATTACHED"],
            endpoints.map { endpoint in
                [
                    endpoint.name, endpoint.addresses.joined(separator: " "), endpoint.interface ?? "-",
                    endpoint.hooks.isEmpty
                        ? "-"
                        : endpoint.hooks.map { "\($0.direction.rawValue) \($0.kind.rawValue)" }.joined(separator: ", "),
                ]
            })
        if !rules.isEmpty {
            text += "\n"
            text += table(
                ["PACKETS", "BYTES", "RULE"],
                rules.map { counter in
                    let places = counter.locations.isEmpty ? "(no rule: not enforced, or the node itself)" : nil
                    return [
                        "\(counter.packets)", "\(counter.bytes)", places ?? counter.locations.joined(separator: ", "),
                    ]
                })
        }
        if !drops.isEmpty {
            text += "\n"
            text += table(
                ["DROPPED", "BYTES", "DIRECTION", "REASON"],
                drops.map { ["\($0.packets)", "\($0.bytes)", $0.direction.rawValue, $0.reason] })
        }
        for failure in insertFailures {
            text += "\n\(failure.packets) flows or fragments could not be recorded: \(failure.meaning)\n"
        }
        text += local.text
        for problem in problems { text += "\nproblem: \(problem)\n" }
        return text
    }
}

extension LocalStatus {
    /// How old what is in force is; nil where nothing ever was.
    var ageText: String? {
        if isOpened { return "opened by weir detach: nothing is restored, and nothing denied, until the next apply" }
        guard let policyAgeSeconds else { return nil }
        let inventory = inventoryAgeSeconds.map { "; its inventory is \(Self.duration($0)) old" } ?? ""
        return "applied \(Self.duration(policyAgeSeconds)) ago\(inventory)"
    }

    fileprivate var text: String {
        var text = ""
        if !denied.isEmpty {
            text += "\n"
            text += table(
                ["NOTHING PASSES AT", "ENDPOINT", "DROPPED", "BECAUSE"],
                denied.map { [$0.interface, $0.endpoint ?? "-", "\($0.packets)", $0.reason] })
        }
        if !absentEndpoints.isEmpty {
            text += "\nin the inventory, and not on this node: \(absentEndpoints.joined(separator: ", "))\n"
        }
        if !unjudgedInterfaces.isEmpty {
            text += "\nnot judged, as no endpoint is known there: \(unjudgedInterfaces.joined(separator: ", "))\n"
        }
        return text
    }

    /// `3 d 4 h`: the two largest units.
    private static func duration(_ seconds: Int64) -> String {
        let parts = [
            (seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "min"), (seconds % 60, "s"),
        ]
        let shown = parts.drop { $0.0 == 0 }.prefix(2).filter { $0.0 > 0 }
        return shown.isEmpty ? "0 s" : shown.map { "\($0.0) \($0.1)" }.joined(separator: " ")
    }
}
