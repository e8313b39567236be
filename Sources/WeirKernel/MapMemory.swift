internal import CLibbpf
internal import SystemPackage
package import WeirMaps

/// What can be said of a map without its entries.
extension KernelMap {
    /// Bytes that the kernel charges for the map (`memlock` in its fdinfo): since 6.4 counted, before estimated from its
    /// size. nil where /proc does not say.
    package var chargedBytes: Int? {
        guard
            let file = try? FileDescriptor.open(
                FilePath("/proc/self/fdinfo/\(descriptor.raw)"), .readOnly, options: .closeOnExec)
        else { return nil }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = try? file.closeAfter {
            // SAFETY: the buffer is this function's own.
            try unsafe buffer.withUnsafeMutableBytes { try unsafe file.read(into: $0) }
        }
        let text = String(decoding: buffer.prefix(count ?? 0), as: UTF8.self)
        let line = text.split(separator: "\n").first { $0.hasPrefix("memlock:") }
        return line?.split(separator: "\t").last.flatMap { Int($0) }
    }

    /// How many entries there are; an array has all of its elements.
    package func count() throws(MapError) -> Int {
        if schema.type == .array || schema.type == .perCPUArray { return schema.maxEntries }
        var count = 0
        try read { keys, _ in count += keys.count / schema.keySize }
        return count
    }
}
