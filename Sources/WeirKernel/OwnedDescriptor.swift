internal import CLibbpf
internal import SystemPackage

/// A file descriptor that is closed with its owner.
struct OwnedDescriptor: ~Copyable {
    let raw: Int32

    /// Takes over a descriptor that a call has just returned.
    init(adopting raw: Int32) { self.raw = raw }

    deinit { _ = close(raw) }

    /// A second descriptor of the same kernel object.
    func duplicate() throws(KernelError) -> OwnedDescriptor {
        do {
            return OwnedDescriptor(adopting: try FileDescriptor(rawValue: raw).duplicate().rawValue)
        } catch {
            throw KernelError("duplicate", "a descriptor", errno: error as? Errno ?? .badFileDescriptor)
        }
    }
}

/// The kernel object pinned at a path; ENOENT is nil.
func openPin(_ path: String) throws(KernelError) -> OwnedDescriptor? {
    // SAFETY: the path outlives the call.
    let descriptor = unsafe bpf_obj_get(path)
    if descriptor == -ENOENT { return nil }
    guard descriptor >= 0 else { throw KernelError("open pin", path, result: descriptor) }
    return OwnedDescriptor(adopting: descriptor)
}

func createPin(_ path: String, _ descriptor: borrowing OwnedDescriptor) throws(KernelError) {
    // SAFETY: the path outlives the call.
    let result = unsafe bpf_obj_pin(descriptor.raw, path)
    guard result == 0 else {
        let dotted = path.split(separator: "/").contains { $0.contains(".") }
        throw KernelError("pin", path, result: result, hint: dotted ? "names on bpffs must not contain '.'" : nil)
    }
}
