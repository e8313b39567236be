import ArgumentParser
import Foundation
import WeirCNI
import WeirDiagnostics
import WeirInventory
import WeirLoader
import WeirModel
import WeirNetlink
import WeirNode
import WeirSyntax

struct CNICommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cni",
        abstract: "Be a chained CNI plugin: deny a new pod everything, then publish it under the policy in force.",
        discussion: """
            Container runtimes run this, once for each operation (ADD, DEL, CHECK, GC, STATUS, VERSION), with CNI_*
            variables and the configuration on standard input. weir without arguments is the same where CNI_COMMAND is
            set: a link or a copy of it under any name in the runtime's plugin directory will do. The package has it as
            /usr/lib/cni/weir-cni.

            It stands in the chain after the plugin that makes the pod's interface (a veth or netkit pair):
              {"cniVersion": "1.0.0", "name": "pods", "plugins": [
                {"type": "ptp", "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"}},
                {"type": "weir-cni", "capabilities": {"io.kubernetes.cri.pod-annotations": true}}]}

            Keys of its entry, none of which must be there:
              pinPath    directory on bpffs (WEIR_PIN_PATH, then /sys/fs/bpf/weir)
              stateDir   directory of the lock and the registrations (WEIR_STATE_DIR, then /var/lib/weir)
              timeout    seconds to wait for another weir (60)
              inventory  list of files or directories with the labels of pods, read at ADD
              namespace  namespace of a container without K8S_POD_NAMESPACE (default)

            Labels are those of the inventory, else of args.cni.labels, else of the annotation weir.dev/labels (a
            JSON object). A pod of which nobody says labels stays denied.
            The exit status is CNI's: 0, or 1 with an error in JSON on standard output.

            Example: weir cni <configuration.json   (with CNI_COMMAND=STATUS in the environment)
            """)

    func run() throws { throw ExitCode(Self.answer()) }

    /// Whether this process was started as runtimes start plugins.
    static func isMeant(arguments: [String]) -> Bool {
        arguments.isEmpty && ProcessInfo.processInfo.environment["CNI_COMMAND"] != nil
    }

    /// Does what the environment asks for; returns the exit status. No option of weir's is read here but two defaults: what
    /// a runtime's service has in its environment must not change what a plugin answers.
    static func answer() -> Int32 {
        let defaults = Settings(
            pinPath: Environment.string("PIN_PATH", default: "/sys/fs/bpf/weir"),
            stateDirectory: Environment.string("STATE_DIR", default: "/var/lib/weir"))
        let plugin = Plugin(defaults: defaults, surroundings: Node()) { NodeRegistry(settings: $0) }
        let answer = plugin.answer(environment: ProcessInfo.processInfo.environment, input: standardInput)
        for remark in answer.remarks { Terminal.complain("weir: warning: \(remark)") }
        guard let output = answer.output else { return answer.status }
        do {
            try Terminal.output("\(output)\n")
        } catch {
            Terminal.report(error)
            return 1
        }
        return answer.status
    }

    /// Far beyond any configuration, and little enough to be held.
    private static let maximumInput = 16 << 20

    private static func standardInput() throws -> [UInt8] {
        do {
            if let bytes = try Stream.contents(of: "-", limit: maximumInput) { return bytes }
        } catch {
            throw CNIError(.ioFailure, "cannot read the configuration on standard input: \(error)")
        }
        throw CNIError(.ioFailure, "the configuration on standard input is larger than \(maximumInput) bytes")
    }
}

/// This machine, as the plugin sees it.
private struct Node: Surroundings {
    func hostSide(of interface: String, inNamespaceAt path: String) throws -> HostSide {
        do {
            let end = try InterfaceFinder().hostSide(of: interface, inNamespaceAt: path)
            return HostSide(name: end.name, index: end.index)
        } catch let error as InterfaceNotFound {
            throw CNIError(
                .noHostSide, "\(error)",
                details: "such a pod cannot be protected; chain weir after a plugin that makes a veth or netkit pair")
        }
    }

    func description(of pod: Request.Pod, inDocumentsAt paths: [String]) throws -> EndpointDescription? {
        var search = EndpointSearch(namespace: pod.namespace, name: pod.name)
        var diagnostics = DiagnosticsCollector()
        var reader = InputReader(maximumBytes: InventorySourceOptions.defaultMaximumBytes)
        for path in reader.files(at: paths, diagnostics: &diagnostics) {
            reader.open(path, diagnostics: &diagnostics) { stream, diagnostics in
                readDocuments(from: &stream, diagnostics: &diagnostics) { document, diagnostics in
                    search.add(document, diagnostics: &diagnostics)
                }
            }
        }
        if let error = diagnostics.sorted.first(where: { $0.severity == .error }) {
            throw CNIError(
                .ioFailure, "the inventory that the configuration names cannot be used: \(error)",
                details: "weir inventory \(paths.joined(separator: " ")) lists every problem")
        }
        return search.found
    }
}

/// The endpoints that live on this node.
private struct NodeRegistry: EndpointRegistry {
    private let node: NodeOperator

    init(settings: Settings) {
        var options = Loader.Options()
        options.pinPath = settings.pinPath
        options.stateDirectory = settings.stateDirectory
        options.lockTimeout = .milliseconds(Int64(settings.timeout * 1000))
        node = NodeOperator(options)
    }

    /// What could not be added stays denied: the runtime adds it again, or deletes it.
    func register(_ registration: Registration) throws -> Admission {
        try telling { () throws(LoaderError) in try node.register(registration, isUndone: false) }
    }

    func unregister(_ keys: [Registration.Key]) throws {
        _ = try telling { () throws(LoaderError) in try node.unregister(keys) }
    }

    func registrations() throws -> [Registration] {
        try telling { () throws(LoaderError) in try node.registrations() }
    }

    func check(_ registration: Registration) throws {
        let problem = try telling { () throws(LoaderError) in try node.problem(of: registration) }
        if let problem {
            throw CNIError(.notInForce, problem, details: "weir doctor says more; weir apply repairs")
        }
    }

    func readiness() throws -> String? { try telling { () throws(LoaderError) in try node.readiness() } }

    /// What the loader refuses, as the runtime is told of it.
    private func telling<Result>(_ body: () throws(LoaderError) -> Result) throws(CNIError) -> Result {
        do {
            return try body()
        } catch {
            switch error {
            case .locked, .pending: throw CNIError(.tryAgainLater, error.description)
            default: throw CNIError(.nodeRefused, error.description, details: Refusal.rootHint)
            }
        }
    }
}
