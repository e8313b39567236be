internal import WeirABI
package import WeirImage
package import WeirInspect
internal import WeirKernel
internal import WeirMaps
package import WeirModel

/// What the maps of the slot in force say, as an image; names and lines are those of the image that was applied.
package struct LiveImage: Sendable {
    package var image: Image
    /// Where the maps say something else than the image that was applied.
    package var differences: [MapChange]
    package var revision: UInt64
    fileprivate var ownAddresses: Set<IPAddress>

    /// Another image with the node's own addresses that these maps have: only the node knows them, and apply adds them.
    package func completing(_ image: Image) -> Image {
        var image = image
        for (map, entries) in NodePart.ipcache(image, nodeAddresses: ownAddresses) {
            image.maps[map] = entries.isEmpty ? nil : entries
        }
        return image
    }
}

/// What a node has counted and remembers of one side of a flow. Encodes as in the JSON of `weir explain --live`.
package struct LiveSide: Hashable, Sendable, Encodable {
    package struct Counter: Hashable, Sendable, Encodable {
        package var packets: UInt64
        package var bytes: UInt64

        package init(packets: UInt64, bytes: UInt64) {
            self.packets = packets
            self.bytes = bytes
        }
    }

    /// Of the rules that decide the flow, when they decide together: whatever they decided so.
    package var rules: Counter
    /// Of all that the node dropped in this direction for the side's reason; nil where nothing is refused.
    package var drops: Counter?
    /// Those between the two addresses with the flow's protocol and destination port.
    package var flows: [RememberedFlow]
}

extension LiveMaps {
    /// nil where no policy is in force. Throws where nothing gives the numbers names.
    package func liveImage() throws(LoaderError) -> LiveImage? {
        try bordered {
            guard slot != nil else { return nil }
            guard let applied = image else {
                throw LoaderError.refused(
                    "the state directory has no image of the policy in force", hint: "weir apply writes the image again"
                )
            }
            var live = applied
            for map in SlotMap.allCases where map != .endpoints && map != .peers {
                let entries = try (read(.slot(map)) ?? []).sorted()
                live.maps[map] = entries.isEmpty ? nil : entries
            }
            live.maps[.peers] = Self.words(
                try read(.slot(.peers)) ?? [], count: applied.entries(.peers).count)
            let values = Dictionary(
                try (read(.slot(.endpoints)) ?? []).compactMap { entry in
                    weir_endpoint(abiBytes: entry.value).map { ($0.id, entry.value) }
                }
            ) { first, _ in first }
            live.endpoints = applied.endpoints.compactMap { record in
                guard let value = values[record.id] else { return nil }
                var record = record
                record.value = value
                return record
            }
            var result = LiveImage(
                image: live, differences: [], revision: revision, ownAddresses: Self.ownAddresses(live))
            result.differences = result.completing(applied).changes(to: live)
            return result
        }
    }

    /// With every word, also those that nobody should have written.
    private static func words(_ elements: [MapEntry], count: Int) -> [MapEntry] {
        let all = elements.sorted().flatMap { element in
            stride(from: 0, to: element.value.count, by: 4).map { Array(element.value[$0..<$0 + 4]) }
        }
        return all.prefix(count).enumerated().map { MapEntry(key: UInt32($0.offset).abiBytes, value: $0.element) }
    }

    /// Those that have the entry that apply makes for them.
    private static func ownAddresses(_ live: Image) -> Set<IPAddress> {
        Set(
            [SlotMap.ipcache4, .ipcache6].flatMap { map in
                live.entries(map).compactMap { entry -> IPAddress? in
                    guard let peer = weir_peer(abiBytes: entry.value), peer.group == WEIR_GROUP_HOST.rawValue,
                        peer.flags == WEIR_PEER_NODE.rawValue | WEIR_PEER_OWN_NODE.rawValue
                    else { return nil }
                    return IPAddress(bytes: entry.key)
                }
            })
    }

    /// - Parameters:
    ///   - direction: as the endpoint sees it.
    ///   - decision: what the maps answer.
    package func side(
        of endpoint: String, _ direction: Direction, local: IPAddress, peer: IPAddress, protocol proto: IPProtocol,
        port: UInt16, decision: Decision
    ) throws(LoaderError) -> LiveSide {
        let counter = try ruleCounters()?[decision.rule.rawValue]
        var filter = FlowFilter()
        (filter.endpoint, filter.local, filter.peers) = (endpoint, local, [peer])
        (filter.direction, filter.protocol) = (direction, proto)
        // An echo's key has its identifier, and other protocols have no port.
        if IPProtocol.withPorts.contains(proto) { filter.port = port }
        let drops: LiveSide.Counter? =
            switch decision.kind {
            case .allow: nil
            case .deny: try self.drops(WEIR_REASON_POLICY_DENY, direction)
            case .defaultDeny: try self.drops(WEIR_REASON_POLICY_DEFAULT_DENY, direction)
            }
        return LiveSide(
            rules: LiveSide.Counter(packets: UInt64(counter?.packets ?? 0), bytes: UInt64(counter?.bytes ?? 0)),
            drops: drops, flows: try rememberedFlows(filter))
    }

    private func drops(_ reason: weir_reason, _ direction: Direction) throws(LoaderError) -> LiveSide.Counter {
        let number = reason.rawValue * 2 + (direction == .egress ? WEIR_EGRESS.rawValue : WEIR_INGRESS.rawValue)
        let sum = try lookup(.node(.drops), number.abiBytes).map { weir_counter(perCPU: $0) }
        return LiveSide.Counter(packets: UInt64(sum?.packets ?? 0), bytes: UInt64(sum?.bytes ?? 0))
    }
}
