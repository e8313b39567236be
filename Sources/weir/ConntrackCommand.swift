import ArgumentParser
import WeirInspect
import WeirLoader
import WeirModel

extension FlowEntry.State: ExpressibleByArgument {}

struct ConntrackCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ct",
        abstract: "Look at the flows that this node remembers, or make it forget some.",
        discussion: """
            Examples:
              sudo weir ct list --endpoint shop/api
              sudo weir ct flush --peer 203.0.113.7
            """,
        subcommands: [ListCommand.self, FlushCommand.self])
}

extension ConntrackCommand {
    struct ListCommand: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list",
            abstract: "List remembered flows: both directions' packets and bytes, state, age, deciding rule.",
            discussion: """
                A flow between two pods of this node is listed for each of them. DIRECTION is
                the originator's, as the endpoint sees it. AGE and LEFT are seconds, in steps
                of about one. A flow that is not CURRENT was allowed by an earlier policy; its
                next packet is judged anew, and until then it names no rule.

                Examples:
                  sudo weir ct list --endpoint shop/api --port 5432/tcp
                  sudo weir ct list --peer shop/frontend --state established --output jsonl
                """)

        @OptionGroup(title: "Flows") var flows: FlowFilterOptions
        @OptionGroup(title: "Place") var place: PlaceOptions
        @OptionGroup var listing: ListingOptions

        func validate() throws { try flows.orEnvironment.validate() }

        func run() throws {
            let found = try place.onMaps { try $0.flows(try flows.orEnvironment.filter($0)) }
            try refusing { try listing.print(found) }
        }
    }

    struct FlushCommand: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "flush",
            abstract: "Forget remembered flows, so that their next packets are judged anew.",
            discussion: """
                What policy allows comes back with the originator's next packet. A TCP
                connection that is under way is then remembered as one that nobody saw begin:
                packets of its originator pass as policy says, but replies are judged by the
                policy of their own direction. Where that is enforced and does not allow them
                the connection stalls until it is opened anew. Replies of UDP and pings pass
                again after the originator's next packet. A change of policy needs no flush:
                flows of an earlier policy are judged again by themselves.

                Takes the lock of the state directory. Prints how many flows were removed; a
                flow between two pods of this node counts for each of them. Which flows are meant
                is not taken from the environment.

                Examples:
                  sudo weir ct flush --endpoint shop/api --peer 203.0.113.7
                  sudo weir ct flush --all
                """)

        enum Format: String, ExpressibleByArgument, CaseIterable { case table, json }

        @OptionGroup(title: "Flows") var flows: FlowFilterOptions
        @Flag(help: "Forget every flow.")
        var all = false
        @OptionGroup(title: "Place") var place: PlaceOptions
        @Option(help: "Format: table or json.")
        var output = Environment.value("OUTPUT", default: Format.table)

        func validate() throws {
            guard all != flows.isGiven else {
                throw ValidationError("Say which flows (--endpoint, --peer, --port, --protocol, --state), or --all.")
            }
        }

        func run() throws {
            let filter = try place.onMaps { try flows.filter($0) }
            let outcome = try refusing {
                guard let outcome = try place.onPins({ try place.loader().flushFlows(filter) }) else {
                    throw place.nothingLoaded
                }
                return outcome
            }
            try refusing {
                try Terminal.output(
                    output == .json
                        ? try json(outcome) : "\(outcome.removed) \(outcome.removed == 1 ? "flow" : "flows") removed\n")
            }
        }
    }
}

/// Which flows are meant. A list may have it from the environment, too; what a flush forgets is written out.
struct FlowFilterOptions: ParsableArguments {
    @Option(help: "Flows of this endpoint: namespace/name, or host.")
    var endpoint: String?
    @Option(help: "Flows with this peer: an address, or an endpoint of this node.")
    var peer: String?
    @Option(help: "Flows that policy was asked this port for, such as 5432/tcp or 5432.")
    var port: String?
    @Option(name: .customLong("protocol"), help: "Flows of this protocol: a name such as tcp, or a number.")
    var proto: String?
    @Option(help: "Flows in this state: new, established, closing or expired.")
    var state: FlowEntry.State?

    var isGiven: Bool { endpoint != nil || peer != nil || port != nil || proto != nil || state != nil }

    func validate() throws { _ = try filter() }

    /// With the environment's values for what the command line leaves open.
    var orEnvironment: FlowFilterOptions {
        var options = self
        options.endpoint = endpoint ?? Environment.optional("ENDPOINT")
        options.peer = peer ?? Environment.optional("PEER")
        options.port = port ?? Environment.optional("PORT")
        options.proto = proto ?? Environment.optional("PROTOCOL")
        options.state = state ?? Environment.value("STATE")
        return options
    }

    /// All but the names of endpoints.
    private func filter() throws -> FlowFilter {
        var filter = FlowFilter()
        filter.state = state
        if let proto { filter.protocol = try Self.number(proto) }
        if let port {
            let parts = port.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard let first = parts.first, let number = UInt16(first) else {
                throw ValidationError("'\(port)' is no port: give one as 5432/tcp or 5432.")
            }
            filter.port = number
            if parts.count == 2 {
                let named = try Self.number(parts[1])
                guard filter.protocol ?? named == named else {
                    throw ValidationError("--port and --protocol name different protocols.")
                }
                filter.protocol = named
            }
        }
        return filter
    }

    private static func number(_ text: String) throws -> IPProtocol {
        guard let found = IPProtocol(name: text) ?? UInt8(text).map({ IPProtocol(rawValue: $0) }) else {
            throw ValidationError("'\(text)' is no protocol: give a name such as tcp, or a number up to 255.")
        }
        return found
    }

    /// With the names looked up among the node's endpoints; one that is not there ends with status 1.
    func filter(_ maps: LiveMaps) throws -> FlowFilter {
        var filter = try filter()
        let known = maps.image?.endpoints ?? []
        func record(_ name: String) throws -> [IPAddress] {
            if let found = known.first(where: { $0.name == name }) { return found.addresses }
            Terminal.complain(
                "weir: error: no endpoint '\(name)' on this node; weir endpoint list shows those there are")
            throw ExitStatus.invalidInput
        }
        if let endpoint {
            if endpoint != "host" { _ = try record(endpoint) }
            filter.endpoint = endpoint
        }
        if let peer { filter.peers = try IPAddress(peer).map { [$0] } ?? Set(record(peer)) }
        return filter
    }
}
