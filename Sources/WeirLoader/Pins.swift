internal import Crypto
internal import WeirABI
internal import WeirImage
internal import WeirKernel
internal import WeirMaps
internal import WeirModel

/// Where the pieces of one weir lie on bpffs. Names have no '.', which bpffs reserves.
///
///     PIN/maps/control …              every map of the object
///     PIN/programs/1f2e…/weir_…       the programs of one object and its options, by digest
///     PIN/links/eth0-7-egress         one tcx link each
///
/// A new set is pinned in `PIN-new` and renamed: `PIN` is complete or is not there.
struct PinLayout {
    let root: String

    var staging: String { root + "-new" }
    var maps: String { "\(root)/maps" }
    var programs: String { "\(root)/programs" }
    var links: String { "\(root)/links" }

    func link(_ interface: String, _ hook: Hook) -> String {
        let name = interface.map { $0 == "." || $0 == "%" ? "%\("\($0)".utf8.hexadecimal)" : "\($0)" }.joined()
        return "\(links)/\(name)-\(hook.interface)-\(hook.direction.rawValue)"
    }
}

/// One hook of one interface, by the endpoint's direction.
struct Hook: Hashable, Comparable {
    var interface: UInt32
    var direction: Direction

    static func < (left: Self, right: Self) -> Bool {
        (left.interface, left.direction) < (right.interface, right.direction)
    }
}

/// The programs of one object, by name.
struct Programs {
    private let judging: [String: SharedProgram]
    private let readTick: SharedProgram

    /// A program that several hooks refer to.
    private final class SharedProgram {
        let program: Program
        init(_ program: consuming Program) { self.program = program }
    }

    init(_ object: borrowing BPFObject) throws {
        var judging: [String: SharedProgram] = [:]
        for name in ProgramName.judging { judging[name] = SharedProgram(try object.program(name)) }
        self.judging = judging
        readTick = SharedProgram(try object.program(ProgramName.readTick))
    }

    /// nil where they are not pinned there, all of them.
    init?(pinnedIn directory: String) throws {
        var judging: [String: SharedProgram] = [:]
        for name in ProgramName.judging {
            guard let program = try Program.pinned(at: "\(directory)/\(name)") else { return nil }
            judging[name] = SharedProgram(program)
        }
        guard let readTick = try Program.pinned(at: "\(directory)/\(ProgramName.readTick)") else { return nil }
        self.judging = judging
        self.readTick = SharedProgram(readTick)
    }

    func pin(in directory: String) throws {
        for (name, shared) in judging.sorted(by: { $0.key < $1.key }) {
            try shared.program.pin(at: "\(directory)/\(name)")
        }
        try readTick.program.pin(at: "\(directory)/\(ProgramName.readTick)")
    }

    /// By name.
    var ids: [String: UInt32] { judging.mapValues { $0.program.id } }

    /// The maps that every one of them reads.
    var mapIDs: Set<UInt32> {
        let all = judging.values.map { Set($0.program.mapIDs) }
        return all.dropFirst().reduce(all.first ?? []) { $0.intersection($1) }
    }

    /// The programs' clock now, in ticks.
    func tick() throws -> UInt32 { try Clock.now(readTick.program) }

    func with<Value>(_ name: String, _ body: (borrowing Program) throws -> Value) throws -> Value {
        guard let shared = judging[name] else {
            throw KernelError("find", "program '\(name)'", errno: .noSuchFileOrDirectory)
        }
        return try body(shared.program)
    }
}

/// The pinned maps, opened and compared with the schemas.
struct PinnedMaps {
    let slots: [SlotMap: KernelMap]
    let node: [NodeMap: KernelMap]

    private static func outerSchema(_ map: SlotMap) -> MapSchema {
        MapSchema(name: map.rawValue, type: .arrayOfMaps, keySize: 4, valueSize: 4, maxEntries: Int(WEIR_SLOT_COUNT))
    }

    init(from object: borrowing BPFObject) throws {
        var slots: [SlotMap: KernelMap] = [:]
        var node: [NodeMap: KernelMap] = [:]
        for map in SlotMap.allCases { slots[map] = try object.map(map.rawValue) }
        for map in NodeMap.allCases { node[map] = try object.map(map.rawValue) }
        self.slots = slots
        self.node = node
        try check(in: "the object")
    }

    init(pinnedIn root: String) throws {
        var slots: [SlotMap: KernelMap] = [:]
        var node: [NodeMap: KernelMap] = [:]
        for map in SlotMap.allCases { slots[map] = try KernelMap.pinned(at: "\(root)/maps/\(map.rawValue)") }
        for map in NodeMap.allCases { node[map] = try KernelMap.pinned(at: "\(root)/maps/\(map.rawValue)") }
        self.slots = slots
        self.node = node
        try check(in: root)
    }

    func pin(in root: String) throws {
        for (name, map) in all { try map.pin(at: "\(root)/maps/\(name)") }
    }

    var all: [(name: String, map: KernelMap)] {
        (slots.map { ($0.key.rawValue, $0.value) } + node.map { ($0.key.rawValue, $0.value) })
            .sorted { $0.0 < $1.0 }
    }

    /// Every difference of every map, missing ones included, and of the inner maps that are in place.
    private func check(in place: String) throws {
        var differences: [SchemaDifference] = []
        func compare(_ wanted: MapSchema, _ found: KernelMap?) {
            guard let found else {
                differences.append(
                    SchemaDifference(map: wanted.name, attribute: "pin", found: "missing", wanted: "there"))
                return
            }
            differences += wanted.differences(from: found.schema)
        }
        for map in SlotMap.allCases.sorted() {
            compare(Self.outerSchema(map), slots[map])
            for slot in 0..<Int(WEIR_SLOT_COUNT) {
                guard let inner = try slots[map]?.inner(at: slot) else { continue }
                differences += map.schema.withMaxEntries(inner.schema.maxEntries).differences(from: inner.schema)
            }
        }
        for map in NodeMap.allCases.sorted() { compare(map.schema, node[map]) }
        guard differences.isEmpty else { throw LoaderError.incompatible(differences, pinPath: place) }
    }

    func callAsFunction(_ map: SlotMap) throws -> KernelMap { try present(slots[map], map.rawValue) }
    func callAsFunction(_ map: NodeMap) throws -> KernelMap { try present(node[map], map.rawValue) }

    private func present(_ map: KernelMap?, _ name: String) throws -> KernelMap {
        guard let map else { throw KernelError("find", "map '\(name)'", errno: .noSuchFileOrDirectory) }
        return map
    }

    func meta(slot: Int) throws -> weir_slot_meta {
        do throws(MapError) {
            let bytes = try node[.slot_meta]?.lookup(UInt32(slot).abiBytes)
            return bytes.flatMap(weir_slot_meta.init(abiBytes:)) ?? weir_slot_meta()
        } catch { throw KernelError("read", "slot_meta[\(slot)]", error) }
    }

    /// The counters of a slot's rules that counted something, by rule.
    func ruleCounters(slot: Int) throws -> [UInt32: weir_counter] {
        let first = UInt32(slot) * UInt32(WEIR_RULES_MAX)
        var counters: [UInt32: weir_counter] = [:]
        do throws(MapError) {
            for entry in try node[.rule_counters]?.entries() ?? [] {
                guard let index = UInt32(abiBytes: entry.key), (first..<first + UInt32(WEIR_RULES_MAX)).contains(index)
                else { continue }
                let sum = weir_counter(perCPU: entry.value)
                if sum.packets > 0 { counters[index - first] = sum }
            }
        } catch { throw KernelError("read", "rule_counters", error) }
        return counters
    }

    /// Before a slot is filled anew: its rules have other numbers then.
    func clearRuleCounters(slot: Int) throws {
        let used = try ruleCounters(slot: slot).keys
        guard let map = node[.rule_counters] else { return }
        let first = UInt32(slot) * UInt32(WEIR_RULES_MAX)
        let zeros = [UInt8](repeating: 0, count: MemoryLayout<weir_counter>.size * (try possibleCPUCount()))
        do throws(MapError) {
            for rule in used.sorted() { try map.update((first + rule).abiBytes, zeros, mode: .any) }
        } catch { throw KernelError("clear", "rule_counters", error) }
    }

    /// Makes a map the slot's own.
    func place(_ map: KernelMap, as name: SlotMap, slot: Int) throws {
        let outer = try self(name)
        do throws(MapError) { try outer.place(map, at: slot) } catch {
            throw KernelError("place", "map '\(name.rawValue)' in slot \(slot)", error)
        }
    }

    func setMeta(_ meta: weir_slot_meta, slot: Int) throws {
        do throws(MapError) {
            try node[.slot_meta]?.update(UInt32(slot).abiBytes, meta.abiBytes, mode: .any)
        } catch { throw KernelError("write", "slot_meta[\(slot)]", error) }
    }
}

/// The pinned maps and programs of one weir.
struct PinnedSet: ~Copyable {
    let layout: PinLayout
    let maps: PinnedMaps
    let programs: Programs
    /// The directory name of the programs.
    let digest: String
    /// Whether these programs were loaded for this run.
    let isNew: Bool

    /// Digest of what the verifier sees: the object and its options. A prefix is enough to tell versions apart.
    static func digest(object: [UInt8], options: DatapathOptions) -> String {
        var hash = SHA256()
        hash.update(data: object)
        hash.update(data: options.rawValue.abiBytes)
        return hash.finalize().prefix(8).hexadecimal
    }

    /// Opens what is pinned. Programs of another object stay; those of this one are loaded beside them.
    static func open(_ object: [UInt8], options: DatapathOptions, layout: PinLayout) throws -> PinnedSet {
        let digest = digest(object: object, options: options)
        let maps = try PinnedMaps(pinnedIn: layout.root)
        let directory = "\(layout.programs)/\(digest)"
        let isNew = try !Files.exists(directory)
        if isNew {
            let loaded = try BPFObject(bytes: object)
            try loaded.setOptions(options)
            for (name, map) in maps.all { try loaded.share(map, as: name) }
            try loaded.load()
            let staging = directory + "_new"
            do {
                try Files.removeTree(staging)
                try Files.makeDirectory(staging)
                try Programs(loaded).pin(in: staging)
                try Files.rename(staging, to: directory)
            } catch {
                try? Files.removeTree(staging)
                throw error
            }
        }
        do {
            let programs = try openPrograms(in: directory, reading: maps)
            return PinnedSet(layout: layout, maps: maps, programs: programs, digest: digest, isNew: isNew)
        } catch {
            if isNew { try? Files.removeTree(directory) }
            throw error
        }
    }

    /// Opens what is pinned, with the programs that are there, of whichever object. Those of this one are loaded only
    /// where there are none, or where they are of another layout.
    static func present(_ object: [UInt8], options: DatapathOptions, layout: PinLayout) throws -> PinnedSet {
        let own = digest(object: object, options: options)
        let names = try (Files.list(layout.programs) ?? []).filter { !$0.hasSuffix("_new") }
        if let name = names.contains(own) ? own : names.first,
            let programs = try Programs(pinnedIn: "\(layout.programs)/\(name)")
        {
            let maps = try PinnedMaps(pinnedIn: layout.root)
            return PinnedSet(layout: layout, maps: maps, programs: programs, digest: name, isNew: false)
        }
        return try open(object, options: options, layout: layout)
    }

    private static func openPrograms(in directory: String, reading maps: PinnedMaps) throws -> Programs {
        guard let programs = try Programs(pinnedIn: directory) else {
            throw FileError("open programs in", directory, errno: .noSuchFileOrDirectory)
        }
        // A program that reads other maps than we write would enforce nothing that we do.
        for map in [try maps(.control).id, try maps(.endpoints).id, try maps(.peers).id]
        where !programs.mapIDs.contains(map) {
            throw KernelError(
                "use", "the programs in \(directory)", errno: .invalidArgument,
                hint: "they do not read the maps pinned beside them; detach, then apply again")
        }
        return programs
    }

    /// Loads everything and publishes it under the pin path in one step.
    static func create(_ object: [UInt8], options: DatapathOptions, layout: PinLayout) throws {
        let loaded = try BPFObject(bytes: object)
        try loaded.setOptions(options)
        try loaded.load()
        let maps = try PinnedMaps(from: loaded)
        try Files.removeTree(layout.staging)
        let digest = Self.digest(object: object, options: options)
        for directory in ["", "/maps", "/links", "/programs", "/programs/\(digest)"] {
            try Files.makeDirectory(layout.staging + directory)
        }
        try maps.pin(in: layout.staging)
        try Programs(loaded).pin(in: "\(layout.staging)/programs/\(digest)")
        try Files.rename(layout.staging, to: layout.root)
    }

    /// The ids of every program that this weir has pinned, of older objects as well.
    static func programIDs(_ layout: PinLayout) throws -> Set<UInt32> {
        var ids: Set<UInt32> = []
        for name in try Files.list(layout.programs) ?? [] {
            for program in ProgramName.judging {
                if let program = try Program.pinned(at: "\(layout.programs)/\(name)/\(program)") {
                    ids.insert(program.id)
                }
            }
        }
        return ids
    }

    /// Takes the programs of a run that failed away again. Nothing runs them.
    func removeIfNew() { if isNew { try? Files.removeTree("\(layout.programs)/\(digest)") } }

    /// Removes the programs of other objects: nothing runs them any longer.
    func removeOldPrograms() throws {
        for name in try Files.list(layout.programs) ?? [] where name != digest {
            try Files.removeTree("\(layout.programs)/\(name)")
        }
    }
}
