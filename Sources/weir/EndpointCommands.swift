import ArgumentParser
import WeirInspect
import WeirInventory
import WeirLoader
import WeirModel
import WeirNode

struct EndpointCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "endpoint",
        abstract: "List the endpoints of a node; tell it of one that comes or goes.",
        discussion: "Example: sudo weir endpoint list",
        subcommands: [ListCommand.self, AddCommand.self, RemoveCommand.self])

    struct ListCommand: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list",
            abstract: "List endpoints: addresses, interface, what happens where no rule decides, labels.",
            discussion: """
                EGRESS and INGRESS are what becomes of a packet that no rule is about: allow
                where no policy enforces the direction.

                Examples:
                  sudo weir endpoint list
                  weir endpoint list --bundle node-a.weir --output json
                """)

        @OptionGroup var inspection: InspectionOptions
        @OptionGroup var listing: ListingOptions

        func run() throws {
            let found = try inspection.look { try $0.source.endpoints() }
            try refusing { try listing.print(found) }
        }
    }

    struct AddCommand: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "add",
            abstract: "Protect an endpoint that has come to this node, under the policy that is in force.",
            discussion: """
                For network namespaces, containers and machines without Kubernetes; a container
                runtime calls weir cni. First nothing passes at the endpoint's interface, then
                the policy in force is compiled with it, then what that allows passes. Without
                a policy in force nothing passes until there is one.

                Labels given here go before those of the inventory; without --label they are
                the inventory's, and without either nothing passes. The endpoint is forgotten
                with its interface: a unit that makes the namespace adds it each time.

                Examples:
                  sudo weir endpoint add shop/api --netns api --label app=api
                  sudo weir endpoint add shop/db --pid 4711 --label app=db --port sql=5432/tcp
                  sudo weir endpoint add shop/web --interface veth-web --address 10.7.0.2
                """)

        enum Format: String, ExpressibleByArgument, CaseIterable { case table, json }

        @Argument(help: ArgumentHelp("What it is called: namespace/name.", valueName: "namespace/name"))
        var name: EndpointName
        @Option(help: "The network namespace that it lives in: a name of ip netns, or a path.")
        var netns: String?
        @Option(help: "A process that lives in its network namespace.")
        var pid: UInt32?
        @Option(help: "The host side of its interface; with --address.")
        var interface: String?
        @Option(help: "An address of its own, once for each family. Without it: those in the namespace.")
        var address: [String] = []
        @Option(help: ArgumentHelp("A label of its own.", valueName: "key=value"))
        var label: [String] = []
        @Flag(help: "It has no labels of its own, and that is known.")
        var noLabels = false
        @Option(help: "Its service account.")
        var serviceAccount: String?
        @Option(help: ArgumentHelp("A port with a name that policies may use.", valueName: "name=number/protocol"))
        var port: [String] = []
        @OptionGroup(title: "Place") var place: PlaceOptions
        @Option(help: "Format: table or json.")
        var output = Environment.value("OUTPUT", default: Format.table)

        func validate() throws {
            guard [netns != nil, pid != nil, interface != nil].count(where: \.self) == 1 else {
                throw ValidationError("Say where it lives: one of --netns, --pid and --interface.")
            }
            guard interface == nil || !address.isEmpty else { throw ValidationError("--interface needs --address.") }
            guard label.isEmpty || !noLabels else { throw ValidationError("Give either --label or --no-labels.") }
            _ = try (addresses, labels, ports)
        }

        func run() throws {
            let (registration, admission) = try place.onNode {
                let found = try located()
                let registration = Registration(
                    key: .endpoint(name.description), namespace: name.namespace, name: name.name, labels: try labels,
                    serviceAccount: serviceAccount, ports: try ports, addresses: found.addresses,
                    interface: found.interface.name, interfaceIndex: found.interface.index)
                return (
                    registration,
                    try NodeOperator(place.options()).register(registration, isUndone: true)
                )
            }
            try refusing {
                let report = AdmissionReport(registration, admission)
                try Terminal.output(output == .json ? try json(report) : report.text)
            }
        }

        /// The host side of its interface, and its addresses.
        private func located() throws -> (interface: NetworkInterfaceName, addresses: [IPAddress]) {
            let loader = place.loader()
            let wanted = try addresses
            if let interface {
                guard let found = try loader.interface(named: interface) else {
                    throw Refusal("there is no interface '\(interface)' in this network namespace", hint: "see ip link")
                }
                return (found, wanted)
            }
            let path =
                pid.map { "/proc/\($0)/ns/net" } ?? netns.map { $0.contains("/") ? $0 : "/run/netns/\($0)" } ?? ""
            let connections = try loader.connections(ofNamespaceAt: path)
                .filter { Set(wanted).isSubset(of: $0.addresses) }
            guard let only = connections.first, connections.count == 1 else {
                let names = connections.map(\.interface.name).joined(separator: ", ")
                throw Refusal(
                    connections.isEmpty
                        ? "no pair of interfaces leads from \(path) to here with "
                            + (wanted.isEmpty ? "an address" : wanted.map(\.description).joined(separator: " and "))
                        : "\(path) is behind several interfaces: \(names)",
                    hint: connections.isEmpty
                        ? "make the veth pair and its address first" : "say which: --interface and --address")
            }
            let addresses = wanted.isEmpty ? only.addresses : wanted
            guard Set(addresses.map(\.family)).count == addresses.count else {
                throw Refusal(
                    "\(path) has several addresses of one family: "
                        + addresses.map(\.description).joined(separator: ", "), hint: "say which: --address")
            }
            return (only.interface, addresses)
        }

        private var addresses: [IPAddress] {
            get throws {
                let all = try address.map { text in
                    guard let address = IPAddress(text) else {
                        throw ValidationError("'\(text)' is not an IP address.")
                    }
                    if let problem = addressProblem(address) {
                        throw ValidationError("\(address) is \(problem): no endpoint has that.")
                    }
                    return address
                }
                guard Set(all.map(\.family)).count == all.count else {
                    throw ValidationError("An endpoint has at most one address of a family.")
                }
                return all.sorted()
            }
        }

        /// nil: nobody says.
        private var labels: [String: String]? {
            get throws {
                guard !noLabels else { return [:] }
                guard !label.isEmpty else { return nil }
                var labels: [String: String] = [:]
                for text in label {
                    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                    guard parts.count == 2, !parts[0].isEmpty else {
                        throw ValidationError("'\(text)' is not key=value.")
                    }
                    guard !isDerivedLabel(String(parts[0])) else {
                        throw ValidationError(
                            "The label '\(parts[0])' is derived from the namespace and the service account.")
                    }
                    guard labels.updateValue(String(parts[1]), forKey: String(parts[0])) == nil else {
                        throw ValidationError("The label '\(parts[0])' is given twice.")
                    }
                }
                return labels
            }
        }

        private var ports: [NamedPort]? {
            get throws {
                guard !port.isEmpty else { return nil }
                return try port.map { text in
                    let parts = text.split(separator: "=", maxSplits: 1)
                    let numbers = parts.last?.split(separator: "/") ?? []
                    guard parts.count == 2, (1...2).contains(numbers.count), let number = UInt16(numbers[0]),
                        number > 0, let known = IPProtocol(name: numbers.count == 2 ? numbers[1] : "TCP"),
                        IPProtocol.withPorts.contains(known)
                    else { throw ValidationError("'\(text)' is not name=number/protocol, as http=8080/tcp.") }
                    return NamedPort(name: parts[0].lowercased(), protocol: known, port: number)
                }
            }
        }
    }

    struct RemoveCommand: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "remove",
            abstract: "Forget an endpoint that weir endpoint add told this node of.",
            discussion: """
                Nobody is known under its addresses any longer, and nothing passes at its
                interface as long as that exists; with --open everything does.

                Example: sudo weir endpoint remove shop/api
                """)

        @Argument(help: ArgumentHelp("What it was added as: namespace/name.", valueName: "namespace/name"))
        var name: EndpointName
        @Flag(help: "Leave its interface open: packets there are no longer judged.")
        var open = false
        @OptionGroup(title: "Place") var place: PlaceOptions

        func run() throws {
            let removed = try place.onNode {
                try NodeOperator(place.options()).unregister([.endpoint(name.description)], isOpening: open)
            }
            guard let removed = removed.first else {
                Terminal.complain("weir: error: '\(name)' was not added on this node")
                Terminal.complain("weir: hint: weir endpoint list shows the endpoints; weir status what was added")
                throw ExitStatus.invalidInput
            }
            try refusing {
                try Terminal.output(
                    open
                        ? "\(name) is forgotten; everything passes at \(removed.interface)\n"
                        : "\(name) is forgotten; nothing passes at \(removed.interface) as long as it exists\n")
            }
        }
    }
}

/// `namespace/name`, both as Kubernetes has names.
struct EndpointName: ExpressibleByArgument, CustomStringConvertible {
    var namespace: String
    var name: String

    init?(argument: String) {
        let parts = argument.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty && $0.allSatisfy(Self.isAllowed) }) else { return nil }
        (namespace, name) = (String(parts[0]), String(parts[1]))
    }

    private static func isAllowed(_ character: Character) -> Bool {
        character.isASCII && (character.isLetter || character.isNumber || "-._".contains(character))
    }

    var description: String { "\(namespace)/\(name)" }
}

/// What `weir endpoint add` prints.
struct AdmissionReport: Encodable {
    enum State: String, Encodable { case published, denied, open }

    var endpoint: String
    var interface: String
    var addresses: [String]
    var state: State
    var reason: String?

    init(_ registration: Registration, _ admission: Admission) {
        endpoint = registration.qualifiedName
        interface = registration.interface
        addresses = registration.addresses.map(\.description)
        switch admission {
        case .published: state = .published
        case .denied(let why): (state, reason) = (.denied, why)
        case .open(let why): (state, reason) = (.open, why)
        }
    }

    var text: String {
        let place = "\(endpoint) (\(addresses.joined(separator: " "))) at \(interface)"
        switch state {
        case .published: return "\(place) is judged by the policy in force\n"
        case .denied: return "\(place) is denied everything: \(reason ?? "")\n"
        case .open: return "\(place) is open: \(reason ?? "")\n"
        }
    }
}
