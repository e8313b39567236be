package import WeirMaps

/// A map with the kernel's semantics (Linux 6.18), in memory.
///
/// Two doors, as in the kernel: the `BPFMap` requirements are the system call (sizes and faults are
/// checked), `find`, `modify`, `insert` and `remove` are the program's helpers.
///
/// A class because a map is shared by whoever looks into it. Subclasses are the map types.
package class EmulatedMap: BPFMap {
    package let schema: MapSchema
    /// What an array of maps stores. Unique in a factory; the kernel takes a descriptor and returns an id.
    package let id: UInt32
    private let faults: FaultPlan?

    init(schema: MapSchema, id: UInt32, faults: FaultPlan?) {
        self.schema = schema
        self.id = id
        self.faults = faults
    }

    // MARK: The map type

    /// Bytes of a value at the system call; per-CPU maps have one for each CPU.
    var systemValueSize: Int { schema.valueSize }

    func load(_ key: [UInt8]) throws(MapError) -> [UInt8]? { throw MapErrno.notSupported }

    /// `flags` are the kernel's, checked by the map type: types differ in what they check first.
    func store(_ key: [UInt8], _ value: [UInt8], flags: UInt64) throws(MapError) { throw MapErrno.notSupported }

    func erase(_ key: [UInt8]) throws(MapError) { throw MapErrno.notSupported }

    func list() throws(MapError) -> [MapEntry] { throw MapErrno.notSupported }

    /// A program's lookup: for an LRU map also a use of the entry.
    func find(_ key: [UInt8]) -> [UInt8]? { (try? load(key)) ?? nil }

    /// What a program does through the pointer that a lookup returned. Nothing where the key is absent.
    func overwrite(_ key: [UInt8], _ value: [UInt8]) { try? store(key, value, flags: UpdateMode.exist.rawValue) }

    /// Whether `other` may take this map's place in an array of maps: the kernel's `map_meta_equal`.
    final func hasMeta(of other: MapSchema) -> Bool {
        guard schema.type == other.type, schema.keySize == other.keySize, schema.valueSize == other.valueSize,
            schema.flags == other.flags
        else { return false }
        let isFixedArray = schema.type == .array && !schema.flags.contains(.innerMap)
        return !isFixedArray || schema.maxEntries == other.maxEntries
    }

    // MARK: The program

    /// `bpf_map_update_elem`. Faults count, so that an insert can be made to fail.
    final func insert(_ key: [UInt8], _ value: [UInt8], mode: UpdateMode) throws(MapError) {
        try faults?.check(.update, on: schema.name)
        try store(key, value, flags: mode.rawValue)
    }

    // MARK: The system call

    package final func lookup(_ key: [UInt8]) throws(MapError) -> [UInt8]? {
        try faults?.check(.lookup, on: schema.name)
        guard key.count == schema.keySize else { throw .invalid }
        return try load(key)
    }

    package final func update(_ key: [UInt8], _ value: [UInt8], mode: UpdateMode) throws(MapError) {
        try update(key, value, flags: mode.rawValue)
    }

    /// As `update(_:_:mode:)` with any flags; unknown ones are `.invalid`.
    package final func update(_ key: [UInt8], _ value: [UInt8], flags: UInt64) throws(MapError) {
        try faults?.check(.update, on: schema.name)
        guard key.count == schema.keySize, value.count == systemValueSize else { throw .invalid }
        try store(key, value, flags: flags)
    }

    package final func delete(_ key: [UInt8]) throws(MapError) {
        try faults?.check(.delete, on: schema.name)
        guard key.count == schema.keySize else { throw .invalid }
        try erase(key)
    }

    package final func entries() throws(MapError) -> [MapEntry] {
        try faults?.check(.entries, on: schema.name)
        return try list()
    }
}

/// The errno values that maps use and `MapError` has no case for.
enum MapErrno {
    static let badDescriptor = MapError(errno: 9)  // EBADF
    /// ENOTSUPP, the kernel's own number, which no libc names.
    static let notSupported = MapError(errno: 524)
}

/// `flags > BPF_EXIST`.
func isUnknown(flags: UInt64) -> Bool { flags > UpdateMode.exist.rawValue }

/// What `BPF_NOEXIST` and `BPF_EXIST` say about a key that is there or not.
func checkPresence(_ isPresent: Bool, flags: UInt64) throws(MapError) {
    if isPresent, flags == UpdateMode.noExist.rawValue { throw .exists }
    if !isPresent, flags == UpdateMode.exist.rawValue { throw .noEntry }
}

/// The array index in a key of four bytes, host byte order.
func arrayIndex(_ key: [UInt8]) -> Int {
    Int(key[0]) | Int(key[1]) << 8 | Int(key[2]) << 16 | Int(key[3]) << 24
}
