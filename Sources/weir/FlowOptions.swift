import ArgumentParser
import Foundation
import WeirFlow

/// One flow on the command line.
struct FlowOptions: ParsableArguments {
    @Option(help: "Where it comes from: namespace/pod, ip:ADDR, host, host:ADDR or remote-node:ADDR.")
    var from: String?
    @Option(help: "Where it goes.")
    var to: String?
    @Option(help: "PORT/PROTOCOL, such as 5432/tcp or, with the type, 8/icmp.")
    var port: String?
    @Option(help: "ipv4 or ipv6; else IPv4 where both ends have it.")
    var family: String?

    /// Whether the command line, not the environment, has any of it.
    var isGiven: Bool { [from, to, port, family].contains { $0 != nil } }

    /// The flow as a line of a list would have it; nil where something is missing. The command line goes before the
    /// environment.
    func line() throws -> [UInt8]? {
        guard let from = from ?? Environment.optional("FROM"), let to = to ?? Environment.optional("TO"),
            let port = port ?? Environment.optional("PORT")
        else { return nil }
        let halves = port.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard halves.count == 2 else { throw ValidationError("--port must be PORT/PROTOCOL, such as 5432/tcp.") }
        var fields = ["from": from, "to": to, "port": halves[0], "protocol": halves[1]]
        fields["family"] = family ?? Environment.optional("FAMILY")
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(fields))
    }
}
