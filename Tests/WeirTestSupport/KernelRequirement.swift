internal import Foundation

/// Whether this machine can run kernel tests: root, and a bpf file system at /sys/fs/bpf.
///
/// With `WEIR_REQUIRE_KERNEL=1` the answer is always yes: what is missing then fails tests instead of skipping them.
package enum KernelRequirement {
    package static let isMet: Bool =
        ProcessInfo.processInfo.environment["WEIR_REQUIRE_KERNEL"] == "1"
        || (geteuid() == 0 && FileManager.default.isWritableFile(atPath: "/sys/fs/bpf")
            && (try? String(contentsOfFile: "/proc/self/mounts", encoding: .utf8))?.contains(" /sys/fs/bpf bpf ")
                == true)
}
