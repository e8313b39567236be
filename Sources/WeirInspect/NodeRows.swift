internal import WeirABI
internal import WeirImage
internal import WeirMaps

/// The maps that outlive a policy, but for those of flows.
extension EntryDecoder {
    func control(_ entry: MapEntry) -> Row? {
        guard let value = weir_control(abiBytes: entry.value) else { return nil }
        let revision = UInt64(value.word) & (1 << UInt64(WEIR_REVISION_BITS) - 1)
        let isAudited = value.word >> UInt64(WEIR_CONTROL_AUDIT_BIT) & 1 == 1
        let confirm = value.confirm >> UInt64(WEIR_CONFIRM_REVISION_SHIFT)
        let tunnels = [value.tunnels.0, value.tunnels.1].filter { $0 != 0 }
        return Row([
            .number(revision), revision == 0 ? .none : .number(revision & 1), .flag(isAudited),
            value.confirm == 0
                ? .none : .text("revision \(confirm) by tick \(UInt32(truncatingIfNeeded: value.confirm))"),
            .list(tunnels.map { $0 == WEIR_TUNNEL_ABSENT ? "absent" : names.interface($0) }),
        ])
    }

    func meta(_ entry: MapEntry) -> Row? {
        guard let value = weir_slot_meta(abiBytes: entry.value), let slot = UInt32(abiBytes: entry.key) else {
            return nil
        }
        let isEmpty = value.state == WEIR_SLOT_EMPTY.rawValue
        return Row([
            .number(UInt64(slot)), .text(slotStateName(value.state)),
            isEmpty ? .none : .text(abiBytes(of: value.image_digest).hexadecimal),
            isEmpty ? .none : .text(abiBytes(of: value.node_digest).hexadecimal), .number(UInt64(value.generation)),
            .number(UInt64(value.abi_version)),
        ])
    }

    func counter(_ entry: MapEntry) -> Row? {
        guard let index = UInt32(abiBytes: entry.key) else { return nil }
        let sum = weir_counter(perCPU: entry.value)
        let slot = Int(index) / Int(WEIR_RULES_MAX)
        var subject = Row.Subject()
        subject.rules =
            names.imagesOfSlots[slot]?.ruleLocations(RuleID(rawValue: index % UInt32(WEIR_RULES_MAX))) ?? []
        return Row(
            [
                .number(UInt64(index)), .number(UInt64(slot)), .number(UInt64(sum.packets)),
                .number(UInt64(sum.bytes)), .list(subject.rules),
            ], about: subject)
    }

    func drops(_ entry: MapEntry) -> Row? {
        guard let index = UInt32(abiBytes: entry.key) else { return nil }
        let sum = weir_counter(perCPU: entry.value)
        let isReason = index < UInt32(WEIR_DROPS_ERRNO)
        return Row([
            .number(UInt64(index)),
            .text(
                isReason ? dropReasonName(index / 2) : "insert-failed: errno \(index - UInt32(WEIR_DROPS_ERRNO))"),
            isReason ? .text(index % 2 == WEIR_EGRESS.rawValue ? "egress" : "ingress") : .none,
            .number(UInt64(sum.packets)), .number(UInt64(sum.bytes)),
        ])
    }

    func monitor(_ entry: MapEntry) -> Row? {
        guard let value = weir_monitor(abiBytes: entry.value) else { return nil }
        return Row([
            Self.flags(
                value.kinds, [(WEIR_EVENT_DROPS.rawValue, "drops"), (WEIR_EVENT_ALLOWS.rawValue, "allows")]),
            .number(UInt64(value.until)), .number(UInt64(value.one_in)), .number(UInt64(value.per_tick)),
        ])
    }

    func monitorState(_ entry: MapEntry) -> [Row]? {
        let size = MemoryLayout<weir_monitor_state>.size
        guard entry.value.count % size == 0 else { return nil }
        return stride(from: 0, to: entry.value.count, by: size).compactMap { start in
            weir_monitor_state(abiBytes: Array(entry.value[start..<start + size])).map { value in
                Row([
                    .number(UInt64(start / size)), .number(UInt64(value.tick)), .number(UInt64(value.made)),
                    .number(UInt64(value.seen)), .number(UInt64(value.suppressed)),
                ])
            }
        }
    }
}

/// The names of `enum weir_slot_state`.
private func slotStateName(_ state: UInt32) -> String {
    switch weir_slot_state(rawValue: state) {
    case WEIR_SLOT_EMPTY: "empty"
    case WEIR_SLOT_BUILDING: "building"
    case WEIR_SLOT_READY: "ready"
    default: "state \(state)"
    }
}
