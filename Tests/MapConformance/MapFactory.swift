package import WeirMaps

/// Anything that makes maps: the emulator, the kernel, an oracle.
package protocol MapFactory {
    func makeMap(_ schema: MapSchema) throws(MapError) -> any BPFMap
    /// How many values the system call expects in a per-CPU map.
    var cpuCount: Int { get }
}
