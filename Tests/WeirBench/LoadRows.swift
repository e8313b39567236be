import CBench
import Glibc
import SystemPackage
import WeirABI
import WeirCompiler
import WeirImage
import WeirKernel
import WeirMaps

/// An image into the kernel's maps, as `weir apply` fills the inactive slot, beside the system calls alone.
enum LoadRows {
    private static let name = "load"
    static let group = RowGroup(
        name: name, about: "50,000 addresses and their policy into kernel maps, over the bare batch calls",
        needsRoot: true,
        rows: rows)

    private static func rows(_ run: Run) throws -> [Row] {
        let workload = Workload(pods: run.choose(50_000, quick: 1_000), policies: run.choose(1_000, quick: 100))
        let typed = try workload.typed()
        let image = Compiler.compile(policies: typed.policies, inventory: typed.inventory, node: Workload.node)
        let interfaces = Dictionary(uniqueKeysWithValues: image.endpoints.map { ($0.id, $0.id) })
        let endpoints = image.endpointEntries(interfaces: interfaces)
        let contents = try SlotContents(image: image, endpoints: endpoints, extraRoom: true)
        let bare = contents.maps.sorted { $0.key < $1.key }.map(BareMap.init)

        let rounds = try interleaved([Way.loader, .writes, .writesAndReads], rounds: run.choose(10, quick: 1)) { way in
            var held: [SlotMap: KernelMap] = [:]
            var descriptors: [Int32] = []
            let time = try seconds {
                switch way {
                case .loader:
                    held = try SlotContents(
                        image: image, endpoints: endpoints, extraRoom: true
                    ).create()
                case .writes: descriptors = try bare.map { try $0.create() }
                case .writesAndReads:
                    descriptors = try bare.map { try $0.create() }
                    for (map, descriptor) in zip(bare, descriptors) { try map.read(descriptor) }
                }
            }
            held.removeAll()
            for descriptor in descriptors { close(descriptor) }
            settle()
            return time
        }
        func median(_ column: Int) -> String { short(Samples(rounds.map { $0[column] * 1000 }).median) }
        return [
            Row(
                "\(name)/over-calls", Estimate(medianOf: rounds.map { $0[0] / $0[2] }), .times, goal: .atMost(1.3),
                note: "weir fills and reads back every byte; the calls alone, with all bytes at hand, "
                    + "take \(median(1)) ms to fill and \(median(2)) ms to fill and to read back"),
            Row("\(name)/over-writes", Estimate(medianOf: rounds.map { $0[0] / $0[1] }), .times),
            Row("\(name)/seconds", Samples(rounds.map { $0[0] }), .seconds),
        ]
    }

    private enum Way { case loader, writes, writesAndReads }

    /// The kernel gives maps back in the background.
    private static func settle() { usleep(100_000) }

    /// One map's contents as a batch call wants them.
    private struct BareMap {
        var schema: MapSchema
        var keys: [UInt8]
        var values: [UInt8]
        var count: UInt32

        init(_ name: SlotMap, _ contents: (schema: MapSchema, entries: [MapEntry])) {
            schema = contents.schema
            keys = contents.entries.flatMap(\.key)
            values = contents.entries.flatMap(\.value)
            count = UInt32(contents.entries.count)
        }

        func create() throws -> Int32 {
            let map = try succeed(
                cbench_map_create(
                    schema.type.number, UInt32(schema.keySize), UInt32(schema.valueSize), UInt32(schema.maxEntries),
                    schema.flags.rawValue))
            guard count > 0 else { return map }
            // SAFETY: both arrays hold `count` elements of the map's sizes; the kernel only reads them.
            _ = try succeed(
                unsafe keys.withUnsafeBytes { keys in
                    unsafe values.withUnsafeBytes { values in
                        unsafe cbench_map_update_batch(map, keys.baseAddress, values.baseAddress, count)
                    }
                })
            return map
        }

        func read(_ map: Int32) throws {
            var keys = [UInt8](repeating: 0, count: schema.maxEntries * schema.keySize)
            var values = [UInt8](repeating: 0, count: schema.maxEntries * schema.valueSize)
            // SAFETY: both arrays have room for every element that the map can hold.
            _ = try succeed(
                unsafe keys.withUnsafeMutableBytes { keys in
                    unsafe values.withUnsafeMutableBytes { values in
                        unsafe cbench_map_lookup_batch(
                            map, keys.baseAddress, values.baseAddress, UInt32(schema.maxEntries))
                    }
                })
        }
    }
}

extension MapType {
    /// `enum bpf_map_type`, of the types that a slot has.
    fileprivate var number: UInt32 {
        switch self {
        case .hash: 1
        case .array: 2
        case .lpmTrie: 11
        case .lruHash, .perCPUArray, .arrayOfMaps, .ringBuffer: 0
        }
    }
}

/// A negative errno of C, as an error.
func succeed(_ result: Int32) throws -> Int32 {
    guard result >= 0 else { throw Errno(rawValue: -result) }
    return result
}
