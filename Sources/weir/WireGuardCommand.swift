import ArgumentParser
import WeirWireGuard

struct WireGuardCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wireguard",
        abstract: "Encrypt what pods on different nodes say to each other, by WireGuard between the nodes.",
        discussion: """
            Nodes publish their public keys in the inventory; every node compiles its own tunnel from it.

            Example: weir wireguard render --inventory inventory.yaml --node node-a
            """,
        subcommands: [
            RenderCommand.self, KeyCommand.self, PlanCommand.self, ApplyCommand.self, StatusCommand.self,
            RotateCommand.self, DownCommand.self,
        ])
}

extension WireGuardCommand {
    struct RenderCommand: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "render",
            abstract: "Print the tunnel of one node. Needs no root, no key and no device.",
            discussion: """
                Equal inventories give equal bytes, whatever the order of the files. No secret
                is in them: wg setconf and wg syncconf take the private key of a device away,
                and comments in the file say what to run afterwards.

                Examples:
                  weir wireguard render --inventory inventory.yaml --node node-a \\
                    --output-file weir-wg0.conf
                  weir wireguard render --bundle node-a.weir --output json
                """)

        enum Format: String, ExpressibleByArgument, CaseIterable { case conf, json }

        @OptionGroup(title: "Tunnel") var tunnel: TunnelArguments
        @Option(help: "Format: conf is one device for wg setconf, json is everything, with routes and MTUs.")
        var output = Environment.value("OUTPUT", default: Format.conf)
        @Option(help: "The device for conf: 0 has the keys in use, 1, which exists while keys rotate, the next ones.")
        var lane: Int?
        @OptionGroup var outputFile: OutputFileOptions

        private var wantedLane: Int? { lane ?? Environment.value("LANE") }

        func validate() throws {
            try tunnel.require()
            if let lane = wantedLane, !(0...1).contains(lane) { throw ValidationError("--lane must be 0 or 1.") }
            if lane != nil, output == .json { throw ValidationError("--lane is for --output conf: json has both.") }
        }

        func run() throws {
            let configuration = try tunnel.tunnel().configuration
            let lanes = configuration.lanes
            let index = wantedLane ?? 0
            guard output == .json || lanes.indices.contains(index) else {
                Terminal.complain("weir: error: there is no lane \(index): no node publishes a next public key")
                throw ExitStatus.invalidInput
            }
            try refusing {
                switch output {
                case .conf: try outputFile.write(lanes[index].configurationFile)
                case .json: try outputFile.write(configuration.encoded())
                }
            }
        }
    }
}
