package import WeirJSON

/// What weir's entry in a network configuration says of weir itself. Other keys than these are left alone.
package struct Settings: Hashable, Sendable {
    /// `pinPath`: directory on bpffs.
    package var pinPath: String
    /// `stateDir`: directory of the lock and the registrations.
    package var stateDirectory: String
    /// `timeout`: seconds to wait for another weir.
    package var timeout: Double
    /// `inventory`: files or directories of documents that say labels, read at ADD.
    package var inventory: [String]
    /// `namespace`: where a container is of which no runtime says a namespace.
    package var namespace: String

    /// As long as a burst of pods may keep the lock; kubelets give a sandbox two minutes.
    package static let defaultTimeout = 60.0

    package init(
        pinPath: String, stateDirectory: String, timeout: Double = defaultTimeout, inventory: [String] = [],
        namespace: String = "default"
    ) {
        self.pinPath = pinPath
        self.stateDirectory = stateDirectory
        self.timeout = timeout
        self.inventory = inventory
        self.namespace = namespace
    }
}

/// A plugin's configuration as a runtime makes it (CNI specification, section 3, "Deriving request configuration from
/// plugin configuration"). Each part is checked when it is asked for, so that DEL does not fail for what ADD alone needs.
package struct NetworkConfiguration: Hashable, Sendable {
    let object: JSONValue

    package init(parsing bytes: [UInt8]) throws(CNIError) {
        do {
            object = try JSONValue(parsing: bytes)
        } catch {
            throw CNIError(
                .decodingFailure, "the configuration on standard input is not JSON: \(error)",
                details: "the runtime makes it from a file in its CNI configuration directory")
        }
        guard object.members != nil else {
            throw CNIError(.decodingFailure, "the configuration on standard input is no JSON object")
        }
    }

    /// `cniVersion`. Without one a configuration is of the first version.
    package func version() throws(CNIError) -> SpecificationVersion {
        let written = try string("cniVersion") ?? "0.1.0"
        guard let version = SpecificationVersion(rawValue: written) else {
            throw CNIError(
                .incompatibleVersion, "the configuration is of CNI version '\(written)'",
                details: "cniVersion may be \(SpecificationVersion.list)")
        }
        return version
    }

    /// `name`, with `type` checked as well (section 1, "Configuration format").
    package func network() throws(CNIError) -> String {
        guard let type = try string("type"), !type.isEmpty else { throw missing("type") }
        guard let name = try string("name"), !name.isEmpty else { throw missing("name") }
        guard isIdentifier(name) else {
            throw invalid("name", "is '\(name)'", "letters, digits, '_', '.' and '-' after a letter or digit")
        }
        return name
    }

    /// `disableCheck`: whether the administrator wants CHECK to look at nothing.
    package func disablesCheck() throws(CNIError) -> Bool {
        guard let value = object["disableCheck"] else { return false }
        guard let flag = value.boolean else { throw invalid("disableCheck", "is \(value)", "true or false") }
        return flag
    }

    /// Refuses what would have to be done by somebody, and not by us. Other unknown keys are no concern of ours.
    package func refuseOthersWork() throws(CNIError) {
        if object["ipMasq"]?.boolean == true { throw unsupported("ipMasq", "true", "weir translates no addresses") }
        if let type = object["ipam"]?["type"]?.string, !type.isEmpty {
            throw unsupported("ipam", "\(object["ipam"] ?? .null)", "weir gives no addresses")
        }
        if let capabilities = object["capabilities"], capabilities.members == nil {
            throw invalid("capabilities", "is \(capabilities)", "an object")
        }
    }

    private func unsupported(_ key: String, _ value: String, _ reason: String) -> CNIError {
        CNIError(
            .unsupportedField, "the configuration of weir has \(key) \(value)",
            details: "\(reason); it belongs to the plugin before it in the chain")
    }

    package func settings(defaults: Settings) throws(CNIError) -> Settings {
        var settings = defaults
        settings.pinPath = try path("pinPath", default: settings.pinPath)
        settings.stateDirectory = try path("stateDir", default: settings.stateDirectory)
        if let value = object["timeout"] {
            guard case .number(let text) = value, let seconds = Double(text), (0...86_400).contains(seconds) else {
                throw invalid("timeout", "is \(value)", "0 to 86400 seconds")
            }
            settings.timeout = seconds
        }
        if let value = object["inventory"] {
            let paths = value.array?.map(\.string) ?? [value.string]
            settings.inventory = try paths.map { path throws(CNIError) in
                guard let path, path.hasPrefix("/") else {
                    throw invalid("inventory", "is \(value)", "a list of absolute paths")
                }
                return path
            }
        }
        if let namespace = try string("namespace") {
            guard isIdentifier(namespace), namespace.utf8.count <= 253 else {
                throw invalid("namespace", "is '\(namespace)'", "a namespace's name")
            }
            settings.namespace = namespace
        }
        return settings
    }

    /// `prevResult` as it is; nil where the runtime has none.
    package var previousResult: JSONValue? { object["prevResult"] }

    /// `cni.dev/valid-attachments` (section 2, "GC"). Release 1.1.0 of the specification called it `cni.dev/attachments` in one
    /// place, and runtimes set both. null is what Go writes for no attachments.
    package func validAttachments() throws(CNIError) -> Set<ContainerInterface> {
        guard
            let value = (object.members ?? []).first(where: { $0.name == "cni.dev/valid-attachments" })?.value
                ?? object.members?.first(where: { $0.name == "cni.dev/attachments" })?.value
        else { throw missing("cni.dev/valid-attachments") }
        if value == .null { return [] }
        let rule = "a list of objects with containerID and ifname"
        guard let entries = value.array else { throw invalid("cni.dev/valid-attachments", "is \(value)", rule) }
        return Set(
            try entries.map { entry throws(CNIError) in
                guard let container = entry["containerID"]?.string, let interface = entry["ifname"]?.string else {
                    throw invalid("cni.dev/valid-attachments", "has \(entry)", rule)
                }
                return ContainerInterface(container: container, interface: interface)
            })
    }

    // MARK: Keys of any kind

    private func string(_ key: String) throws(CNIError) -> String? {
        guard let value = object[key] else { return nil }
        guard let text = value.string else { throw invalid(key, "is \(value)", "a string") }
        return text
    }

    private func path(_ key: String, default fallback: String) throws(CNIError) -> String {
        let text = try string(key) ?? fallback
        guard text.hasPrefix("/"), !text.contains("\0") else {
            throw CNIError(
                .invalidConfiguration, "\(key) is '\(text)'",
                details: "it must be an absolute path, in the configuration as in the WEIR_* variables of the runtime")
        }
        return text
    }

    func missing(_ key: String) -> CNIError {
        CNIError(.invalidConfiguration, "the configuration has no \(key)", details: "the CNI specification requires it")
    }

    func invalid(_ key: String, _ what: String, _ rule: String) -> CNIError {
        CNIError(.invalidConfiguration, "\(key) in the configuration \(what)", details: "it must be \(rule)")
    }
}

/// An interface of a container, as lists of attachments name it.
package struct ContainerInterface: Hashable, Sendable {
    package var container: String
    package var interface: String

    package init(container: String, interface: String) {
        self.container = container
        self.interface = interface
    }
}
