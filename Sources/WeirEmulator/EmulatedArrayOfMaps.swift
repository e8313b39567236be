internal import WeirMaps

/// `BPF_MAP_TYPE_ARRAY_OF_MAPS`: holds references; empty elements are absent.
///
/// A value is the id of a map of the same factory. (The kernel takes a descriptor on update and gives an
/// id on lookup; here the two are one number.)
package final class EmulatedArrayOfMaps: EmulatedMap {
    private let inner: MapSchema
    private let resolve: (UInt32) -> EmulatedMap?
    private var elements: [EmulatedMap?]

    init(
        schema: MapSchema, inner: MapSchema, id: UInt32, faults: FaultPlan?,
        resolve: @escaping (UInt32) -> EmulatedMap?
    ) {
        self.inner = inner
        self.resolve = resolve
        elements = Array(repeating: nil, count: schema.maxEntries)
        super.init(schema: schema, id: id, faults: faults)
    }

    /// A program's lookup; nil where empty or past the end.
    package func element(_ index: Int) -> EmulatedMap? { elements.indices.contains(index) ? elements[index] : nil }

    override func load(_ key: [UInt8]) throws(MapError) -> [UInt8]? {
        element(arrayIndex(key)).map { wordBytes($0.id) }
    }

    override func store(_ key: [UInt8], _ value: [UInt8], flags: UInt64) throws(MapError) {
        guard flags == UpdateMode.any.rawValue else { throw .invalid }
        let index = arrayIndex(key)
        guard index < elements.count else { throw .tooBig }
        guard let map = resolve(UInt32(arrayIndex(value))) else { throw MapErrno.badDescriptor }
        guard map.hasMeta(of: inner) else { throw .invalid }
        elements[index] = map
    }

    override func erase(_ key: [UInt8]) throws(MapError) {
        let index = arrayIndex(key)
        guard index < elements.count else { throw .tooBig }
        guard elements[index] != nil else { throw .noEntry }
        elements[index] = nil
    }

    /// Filled elements only: an empty one has no value.
    override func list() throws(MapError) -> [MapEntry] {
        elements.indices.compactMap { index in
            elements[index].map { MapEntry(key: wordBytes(UInt32(index)), value: wordBytes($0.id)) }
        }
    }
}

/// A word in host byte order.
func wordBytes(_ word: UInt32) -> [UInt8] {
    [
        UInt8(truncatingIfNeeded: word), UInt8(truncatingIfNeeded: word >> 8), UInt8(truncatingIfNeeded: word >> 16),
        UInt8(truncatingIfNeeded: word >> 24),
    ]
}
