import ArgumentParser
import Foundation
import WeirImage
import WeirKernel
import WeirLoader

extension AttachMode: ExpressibleByArgument {}

/// Where one set of policies lives on this machine.
struct PlaceOptions: ParsableArguments {
    @Option(help: "Directory on bpffs for pinned maps, programs and links.")
    var pinPath = Environment.string("PIN_PATH", default: "/sys/fs/bpf/weir")

    @Option(help: "Directory for the lock and for what must be known between runs.")
    var stateDir = Environment.string("STATE_DIR", default: "/var/lib/weir")

    @Option(help: "Seconds to wait for another weir that is at work.")
    var timeout = Environment.value("TIMEOUT", default: 10.0)

    func validate() throws {
        guard timeout >= 0, timeout <= 86_400 else { throw ValidationError("--timeout must be 0 to 86400 seconds.") }
        for (name, path) in [("--pin-path", pinPath), ("--state-dir", stateDir)] where !path.hasPrefix("/") {
            throw ValidationError("\(name) must be an absolute path.")
        }
    }

    func loader(attach: AttachMode = .automatic) -> Loader {
        var options = Loader.Options()
        options.pinPath = pinPath
        options.stateDirectory = stateDir
        options.attachMode = attach
        options.lockTimeout = .milliseconds(Int64(timeout * 1000))
        return Loader(options: options)
    }

    /// Runs what needs the node; a refusal of the kernel becomes status 3.
    func onNode<Result>(_ body: () throws -> Result) throws -> Result {
        try refusing {
            do {
                return try body()
            } catch let error as LoaderError {
                if geteuid() != 0 {
                    throw Refusal(error.description, hint: "this needs root; compile and verdict do not")
                }
                throw Refusal(error.description)
            }
        }
    }
}

struct DetachCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "detach",
        abstract: "Remove exactly what weir made on this node. Traffic is no longer judged.",
        discussion: "Example: sudo weir detach")

    @OptionGroup var place: PlaceOptions

    func run() throws {
        let outcome = try place.onNode { try place.loader().detach() }
        guard outcome.wasPresent else {
            print("nothing to detach at \(place.pinPath)")
            return
        }
        print("detached \(outcome.detached.count) hooks and removed \(place.pinPath)")
        for hook in outcome.detached { print("  \(hook)") }
    }
}
