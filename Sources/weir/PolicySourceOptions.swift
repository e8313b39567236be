import ArgumentParser

/// What a command looks into: policies and an inventory, a bundle, or what this node enforces.
struct PolicySourceOptions: ParsableArguments {
    @OptionGroup(title: "Sources") var files: SourceOptions
    @Option(
        help: "A bundle that weir compile wrote, instead of policies and an inventory; - is standard input.",
        completion: .file())
    var bundle: String?
    @Flag(help: "What this node enforces now, instead of files; needs root.")
    var live = false
    @OptionGroup var node: NodeOptions
    @OptionGroup(title: "Place") var place: PlaceOptions

    enum Source {
        case files
        case bundle(path: String)
        case live
    }

    private var given: [Source] {
        (files.areGiven ? [.files] : []) + (bundle.map { [.bundle(path: $0)] } ?? []) + (live ? [.live] : [])
    }

    /// What the command line says goes before what the environment says; files before a bundle before the node.
    ///
    /// - Parameter fallback: where neither says anything; nil is a usage error.
    func source(orElse fallback: Source? = nil) throws -> Source {
        guard given.count <= 1 else {
            throw ValidationError("Give one of: --policies and --inventory, --bundle, or --live.")
        }
        if let source = given.first {
            if case .files = source { try files.require() }
            return source
        }
        if files.areInEnvironment { return .files }
        if let path = Environment.optional("BUNDLE") { return .bundle(path: path) }
        if Environment.flag("LIVE") { return .live }
        guard let fallback else {
            throw ValidationError("Give --policies PATH and --inventory PATH, or --bundle FILE, or --live.")
        }
        return fallback
    }

    /// Whether standard input is taken already.
    func readsStandardInput() throws -> Bool {
        switch try source() {
        case .files: files.readStandardInput
        case .bundle(let path): path == "-"
        case .live: false
        }
    }
}
