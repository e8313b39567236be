internal import CLibbpf
package import WeirMaps

/// One map in the kernel, held by a descriptor. Dropping it does not remove a pinned map.
///
/// Keys and values have the schema's sizes; per-CPU values are one CPU's value after the other, each padded to
/// eight bytes as the system call wants them. An array of maps takes a descriptor (see `place`) and answers with
/// a map's id.
///
/// A class because `BPFMap` is shared by whoever looks into it. Not Sendable: a map belongs to its thread's work.
package final class KernelMap: BPFMap {
    package let schema: MapSchema
    let descriptor: OwnedDescriptor
    /// The kernel's id, unique while the map lives.
    package let id: UInt32
    /// The kernel's id of the description of keys and values; 0: it has none.
    let typesID: UInt32
    private let possibleCPUs: Int

    /// How often an element that fails for want of memory is tried again: allocation is refilled in the background.
    private static let memoryRetries = 50
    private static let batchSize = 4096

    /// Adopts a descriptor and reads the schema from the kernel.
    init(adopting descriptor: consuming OwnedDescriptor) throws(KernelError) {
        var info = bpf_map_info()
        // SAFETY: `info` is written by the kernel up to its own size.
        let result = unsafe weir_map_info(descriptor.raw, &info)
        guard result == 0 else { throw KernelError("inspect", "a map", result: result) }
        let name = cString(info.name)
        guard let type = MapType(kernel: info.type) else {
            throw KernelError("use", "map '\(name)' of type \(info.type)", result: -EINVAL)
        }
        schema = MapSchema(
            name: name, type: type, keySize: Int(info.key_size), valueSize: Int(info.value_size),
            maxEntries: Int(info.max_entries), flags: MapFlags(rawValue: info.map_flags))
        id = info.id
        typesID = info.btf_id
        possibleCPUs = type == .perCPUArray ? try possibleCPUCount() : 1
        self.descriptor = descriptor
    }

    /// Creates a map that lives as long as somebody holds it.
    ///
    /// - Parameters:
    ///   - inner: what an array of maps is made of.
    ///   - type: how others' tools read keys and values; a kernel that does not take it gets the map without.
    package convenience init(
        creating schema: MapSchema, inner: MapSchema? = nil, type: EntryType? = nil
    ) throws(KernelError) {
        var template: KernelMap?
        if let inner { template = try KernelMap(creating: inner) }
        func create(_ type: EntryType?) -> Int32 {
            // SAFETY: the name outlives the call; the kernel copies everything.
            unsafe weir_map_create_typed(
                schema.type.kernel, schema.name, UInt32(schema.keySize), UInt32(schema.valueSize),
                UInt32(clamping: schema.maxEntries), schema.flags.rawValue, template?.descriptor.raw ?? -1,
                type?.types.descriptor.raw ?? -1, type?.key ?? 0, type?.value ?? 0)
        }
        var result = create(type)
        if result < 0, type != nil { result = create(nil) }
        guard result >= 0 else {
            let size = "\(schema.maxEntries) entries of \(schema.keySize) + \(schema.valueSize) bytes"
            let hint: String? =
                switch result {
                case -E2BIG, -ENOMEM: "\(size) are more than the kernel allows or has memory for"
                case -EPERM: "needs root or CAP_BPF and CAP_NET_ADMIN"
                default: nil
                }
            throw KernelError("create map", "'\(schema.name)'", result: result, hint: hint)
        }
        try self.init(adopting: OwnedDescriptor(adopting: result))
    }

    /// The map pinned at a path; nil where nothing is pinned.
    package static func pinned(at path: String) throws(KernelError) -> KernelMap? {
        guard let descriptor = try openPin(path) else { return nil }
        return try KernelMap(adopting: descriptor)
    }

    package func pin(at path: String) throws(KernelError) { try createPin(path, descriptor) }

    /// The map with a kernel id; nil where it is gone.
    package static func withID(_ id: UInt32) throws(KernelError) -> KernelMap? {
        let result = bpf_map_get_fd_by_id(id)
        if result == -ENOENT { return nil }
        guard result >= 0 else { throw KernelError("open", "map with id \(id)", result: result) }
        return try KernelMap(adopting: OwnedDescriptor(adopting: result))
    }

    private var kernelValueSize: Int {
        schema.type == .perCPUArray ? (schema.valueSize + 7) / 8 * 8 * possibleCPUs : schema.valueSize
    }

    // MARK: Elements

    package func lookup(_ key: [UInt8]) throws(MapError) -> [UInt8]? {
        guard key.count == schema.keySize else { throw .invalid }
        var value = [UInt8](repeating: 0, count: kernelValueSize)
        // SAFETY: both arrays have the kernel's sizes, and the kernel writes nothing else.
        let result = unsafe value.withUnsafeMutableBytes { value in
            unsafe key.withUnsafeBytes { unsafe bpf_map_lookup_elem(descriptor.raw, $0.baseAddress, value.baseAddress) }
        }
        if result == -ENOENT { return nil }
        guard result == 0 else { throw MapError(errno: -result) }
        return value
    }

    package func update(_ key: [UInt8], _ value: [UInt8], mode: UpdateMode) throws(MapError) {
        guard key.count == schema.keySize, value.count == kernelValueSize else { throw .invalid }
        // SAFETY: both arrays have the kernel's sizes; the kernel only reads.
        let result = unsafe value.withUnsafeBytes { value in
            unsafe key.withUnsafeBytes {
                unsafe bpf_map_update_elem(descriptor.raw, $0.baseAddress, value.baseAddress, mode.rawValue)
            }
        }
        guard result == 0 else { throw MapError(errno: -result) }
    }

    package func delete(_ key: [UInt8]) throws(MapError) {
        guard key.count == schema.keySize else { throw .invalid }
        // SAFETY: the key has the kernel's size; the kernel only reads.
        let result = unsafe key.withUnsafeBytes { unsafe bpf_map_delete_elem(descriptor.raw, $0.baseAddress) }
        guard result == 0 else { throw MapError(errno: -result) }
    }

    // MARK: Everything at once

    package func entries() throws(MapError) -> [MapEntry] {
        var entries: [MapEntry] = []
        try read { keys, values in
            for index in 0..<keys.count / schema.keySize {
                entries.append(
                    MapEntry(
                        key: Array(keys[index * schema.keySize..<(index + 1) * schema.keySize]),
                        value: Array(values[index * kernelValueSize..<(index + 1) * kernelValueSize])))
            }
        }
        return entries
    }

    /// Gives every entry once, in no particular order: some at a time, key after key and value after value.
    package func read(_ body: (_ keys: [UInt8], _ values: [UInt8]) -> Void) throws(MapError) {
        switch schema.type {
        case .hash, .lruHash, .array, .lpmTrie, .perCPUArray:
            if try readBatches(body) { return }
        case .arrayOfMaps, .ringBuffer: break
        }
        try walk(body)
    }

    /// One key after the other. Entries that go away meanwhile are left out.
    private func walk(_ body: ([UInt8], [UInt8]) -> Void) throws(MapError) {
        var key: [UInt8]?
        while true {
            var next = [UInt8](repeating: 0, count: schema.keySize)
            // SAFETY: the keys have the kernel's size; the kernel writes only the second.
            let result = unsafe next.withUnsafeMutableBytes { next in
                guard let key else { return unsafe bpf_map_get_next_key(descriptor.raw, nil, next.baseAddress) }
                return unsafe key.withUnsafeBytes {
                    unsafe bpf_map_get_next_key(descriptor.raw, $0.baseAddress, next.baseAddress)
                }
            }
            if result == -ENOENT { return }
            guard result == 0 else { throw MapError(errno: -result) }
            if let value = try lookup(next) { body(next, value) }
            key = next
        }
    }

    /// false where this kernel cannot read the map in batches: then nothing was given.
    private func readBatches(_ body: ([UInt8], [UInt8]) -> Void) throws(MapError) -> Bool {
        var size = min(schema.maxEntries, Self.batchSize)
        // The cursor is four bytes for a hash and a key for the others.
        var cursor = [UInt8](repeating: 0, count: max(schema.keySize, 8))
        var isFirst = true
        while true {
            var keys = [UInt8](repeating: 0, count: size * schema.keySize)
            var values = [UInt8](repeating: 0, count: size * kernelValueSize)
            var count = UInt32(size)
            var next = cursor
            // SAFETY: the arrays hold `count` keys and values; the kernel writes no more than that.
            let result = unsafe keys.withUnsafeMutableBytes { keys in
                unsafe values.withUnsafeMutableBytes { values in
                    unsafe next.withUnsafeMutableBytes { next in
                        unsafe cursor.withUnsafeMutableBytes { cursor in
                            unsafe weir_map_lookup_batch(
                                descriptor.raw, isFirst ? nil : cursor.baseAddress, next.baseAddress, keys.baseAddress,
                                values.baseAddress, &count)
                        }
                    }
                }
            }
            switch result {
            case 0, -ENOENT:
                keys.removeLast((size - Int(count)) * schema.keySize)
                values.removeLast((size - Int(count)) * kernelValueSize)
                body(keys, values)
                if result == -ENOENT { return true }
                cursor = next
                isFirst = false
            case -ENOSPC where size < schema.maxEntries * 2:
                size *= 2  // One bucket of the hash is larger than the batch.
            case -EINVAL, -EOPNOTSUPP, -524:  // 524 is ENOTSUPP, which the kernel does not export.
                guard isFirst else { throw MapError(errno: -result) }
                return false
            default: throw MapError(errno: -result)
            }
        }
    }

    package func updateBatch(_ entries: [MapEntry]) throws(MapError) {
        var done = 0
        var retries = 0
        var batches = schema.type != .perCPUArray && schema.type != .arrayOfMaps
        while done < entries.count {
            let part = entries[done..<min(done + (batches ? Self.batchSize : 1), entries.count)]
            guard part.allSatisfy({ $0.key.count == schema.keySize && $0.value.count == schema.valueSize }) else {
                throw .invalid
            }
            do throws(MapError) {
                if batches {
                    let (written, result) = writeBatch(part)
                    if written > 0 { retries = 0 }
                    done += written
                    if [-EINVAL, -EOPNOTSUPP, -524].contains(result), written == 0 {
                        batches = false
                    } else if result != 0 {
                        throw MapError(errno: -result)
                    }
                } else {
                    for entry in part { try update(entry.key, entry.value, mode: .any) }
                    done += part.count
                    retries = 0
                }
            } catch {
                // The allocator's reserve is refilled behind our back; an error that stays is thrown.
                guard error == .noMemory || error == .busy || error == .other(errno: EAGAIN),
                    retries < Self.memoryRetries
                else { throw error }
                retries += 1
                _ = usleep(UInt32(200 * retries))
            }
        }
    }

    /// How many were written, and zero or the negative errno of the first that was not.
    private func writeBatch(_ part: ArraySlice<MapEntry>) -> (written: Int, result: Int32) {
        var keys: [UInt8] = []
        var values: [UInt8] = []
        keys.reserveCapacity(part.count * schema.keySize)
        values.reserveCapacity(part.count * schema.valueSize)
        for entry in part {
            keys += entry.key
            values += entry.value
        }
        var count = UInt32(part.count)
        // SAFETY: the arrays hold `count` keys and values of the kernel's sizes; the kernel only reads them.
        let result = unsafe keys.withUnsafeBytes { keys in
            unsafe values.withUnsafeBytes { values in
                unsafe weir_map_update_batch(descriptor.raw, keys.baseAddress, values.baseAddress, &count)
            }
        }
        if result == 0 { return (part.count, 0) }
        // Kernels before the count was cleared first leave it alone on an early error: an error never means "all".
        return (Int(count) < part.count ? Int(count) : 0, result)
    }

    // MARK: Arrays of maps

    /// Makes `map` an element of this array of maps. Returns after every program that saw the old element has ended.
    package func place(_ map: KernelMap, at index: Int) throws(MapError) {
        guard schema.type == .arrayOfMaps else { throw .invalid }
        try update(nativeBytes(UInt32(index)), nativeBytes(UInt32(bitPattern: map.descriptor.raw)), mode: .any)
    }

    /// The map at an element; nil where the element is empty.
    package func inner(at index: Int) throws(KernelError) -> KernelMap? {
        do throws(MapError) {
            guard let bytes = try lookup(nativeBytes(UInt32(index))), bytes.count == 4 else { return nil }
            // SAFETY: four bytes were checked; any four bytes are a number.
            let id = unsafe bytes.withUnsafeBytes { unsafe $0.loadUnaligned(as: UInt32.self) }
            return try KernelMap.openInner(id: id)
        } catch {
            throw KernelError("read", "element \(index) of '\(schema.name)'", error)
        }
    }

    private static func openInner(id: UInt32) throws(MapError) -> KernelMap? {
        do throws(KernelError) { return try withID(id) } catch { throw MapError(errno: error.errno.rawValue) }
    }

    /// Empties an element; an empty one stays empty.
    package func removeInner(at index: Int) throws(MapError) {
        do throws(MapError) { try delete(nativeBytes(UInt32(index))) } catch .noEntry {}
    }

    /// Empties an element or fills it with what it had before.
    package func restore(_ map: KernelMap?, at index: Int) throws(MapError) {
        if let map { try place(map, at: index) } else { try removeInner(at: index) }
    }
}

/// Creates maps in the kernel, as the conformance suite and the loader want them.
package struct KernelMapFactory: Sendable {
    package init() {}

    package func make(_ schema: MapSchema) throws(KernelError) -> any BPFMap { try KernelMap(creating: schema) }
}

extension MapType {
    fileprivate init?(kernel: UInt32) {
        guard let type = Self.allCases.first(where: { $0.kernel.rawValue == kernel }) else { return nil }
        self = type
    }

    fileprivate var kernel: bpf_map_type {
        switch self {
        case .hash: BPF_MAP_TYPE_HASH
        case .lruHash: BPF_MAP_TYPE_LRU_HASH
        case .lpmTrie: BPF_MAP_TYPE_LPM_TRIE
        case .array: BPF_MAP_TYPE_ARRAY
        case .perCPUArray: BPF_MAP_TYPE_PERCPU_ARRAY
        case .arrayOfMaps: BPF_MAP_TYPE_ARRAY_OF_MAPS
        case .ringBuffer: BPF_MAP_TYPE_RINGBUF
        }
    }
}

/// An array index or a descriptor as the kernel sees it.
func nativeBytes(_ value: UInt32) -> [UInt8] {
    // SAFETY: the closure only copies the value's own bytes.
    unsafe withUnsafeBytes(of: value) { unsafe Array($0) }
}

/// The text of a C array field.
func cString<Field>(_ field: Field) -> String {
    // SAFETY: the closure only reads the field's own bytes.
    unsafe withUnsafeBytes(of: field) { unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}

/// How many CPUs a per-CPU map has room for.
package func possibleCPUCount() throws(KernelError) -> Int {
    let (count, _) = LibbpfMessages.capture { weir_possible_cpus() }
    guard count > 0 else { throw KernelError("count", "possible CPUs", result: count) }
    return Int(count)
}
