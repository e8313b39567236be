internal import WeirABI
internal import WeirImage
internal import WeirKernel
internal import WeirMaps
internal import WeirNetlink

/// Before anything changes.
extension Loader {
    /// Throws where pins cannot be at the pin path, nor be seen there.
    package func requireBPFFileSystem() throws(LoaderError) {
        try bordered {
            let parent = Files.parent(layout.root)
            guard try Files.exists(parent), try isOnBPFFileSystem(parent) else {
                throw LoaderError.refused(
                    "\(parent) is not on a bpf file system", hint: "mount -t bpf bpf /sys/fs/bpf")
            }
        }
    }

    /// Everything that can be known to work, or not, beforehand.
    struct Checked {
        var features: KernelFeatures
        var node: NodePart
        var contents: SlotContents
    }

    func check(_ image: Image) throws -> Checked {
        let features = try KernelFeatures.probe()
        try requireBPFFileSystem()
        if layout.root.split(separator: "/").contains(where: { $0.contains(".") }) {
            throw LoaderError.refused("the pin path \(layout.root) has a '.'", hint: "bpffs reserves such names")
        }
        if options.attachMode == .tcx, !features.hasTCX {
            throw LoaderError.refused(
                "this kernel has no tcx", hint: "tcx needs Linux 6.6; use --attach clsact or auto")
        }
        let node = try NodePart(image, devices: options.devices)
        try HostAccess(image, options).check()
        let contents = try SlotContents(
            image: image, endpoints: node.endpoints, ipcache: node.ipcache, extraRoom: true)
        let impossible = contents.impossibleMaps
        guard impossible.isEmpty else {
            throw LoaderError.refused(
                "the image is larger than the kernel allows: " + impossible.joined(separator: "; "),
                hint: "fewer distinct rule sets or port tables")
        }
        if let available = Files.availableMemory(), contents.estimatedBytes > available {
            throw LoaderError.refused(
                "the image needs about \(contents.estimatedBytes >> 20) MiB, \(available >> 20) MiB are available",
                hint: "free memory or reduce the policy")
        }
        return Checked(features: features, node: node, contents: contents)
    }

    /// Links and entries name interfaces by index, which another namespace understands differently.
    func requireSameNamespace(_ current: NamespaceIdentity) throws {
        guard let recorded = try state.load().namespace, recorded != current else { return }
        throw LoaderError.refused(
            "\(layout.root) belongs to another network namespace (inode \(recorded.inode), this is \(current.inode))",
            hint: "run there, or use another --pin-path and --state-dir")
    }

    /// Programs are swapped before the new policy is committed, so until then they read the one in force: flags and
    /// numbers of another ABI would mean something else to them.
    func requireSameABI() throws {
        let maps = try PinnedMaps(pinnedIn: layout.root)
        let control = try ControlWord(try maps(.control)).load()
        guard control.isCommitted else { return }
        let version = try maps.meta(slot: control.activeSlot).abi_version
        guard version == UInt32(WEIR_ABI_VERSION) else {
            throw LoaderError.refused(
                "the policy in force was loaded by a weir of ABI \(version), this one is of ABI \(WEIR_ABI_VERSION)",
                hint: version > UInt32(WEIR_ABI_VERSION)
                    ? Newer.remedy : "run weir detach, then apply again; in between nothing is enforced")
        }
    }
}
