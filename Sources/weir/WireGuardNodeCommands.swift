import ArgumentParser
import Foundation
import WeirLoader
import WeirWireGuard

/// Where the tunnel's state, keys and user-space sockets are.
struct TunnelPlaceOptions: ParsableArguments {
    @OptionGroup var place: PlaceOptions

    @Option(
        help: "Directory with the sockets of wireguard-go, where the kernel has no WireGuard.",
        completion: .directory)
    var socketDir = Environment.string("SOCKET_DIR", default: "/var/run/wireguard")

    func loader(force: Bool = false, admission: BundleAdmission? = nil) -> TunnelLoader {
        var options = TunnelLoader.Options()
        options.socketDirectory = socketDir
        options.isForced = force
        var loaderOptions = place.options()
        loaderOptions.admission = admission
        return TunnelLoader(loaderOptions, options: options)
    }
}

/// What a command that changes the node prints.
enum TunnelFormat: String, ExpressibleByArgument, CaseIterable { case table, json }

extension TunnelArguments {
    /// For this node: the host's name where nothing is said.
    func tunnelHere(
        allowOlder: Bool = false
    ) throws -> (configuration: TunnelConfiguration, admission: BundleAdmission?) {
        try tunnel(fallback: ProcessInfo.processInfo.hostName, allowOlder: allowOlder)
    }
}

extension WireGuardCommand {
    struct KeyCommand: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "key",
            abstract: "Print this node's public key, for publishing. Makes the private key where there is none.",
            discussion: """
                The private key stays in a file of mode 0600 below --state-dir and is never printed.

                Example: sudo weir wireguard key
                  kubectl annotate node node-a network.cilium.io/wg-pub-key="$(sudo weir wireguard key)"
                """)

        @OptionGroup var tunnelPlace: TunnelPlaceOptions

        func run() throws {
            let key = try tunnelPlace.place.onNode { try tunnelPlace.loader().ensureKey() }
            if key.isNew {
                Terminal.complain("weir: made a new private key in \(tunnelPlace.place.stateDir)/wireguard")
            }
            try refusing { try Terminal.output(key.publicKey.base64 + "\n") }
        }
    }

    struct PlanCommand: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "plan",
            abstract: "Show what apply would change on this node; change nothing.",
            discussion: """
                One line for each change: + comes, - goes, ~ changes. Public keys are shortened, secrets never shown.

                Example: sudo weir wireguard plan --inventory inventory.yaml --detailed-exitcode
                """)

        @OptionGroup(title: "Tunnel") var tunnel: TunnelArguments
        @OptionGroup(title: "Place") var tunnelPlace: TunnelPlaceOptions
        @Flag(help: "With --trusted-keys: take also a bundle that is older than what was applied here before.")
        var allowOlder = Environment.flag("ALLOW_OLDER")
        @Flag(name: .customLong("detailed-exitcode"), help: "Exit status 2 if something would change.")
        var detailedExitCode = Environment.flag("DETAILED_EXITCODE")
        @Option(help: "Format: table or json.")
        var output = Environment.value("OUTPUT", default: TunnelFormat.table)

        private struct Answer: Encodable {
            var node: String
            var changes: [String]
        }

        func validate() throws { try tunnel.require() }

        func run() throws {
            let (configuration, admission) = try tunnel.tunnelHere(allowOlder: allowOlder)
            let changes = try tunnelPlace.place.onNode {
                try tunnelPlace.loader(admission: admission).plan(configuration)
            }
            let lines = changes.lines
            try refusing {
                switch output {
                case .json: try Terminal.output(try json(Answer(node: configuration.node, changes: lines)))
                case .table:
                    try Terminal.output(
                        lines.isEmpty ? "nothing to do\n" : lines.joined(separator: "\n") + "\n")
                }
            }
            if detailedExitCode, !lines.isEmpty { throw ExitStatus.found }
        }
    }

    struct ApplyCommand: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "apply",
            abstract: "Put this node's tunnel in place: device, peers, routes and the rule that leads to them.",
            discussion: """
                Only what differs is changed: peers that stay keep their sessions. What goes to other nodes' pods is
                refused from before the device is there until it works, so nothing leaves in clear meanwhile. Where
                the kernel has no WireGuard, a running wireguard-go is configured instead. Again is the same as once.

                Policies compiled with --encryption wireguard let nothing from or to other nodes' pods pass but
                through this tunnel.

                Examples:
                  sudo weir wireguard apply --inventory /etc/weir/inventory.yaml --node node-a
                  sudo weir wireguard apply --bundle node-a.weir --trusted-keys /etc/weir/keys
                """)

        @OptionGroup(title: "Tunnel") var tunnel: TunnelArguments
        @OptionGroup(title: "Place") var tunnelPlace: TunnelPlaceOptions
        @Flag(help: "With --trusted-keys: take also a bundle that is older than what was applied here before.")
        var allowOlder = Environment.flag("ALLOW_OLDER")
        @Flag(help: "Change a key under traffic that still needs the old one.")
        var force = Environment.flag("FORCE")
        @Option(help: "Format: table or json.")
        var output = Environment.value("OUTPUT", default: TunnelFormat.table)

        func validate() throws { try tunnel.require() }

        func run() throws {
            let (configuration, admission) = try tunnel.tunnelHere(allowOlder: allowOlder)
            let outcome = try tunnelPlace.place.onNode {
                try tunnelPlace.loader(force: force, admission: admission).apply(configuration)
            }
            try refusing { try Terminal.output(output == .json ? try json(outcome) : outcome.text) }
        }
    }

    struct DownCommand: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "down",
            abstract: "Remove exactly what apply made. Keys stay; other nodes' pods are reached in clear again.",
            discussion: """
                Policies that want encryption still let nothing pass in clear.

                Example: sudo weir wireguard down
                """)

        @OptionGroup var tunnelPlace: TunnelPlaceOptions

        func run() throws {
            let gone = try tunnelPlace.place.onNode { try tunnelPlace.loader().down() }
            try refusing {
                try Terminal.output(
                    gone.isEmpty ? "there is no tunnel\n" : gone.map { "- \($0)\n" }.joined())
            }
        }
    }

    struct StatusCommand: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "status",
            abstract: "Show the tunnel as it is: handshakes, transfer, endpoints, and what differs from the plan.",
            discussion: """
                Compared with the inventory or bundle, or without one with what was applied last. Exit status 2 if they differ.

                Example: sudo weir wireguard status --output json
                """)

        @OptionGroup(title: "Tunnel") var tunnel: TunnelArguments
        @OptionGroup(title: "Place") var tunnelPlace: TunnelPlaceOptions
        @Option(help: "Format: table or json.")
        var output = Environment.value("OUTPUT", default: TunnelFormat.table)

        func run() throws {
            let wanted = tunnel.areGiven ? try tunnel.tunnelHere().configuration : nil
            let report = try tunnelPlace.place.onNode { try tunnelPlace.loader().report(wanted) }
            try refusing {
                switch output {
                case .json: try Terminal.output(try json(report))
                case .table: try Terminal.output(report?.text ?? "no tunnel was applied\n")
                }
            }
            if let report, !report.isInSync { throw ExitStatus.found }
        }
    }

    struct RotateCommand: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "rotate",
            abstract: "Change this node's key without losing a connection, in phases.",
            discussion: """
                1. start: makes the next key and prints its public one. Publish it as the next key; run weir wireguard
                   apply on every node. Each then has a second device, with the next keys.
                2. switch: sends on the second device. Refused unless every peer has answered there. At any time,
                   on every node.
                3. When every node has switched, publish the next key as the key (and still as the next one), and
                   apply on every node.
                4. finish: sends on the first device again, which has the new key now. When every node has, take
                   the next key out of the inventory and apply: the second device goes.

                Examples:
                  sudo weir wireguard rotate start
                  sudo weir wireguard rotate switch
                """)

        enum Phase: String, ExpressibleByArgument, CaseIterable { case start, `switch`, finish }

        @Argument(help: "start, switch or finish.")
        var phase: Phase
        @OptionGroup var tunnelPlace: TunnelPlaceOptions
        @Flag(help: "Send to peers that have not answered.")
        var force = Environment.flag("FORCE")

        func run() throws {
            let loader = tunnelPlace.loader(force: force)
            let text = try tunnelPlace.place.onNode { () throws -> String in
                switch phase {
                case .start: try loader.startRotation().publicKey.base64 + "\n"
                case .switch: try loader.send(onLane: 1).text
                case .finish: try loader.send(onLane: 0).text
                }
            }
            try refusing { try Terminal.output(text) }
        }
    }
}

extension TunnelLoader.Outcome {
    fileprivate var text: String {
        result == .unchanged
            ? "nothing to do: \(sendingInterface) is as it should be\n"
            : changes.map { $0 + "\n" }.joined() + "sends on \(sendingInterface)\n"
    }
}

extension TunnelReport {
    fileprivate var text: String {
        var text = ""
        for device in devices {
            guard let kind = device.kind else {
                text += "\(device.interface): does not exist\n\n"
                continue
            }
            text +=
                "\(device.interface) (\(kind)), port \(device.listenPort ?? 0), key \(device.publicKey ?? "none")"
                + (device.isInUse ? ", in use" : "") + "\n\n"
            text += table(
                ["NODE", "STATE", "HANDSHAKE", "RECEIVED", "SENT", "ENDPOINT", "ALLOWED IPS"],
                device.peers.map { peer in
                    [
                        peer.node ?? String(peer.publicKey.prefix(8)) + "…", peer.state.rawValue,
                        peer.handshakeAgeSeconds.map { "\($0) s ago" } ?? "never", "\(peer.receivedBytes)",
                        "\(peer.sentBytes)", peer.endpoint ?? "-", peer.allowedIPs.joined(separator: " "),
                    ]
                })
            text += "\n"
        }
        return text
            + (isInSync ? "as applied\n" : "differs:\n" + changes.map { "  \($0)\n" }.joined())
    }
}
