import ArgumentParser
import Foundation
import WeirImage
import WeirInspect
import WeirLoader

/// `--slot`: active, inactive, 0 or 1.
enum SlotArgument: String, ExpressibleByArgument, CaseIterable {
    case active, inactive
    case zero = "0"
    case one = "1"

    var choice: SlotChoice {
        switch self {
        case .active: .active
        case .inactive: .inactive
        case .zero: .number(0)
        case .one: .number(1)
        }
    }
}

/// What a command looks into: this node, unless files or a bundle are given.
struct InspectionOptions: ParsableArguments {
    @OptionGroup var sources: PolicySourceOptions
    @Option(help: "On a node: the slot in force (active), the other one (inactive), 0 or 1.")
    var slot = Environment.value("SLOT", default: SlotArgument.active)

    enum Maps {
        case node(LiveMaps)
        case image(ImageMaps)

        var source: any MapSource {
            switch self {
            case .node(let maps): maps
            case .image(let maps): maps
            }
        }

        /// The maps of a node; nil of an image.
        var live: LiveMaps? { if case .node(let maps) = self { maps } else { nil } }
    }

    /// Whether this node is looked into. For `validate`, where a usage error still knows its command.
    func isLive() throws -> Bool {
        if case .live = try sources.source(orElse: .live) { true } else { false }
    }

    /// Opens what is to be looked into, and runs the body; what the kernel refuses ends with status 3.
    func look<Result>(_ body: (Maps) throws -> Result) throws -> Result {
        switch try sources.source(orElse: .live) {
        case .files:
            let loaded = try sources.files.load()
            return try body(.image(ImageMaps(loaded.image(node: try sources.node.resolve(loaded.inventory)))))
        case .bundle(let path):
            return try body(.image(ImageMaps(try BundleFile.image(at: path, node: sources.node.wanted))))
        case .live:
            return try sources.place.onMaps(slot.choice) { try body(.node($0)) }
        }
    }
}

extension PlaceOptions {
    /// Opens the pinned maps and runs the body. That nothing is loaded is a refusal.
    func onMaps<Result>(_ slot: SlotChoice = .active, _ body: (LiveMaps) throws -> Result) throws -> Result {
        try refusing {
            guard let maps = try onPins({ try loader().liveMaps(slot) }) else { throw nothingLoaded }
            return try onNode { try body(maps) }
        }
    }

    /// Reads the maps of the policy in force as they are and runs the body. Says where they differ from what was applied.
    func onLiveImage<Result>(_ body: (LiveMaps, LiveImage) throws -> Result) throws -> Result {
        try onMaps { maps in
            guard let live = try maps.liveImage() else {
                throw Refusal("nothing is enforced at \(pinPath)", hint: "weir status says what is loaded")
            }
            if !live.differences.isEmpty {
                Terminal.complain(
                    "weir: warning: the maps are not what was applied; weir detach and weir apply make them anew")
                for change in live.differences {
                    for entry in change.entries { Terminal.complain("  \(change.map): \(entry.text)") }
                }
            }
            return try body(maps, live)
        }
    }

    var nothingLoaded: Refusal {
        Refusal(
            "nothing is loaded at \(pinPath)",
            hint: "sudo weir apply loads a policy; --bundle FILE, or --policies and --inventory, need no node")
    }
}

/// How rows are printed.
struct ListingOptions: ParsableArguments {
    enum Format: String, ExpressibleByArgument, CaseIterable { case table, wide, json, jsonl }

    @Option(help: "Format: table; wide, which shortens no list; json; or jsonl, one object a line.")
    var output = Environment.value("OUTPUT", default: Format.table)
    @OptionGroup var outputFile: OutputFileOptions

    private static let chunk = 1 << 16

    func print(_ listing: Listing) throws {
        var file = try OutputFile(path: outputFile.path)
        switch output {
        case .table, .wide:
            try file.write(
                Array(
                    table(
                        listing.header, listing.rows.map { row in row.cells.map { $0.text(isWide: output == .wide) } }
                    ).utf8))
        case .json: try write(listing, to: file, opening: "[\n", separator: ",\n", closing: "\n]\n")
        case .jsonl: try write(listing, to: file, opening: "", separator: "\n", closing: "\n")
        }
        try file.commit()
    }

    private func write(
        _ listing: Listing, to file: borrowing OutputFile, opening: String, separator: String, closing: String
    ) throws(Refusal) {
        var bytes = listing.rows.isEmpty ? Array((output == .json ? "[" : "").utf8) : Array(opening.utf8)
        for (index, row) in listing.rows.enumerated() {
            if index > 0 { bytes += separator.utf8 }
            bytes += listing.jsonObject(row)
            if bytes.count >= Self.chunk {
                try file.write(bytes)
                bytes.removeAll(keepingCapacity: true)
            }
        }
        bytes += listing.rows.isEmpty ? Array((output == .json ? "]\n" : "").utf8) : Array(closing.utf8)
        try file.write(bytes)
    }
}
