internal import CLibbpf
internal import SystemPackage
internal import WeirABI
package import WeirMaps

/// The word of `control`: the policy revision, whose low bit is the active slot, and flags above it.
package struct ControlValue: Hashable, Sendable {
    package var word: UInt64
    package init(word: UInt64) { self.word = word }

    private static var revisionMask: UInt64 { 1 << UInt64(WEIR_REVISION_BITS) - 1 }

    /// 0: no policy is in force: nothing was ever committed, or a detach has begun.
    package var revision: UInt64 { word & Self.revisionMask }
    package var isCommitted: Bool { revision != 0 }
    package var activeSlot: Int { Int(revision & 1) }

    /// The same flags under another revision.
    package func withRevision(_ revision: UInt64) -> ControlValue {
        ControlValue(word: word & ~Self.revisionMask | revision & Self.revisionMask)
    }
}

extension ControlValue {
    /// Reads the word without a mapping, which a frozen map refuses.
    package init(reading control: KernelMap) throws(KernelError) {
        do throws(MapError) {
            let bytes = try control.lookup(nativeBytes(0)) ?? []
            guard bytes.count == 8 else { throw .invalid }
            // SAFETY: eight bytes were checked; any eight bytes are a number.
            word = unsafe bytes.withUnsafeBytes { unsafe $0.loadUnaligned(as: UInt64.self) }
        } catch { throw KernelError("read", "'\(control.schema.name)'", error) }
    }
}

/// `control` mapped into memory: a store is seen whole by every packet that starts after it.
///
/// An update through the system call is a plain copy and may tear; this cannot.
@safe package struct ControlWord: ~Copyable {
    private let page: UnsafeMutableRawPointer
    private static let size = 4096

    /// EPERM: the map is frozen.
    package init(_ control: KernelMap) throws(KernelError) {
        // SAFETY: a new mapping is asked for; the kernel keeps the map alive as long as the mapping.
        guard let mapped = unsafe weir_map_shared(control.descriptor.raw, Self.size) else {
            let error = weir_last_errno()
            throw KernelError(
                "map into memory", "'\(control.schema.name)'", errno: Errno(rawValue: error),
                hint: error == EPERM ? "the map is frozen" : nil)
        }
        unsafe page = mapped
    }

    // SAFETY: this value is the mapping's only owner.
    deinit { unsafe _ = munmap(page, Self.size) }

    // SAFETY: the page is mapped as long as this value lives, and its first eight bytes are the word.
    package func load() -> ControlValue { unsafe ControlValue(word: weir_mapped_load(page)) }

    // SAFETY: as `load`; the page is mapped for writing.
    package func store(_ value: ControlValue) { unsafe weir_mapped_store(page, value.word) }
}

/// Waits until every program that may still run with an old control word has ended (about 8 ms).
///
/// One single-element update of an array of maps: the kernel synchronises before it returns. Never a batch,
/// which does so once for all or not at all.
package struct Fence {
    private let map: KernelMap
    private let inner: KernelMap

    package init(_ map: KernelMap) throws(KernelError) {
        self.map = map
        inner = try KernelMap(creating: Self.innerSchema)
    }

    package func wait() throws(KernelError) {
        do throws(MapError) { try map.place(inner, at: 0) } catch {
            throw KernelError("fence with", "'\(map.schema.name)'", error)
        }
    }

    /// What the elements of `fence` are.
    package static let innerSchema = MapSchema(
        name: "fence_inner", type: .array, keySize: 4, valueSize: 4, maxEntries: 1, flags: .innerMap)
}
