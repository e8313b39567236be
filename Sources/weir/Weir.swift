import ArgumentParser
import CStart

@main
struct Weir: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "weir",
        abstract: "Compile L3/L4 network policies into eBPF maps, test them anywhere, load them once.",
        discussion: """
            weir leaves nothing running: the kernel enforces alone from pinned programs and maps.

            Examples:
              weir compile --policies Policies/shop --inventory Policies/shop
              weir verdict --policies Policies/shop --inventory Policies/shop \\
                --from shop/frontend --to shop/db --port 5432/tcp
              sudo weir apply --policies Policies/shop --inventory Policies/shop --node node-a

            Every option can come from the environment: --pin-path is WEIR_PIN_PATH, and so on.
            Exit status: 0 done; 1 invalid input; 2 something asked about was found; 3 the kernel or
            permissions refused; 4 expectations failed; 64 usage.
            """,
        subcommands: [
            CompileCommand.self, LintCommand.self, InventoryCommand.self, VerdictCommand.self, TestCommand.self,
            ApplyCommand.self,
            ConfirmCommand.self, RollbackCommand.self,
            StatusCommand.self,
            DetachCommand.self, DoctorCommand.self, WireGuardCommand.self, VersionCommand.self,
        ])

    /// As the process got them: `CommandLine` reads /proc, which a chroot need not have.
    static func main() { main(arguments) }

    private static var arguments: [String] {
        var arguments: [String] = []
        // SAFETY: the strings are the process's own and never change.
        while let next = unsafe weir_argument(Int32(arguments.count + 1)) {
            arguments.append(unsafe String(cString: next))
        }
        return arguments
    }
}
