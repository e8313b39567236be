import ArgumentParser
import Foundation
import WeirABI
import WeirBundle
import WeirCompiler
import WeirImage
import WeirInventory
import WeirLoader
import WeirModel
import WeirNode

struct ApplyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply",
        abstract: "Make this node enforce the policies: all of it between two packets, or nothing.",
        discussion: """
            Compiles, checks the node, builds the inactive slot, reads it back, attaches, and commits with one store.
            Where only pods came, went or changed within what is in force, it writes their entries alone, in an order in
            which no packet is judged wider than before and after. The slot that is not in force gets the same pods, so
            that weir rollback knows them. Run again it changes nothing. When it refuses, with status 3, the node is as
            it was.

            Examples:
              sudo weir apply --policies /etc/weir/policies --inventory /etc/weir/inventory.yaml
              sudo weir apply node-a.weir --dry-run --detailed-exitcode
              sudo weir apply node-a.weir --devices eth0 --confirm-within 60s   then: sudo weir confirm
              sudo weir apply node-a.weir --trusted-keys /etc/weir/keys --node node-a

            Endpoints that weir cni or weir endpoint add told this node of are protected, too, whatever the inventory
            says of their addresses. An endpoint of this node in the inventory that has no interface here is refused;
            where pods come and go, --absent-endpoints leave-out goes on without it.

            With --trusted-keys a bundle that is unsigned, changed, signed by anybody else, for another node than --node
            or the host's name, or of a lower serial than the last one is refused with status 3.
            """)

    enum Format: String, ExpressibleByArgument, CaseIterable { case table, json }

    @Argument(
        help: ArgumentHelp(
            "A bundle that weir compile wrote, instead of policies and an inventory; - is standard input.",
            valueName: "bundle"))
    var file: String?
    @OptionGroup(title: "Sources") var sources: SourceOptions
    @Option(help: "The same as an option.", completion: .file())
    var bundle: String?
    @OptionGroup(title: "Trust") var trust: TrustOptions
    @Flag(help: "With --trusted-keys: apply also a bundle that is older than what was applied here before.")
    var allowOlder = Environment.flag("ALLOW_OLDER")
    @OptionGroup var node: NodeOptions
    @OptionGroup(title: "Place") var place: PlaceOptions
    @OptionGroup(title: "Log") var log: LogOptions
    @Option(help: "How to attach: auto, tcx or clsact.")
    var attach = Environment.value("ATTACH", default: AttachMode.automatic)
    @OptionGroup(title: "Datapath") var datapath: DatapathArguments
    @Option(help: "What becomes of this node's endpoints that have no interface: refuse or leave-out.")
    var absentEndpoints = Environment.value("ABSENT_ENDPOINTS", default: AbsentEndpoints.refuse)
    @Flag(help: "Show what would change; change nothing.")
    var dryRun = Environment.flag("DRY_RUN")
    @Flag(help: "With --dry-run: list the map entries that differ, not only how many.")
    var entries = Environment.flag("ENTRIES")
    @Flag(name: .customLong("detailed-exitcode"), help: "With --dry-run: exit status 2 if something would change.")
    var detailedExitCode = Environment.flag("DETAILED_EXITCODE")
    @Option(help: "Format: table or json.")
    var output = Environment.value("OUTPUT", default: Format.table)

    func validate() throws {
        guard bundle == nil || file == nil else { throw ValidationError("Give the bundle once: \(file ?? "").") }
        guard bundle ?? file == nil || !sources.areGiven else {
            throw ValidationError("Give either a bundle, or --policies and --inventory.")
        }
        try trust.requireBundle(bundlePath)
        if bundlePath == nil { try sources.require() }
        guard bundlePath == nil || sources.meaning.options == PolicyOptions() else {
            throw ValidationError(
                "The bundle is compiled already: options that change the meaning of policies belong to weir compile.")
        }
        guard dryRun || !detailedExitCode else { throw ValidationError("--detailed-exitcode needs --dry-run.") }
    }

    func run() throws {
        let wanted = try wanted()
        var loaderOptions = place.options(attach: attach)
        loaderOptions.apiServers = wanted.apiServers
        loaderOptions.admission = wanted.admission
        datapath.set(&loaderOptions)
        let node = NodeOperator(loaderOptions)
        if dryRun {
            let plan = try place.onNode { try node.plan(wanted.policy, absent: absentEndpoints) }
            try refusing { try Terminal.output(output == .json ? try json(plan) : plan.text(allEntries: entries)) }
            if detailedExitCode, plan.hasChanges { throw ExitStatus.found }
        } else {
            let logger = log.logger
            let applied = try place.onNode {
                do {
                    return try node.apply(wanted.policy, absent: absentEndpoints) { step in
                        logger.debug("step done", metadata: ["step": "\(step.rawValue)"])
                    }
                } catch let error as LoaderError {
                    // The refusal is one line; what the verifier said may be megabytes.
                    if let log = error.log { logger.debug("the kernel said", metadata: ["log": "\(log)"]) }
                    throw error
                }
            }
            let outcome = applied.outcome
            if let problem = outcome.tunnelProblem {
                Terminal.complain("weir: warning: \(problem): weir wireguard apply")
            }
            if let reason = outcome.notInPlace {
                logger.info("through the other slot", metadata: ["reason": "\(reason)"])
            }
            try refusing { try Terminal.output(output == .json ? try json(outcome) : outcome.text(applied.image)) }
        }
    }

    /// What the command line says goes before what the environment says.
    private var bundlePath: String? { bundle ?? file ?? (sources.areGiven ? nil : Environment.optional("BUNDLE")) }

    /// What the node is to enforce, and what the loader needs beside it.
    private struct Wanted {
        var policy: NodePolicy
        var apiServers: [IPAddress]
        var admission: BundleAdmission?
    }

    private func wanted() throws -> Wanted {
        if let bundlePath {
            let admitted = try BundleFile.admitted(at: bundlePath, trust, node: node, allowOlder: allowOlder)
            let policy = NodePolicy(admitted.bundle, bytes: admitted.bytes)
            policy.complainOfSources()
            return Wanted(policy: policy, apiServers: admitted.bundle.apiServers, admission: admitted.admission)
        }
        let loaded = try sources.load(isDigesting: true)
        let name = try node.resolve(loaded.inventory, fallback: ProcessInfo.processInfo.hostName)
        return Wanted(
            policy: try loaded.policy(for: name, sources), apiServers: loaded.apiServers)
    }
}

extension SourceOptions.Sources {
    /// As a bundle of this moment would have it, which nobody signed.
    fileprivate func policy(for node: String, _ options: SourceOptions) throws -> NodePolicy {
        let kept = KeptPolicy(policies: policies, options: self.options)
        let bundle = NodeBundle(
            image: image(node: node), apiServers: apiServers,
            sources: NodeBundle.Sources(
                policies: try kept.encoded(), inventory: ReducedInventory(inventory).encoded(as: .json)),
            provenance: Provenance(
                weir: Weir.version, abi: UInt32(WEIR_ABI_VERSION), node: node, options: options.written, inputs: inputs)
        )
        return NodePolicy(
            bundle,
            from: NodePolicy.Sources(policy: kept, inventory: inventory, clusterName: options.meaning.clusterName),
            inventoryTime: options.inventoryTime(of: inputs))
    }
}

extension SourceOptions {
    /// When the newest of the inventory's files was written; now, where it came by standard input.
    fileprivate func inventoryTime(of inputs: [Provenance.Input]) -> Int64 {
        let places = inventorySource.paths.isEmpty ? policies : inventorySource.paths
        let files = inputs.map(\.path).filter { path in places.contains { path == $0 || path.hasPrefix($0) } }
        let times = files.compactMap { path in
            (try? FileManager.default.attributesOfItem(atPath: path))?[.modificationDate] as? Date
        }
        return Int64((times.max() ?? Date()).timeIntervalSince1970)
    }
}

extension Loader.Outcome {
    func text(_ image: Image) -> String {
        var lines: [String] = []
        switch result {
        case .unchanged: lines.append("nothing to do: revision \(revision) already enforces this")
        case .committed:
            lines.append(
                "committed revision \(revision) in slot \(slot): \(image.endpoints.count) endpoints of \(image.node), "
                    + "image \(image.digest.hexadecimal.prefix(12))")
        case .adjusted:
            lines.append(
                "adjusted slot \(slot) at revision \(revision): \(image.endpoints.count) endpoints of \(image.node), "
                    + "\(mapWrites) map writes")
        }
        if let rollbackRefusal { lines.append("  no rollback from here: \(rollbackRefusal)") }
        for (verb, hooks) in [("attached", attached), ("swapped", swapped), ("detached", detached)] {
            lines += hooks.map { "  \(verb) \($0)" }
        }
        lines += localText
        return lines.joined(separator: "\n") + "\n"
    }
}

extension Plan {
    /// `+` new, `-` gone, `~` another value, and what is attached.
    fileprivate func text(allEntries: Bool) -> String {
        guard hasChanges else { return "nothing to do: image \(imageDigest.prefix(12)) is already enforced\n" }
        let size = (estimatedBytes + 1023) / 1024
        let style = TextStyle(of: STDOUT_FILENO)
        var lines =
            inPlace
            ? ["would adjust the slot in force with \(mapWrites ?? 0) map writes"]
            : ["would commit image \(imageDigest.prefix(12)), about \(size) KiB of kernel memory"]
        if let notInPlace { lines.append("  not in place: \(notInPlace)") }
        if let rollbackRefusal { lines.append("  no rollback afterwards: \(rollbackRefusal)") }
        for endpoint in endpoints { lines.append("  endpoint \(endpoint.endpoint) on \(endpoint.interface)") }
        for (verb, hooks) in [("attach", attach), ("swap", swap), ("detach", detach)] {
            lines += hooks.map { "  \(verb) \($0)" }
        }
        for map in maps {
            lines.append("\(map.map): \(map.added) added, \(map.changed) changed, \(map.removed) removed")
            if allEntries { lines += map.entries.map { "  " + style.change($0.text) } }
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
