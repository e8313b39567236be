import ArgumentParser
import Foundation
import WeirImage
import WeirKernel
import WeirLoader
import WeirNode

extension AttachMode: ExpressibleByArgument {}

/// Where one set of policies lives on this machine.
struct PlaceOptions: ParsableArguments {
    @Option(help: "Directory on bpffs for pinned maps, programs and links.", completion: .directory)
    var pinPath = Environment.string("PIN_PATH", default: "/sys/fs/bpf/weir")

    @Option(help: "Directory for the lock and for what must be known between runs.", completion: .directory)
    var stateDir = Environment.string("STATE_DIR", default: "/var/lib/weir")

    @Option(help: "Seconds to wait for another weir that is at work.")
    var timeout = Environment.value("TIMEOUT", default: 10.0)

    func validate() throws {
        guard timeout >= 0, timeout <= 86_400 else { throw ValidationError("--timeout must be 0 to 86400 seconds.") }
        for (name, path) in [("--pin-path", pinPath), ("--state-dir", stateDir)] where !path.hasPrefix("/") {
            throw ValidationError("\(name) must be an absolute path.")
        }
    }

    func loader() -> Loader { Loader(options: options()) }

    func options(attach: AttachMode = .automatic) -> Loader.Options {
        var options = Loader.Options()
        options.pinPath = pinPath
        options.stateDirectory = stateDir
        options.attachMode = attach
        options.lockTimeout = .milliseconds(Int64(timeout * 1000))
        return options
    }

    /// As `onNode`, for what only looks for pins. Where they cannot be seen, their absence says nothing.
    ///
    /// - Parameter body: nil where nothing is loaded.
    func onPins<Result>(_ body: () throws -> Result?) throws -> Result? {
        try onNode {
            try loader().requireBPFFileSystem()
            if let result = try body() { return result }
            guard geteuid() == 0 else {
                throw Refusal("cannot tell what is loaded at \(pinPath)", hint: Refusal.rootHint)
            }
            return nil
        }
    }

    /// Runs what needs the node; a refusal of the kernel becomes status 3.
    func onNode<Result>(_ body: () throws -> Result) throws -> Result {
        try refusing {
            do {
                return try body()
            } catch let error as KernelError {
                throw Refusal(error.description, hint: Refusal.rootHint)
            } catch let error as LoaderError {
                throw Refusal(error.description, hint: Refusal.rootHint)
            }
        }
    }
}

struct RollbackCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollback",
        abstract: "Make the policy before the last apply the one in force again: one store, whatever its size.",
        discussion: """
            Refused, with status 3, where there is none, or where it knows other endpoints than the node has now.

            Example: sudo weir rollback
            """)

    enum Format: String, ExpressibleByArgument, CaseIterable { case table, json }

    @OptionGroup var place: PlaceOptions
    @Option(help: "Format: table or json.")
    var output = Environment.value("OUTPUT", default: Format.table)

    func run() throws {
        let outcome = try place.onNode { try NodeOperator(place.options()).rollback() }
        try refusing {
            try Terminal.output(
                output == .json
                    ? try json(outcome)
                    : "revision \(outcome.revision) in slot \(outcome.slot): image \(outcome.imageDigest.prefix(12)) again\n"
            )
        }
    }
}

struct ConfirmCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "confirm",
        abstract: "Keep the policy that apply --confirm-within has put in force.",
        discussion: """
            Refused, with status 3, where the time is over: the policy before is in force again then.

            Example: sudo weir apply --bundle node-a.weir --confirm-within 60s && sudo weir confirm
            """)

    enum Format: String, ExpressibleByArgument, CaseIterable { case table, json }

    @OptionGroup var place: PlaceOptions
    @Option(help: "Format: table or json.")
    var output = Environment.value("OUTPUT", default: Format.table)

    func run() throws {
        let outcome = try place.onNode { try NodeOperator(place.options()).confirm() }
        try refusing {
            try Terminal.output(
                output == .json
                    ? try json(outcome)
                    : outcome.wasPending
                        ? "revision \(outcome.revision) stays\n"
                        : "nothing waits to be confirmed: revision \(outcome.revision) stays\n")
        }
    }
}

struct DetachCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "detach",
        abstract: "Remove exactly what weir made on this node. Traffic is no longer judged.",
        discussion: """
            One store ends enforcement for the whole node; then programs, pins and state are taken away, and interfaces
            that let nothing pass are let go. A run that ends in between is completed by the next detach, or by apply.
            The node stays open: neither weir restore nor weir cni denies anything until the next apply.

            With --all the tunnel goes, too, and with it everything that weir remembers of this node, WireGuard keys
            excepted.

            Examples:
              sudo weir detach
              sudo weir detach --all
            """)

    @Flag(help: "Also take down the tunnel and forget endpoints, bundles and serials.")
    var all = false
    @OptionGroup var place: PlaceOptions

    func run() throws {
        let outcome = try place.onPins {
            let outcome = try place.loader().detach()
            return outcome.wasPresent || !outcome.allowed.isEmpty ? outcome : nil
        }
        let tunnel = try place.onNode {
            guard all else { return [String]() }
            let gone = try TunnelLoader(place.options()).down()
            try place.loader().forget()
            return gone
        }
        var lines = ["nothing to detach at \(place.pinPath)"]
        if let outcome {
            lines = ["detached \(outcome.detached.count) hooks and removed \(place.pinPath)"]
            lines += outcome.detached.map { "  \($0)" }
            lines += outcome.allowed.map { "  let go of \($0), where nothing passed" }
            if !outcome.wasAtOnce { lines.append("hook by hook: the programs read no 'control' that can be written") }
        }
        if !tunnel.isEmpty { lines.append("took down the tunnel: \(tunnel.joined(separator: ", "))") }
        try refusing { try Terminal.output(lines.joined(separator: "\n") + "\n") }
    }
}
