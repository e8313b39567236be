import ArgumentParser
import CStart
import Glibc
import WeirSyntax

@main
struct Weir: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "weir",
        abstract: "Compile L3/L4 network policies into eBPF maps, test them anywhere, load them once.",
        discussion: """
            weir leaves nothing running: the kernel enforces alone from pinned programs and maps.

            Examples:
              weir compile --policies Policies/shop --inventory Policies/shop
              weir explain --policies Policies/shop --inventory Policies/shop \\
                --from shop/frontend --to shop/db --port 5432/tcp
              weir test --policies Policies/shop --inventory Policies/shop
              sudo weir apply --policies Policies/shop --inventory Policies/shop --node node-a

            Every option can come from the environment: --pin-path is WEIR_PIN_PATH, and so on.
            Exit status: 0 done; 1 invalid input; 2 something asked about was found; 3 the kernel or
            permissions refused; 4 expectations failed; 64 usage.
            """,
        subcommands: [VersionCommand.self, ManualCommand.self],
        groupedSubcommands: [
            CommandGroup(
                name: "Load",
                subcommands: [
                    ApplyCommand.self, ConfirmCommand.self, RollbackCommand.self, RestoreCommand.self,
                    DetachCommand.self,
                    WireGuardCommand.self, CNICommand.self, DoctorCommand.self,
                ]),
            CommandGroup(
                name: "Dry-run",
                subcommands: [
                    LintCommand.self, VerdictCommand.self, ExplainCommand.self, TestCommand.self, DiffCommand.self,
                    CompileCommand.self, BundleCommand.self, InventoryCommand.self,
                ]),
            CommandGroup(
                name: "Inspect",
                subcommands: [
                    StatusCommand.self, MonitorCommand.self, MapCommand.self, EndpointCommand.self,
                    IdentityCommand.self, RuleCommand.self, ConntrackCommand.self, InspectCommand.self,
                ]),
        ])

    /// Without a command: what weir is for, and where to begin.
    func run() throws { try refusing { try Terminal.output(Self.jobs) } }

    private static let jobs = """
        Compile L3/L4 network policies into eBPF maps, test them anywhere, load them once.

        Load: put policies in force on this node, all at once, and take them back.
          sudo weir apply --policies DIR --inventory DIR --dry-run
          sudo weir apply --policies DIR --inventory DIR
          sudo weir rollback

        Dry-run: ask what would happen, without a node and without root.
          weir lint    --policies DIR --inventory DIR
          weir explain --policies DIR --inventory DIR --from shop/frontend --to shop/db --port 5432/tcp
          weir test    --policies DIR --inventory DIR
          weir diff main DIR --inventory DIR

        Inspect: see what this node enforces, and what it drops and why.
          sudo weir status
          sudo weir monitor
          sudo weir map list
          sudo weir doctor

        weir --help lists every command; weir COMMAND --help has examples.

        """

    /// As the process got them: `CommandLine` reads /proc, which a chroot need not have.
    static func main() {
        if CNICommand.isMeant(arguments: arguments) { Glibc.exit(CNICommand.answer()) }
        refuseUnknownCommand(arguments)
        main(arguments)
    }

    /// A word in a command's place that is none ends the run, with the nearest command.
    private static func refuseUnknownCommand(_ words: [String]) {
        var path = "weir"
        var command: any ParsableCommand.Type = Weir.self
        for word in words {
            let commands = command.configuration.subcommands
            guard !commands.isEmpty, !word.hasPrefix("-"), word != "help" else { return }
            let configurations = commands.map { $0.configuration }
            guard let next = configurations.firstIndex(where: { $0.commandName == word }) else {
                let names = configurations.compactMap { $0.shouldDisplay ? $0.commandName : nil }
                let nearest = nearestName(to: word, among: names).map { "; did you mean '\(path) \($0)'?" } ?? ""
                Terminal.complain("weir: error: '\(path)' has no command '\(word)'\(nearest)")
                Terminal.complain("weir: hint: \(path) --help lists its commands")
                Weir.exit(withError: ExitCode.validationFailure)
            }
            command = commands[next]
            path += " \(word)"
        }
    }

    private static var arguments: [String] {
        var arguments: [String] = []
        // SAFETY: the strings are the process's own and never change.
        while let next = unsafe weir_argument(Int32(arguments.count + 1)) {
            arguments.append(unsafe String(cString: next))
        }
        return arguments
    }
}
