import ArgumentParser
import WeirInspect
import WeirLoader
import WeirMaps
import WeirModel

extension MapName: ExpressibleByArgument {
    package init?(argument: String) { self.init(argument) }
    package static var allValueStrings: [String] { allCases.map(\.description) }
}

struct MapCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "map",
        abstract: "Look into maps, with names: address to pod, group to members, rule to file and line.",
        discussion: """
            The maps of this node, unless a bundle or files are given. An image has the
            maps of a slot (cidrs4, cidrs6, endpoints, ipcache4, ipcache6, peers,
            verdicts); what is remembered and counted only a node has.

            Examples:
              sudo weir map list
              sudo weir map dump ipcache4 --endpoint shop/api
              sudo weir map lookup cidrs4 198.51.100.66
              weir map dump verdicts --bundle node-a.weir
            """,
        subcommands: [ListCommand.self, DumpCommand.self, LookupCommand.self])
}

extension MapCommand {
    struct ListCommand: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list",
            abstract: "List the maps: type, sizes, entries, fill level, memory.",
            discussion: """
                Entries are counted as bpftool counts them: an array has all of its elements.
                Memory is what the kernel charges for the map; where it does not say, and for
                an image, it is estimated from above and marked with ~.

                Example: sudo weir map list --slot inactive
                """)

        enum Format: String, ExpressibleByArgument, CaseIterable { case table, json }

        @OptionGroup var inspection: InspectionOptions
        @Option(help: "Format: table or json.")
        var output = Environment.value("OUTPUT", default: Format.table)
        @OptionGroup var outputFile: OutputFileOptions

        struct Report: Encodable {
            /// nil: of an image.
            var revision: UInt64?
            var slot: Int?
            var maps: [MapSummary]
        }

        func run() throws {
            try inspection.look { maps in
                let report = Report(
                    revision: maps.live?.revision, slot: maps.live?.slot, maps: try maps.source.summaries())
                try refusing { try outputFile.write(output == .json ? try json(report) : text(report)) }
            }
        }

        private func text(_ report: Report) -> String {
            table(
                ["MAP", "SCOPE", "TYPE", "KEY", "VALUE", "ENTRIES", "CAPACITY", "FILL", "MEMORY", "ID"],
                report.maps.map { map in
                    [
                        map.name, map.scope, map.type, "\(map.keySize)", "\(map.valueSize)",
                        map.entries.map { "\($0)" } ?? "-", "\(map.capacity)",
                        map.fillPercent.map { "\($0)%" } ?? "-",
                        map.memoryBytes.map { (map.isMemoryEstimated ? "~" : "") + "\($0)" } ?? "-",
                        map.id.map { "\($0)" } ?? "-",
                    ]
                })
        }
    }

    struct DumpCommand: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "dump",
            abstract: "Print the entries of a map, decoded.",
            discussion: """
                Sorted by key. Elements of arrays that are all zero are left out (see
                --zeros); of a per-CPU counter the sum is shown. Entries change while they are
                read: each is as it was at some moment.

                Examples:
                  sudo weir map dump ipcache4 --group world-ipv4
                  sudo weir map dump peers --rule db.yaml:11 --output json
                  sudo weir map dump conntrack4 --endpoint shop/api --limit 20
                  weir map dump cidrs4 --policies Policies/shop --inventory Policies/shop --raw
                """)

        @Argument(help: "The map.")
        var map: MapName
        @OptionGroup var inspection: InspectionOptions
        @OptionGroup var listing: ListingOptions
        @Option(help: "Only entries with this address, or with a prefix that it is in.")
        var address: String?
        @Option(help: "Only entries of this peer group: a number, or a name such as world-ipv4.")
        var group: String?
        @Option(help: "Only what this rule decides, alone or with others; the end of its path is enough.")
        var rule: String?
        @Option(help: "Only what belongs to this endpoint, as namespace/name.")
        var endpoint: String?
        @Option(help: "At most so many rows.")
        var limit: Int?
        @Flag(help: "Keys and values as hexadecimal bytes.")
        var raw = Environment.flag("RAW")
        @Flag(help: "Also the elements of arrays that are all zero.")
        var zeros = Environment.flag("ZEROS")

        func validate() throws {
            try map.requireEntries(isLive: try inspection.isLive())
            _ = try request()
        }

        private func request() throws -> Dump.Request {
            var request = Dump.Request()
            if let text = address ?? Environment.optional("ADDRESS") {
                guard let address = IPAddress(text) else { throw ValidationError("'\(text)' is not an IP address.") }
                request.filter.address = address
            }
            if let text = group ?? Environment.optional("GROUP") {
                guard let group = EntryFilter.group(text) else {
                    throw ValidationError("'\(text)' is no group: give its number, or a name such as world-ipv4.")
                }
                request.filter.group = group
            }
            request.filter.rule = rule ?? Environment.optional("RULE")
            request.filter.endpoint = endpoint ?? Environment.optional("ENDPOINT")
            if let option = request.filter.meaningless(for: map).first {
                throw ValidationError("\(option) means nothing for \(map): its entries have no such thing.")
            }
            request.limit = limit ?? Environment.value("LIMIT")
            guard request.limit ?? 0 >= 0 else { throw ValidationError("--limit must not be negative.") }
            request.isRaw = raw
            request.hasZeros = zeros
            return request
        }

        func run() throws {
            let request = try request()
            let dump = try inspection.look { maps in
                try maps.requireMap(map, try maps.source.dump(map, request))
            }
            try refusing { try listing.print(dump.listing) }
            if dump.matched > dump.listing.rows.count {
                Terminal.complain("weir: note: \(dump.listing.rows.count) of \(dump.matched) rows; see --limit")
            }
        }
    }

    struct LookupCommand: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "lookup",
            abstract: "Look up one key as the kernel does: in a trie the longest prefix that it is in.",
            discussion: """
                The key is as a person writes it: an address (ipcache, cidrs), an interface or
                endpoint (endpoints), table:protocol/port (verdicts), owner, protocol, local
                and remote end (conntrack), reason/direction (drops), an index (the others);
                with --raw its bytes in hexadecimal, printed likewise. Exit status 2 where the
                map has nothing for it.

                Examples:
                  sudo weir map lookup ipcache4 10.7.0.2
                  sudo weir map lookup verdicts 3:tcp/5432
                  sudo weir map lookup conntrack4 shop/api tcp 10.7.0.3:8080 10.7.0.2:40000
                  sudo weir map lookup cidrs4 --raw 20000000c6336442
                """)

        @Argument(help: "The map.")
        var map: MapName
        @Argument(help: "The key; words of a flow's key may be given one by one.")
        var key: [String]
        @OptionGroup var inspection: InspectionOptions
        @OptionGroup var listing: ListingOptions
        @Flag(help: "Key and value as hexadecimal bytes.")
        var raw = Environment.flag("RAW")

        func validate() throws {
            let isLive = try inspection.isLive()
            try map.requireEntries(isLive: isLive)
            guard isLive || map != .slot(.endpoints) else {
                throw ValidationError(
                    "Endpoints are looked up by interface, which only a node knows; see weir endpoint list.")
            }
        }

        func run() throws {
            let text = key.joined(separator: " ")
            let found = try inspection.look { maps in
                let source = maps.source
                let key: MapKey
                do throws(MapKeyError) {
                    key =
                        raw
                        ? try MapKey(hexadecimal: text, map: map)
                        : try MapKey(text, map: map, names: try names(source))
                } catch {
                    Terminal.complain("weir: error: \(error); see weir help map lookup")
                    throw ExitCode.validationFailure
                }
                return try maps.requireMap(map, try source.find(key, in: map, isRaw: raw))
            }
            guard !found.rows.isEmpty else {
                Terminal.complain("weir: \(map) has no entry for '\(text)'; weir map dump \(map) shows what it has")
                throw ExitStatus.found
            }
            try refusing { try listing.print(found) }
        }

        private func names(_ source: any MapSource) throws(MapKeyError) -> EntryNames {
            do { return try source.decoder(members: false).names } catch {
                throw MapKeyError("\(error)")
            }
        }
    }
}

extension MapName {
    fileprivate func requireEntries(isLive: Bool) throws {
        if case .node = self, !isLive {
            let present = SlotMap.allCases.sorted().map(\.rawValue).joined(separator: ", ")
            throw ValidationError("Only a node has \(self); an image has \(present).")
        }
        switch self {
        case .node(.events): throw ValidationError("events is a ring buffer: what is read from it is gone.")
        case .node(.fence): throw ValidationError("fence has nothing to show: the loader waits for programs with it.")
        default: break
        }
    }
}

extension InspectionOptions.Maps {
    /// An image has every map that it is asked for; a slot of a node may be empty.
    fileprivate func requireMap<Value>(_ map: MapName, _ value: Value?) throws -> Value {
        if let value { return value }
        throw Refusal(
            live?.slot.map { "slot \($0) has no map '\(map)'" } ?? "no policy is in force",
            hint: "weir status says what is in force; weir map dump slot_meta which slots have something")
    }
}
