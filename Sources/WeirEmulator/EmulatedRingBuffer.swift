internal import WeirMaps

/// `BPF_MAP_TYPE_RINGBUF`: bounded; a record that does not fit is lost, never an old one.
final class EmulatedRingBuffer: EmulatedMap {
    private var records: [[UInt8]] = []
    private var used = 0
    private static let headerSize = 8

    /// `bpf_ringbuf_output`. False where the record does not fit.
    func append(_ record: [UInt8]) -> Bool {
        let size = roundedUp(record.count + Self.headerSize)
        guard used + size < schema.maxEntries else { return false }
        used += size
        records.append(record)
        return true
    }

    /// Takes every record, oldest first.
    func drain() -> [[UInt8]] {
        defer {
            records = []
            used = 0
        }
        return records
    }
}
