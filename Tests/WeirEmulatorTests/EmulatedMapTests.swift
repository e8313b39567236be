import Testing
import WeirABI
import WeirEmulator
import WeirMaps

@Suite("Emulated maps")
struct EmulatedMapTests {
    private let factory = EmulatedMapFactory(cpuCount: 2)

    private func schema(
        _ type: MapType, key: Int = 4, value: Int = 4, entries: Int = 2, flags: MapFlags = []
    ) -> MapSchema {
        MapSchema(name: "map", type: type, keySize: key, valueSize: value, maxEntries: entries, flags: flags)
    }

    private func error(_ schema: MapSchema) -> MapError? {
        do throws(MapError) {
            _ = try factory.makeMap(schema)
            return nil
        } catch {
            return error
        }
    }

    @Test("schemas that the kernel refuses are refused with its errno")
    func refusedSchemas() {
        #expect(error(schema(.hash, entries: 0)) == .invalid)
        #expect(error(schema(.hash, key: 0)) == .invalid)
        #expect(error(schema(.hash, value: 0)) == .invalid)
        #expect(error(schema(.hash, value: 1 << 22)) == .tooBig)
        #expect(error(schema(.hash, flags: .mmapable)) == .invalid)
        #expect(error(schema(.lruHash, flags: .noPreallocation)) == .other(errno: 524))
        #expect(error(schema(.lpmTrie, key: 8)) == .invalid)
        #expect(error(schema(.lpmTrie, key: 4, flags: .noPreallocation)) == .invalid)
        #expect(error(schema(.lpmTrie, key: 8, value: 1 << 22, flags: .noPreallocation)) == .invalid)
        #expect(error(schema(.array, key: 8)) == .invalid)
        #expect(error(schema(.array, flags: .noPreallocation)) == .invalid)
        #expect(error(schema(.perCPUArray, flags: .innerMap)) == .invalid)
        #expect(error(schema(.perCPUArray, value: 40000)) == .tooBig)
        #expect(error(schema(.ringBuffer, key: 0, value: 0, entries: 100)) == .invalid)
        #expect(error(schema(.ringBuffer, key: 0, value: 4, entries: 4096)) == .invalid)
        #expect(error(schema(.arrayOfMaps)) == .other(errno: 9))
    }

    @Test("every schema of the datapath can be made")
    func datapathSchemas() throws {
        for map in SlotMap.allCases { _ = try factory.makeMap(map.schema) }
        for map in NodeMap.allCases { _ = try factory.makeMap(map.schema, inner: schema(.array)) }
    }

    @Test("flags beyond exist are refused")
    func unknownFlags() throws {
        for type in [MapType.hash, .lruHash, .array] {
            let map = try factory.makeMap(schema(type))
            #expect(throws: MapError.invalid) { try map.update([1, 0, 0, 0], [1, 0, 0, 0], flags: 3) }
        }
    }

    @Test("the least recently used entry goes first, and a look from user space is no use")
    func eviction() throws {
        let map = try factory.makeMap(schema(.lruHash, key: 1, value: 1))
        try map.update([1], [1], mode: .any)
        try map.update([2], [2], mode: .any)
        _ = try map.lookup([1])
        try map.update([3], [3], mode: .any)
        #expect(try map.entries().sorted().map(\.key) == [[2], [3]])
    }

    @Test("a trie keeps host bits as written and compares none of them")
    func hostBits() throws {
        let map = try factory.makeMap(schema(.lpmTrie, key: 8, flags: .noPreallocation))
        try map.update([8, 0, 0, 0, 10, 1, 2, 3], [1, 0, 0, 0], mode: .any)
        try map.update([8, 0, 0, 0, 10, 9, 9, 9], [2, 0, 0, 0], mode: .exist)
        #expect(try map.entries() == [MapEntry(key: [8, 0, 0, 0, 10, 9, 9, 9], value: [2, 0, 0, 0])])
        #expect(try map.lookup([7, 0, 0, 0, 10, 0, 0, 0]) == nil)
        #expect(try map.lookup([33, 0, 0, 0, 10, 0, 0, 0]) == nil)
        try map.update([16, 0, 0, 0, 10, 2, 0, 0], [3, 0, 0, 0], mode: .any)
        #expect(throws: MapError.noSpace) { try map.update([17, 0, 0, 0, 10, 2, 0, 0], [0, 0, 0, 0], mode: .any) }
        #expect(throws: MapError.noEntry) { try map.update([17, 0, 0, 0, 10, 2, 0, 0], [0, 0, 0, 0], mode: .exist) }
        #expect(throws: MapError.exists) { try map.update([16, 0, 0, 0, 10, 2, 7, 0], [0, 0, 0, 0], mode: .noExist) }
        #expect(throws: MapError.invalid) { try map.delete([33, 0, 0, 0, 10, 2, 0, 0]) }
        try map.delete([16, 0, 0, 0, 10, 2, 0x77, 0])
        #expect(try map.lookup([32, 0, 0, 0, 10, 2, 0, 0]) == [2, 0, 0, 0])
    }

    @Test("an array of maps takes inner maps of its own kind only")
    func arrayOfMaps() throws {
        let fixed = try factory.makeArrayOfMaps(schema(.arrayOfMaps), inner: schema(.array))
        let same = try factory.makeMap(schema(.array))
        let longer = try factory.makeMap(schema(.array, entries: 3))
        try fixed.update([1, 0, 0, 0], same.id.bytes, mode: .any)
        #expect(throws: MapError.invalid) { try fixed.update([0, 0, 0, 0], longer.id.bytes, mode: .any) }
        #expect(throws: MapError.invalid) { try fixed.update([0, 0, 0, 0], same.id.bytes, mode: .exist) }
        #expect(throws: MapError.tooBig) { try fixed.update([2, 0, 0, 0], same.id.bytes, mode: .any) }
        #expect(throws: MapError.other(errno: 9)) { try fixed.update([0, 0, 0, 0], [99, 0, 0, 0], mode: .any) }
        #expect(try fixed.lookup([0, 0, 0, 0]) == nil)
        #expect(try fixed.lookup([1, 0, 0, 0]) == same.id.bytes)
        #expect(fixed.element(1) === same)
        #expect(throws: MapError.noEntry) { try fixed.delete([0, 0, 0, 0]) }
        #expect(throws: MapError.tooBig) { try fixed.delete([2, 0, 0, 0]) }
        try fixed.delete([1, 0, 0, 0])

        let open = try factory.makeArrayOfMaps(schema(.arrayOfMaps), inner: schema(.array, flags: .innerMap))
        let inner = try factory.makeMap(schema(.array, entries: 9, flags: .innerMap))
        try open.update([0, 0, 0, 0], inner.id.bytes, mode: .any)
        #expect(throws: MapError.invalid) { try open.update([0, 0, 0, 0], same.id.bytes, mode: .any) }
        #expect(throws: MapError.invalid) {
            _ = try factory.makeArrayOfMaps(schema(.arrayOfMaps), inner: schema(.arrayOfMaps))
        }
    }

    @Test("a map that nobody holds has no id any more, one in an array of maps has")
    func ids() throws {
        let outer = try factory.makeArrayOfMaps(schema(.arrayOfMaps), inner: schema(.hash))
        let dropped = try factory.makeMap(schema(.hash)).id
        let held = try factory.makeMap(schema(.hash)).id
        try outer.update([0, 0, 0, 0], held.bytes, mode: .any)
        _ = try factory.makeMap(schema(.hash))
        try outer.update([1, 0, 0, 0], held.bytes, mode: .any)
        #expect(throws: MapError.other(errno: 9)) { try outer.update([1, 0, 0, 0], dropped.bytes, mode: .any) }
    }

    @Test("a ring buffer has no keys at the system call")
    func ringBuffer() throws {
        let map = try factory.makeMap(schema(.ringBuffer, key: 0, value: 0, entries: 4096))
        #expect(throws: MapError.other(errno: 524)) { _ = try map.lookup([]) }
        #expect(throws: MapError.other(errno: 524)) { try map.update([], [], mode: .any) }
        #expect(throws: MapError.other(errno: 524)) { try map.delete([]) }
    }

    @Test("a fault hits the call it names and no other")
    func faults() throws {
        let plan = FaultPlan([
            .init(.update, call: 2, error: .noMemory), .init(.create, map: "map", call: 2, error: .tooBig),
        ])
        let factory = EmulatedMapFactory(faults: plan)
        let map = try factory.makeMap(schema(.hash, key: 1, value: 1))
        #expect(throws: MapError.tooBig) { _ = try factory.makeMap(schema(.hash)) }
        try map.update([1], [1], mode: .any)
        #expect(throws: MapError.noMemory) { try map.update([2], [2], mode: .any) }
        try map.update([2], [2], mode: .any)
        #expect(try map.entries().count == 2)
        #expect(plan.calls == [.create: 2, .update: 3, .entries: 1])
    }
}

extension UInt32 {
    var bytes: [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: self >> (UInt32($0) * 8)) } }
}
