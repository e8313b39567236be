internal import SystemPackage

extension KernelMap {
    /// Whether user space can never write to the map again, nor map it into memory. Only the kernel's own text about
    /// the descriptor says so.
    package var isFrozen: Bool {
        get throws(KernelError) {
            let path = "/proc/thread-self/fdinfo/\(descriptor.raw)"
            do {
                let file = try FileDescriptor.open(FilePath(path), .readOnly, options: .closeOnExec)
                let text = try file.closeAfter {
                    var bytes = [UInt8](repeating: 0, count: 4096)
                    // SAFETY: the buffer is the array's own.
                    let count = try unsafe bytes.withUnsafeMutableBytes { try unsafe file.read(into: $0) }
                    return String(decoding: bytes[..<count], as: UTF8.self)
                }
                return text.split(separator: "\n").contains { $0.hasPrefix("frozen:") && $0.hasSuffix("1") }
            } catch {
                throw KernelError("read", path, errno: error as? Errno ?? .ioError)
            }
        }
    }
}
