internal import CLibbpf
internal import SystemPackage

/// What this kernel can do, found out by trying. Nothing is attached and nothing is left.
package struct KernelFeatures: Hashable, Sendable {
    /// Links on interface hooks (6.6). Without it clsact is used.
    package var hasTCX: Bool
    /// Whether programs become machine code; interpreted they are several times as slow.
    package var hasJIT: Bool

    /// Throws where BPF is not usable at all: no privilege, no `bpf(2)`.
    package static func probe() throws(KernelError) -> KernelFeatures {
        let program = weir_probe_program()
        guard program >= 0 else {
            let hint: String? =
                switch program {
                case -EPERM: "needs root or CAP_BPF and CAP_NET_ADMIN"
                case -ENOSYS: "this kernel is built without bpf(2)"
                default: nil
                }
            throw KernelError("load", "a probe program", result: program, hint: hint)
        }
        let owned = OwnedDescriptor(adopting: program)
        let translated = weir_probe_is_translated(owned.raw)
        guard translated >= 0 else { throw KernelError("inspect", "a probe program", result: translated) }
        // An interface that cannot exist. A kernel that knows tcx looks for it (ENODEV); an older one knows no such
        // attach type (EINVAL).
        let link = weir_tcx_link_create(owned.raw, UInt32(Int32.max), 0)
        if link >= 0 { _ = OwnedDescriptor(adopting: link) }
        switch link {
        case -ENODEV: return KernelFeatures(hasTCX: true, hasJIT: translated == 1)
        case -EINVAL, -EOPNOTSUPP: return KernelFeatures(hasTCX: false, hasJIT: translated == 1)
        default:
            throw KernelError(
                "attach", "a probe program", result: link,
                hint: link == -EPERM ? "needs root or CAP_NET_ADMIN" : nil)
        }
    }
}

/// Whether a path lies on a mounted bpf file system. ENOENT: there is no such path.
package func isOnBPFFileSystem(_ path: String) throws(KernelError) -> Bool {
    // SAFETY: the path outlives the call.
    let result = unsafe weir_is_bpffs(path)
    guard result >= 0 else { throw KernelError("inspect file system of", path, result: result) }
    return result == 1
}
