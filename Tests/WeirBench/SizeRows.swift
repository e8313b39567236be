import WeirABI
import WeirCompiler
import WeirImage
import WeirKernel
import WeirMaps

/// What policy needs beside one row for each address.
enum SizeRows {
    private static let name = "size"
    static let group = RowGroup(
        name: name,
        about: "policy maps beside one row per address: entries, kernel memory, and those of the usual layout",
        needsRoot: true,
        rows: rows)

    private static func rows(_ run: Run) throws -> [Row] {
        let workload = Workload(pods: run.choose(50_000, quick: 1_000), policies: run.choose(1_000, quick: 100))
        let typed = try workload.typed()
        var image = Compiler.compile(policies: typed.policies, inventory: typed.inventory, node: Workload.node)
        image.maps[.ipcache4] = nil
        image.maps[.ipcache6] = nil
        let interfaces = Dictionary(uniqueKeysWithValues: image.endpoints.map { ($0.id, $0.id) })
        let contents = try SlotContents(
            image: image, endpoints: image.endpointEntries(interfaces: interfaces),
            extraRoom: true)
        let writes = contents.maps.values.reduce(0) { $0 + $1.entries.count }
        let others = PerEndpointLayout.entries(typed, node: Workload.node, unmentioned: "pod")
        let memory = try memory(contents, run)
        let perMap = contents.maps.sorted { $0.key < $1.key }.filter { !$0.value.entries.isEmpty }
            .map { "\($0.key.rawValue) \($0.value.entries.count)" }.joined(separator: ", ")
        return [
            Row("\(name)/writes", Samples(Double(writes)), .count, goal: .below(20_000), note: perMap),
            Row(
                "\(name)/memory", memory.map { $0 / 1_048_576 }, .mebibytes, goal: .atMost(4),
                peers: "Cilium 224 MiB for a sixth of its entries",
                note: "growth of slabs, per-CPU and vmalloc for one slot; the elements of ipcache apart"),
            Row(
                "\(name)/per-endpoint-entries", Samples(Double(others)), .count, peers: "Cilium's engine 9,633,150",
                note: "the same policies with an entry for each local endpoint, identity and port"),
            Row("\(name)/per-endpoint-ratio", Samples(Double(others) / Double(writes)), .times),
        ]
    }

    /// Of one slot: several together stand out from what others allocate meanwhile.
    private static func memory(_ contents: SlotContents, _ run: Run) throws -> Samples {
        let copies = run.choose(16, quick: 1)
        return try KernelMemory.growth(repetitions: run.choose(5, quick: 1)) {
            try (0..<copies).map { _ in try contents.create() }
        }.map { $0 / Double(copies) }
    }
}
