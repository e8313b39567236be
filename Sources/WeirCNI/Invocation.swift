/// The operations of a plugin (CNI specification, section 2, "CNI operations").
package enum Operation: String, Hashable, Sendable, CaseIterable {
    case add = "ADD"
    case delete = "DEL"
    case check = "CHECK"
    case collect = "GC"
    case status = "STATUS"
    case version = "VERSION"

    /// The first version of the specification that has it.
    var since: SpecificationVersion {
        switch self {
        case .collect, .status: .v1_1_0
        case .add, .delete, .check, .version: .v0_4_0
        }
    }
}

/// What the environment says (CNI specification, section 2, "Parameters"). CNI_PATH is not read: weir runs no plugin.
package enum Invocation: Hashable, Sendable {
    case add(Place, Arguments)
    /// Content with less than ADD: what could not be added is not there to be deleted. interface nil: not said.
    case delete(container: String, interface: String?)
    case check(Place, Arguments)
    case collect
    case status
    case version

    /// Where a container's interface is.
    package struct Place: Hashable, Sendable {
        package var container: String
        /// In the container.
        package var interface: String
        package var namespacePath: String
    }

    package init(environment: [String: String]) throws(CNIError) {
        let variables = environment.filter { !$0.value.isEmpty }
        guard let word = variables["CNI_COMMAND"] else {
            throw CNIError(
                .invalidEnvironment, "CNI_COMMAND is not set",
                details: "container runtimes run this; weir cni --help shows how to run it by hand")
        }
        switch Operation(rawValue: word) {
        case .add: self = .add(try Place(variables, word), try Arguments(parsing: variables["CNI_ARGS"] ?? ""))
        case .check: self = .check(try Place(variables, word), try Arguments(parsing: variables["CNI_ARGS"] ?? ""))
        case .delete:
            guard let container = variables["CNI_CONTAINERID"] else {
                throw CNIError(
                    .invalidEnvironment, "CNI_CONTAINERID is not set for DEL",
                    details: "without it nothing tells what is to be deleted")
            }
            self = .delete(container: container, interface: variables["CNI_IFNAME"])
        case .collect: self = .collect
        case .status: self = .status
        case .version: self = .version
        case nil:
            throw CNIError(
                .invalidEnvironment, "CNI_COMMAND is '\(word)'",
                details: "it may be " + Operation.allCases.map(\.rawValue).joined(separator: ", "))
        }
    }

    package var operation: Operation {
        switch self {
        case .add: .add
        case .delete: .delete
        case .check: .check
        case .collect: .collect
        case .status: .status
        case .version: .version
        }
    }
}

extension Invocation.Place {
    fileprivate init(_ variables: [String: String], _ operation: String) throws(CNIError) {
        let names = ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"]
        guard let container = variables["CNI_CONTAINERID"], let interface = variables["CNI_IFNAME"],
            let namespacePath = variables["CNI_NETNS"]
        else {
            let missing = names.filter { variables[$0] == nil }
            throw CNIError(
                .invalidEnvironment,
                "\(missing.joined(separator: ", ")) \(missing.count == 1 ? "is" : "are") not set for \(operation)",
                details: "the CNI specification requires \(names.joined(separator: ", "))")
        }
        func refuse(_ name: String, _ value: String, _ rule: String) -> CNIError {
            CNIError(.invalidEnvironment, "\(name) is '\(value)'", details: "it must be \(rule)")
        }
        guard isIdentifier(container) else {
            throw refuse("CNI_CONTAINERID", container, "letters, digits, '_', '.' and '-' after a letter or digit")
        }
        guard isInterfaceName(interface) else {
            throw refuse("CNI_IFNAME", interface, "1 to 15 bytes without '/', ':' and white space, not '.' or '..'")
        }
        guard namespacePath.hasPrefix("/") else { throw refuse("CNI_NETNS", namespacePath, "an absolute path") }
        self.init(container: container, interface: interface, namespacePath: namespacePath)
    }
}

extension Invocation {
    /// CNI_ARGS: pairs as `KEY=VALUE;KEY=VALUE`. The keys are those that runtimes for Kubernetes set.
    package struct Arguments: Hashable, Sendable {
        package var podNamespace: String?
        package var podName: String?

        /// A key that weir does not know is an error, unless IgnoreUnknown says otherwise, as all runtimes do.
        init(parsing text: String) throws(CNIError) {
            var ignoresUnknown = false
            var unknown: [String] = []
            for pair in text.split(separator: ";") {
                guard let sign = pair.firstIndex(of: "="), sign > pair.startIndex else {
                    throw CNIError(
                        .invalidEnvironment, "'\(pair)' in CNI_ARGS is no pair",
                        details: "pairs are KEY=VALUE;KEY=VALUE")
                }
                let value = String(pair[pair.index(after: sign)...])
                switch pair[..<sign] {
                case "IgnoreUnknown":
                    switch value.lowercased() {
                    case "1", "true": ignoresUnknown = true
                    case "0", "false": ignoresUnknown = false
                    default:
                        throw CNIError(
                            .invalidEnvironment, "IgnoreUnknown in CNI_ARGS is '\(value)'",
                            details: "it may be 1, true, 0 or false")
                    }
                case "K8S_POD_NAMESPACE": podNamespace = try name(value, "K8S_POD_NAMESPACE")
                case "K8S_POD_NAME": podName = try name(value, "K8S_POD_NAME")
                case let key: unknown.append(String(key))
                }
            }
            guard unknown.isEmpty || ignoresUnknown else {
                throw CNIError(
                    .invalidEnvironment, "CNI_ARGS has unknown keys: \(unknown.sorted().joined(separator: ", "))",
                    details: "IgnoreUnknown=1 in CNI_ARGS passes over them")
            }
        }

        /// nil for an empty text.
        private func name(_ text: String, _ key: String) throws(CNIError) -> String? {
            guard !text.isEmpty else { return nil }
            guard isIdentifier(text), text.utf8.count <= 253 else {
                throw CNIError(
                    .invalidEnvironment, "\(key) in CNI_ARGS is '\(text)'",
                    details: "it must be up to 253 letters, digits, '_', '.' and '-' after a letter or digit")
            }
            return text
        }
    }
}

/// A letter or digit, then letters, digits, `_`, `.` and `-`: the alphabet of container IDs and network names.
func isIdentifier(_ text: String) -> Bool {
    func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: false
        }
    }
    return text.utf8.first.map(isAlphanumeric) == true
        && text.utf8.allSatisfy {
            isAlphanumeric($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-")
        }
}

/// What Linux takes as an interface's name.
func isInterfaceName(_ text: String) -> Bool {
    (1...15).contains(text.utf8.count) && text != "." && text != ".."
        && text.allSatisfy { $0 != "/" && $0 != ":" && !$0.isWhitespace && $0 != "\0" }
}
