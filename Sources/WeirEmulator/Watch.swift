internal import WeirABI
internal import WeirImage

/// Whoever reads events, and which of them reach it: `monitor`, `monitor_state` and the ring.
struct Watch {
    let node: EmulatedNode
    let packet: DatapathPacket

    /// Makes an event, if somebody reads such events now and has not asked for fewer.
    func report(_ report: PacketReport, _ reason: DropReason, as kind: weir_event_kind) {
        guard let bytes = node.monitor.find(index: 0), let reader = weir_monitor(abiBytes: bytes), reader.until != 0,
            packet.tick <= reader.until, reader.kinds & kind.rawValue != 0,
            let stateBytes = node.monitorState.find(index: 0, cpu: packet.cpu),
            var state = weir_monitor_state(abiBytes: stateBytes)
        else { return }
        if isSampled(reader, &state) {
            var event = report.event(for: packet, reason)
            event.suppressed = state.suppressed
            if node.events.append(event.abiBytes) { state.suppressed = 0 } else { state.suppressed += 1 }
        } else {
            state.suppressed += 1
        }
        node.monitorState.overwrite(index: 0, cpu: packet.cpu, state.abiBytes)
    }

    private func isSampled(_ reader: weir_monitor, _ state: inout weir_monitor_state) -> Bool {
        if state.tick != packet.tick {
            state.tick = packet.tick
            state.made = 0
        }
        if reader.per_tick != 0, state.made >= reader.per_tick { return false }
        if reader.one_in > 1 {
            state.seen += 1
            guard state.seen >= reader.one_in else { return false }
        }
        state.seen = 0
        state.made += 1
        return true
    }
}
