import MapConformance
import Testing
import WeirEmulator
import WeirMaps

struct EmulatorFactory: MapFactory {
    let factory = EmulatedMapFactory(cpuCount: 2)
    var cpuCount: Int { factory.cpuCount }

    func makeMap(_ schema: MapSchema) throws(MapError) -> any BPFMap { try factory.makeMap(schema) }
}

@Suite("Map conformance")
struct MapConformanceTests {
    @Test(
        "emulated maps answer as the documentation says",
        arguments: MapConformance.runs(seeds: 1..<5).filter { $0.schema.type != .lruHash })
    func answers(run: MapConformance) throws { try run.compare(EmulatorFactory(), MapOracle(cpuCount: 2)) }

    @Test(
        "an LRU hash keeps its bound, invents nothing and refuses nothing",
        arguments: MapConformance.runs(seeds: 1..<5).filter { $0.schema.type == .lruHash })
    func leastRecentlyUsed(run: MapConformance) throws { try run.checkLRU(EmulatorFactory()) }
}
