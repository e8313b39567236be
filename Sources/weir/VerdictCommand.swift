import ArgumentParser
import Foundation
import WeirDiagnostics
import WeirEmulator
import WeirFlow
import WeirImage
import WeirKernel
import WeirModel

struct VerdictCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verdict",
        abstract: "Judge flows: allowed or not on each side, and by which line. Needs no root.",
        discussion: """
            Each line of --flows is a JSON object such as
              {"from":"shop/frontend","to":"shop/api","protocol":"TCP","port":8080}
            and is answered, in order, by the same object with "egress", "ingress", "verdict" and "rules".
            Ends are namespace/pod, ip:ADDR, host:ADDR or remote-node:ADDR; for ICMP the port is the type. The host is
            judged itself under --host-firewall. Where audit mode lets pass a refusal, the side is "allow", and "audit" and
            "auditRules" say what would refuse.
            A line that cannot be judged is answered with "error"; the others are answered, exit status 1.

            From a bundle without its sources, or from this node with --live, the pods of other nodes are ip:ADDR.

            Example: weir verdict --policies Policies/shop --inventory Policies/shop \\
              --from shop/frontend --to shop/db --port 5432/tcp
            """)

    enum Format: String, ExpressibleByArgument, CaseIterable { case table, jsonl }
    enum Backend: String, ExpressibleByArgument, CaseIterable { case emulator, kernel }

    @OptionGroup var source: PolicySourceOptions

    @Option(help: "Flows, one JSON object a line; - is standard input.", completion: .file())
    var flows: String?
    @OptionGroup(title: "One flow") var flow: FlowOptions

    @Option(help: "emulator needs no rights; kernel runs the loaded programs through BPF_PROG_TEST_RUN, as root.")
    var backend = Environment.value("BACKEND", default: Backend.emulator)
    @Option(help: "Format: table or jsonl; else jsonl for --flows and table for one flow.")
    var output: Format?
    @OptionGroup var outputFile: OutputFileOptions

    private var format: Format? { output ?? Environment.value("OUTPUT") }

    /// What is judged: a list, or the flow of the options as a line of a list would have it.
    private enum Question {
        case list(path: String)
        case single([UInt8])
    }

    func validate() throws {
        _ = try source.source()
        _ = format
        _ = try question()
    }

    /// What the command line says goes before what the environment says.
    private func question() throws -> Question {
        guard flows == nil || !flow.isGiven else {
            throw ValidationError("Give either --flows FILE, or --from, --to and --port.")
        }
        if let path = flows ?? (flow.isGiven ? nil : Environment.optional("FLOWS")) { return .list(path: path) }
        guard let line = try flow.line() else {
            throw ValidationError("Give either --flows FILE, or --from, --to and --port.")
        }
        return .single(line)
    }

    func run() throws {
        let question = try question()
        if case .list("-") = question, try source.readsStandardInput() {
            Terminal.report(
                Diagnostic(
                    .error, .stdinTwice, "stdin can be read once, and --flows - is a second time",
                    at: SourceLocation(file: "-")))
            throw ExitStatus.invalidInput
        }
        let policies = try judged()
        let answerer = FlowAnswerer(policies.inventory, hostFirewall: policies.hostFirewall) { node in
            let image = policies.image(node)
            switch backend {
            case .emulator: return (image, try EmulatorJudge(image: image))
            case .kernel:
                return (
                    image,
                    try KernelJudge(image: image, object: EmbeddedObject.bytes, frame: PacketBuilder.frame(for:))
                )
            }
        }
        try refusing {
            switch question {
            case .list(let path): try judge(linesAt: path, answerer)
            case .single(let line):
                var sink = try VerdictSink(format: format ?? .table, file: outputFile)
                try judge(line, FlowPlace(), answerer, &sink)
                try finish(&sink)
            }
        }
    }

    private func judged() throws -> JudgedPolicies {
        switch try source.source() {
        case .files: JudgedPolicies(try source.files.load())
        case .bundle(let path): JudgedPolicies(try BundleFile.bundle(at: path, node: source.node.wanted))
        case .live: try source.place.onLiveImage { JudgedPolicies(image: $1.image) }
        }
    }

    private func judge(linesAt path: String, _ answerer: FlowAnswerer) throws {
        do {
            var lines = try LineReader(path: path)
            var sink = try VerdictSink(format: format ?? .jsonl, file: outputFile)
            var place = FlowPlace(path: path, number: 0)
            while let line = try lines.next() {
                place.number? += 1
                switch line {
                case .bytes(let bytes):
                    if !bytes.allSatisfy(Self.isSpace) { try judge(bytes, place, answerer, &sink) }
                case .tooLong:
                    try sink.fail(place, nil, nil, FlowError("longer than \(LineReader.maximumLength) bytes"))
                }
            }
            try finish(&sink)
        } catch let failure as StreamFailure {
            Terminal.report(
                Diagnostic(.error, .fileUnreadable, "cannot be read: \(failure)", at: SourceLocation(file: path)))
            throw ExitStatus.invalidInput
        }
    }

    private static func isSpace(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r")
    }

    private func finish(_ sink: inout VerdictSink) throws {
        try sink.finish()
        if sink.failures > 0 { throw ExitStatus.invalidInput }
    }

    private func judge(
        _ line: [UInt8], _ place: FlowPlace, _ answerer: FlowAnswerer, _ sink: inout VerdictSink
    ) throws {
        var object: FlowObject?
        do {
            let read = try FlowObject(line: line)
            object = read
            let (flow, answer) = try answerer.answer(read)
            try sink.answer(line, read, flow, answer)
        } catch let error as FlowError {
            try sink.fail(place, line, object, error)
        } catch let error as KernelJudge.NoVerdict {
            try sink.fail(place, line, object, FlowError(error.description))
        } catch let error as KernelError {
            throw Refusal(error.description, hint: Refusal.rootHint)
        }
    }
}
