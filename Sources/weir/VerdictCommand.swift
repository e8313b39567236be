import ArgumentParser
import Foundation
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
            Ends are namespace/pod, ip:ADDR, host:ADDR or remote-node:ADDR; for ICMP the port is the type.
            A line that cannot be judged is answered with "error"; the others are answered, exit status 1.

            Example: weir verdict --policies Policies/shop --inventory Policies/shop \\
              --from shop/frontend --to shop/db --port 5432/tcp
            """)

    enum Format: String, ExpressibleByArgument, CaseIterable { case table, jsonl }
    enum Backend: String, ExpressibleByArgument, CaseIterable { case emulator, kernel }

    @OptionGroup(title: "Sources") var sources: SourceOptions

    @Option(help: "Flows, one JSON object a line; - is standard input.")
    var flows: String?
    @Option(help: "One flow: where it comes from.")
    var from: String?
    @Option(help: "One flow: where it goes.")
    var to: String?
    @Option(help: "One flow: PORT/PROTOCOL, such as 5432/tcp or, with the type, 8/icmp.")
    var port: String?
    @Option(help: "One flow: ipv4 or ipv6; else IPv4 where both ends have it.")
    var family: String?

    @Option(help: "emulator needs no rights; kernel runs the loaded programs through BPF_PROG_TEST_RUN, as root.")
    var backend = Environment.value("BACKEND", default: Backend.emulator)
    @Option(help: "Format: table or jsonl.")
    var output: Format?
    @OptionGroup var outputFile: OutputFileOptions

    func validate() throws {
        let single = [from, to, port].compactMap(\.self).count
        guard flows == nil ? single == 3 : single == 0 else {
            throw ValidationError("Give either --flows FILE, or --from, --to and --port.")
        }
    }

    func run() throws {
        let loaded = try sources.load()
        let answerer = FlowAnswerer(loaded.inventory) { node in
            let image = loaded.image(node: node)
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
            var sink = VerdictSink(format: output ?? (flows == nil ? .table : .jsonl), file: outputFile)
            if let flows {
                try judge(linesAt: flows, answerer, &sink)
            } else {
                try judge(line: try singleFlow(), number: 1, answerer, &sink)
            }
            try sink.finish()
            if sink.failures > 0 { throw ExitStatus.invalidInput }
        }
    }

    private func judge(linesAt path: String, _ answerer: FlowAnswerer, _ sink: inout VerdictSink) throws {
        let lines: LineReader
        do {
            lines = try LineReader(path: path)
        } catch {
            Terminal.complain("\(path): error: cannot read flows: \(error) [file-unreadable]")
            throw ExitStatus.invalidInput
        }
        var number = 0
        while let line = try lines.next() {
            number += 1
            if line.allSatisfy(\.isWhitespace) { continue }
            try judge(line: line, number: number, answerer, &sink)
        }
    }

    private func judge(line: String, number: Int, _ answerer: FlowAnswerer, _ sink: inout VerdictSink) throws {
        do {
            let flow = try JSONDecoder().decode(Flow.self, from: Data(line.utf8))
            try sink.answer(line, flow, try answerer.answer(flow))
        } catch let error as FlowError {
            try sink.fail(line, number: number, path: flows, error.description)
        } catch is DecodingError {
            try sink.fail(line, number: number, path: flows, "not a JSON object")
        } catch let error as KernelJudge.NoVerdict {
            try sink.fail(line, number: number, path: flows, error.description)
        } catch let error as KernelError {
            throw Refusal(error.description)
        }
    }

    /// The flow of the flags, as a line of `--flows` would have it.
    private func singleFlow() throws -> String {
        let parts = (port ?? "").split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2 else { throw ValidationError("--port must be PORT/PROTOCOL, such as 5432/tcp.") }
        var fields = ["from": from ?? "", "to": to ?? "", "port": parts[0], "protocol": parts[1]]
        fields["family"] = family
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(fields), as: UTF8.self)
    }
}
