internal import WeirMaps

/// `BPF_MAP_TYPE_ARRAY` and, with more than one CPU, `BPF_MAP_TYPE_PERCPU_ARRAY`: every index exists
/// from the start and none can be deleted.
///
/// At the system call a per-CPU value is one value for each CPU, each padded to eight bytes.
final class EmulatedArray: EmulatedMap {
    private let stride: Int
    private let cpuCount: Int
    private var bytes: [UInt8]

    init(schema: MapSchema, cpuCount: Int, id: UInt32, faults: FaultPlan?) {
        self.cpuCount = cpuCount
        stride = schema.type == .perCPUArray ? roundedUp(schema.valueSize) : schema.valueSize
        bytes = Array(repeating: 0, count: stride * cpuCount * schema.maxEntries)
        super.init(schema: schema, id: id, faults: faults)
    }

    override var systemValueSize: Int { stride * cpuCount }

    override func load(_ key: [UInt8]) throws(MapError) -> [UInt8]? {
        let index = arrayIndex(key)
        guard index < schema.maxEntries else { return nil }
        return Array(bytes[(index * systemValueSize)..<((index + 1) * systemValueSize)])
    }

    override func store(_ key: [UInt8], _ value: [UInt8], flags: UInt64) throws(MapError) {
        if isUnknown(flags: flags) { throw .invalid }
        let index = arrayIndex(key)
        guard index < schema.maxEntries else { throw .tooBig }
        if flags == UpdateMode.noExist.rawValue { throw .exists }
        bytes.replaceSubrange((index * systemValueSize)..<((index + 1) * systemValueSize), with: value)
    }

    override func erase(_ key: [UInt8]) throws(MapError) { throw .invalid }

    override func list() throws(MapError) -> [MapEntry] {
        (0..<schema.maxEntries).map { index in
            MapEntry(
                key: (0..<4).map { UInt8(truncatingIfNeeded: index >> ($0 * 8)) },
                value: Array(bytes[(index * systemValueSize)..<((index + 1) * systemValueSize)]))
        }
    }

    // MARK: The program

    /// The value of one CPU; nil past the end.
    func find(index: Int, cpu: Int = 0) -> [UInt8]? {
        guard let start = start(index: index, cpu: cpu) else { return nil }
        return Array(bytes[start..<(start + schema.valueSize)])
    }

    /// Writes one CPU's value in place; nothing past the end.
    func overwrite(index: Int, cpu: Int = 0, _ value: [UInt8]) {
        guard let start = start(index: index, cpu: cpu), value.count == schema.valueSize else { return }
        bytes.replaceSubrange(start..<(start + schema.valueSize), with: value)
    }

    /// Makes elements zero again, on every CPU.
    func clear(from first: Int, count: Int) {
        let range = (first * systemValueSize)..<((first + count) * systemValueSize)
        bytes.replaceSubrange(range, with: repeatElement(0, count: range.count))
    }

    /// A word of the elements, taken as one row of words; nil past the end.
    func word(at index: Int) -> UInt32? {
        let words = schema.valueSize / 4
        guard words > 0, let element = start(index: index / words, cpu: 0) else { return nil }
        let start = element + index % words * 4
        return UInt32(bytes[start]) | UInt32(bytes[start + 1]) << 8 | UInt32(bytes[start + 2]) << 16
            | UInt32(bytes[start + 3]) << 24
    }

    private func start(index: Int, cpu: Int) -> Int? {
        guard (0..<schema.maxEntries).contains(index), (0..<cpuCount).contains(cpu) else { return nil }
        return (index * cpuCount + cpu) * stride
    }
}
