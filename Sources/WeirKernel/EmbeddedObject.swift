internal import CLibbpf
internal import WeirObjects

/// The prebuilt programs that this executable carries.
package enum EmbeddedObject {
    /// The datapath: an ELF file for `BPFObject`.
    package static var bytes: [UInt8] {
        // SAFETY: both answers are constants of the executable and belong together.
        unsafe Array(UnsafeBufferPointer(start: weir_object_bytes(), count: Int(weir_object_size())))
    }

    /// The program of `Quarantine`, likewise.
    package static var quarantine: [UInt8] {
        // SAFETY: both answers are constants of the executable and belong together.
        unsafe Array(UnsafeBufferPointer(start: weir_quarantine_bytes(), count: Int(weir_quarantine_size())))
    }

    /// JSON: ABI version, toolchain, digests of the objects and of their sources.
    package static var manifest: String {
        // SAFETY: both answers are constants of the executable and belong together.
        unsafe String(
            decoding: UnsafeBufferPointer(start: weir_manifest_bytes(), count: Int(weir_manifest_size())), as: UTF8.self
        )
    }

    /// Of the libbpf that is linked in.
    package static var libbpfVersion: String {
        // SAFETY: a constant string of the library.
        unsafe String(cString: libbpf_version_string())
    }
}
