internal import SystemPackage
internal import WeirKernel
internal import WeirMaps

/// The machine: what the kernel can do, and where pins can be.
extension Loader {
    func examineMachine(_ report: inout DoctorReport) throws {
        let features = try KernelFeatures.probe()
        let switchedOff = try Files.read("/proc/sys/net/core/bpf_jit_enable") == Array("0\n".utf8)
        if !features.hasJIT || switchedOff {
            report.add(
                .warning, .jitOff, "BPF programs are interpreted: every packet costs several times as much",
                remedy: "sysctl net.core.bpf_jit_enable=1, then weir detach and weir apply")
        }
        if try Files.read("/proc/sys/kernel/unprivileged_bpf_disabled") == Array("0\n".utf8) {
            report.add(
                .warning, .unprivilegedBPF, "every user may load BPF programs, which attacks on the kernel need",
                remedy: "sysctl kernel.unprivileged_bpf_disabled=1")
        }
        for type in try missingMapTypes() {
            report.add(
                .error, .mapTypeMissing, "this kernel has no maps of type \(type.rawValue)",
                remedy: "run a kernel that has them: Linux 6.1 and newer, unless it was built without")
        }
        for helper in try BPFObject(bytes: object).missingHelpers() {
            report.add(
                .error, .helperMissing, "this kernel has no \(helper) for traffic control programs",
                remedy: "run a kernel that has it: Linux 6.1 and newer, unless it was built without")
        }
    }

    private func missingMapTypes() throws -> [MapType] {
        var missing: [MapType] = []
        for schema in NodeMap.allCases.map(\.schema) + SlotMap.allCases.map(\.schema)
        where !missing.contains(schema.type) {
            // As many entries as the type needs to exist; the size of an event ring must fit whole pages.
            let small = schema.type == .ringBuffer ? schema : schema.withMaxEntries(min(schema.maxEntries, 128))
            do {
                _ = try KernelMap(creating: small, inner: schema.type == .arrayOfMaps ? Fence.innerSchema : nil)
            } catch {
                guard error.errno == .invalidArgument else { throw error }
                missing.append(schema.type)
            }
        }
        return missing
    }

    /// Whether pins can be seen.
    func examineFileSystem(_ report: inout DoctorReport) throws -> Bool {
        let parent = Files.parent(layout.root)
        let mounts = try Self.bpfMounts(above: layout.root)
        let isVisible = try Files.exists(parent) && isOnBPFFileSystem(parent)
        if !isVisible {
            let hidden = mounts.last.map { "; the bpf file system at \($0) lies under another mount" } ?? ""
            report.add(
                .error, .bpfFileSystemMissing, "\(parent) is not on a bpf file system\(hidden)",
                remedy: hidden.isEmpty
                    ? "mount -t bpf bpf /sys/fs/bpf; inside ip netns exec, which mounts /sys anew, use nsenter --net"
                    : "look at findmnt, and umount what lies above")
        } else if mounts.count > 1, let place = mounts.last {
            let isThere = try Files.exists(layout.root)
            report.add(
                isThere ? .warning : .error, .bpfFileSystemHidden,
                "\(mounts.count) bpf file systems are mounted over each other at \(place): what is pinned in the lower "
                    + "ones runs on, unseen",
                remedy: "umount \(place), if nobody uses the upper one")
        }
        return isVisible
    }

    /// Mount points of bpf file systems that the path could lie in, in the order in which they were mounted.
    private static func bpfMounts(above path: String) throws -> [String] {
        let table = String(decoding: try Files.read("/proc/thread-self/mountinfo") ?? [], as: UTF8.self)
        return table.split(separator: "\n").compactMap { line in
            // "… ROOT MOUNTPOINT OPTIONS … - TYPE SOURCE …"
            let fields = line.split(separator: " ")
            guard let dash = fields.firstIndex(of: "-"), dash + 1 < fields.count, fields[dash + 1] == "bpf" else {
                return nil
            }
            let place = String(fields[4])
            return path == place || path.hasPrefix(place == "/" ? place : place + "/") ? place : nil
        }
    }
}
