import CLibbpf
import MapConformance
import TestNetwork
import Testing
import WeirImage
import WeirKernel
import WeirMaps

struct KernelFactory: MapFactory {
    let cpuCount: Int

    init() throws { cpuCount = try possibleCPUCount() }

    func makeMap(_ schema: MapSchema) throws(MapError) -> any BPFMap {
        do throws(KernelError) { return try KernelMapFactory().make(schema) } catch {
            throw MapError(errno: error.errno.rawValue)
        }
    }
}

@Suite("Kernel maps", .serialized, .enabled(if: kernelTestsAreWanted))
struct KernelMapTests {
    @Test(
        "maps answer as the documentation says",
        arguments: MapConformance.runs(seeds: 1..<4).filter { $0.schema.type != .lruHash })
    func conformance(run: MapConformance) throws {
        let factory = try KernelFactory()
        try run.compare(factory, MapOracle(cpuCount: factory.cpuCount))
    }

    @Test(
        "an LRU hash keeps its bound, invents nothing and refuses nothing",
        arguments: MapConformance.runs(seeds: 1..<4).filter { $0.schema.type == .lruHash })
    func leastRecentlyUsed(run: MapConformance) throws { try run.checkLRU(try KernelFactory()) }

    private func entries(_ schema: MapSchema, _ count: Int) -> [MapEntry] {
        (0..<count).map { index in
            var key = [UInt8](repeating: 0, count: schema.keySize)
            switch schema.type {
            case .lpmTrie:
                key.replaceSubrange(0..<4, with: UInt32((schema.keySize - 4) * 8).abiBytes)
                key.replaceSubrange((schema.keySize - 4)..., with: UInt32(index).bigEndian.abiBytes)
            default: key.replaceSubrange(0..<4, with: UInt32(index).abiBytes)
            }
            return MapEntry(key: key, value: (0..<schema.valueSize).map { UInt8(truncatingIfNeeded: index + $0) })
        }
    }

    @Test("a large map is filled in batches and read back whole", arguments: SlotMap.allCases)
    func batches(map: SlotMap) throws {
        let count = 20_000
        let schema = map.schema.withMaxEntries(count)
        let kernel = try KernelMap(creating: schema)
        let expected = entries(schema, count)
        try kernel.updateBatch(expected)
        #expect(try kernel.entries().sorted() == expected.sorted())
    }

    @Test("reading back finds a wrong byte, a missing entry and a stranger", arguments: SlotMap.allCases)
    func readBack(map: SlotMap) throws {
        let written = entries(map.schema, 5_000)
        let schema = map.schema.withMaxEntries(5_001)
        let kernel = try KernelMap(creating: schema)
        try kernel.updateBatch(written)
        try ReadBack(of: kernel, expecting: written).verify()

        var damaged = written
        damaged[4_321].value[schema.valueSize - 1] ^= 1
        #expect(throws: KernelError.self) { try ReadBack(of: kernel, expecting: damaged).verify() }
        let more = entries(schema, 5_001)
        #expect(throws: KernelError.self) { try ReadBack(of: kernel, expecting: more).verify() }
        let fewer = Array(written.dropLast())
        #expect(throws: KernelError.self) { try ReadBack(of: kernel, expecting: fewer).verify() }
    }

    @Test("more entries than fit are an error, not a smaller map", arguments: [SlotMap.ipcache4, .cidrs4, .peers])
    func overflow(map: SlotMap) throws {
        let schema = map.schema.withMaxEntries(100)
        let kernel = try KernelMap(creating: schema)
        #expect(throws: MapError.self) { try kernel.updateBatch(entries(schema, 101)) }
    }

    @Test("the longest prefix answers")
    func longestPrefix() throws {
        let map = try KernelMap(creating: SlotMap.cidrs4.schema.withMaxEntries(4))
        func key(_ length: UInt32, _ bytes: [UInt8]) -> [UInt8] { length.abiBytes + bytes }
        let wide = [UInt8](repeating: 1, count: 12)
        let narrow = [UInt8](repeating: 2, count: 12)
        try map.update(key(0, [0, 0, 0, 0]), wide, mode: .any)
        try map.update(key(8, [10, 0, 0, 0]), narrow, mode: .any)
        #expect(try map.lookup(key(32, [10, 1, 2, 3])) == narrow)
        #expect(try map.lookup(key(32, [11, 1, 2, 3])) == wide)
        #expect(throws: MapError.noEntry) { try map.delete(key(16, [10, 0, 0, 0])) }
    }

    @Test("what the kernel says of a map is its schema", arguments: SlotMap.allCases)
    func schema(map: SlotMap) throws {
        let schema = map.schema.withMaxEntries(7)
        #expect(try KernelMap(creating: schema).schema == schema)
    }

    @Test("the flags and modes are the kernel's")
    func constants() {
        #expect(MapFlags.noPreallocation.rawValue == UInt32(BPF_F_NO_PREALLOC))
        #expect(MapFlags.mmapable.rawValue == UInt32(BPF_F_MMAPABLE))
        #expect(MapFlags.innerMap.rawValue == UInt32(BPF_F_INNER_MAP))
        #expect(UpdateMode.noExist.rawValue == UInt64(BPF_NOEXIST))
        #expect(UpdateMode.exist.rawValue == UInt64(BPF_EXIST))
    }

    @Test("a map that the kernel refuses says what was asked for")
    func refused() throws {
        let error = #expect(throws: KernelError.self) {
            try KernelMap(creating: SlotMap.peers.schema.withMaxEntries(Int(UInt32.max)))
        }
        #expect(error?.description.contains("4294967295 entries of 4 + 256 bytes") == true)
    }
}
