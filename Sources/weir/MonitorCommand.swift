import ArgumentParser
import CStart
import Foundation
import WeirDiagnostics
import WeirImage
import WeirLoader
import WeirModel
import WeirSyntax

extension MonitorEvent.Outcome: ExpressibleByArgument {}
extension Direction: ExpressibleByArgument {}

extension MonitorFilter.Port: ExpressibleByArgument {
    /// `5432/tcp`, `8/icmp`, as in a flow.
    public init?(argument: String) {
        let halves = argument.split(separator: "/", omittingEmptySubsequences: false)
        guard halves.count == 2, let number = UInt16(halves[0]), let name = IPProtocol(name: halves[1]) else {
            return nil
        }
        self.init(number: number, protocol: name)
    }
}

/// `30s`, `5m`, `1h`; a number alone is seconds.
struct TimeSpan: ExpressibleByArgument {
    var duration: Duration

    init?(argument: String) {
        let units: [Character: Double] = ["s": 1, "m": 60, "h": 3600]
        let unit = argument.last.flatMap { units[$0] }
        guard let number = Double(unit == nil ? argument : String(argument.dropLast())), number > 0, number < 1e9
        else { return nil }
        duration = .milliseconds(Int64(number * (unit ?? 1) * 1000))
    }
}

struct MonitorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "monitor",
        abstract: "Show drops as they happen, each with its reason and the line that decided.",
        discussion: """
            With --allows also what policy allowed: the first packet of a flow, on each side. Nothing is reported of a packet
            that was meant for another host. One monitor at a time reads a node's events.

            What is left out, by --sample and --limit or because more came than could be read, is counted and said.
            A line of --output jsonl that has 'from' is a flow, and can be asked again: weir verdict --flows -.
            Ends on Ctrl-C, on a closed pipe, after --count or --last-for, and when the policy is detached.

            Examples:
              sudo weir monitor
              sudo weir monitor --endpoint shop/db --reason policy-default-deny --last-for 30s
              sudo weir monitor --allows --port 5432/tcp --output jsonl
            """)

    enum Format: String, ExpressibleByArgument, CaseIterable { case table, jsonl }

    @OptionGroup var place: PlaceOptions

    @Flag(help: "Also show what policy allows, and not drops alone.")
    var allows = Environment.flag("ALLOWS")
    @Option(help: ArgumentHelp("Only what this endpoint sent or got: NAMESPACE/POD, or host.", valueName: "name"))
    var endpoint: [String] = []
    @Option(
        help: ArgumentHelp(
            "Only with this peer: NAMESPACE/POD, ADDRESS, PREFIX, LABEL=VALUE, host, remote-node or world.",
            valueName: "peer"))
    var peer: [String] = []
    @Option(help: "Only to this port: PORT/PROTOCOL, such as 5432/tcp or, with the type, 8/icmp.")
    var port: [MonitorFilter.Port] = []
    @Option(help: "Only drops for this reason, such as policy-deny; status has the names.")
    var reason: [String] = []
    @Option(help: "Only egress or ingress, as the endpoint sees it.")
    var direction: Direction?
    @Option(help: "Only drop, allow or audit: what passes because of audit mode alone.")
    var verdict: [MonitorEvent.Outcome] = []

    @Option(help: "Make one event of every so many.")
    var sample = Environment.value("SAMPLE", default: UInt32(1))
    @Option(help: "Make at most so many events a second on each CPU.")
    var limit: UInt32?
    @Option(help: "End after so many events.")
    var count: Int?
    @Option(help: "End after this time: 30s, 5m, 1h.")
    var lastFor: TimeSpan?
    @Flag(help: "Times in UTC, and not in the machine's time zone.")
    var utc = Environment.flag("UTC")
    @Option(help: "Format: table or jsonl, one object a line.")
    var output = Environment.value("OUTPUT", default: Format.table)

    func validate() throws {
        _ = try request()
    }

    private func request() throws -> MonitorRequest {
        var request = MonitorRequest()
        request.filter.endpoints = Set(endpoint.isEmpty ? Environment.list("ENDPOINT") : endpoint)
        request.filter.peers = try (peer.isEmpty ? Environment.optional("PEER").map { [$0] } ?? [] : peer).map { text in
            guard let peer = MonitorFilter.Peer(text) else {
                let hint = nearestName(to: text, among: MonitorFilter.Peer.entities)
                throw ValidationError(
                    "--peer '\(text)' is neither NAMESPACE/POD, ADDRESS, PREFIX, LABEL=VALUE nor an entity"
                        + (hint.map { "; did you mean '\($0)'?" } ?? "."))
            }
            return peer
        }
        request.filter.ports = Set(port.isEmpty ? Environment.value("PORT").map { [$0] } ?? [] : port)
        request.filter.reasons = Set(reason.isEmpty ? Environment.list("REASON") : reason)
        for name in request.filter.reasons.sorted() where !dropReasonNames.contains(name) {
            let nearest = nearestName(to: name, among: dropReasonNames)
            throw ValidationError(
                "--reason '\(name)' is none"
                    + (nearest.map { "; did you mean '\($0)'?" }
                        ?? ": it may be \(dropReasonNames.joined(separator: ", "))."))
        }
        request.filter.direction = direction ?? Environment.value("DIRECTION")
        request.filter.outcomes = Set(verdict.isEmpty ? Environment.value("VERDICT").map { [$0] } ?? [] : verdict)
        let outcomes = request.filter.outcomes
        request.wantsAllows = allows || outcomes.contains(.allow)
        request.wantsDrops = outcomes.isEmpty || outcomes != [.allow]
        guard sample > 0 else { throw ValidationError("--sample must be 1 or more.") }
        request.oneIn = sample
        request.perTick = limit ?? Environment.value("LIMIT")
        guard request.perTick != 0 else { throw ValidationError("--limit must be 1 or more.") }
        request.count = count ?? Environment.value("COUNT")
        guard request.count.map({ $0 > 0 }) ?? true else { throw ValidationError("--count must be 1 or more.") }
        request.duration = (lastFor ?? Environment.value("LAST_FOR"))?.duration
        request.isUTC = utc
        return request
    }

    func run() throws {
        let request = try request()
        weir_await_signals()
        var printer = MonitorPrinter(format: output)
        let summary = try place.onPins {
            try place.loader().monitor(request) { events in
                printer.print(events) && weir_awaited_signal() == 0
            }
        }
        guard let summary else {
            Terminal.report(
                Refusal("nothing is loaded at \(place.pinPath)", hint: "weir apply … loads a policy; weir status looks")
            )
            throw ExitStatus.refused
        }
        if let failure = printer.failure {
            Terminal.report(failure)
            throw ExitStatus.refused
        }
        if printer.isClosed { throw ExitCode(128 + SIGPIPE) }
        for line in summary.lines { Terminal.complain("weir: \(line)") }
        if weir_awaited_signal() != 0 { throw ExitCode(128 + weir_awaited_signal()) }
    }
}

/// Prints events as they come.
private struct MonitorPrinter {
    let format: MonitorCommand.Format
    /// Nobody reads any longer.
    private(set) var isClosed = false
    private(set) var failure: Refusal?
    private let style = TextStyle(of: STDOUT_FILENO)
    private let encoder: JSONEncoder

    init(format: MonitorCommand.Format) {
        self.format = format
        encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    }

    /// false where nobody reads any longer, which is noticed also without events.
    mutating func print(_ events: [MonitorEvent]) -> Bool {
        guard !events.isEmpty else {
            isClosed = isClosed || Stream.isClosedPipe(STDOUT_FILENO)
            return !isClosed
        }
        do {
            var bytes: [UInt8] = []
            for event in events {
                switch format {
                case .jsonl: bytes += try encoder.encode(event) + [UInt8(ascii: "\n")]
                case .table: bytes += event.line(style).utf8
                }
            }
            try Stream(standard: STDOUT_FILENO).write(bytes)
            return true
        } catch let error as StreamFailure where error.code == EPIPE {
            isClosed = true
        } catch {
            failure = Refusal("cannot write to standard output: \(error)")
        }
        return false
    }
}

extension MonitorEvent {
    /// Time, verdict, direction, ends, port, reason, rules; before it, what was left out.
    fileprivate func line(_ style: TextStyle) -> String {
        let (word, colour): (String, TextStyle.Colour) =
            switch outcome {
            case .drop: ("DROP ", .red)
            case .allow: ("ALLOW", .green)
            case .audit: ("AUDIT", .yellow)
            }
        var words = [
            time, style.text(word, colour), direction == .egress ? "egress " : "ingress", fromText, "->", toText,
            portText,
        ]
        if let reason { words.append(reason) }
        if let insertError { words.append("(\(insertError))") }
        words.append(decidingRules.joined(separator: ", "))
        if isDoubtful { words.append("(the policy changed)") }
        let gap = leftOut > 0 ? "... \(counted(leftOut, "event")) left out\n" : ""
        return gap + words.filter { !$0.isEmpty }.joined(separator: " ") + "\n"
    }
}

extension MonitorSummary {
    fileprivate var lines: [String] {
        var text = "\(counted(UInt64(shown), "event")) shown"
        if filtered > 0 { text += ", \(filtered) filtered out" }
        var lines = [text]
        if leftOut > 0 {
            lines.append(
                "\(counted(leftOut, "event")) left out: not wanted by --sample or --limit, or more than could be read")
        }
        if unwatched > .zero {
            lines.append(
                "for \(unwatched.components.seconds + 1) seconds nothing was watched, because the output was not read")
        }
        if end == .detached { lines.append("the policy was detached: nothing is enforced any longer") }
        return lines
    }
}

/// "1 event was", "2 events were".
private func counted(_ number: UInt64, _ noun: String) -> String {
    number == 1 ? "1 \(noun) was" : "\(number) \(noun)s were"
}
