internal import CLibbpf
internal import SystemPackage
internal import WeirABI
internal import WeirImage
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

    /// Policy drops of the whole node are reported and pass.
    package var isAudited: Bool {
        get { word >> UInt64(WEIR_CONTROL_AUDIT_BIT) & 1 == 1 }
        set {
            let bit = UInt64(1) << UInt64(WEIR_CONTROL_AUDIT_BIT)
            word = newValue ? word | bit : word & ~bit
        }
    }

    /// The same flags under another revision.
    package func withRevision(_ revision: UInt64) -> ControlValue {
        ControlValue(word: word & ~Self.revisionMask | revision & Self.revisionMask)
    }
}

/// Until when a revision must be confirmed; past that tick the programs read it as the next one.
package struct ConfirmDeadline: Hashable, Sendable {
    /// Low 32 bits of the revision.
    package var revision: UInt32
    package var tick: UInt32

    package init(revision: UInt64, tick: UInt32) {
        self.revision = UInt32(truncatingIfNeeded: revision)
        self.tick = tick
    }

    /// nil: nothing is to be confirmed.
    init?(word: UInt64) {
        guard word != 0 else { return nil }
        revision = UInt32(truncatingIfNeeded: word >> UInt64(WEIR_CONFIRM_REVISION_SHIFT))
        tick = UInt32(truncatingIfNeeded: word)
    }

    var word: UInt64 { UInt64(revision) << UInt64(WEIR_CONFIRM_REVISION_SHIFT) | UInt64(tick) }

    package func concerns(_ value: ControlValue) -> Bool { revision == UInt32(truncatingIfNeeded: value.revision) }
}

/// The interfaces whose traffic is encrypted, as `control` has them.
package struct Tunnels: Hashable, Sendable, Codable {
    /// One interface index for each lane; nil where the lane has no device.
    package var lanes: [UInt32?]

    /// - Parameter lanes: at most two.
    package init(lanes: [UInt32?]) { self.lanes = lanes }

    /// nil: nothing is to be encrypted.
    init?(word: UInt64) {
        guard word != 0 else { return nil }
        lanes = [UInt32(truncatingIfNeeded: word), UInt32(truncatingIfNeeded: word >> 32)]
            .map { $0 == 0 || $0 == WEIR_TUNNEL_ABSENT ? nil : $0 }
    }

    var word: UInt64 {
        let first = lanes.first.flatMap { $0 } ?? WEIR_TUNNEL_ABSENT
        let second = lanes.dropFirst().first.flatMap { $0 } ?? 0
        return UInt64(first) | UInt64(second) << 32
    }
}

/// What `control` says, read without a mapping, which a frozen map refuses.
package struct ControlState: Hashable, Sendable {
    package var value: ControlValue
    package var deadline: ConfirmDeadline?
    package var tunnels: Tunnels?

    package init(reading control: KernelMap) throws(KernelError) {
        do throws(MapError) {
            guard let bytes = try control.lookup(nativeBytes(0)), let words = weir_control(abiBytes: bytes) else {
                throw .invalid
            }
            value = ControlValue(word: UInt64(words.word))
            deadline = ConfirmDeadline(word: UInt64(words.confirm))
            tunnels = Tunnels(word: UInt64(words.tunnels.0) | UInt64(words.tunnels.1) << 32)
        } catch { throw KernelError("read", "'\(control.schema.name)'", error) }
    }

    /// What a packet at that tick takes for the word.
    package func inForce(at tick: UInt32) -> ControlValue {
        guard let deadline, deadline.concerns(value), tick > deadline.tick else { return value }
        return value.withRevision(value.revision + 1)
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

    // SAFETY: as `load`; the deadline is the eight bytes behind the word.
    package func loadDeadline() -> ConfirmDeadline? { unsafe ConfirmDeadline(word: weir_mapped_load(page + 8)) }

    /// Before the revision that it concerns is stored.
    // SAFETY: as `store`.
    package func store(_ deadline: ConfirmDeadline?) { unsafe weir_mapped_store(page + 8, deadline?.word ?? 0) }

    /// Before a policy that wants encryption is committed.
    // SAFETY: as `store`; the tunnels are the eight bytes behind the deadline.
    package func store(tunnels: Tunnels?) { unsafe weir_mapped_store(page + 16, tunnels?.word ?? 0) }
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
