internal import WeirABI
package import WeirImage
package import WeirMaps
package import WeirModel

/// A packet at one of the two hooks, as the kernel presents it.
package struct DatapathPacket: Hashable, Sendable {
    /// From the Ethernet header on; from the IP header on where the device has none.
    package var frame: [UInt8]
    package var hasEthernet = true
    /// The endpoint's host-side interface.
    package var interfaceIndex: UInt32
    package var direction: Direction
    /// Where the packet came in; 0: the node itself sent it.
    package var ingressInterfaceIndex: UInt32
    /// Where the node's routes lead it to; 0: nowhere.
    package var routedInterfaceIndex: UInt32 = 0
    /// `skb->vlan_tci`: an 802.1Q tag that the device has taken off.
    package var vlanTag: UInt16?
    /// CLOCK_MONOTONIC, of its event.
    package var timeNanoseconds: UInt64
    /// The programs' clock.
    package var tick: UInt32
    package var cpu: Int

    package init(
        frame: [UInt8], interfaceIndex: UInt32, direction: Direction, ingressInterfaceIndex: UInt32 = 0,
        vlanTag: UInt16? = nil, timeNanoseconds: UInt64 = 0, tick: UInt32 = 0, cpu: Int = 0
    ) {
        self.frame = frame
        self.interfaceIndex = interfaceIndex
        self.direction = direction
        self.ingressInterfaceIndex = ingressInterfaceIndex
        self.vlanTag = vlanTag
        self.timeNanoseconds = timeNanoseconds
        self.tick = tick
        self.cpu = cpu
    }
}

/// What becomes of a packet, and why.
package struct DatapathOutcome: Hashable, Sendable {
    package enum Verdict: String, Hashable, Sendable, CaseIterable {
        /// To the next program: the kernel's return value is -1.
        case pass
        /// The kernel's return value is 2.
        case drop
    }

    package var verdict: Verdict
    /// `none` for a packet that passes.
    package var reason: DropReason
    /// nil where policy was not asked, and had not been asked for the flow.
    package var decision: Decision?
    /// 0 where no peer was looked up.
    package var group: PeerGroup
    /// Index into the image's identities.
    package var identity: UInt32
}

/// The packet walk of ARCHITECTURE.md over emulated maps: reads the maps' bytes and nothing else.
///
/// A class because it changes the node's conntrack, counters and events.
package final class EmulatedDatapath {
    package let node: EmulatedNode
    package var options: DatapathOptions

    package init(node: EmulatedNode, options: DatapathOptions = .defaults) {
        self.node = node
        self.options = options
    }

    package func process(_ packet: DatapathPacket) -> DatapathOutcome {
        var walk = PacketWalk(node: node, options: options, packet: packet)
        let reason: DropReason
        do throws(DropReason) {
            try walk.run()
            reason = .none
        } catch {
            reason = error
            countDrop(packet, error)
        }
        let watch = Watch(node: node, packet: packet)
        if let audited = walk.report.audited {
            watch.report(walk.report, audited, as: WEIR_EVENT_DROPS)
        } else if reason == .none, walk.report.isNewlyAllowed {
            watch.report(walk.report, .none, as: WEIR_EVENT_ALLOWS)
        }
        if reason != .none, reason != .notForEndpoint { watch.report(walk.report, reason, as: WEIR_EVENT_DROPS) }
        return DatapathOutcome(
            verdict: reason == .none ? .pass : .drop, reason: reason, decision: walk.report.decision,
            group: PeerGroup(rawValue: walk.report.group), identity: walk.report.identity)
    }

    private func countDrop(_ packet: DatapathPacket, _ reason: DropReason) {
        let index = Int(reason.rawValue) * 2 + (packet.direction == .egress ? 0 : 1)
        count(node.drops, index, cpu: packet.cpu, length: packet.frame.count)
    }
}

/// Adds one packet to a `weir_counter`; nothing past the array's end.
func count(_ counters: EmulatedArray, _ index: Int, cpu: Int, length: Int) {
    guard let bytes = counters.find(index: index, cpu: cpu), var counter = weir_counter(abiBytes: bytes) else { return }
    counter.packets &+= 1
    counter.bytes &+= weir_u64(length)
    counters.overwrite(index: index, cpu: cpu, counter.abiBytes)
}

/// What is known about a packet when it is decided; becomes its event.
struct PacketReport {
    var ip: IPHeaders?
    var l4: L4Header?
    var group: UInt32 = 0
    var identity: UInt32 = 0
    var decision: Decision?
    /// The word that decided, with its audit bit; 0 where policy was not asked.
    var action: UInt32 = 0
    /// Negative errno of a failed conntrack insert.
    var error: Int32 = 0
    /// Policy was asked for this very packet and allowed it: a new flow, one judged again, or none.
    var isNewlyAllowed = false
    /// Why it would have been dropped, but for audit mode.
    var audited: DropReason?

    func event(for packet: DatapathPacket, _ reason: DropReason) -> weir_event {
        var event = weir_event()
        event.time_ns = weir_u64(packet.timeNanoseconds)
        event.ifindex = packet.interfaceIndex
        event.group = group
        event.identity = identity
        event.action = action
        event.length = UInt32(packet.frame.count)
        event.error = error
        if audited != nil { event.flags = WEIR_EVENT_AUDIT.rawValue }
        event.direction = UInt8(packet.direction == .egress ? WEIR_EGRESS.rawValue : WEIR_INGRESS.rawValue)
        event.reason = UInt8(reason.rawValue)
        if let ip {
            event.family = ip.family == .ipv4 ? 4 : 6
            event.protocol = ip.protocol
            setABIBytes(&event.source, ip.source.mappedBytes)
            setABIBytes(&event.destination, ip.destination.mappedBytes)
        }
        if let l4 {
            event.source_port_be = l4.sourcePort.bigEndian
            event.destination_port_be = l4.port.bigEndian
        }
        return event
    }
}
