internal import WeirABI
package import WeirMaps
package import WeirModel

/// Everything a node needs to enforce its policies, compiled ahead of time.
///
/// Canonical: the same policies and inventory give the same image, and the same bytes, whatever
/// the order of the input. Emulator, loader and printers read the image and nothing else.
///
/// `maps` holds every in-slot map except `endpoints`, which is keyed by interface index: only the node
/// knows them, so the image carries records instead.
package struct Image: Hashable, Sendable {
    /// A local endpoint: the value of its `endpoints` entry and how to find its interface.
    package struct EndpointRecord: Hashable, Sendable {
        /// `namespace/name`.
        package var name: String
        /// From 1, in order of name.
        package var id: UInt32
        package var addresses: [IPAddress]
        /// The bytes of a `weir_endpoint`.
        package var value: [UInt8]
        /// nil for the host, which has no interface of its own.
        package var attachment: Endpoint.Attachment?

        /// The node itself, under a host firewall.
        package var isHost: Bool { attachment == nil && name == Image.hostName }

        package init(
            name: String, id: UInt32, addresses: [IPAddress], value: [UInt8], attachment: Endpoint.Attachment?
        ) {
            self.name = name
            self.id = id
            self.addresses = addresses
            self.value = value
            self.attachment = attachment
        }

        /// Audit mode: what policy refuses it passes.
        package var isAudited: Bool {
            weir_endpoint(abiBytes: value).map { $0.flags & WEIR_ENDPOINT_AUDIT.rawValue != 0 } ?? false
        }
    }

    /// The record of the node itself, under a host firewall. Pods have a slash in their name.
    package static let hostName = "host"

    /// The rules that decide together; index in `attributions` is the `RuleID`.
    package typealias Attribution = [RuleOrigin]

    package var node: String
    /// The node's own addresses as the inventory knows them.
    package var nodeAddresses: [IPAddress]
    /// Sorted by id.
    package var endpoints: [EndpointRecord]
    /// Sorted by key; maps without entries are left out. `peers` is dense: one entry for each index from 0.
    package var maps: [SlotMap: [MapEntry]]
    /// Element 0 is empty: no rule. Each is sorted.
    package var attributions: [Attribution]
    /// What an identity number stands for, for people; element 0 is "unknown".
    package var identities: [String]
    /// How many peer groups there are; every row of `peers` has this many elements.
    package var groupCount: Int

    package init(
        node: String, nodeAddresses: [IPAddress], endpoints: [EndpointRecord], maps: [SlotMap: [MapEntry]],
        attributions: [Attribution], identities: [String], groupCount: Int
    ) {
        self.node = node
        self.nodeAddresses = nodeAddresses
        self.endpoints = endpoints
        self.maps = maps.filter { !$0.value.isEmpty }
        self.attributions = attributions
        self.identities = identities
        self.groupCount = groupCount
    }

    /// Whether packets of some peers are dropped unless they take a tunnel.
    package var wantsEncryption: Bool {
        [SlotMap.cidrs4, .cidrs6, .ipcache4, .ipcache6].contains { map in
            entries(map).contains { entry in
                weir_peer(abiBytes: entry.value).map { $0.flags & WEIR_PEER_ENCRYPTED.rawValue != 0 } ?? false
            }
        }
    }

    package func entries(_ map: SlotMap) -> [MapEntry] { maps[map] ?? [] }

    /// The entries as the map in the kernel has them: the words of `peers` lie together in elements of many.
    package func mapEntries(_ map: SlotMap) -> [MapEntry] {
        map == .peers ? Self.packActions(entries(.peers)) : entries(map)
    }

    /// One word by row and group each, dense and in order, to the elements of `peers`.
    package static func packActions(_ words: [MapEntry]) -> [MapEntry] {
        stride(from: 0, to: words.count, by: Int(WEIR_ACTIONS)).map { first in
            var value = words[first..<min(first + Int(WEIR_ACTIONS), words.count)].flatMap(\.value)
            value += [UInt8](repeating: 0, count: MemoryLayout<weir_actions>.size - value.count)
            return MapEntry(key: UInt32(first / Int(WEIR_ACTIONS)).abiBytes, value: value)
        }
    }

    /// The inverse; words that nobody wrote are left out.
    package static func unpackActions(_ elements: [MapEntry]) -> [MapEntry] {
        elements.flatMap { element -> [MapEntry] in
            guard let number = UInt32(abiBytes: element.key) else { return [] }
            return (0..<element.value.count / 4).compactMap { offset in
                let word = Array(element.value[offset * 4..<offset * 4 + 4])
                guard word.contains(where: { $0 != 0 }) else { return nil }
                return MapEntry(key: (number * UInt32(WEIR_ACTIONS) + UInt32(offset)).abiBytes, value: word)
            }
        }
    }

    /// The `endpoints` entries for a choice of interfaces. Endpoints without one are left out. The host has one for
    /// each of its devices, and one under index 0 for what it and its endpoints say to each other.
    package func endpointEntries(interfaces: [UInt32: UInt32], hostDevices: [UInt32] = []) -> [MapEntry] {
        endpoints.flatMap { record in
            let indexes =
                record.isHost
                ? Set(hostDevices.isEmpty ? [] : hostDevices + [0]) : Set(interfaces[record.id].map { [$0] } ?? [])
            return indexes.map { MapEntry(key: $0.abiBytes, value: record.value) }
        }
        .sorted()
    }

    /// The rules behind a decision, as `path:line`, sorted; empty for "no rule".
    package func ruleLocations(_ rule: RuleID) -> [String] {
        guard Int(rule.rawValue) < attributions.count else { return [] }
        return attributions[Int(rule.rawValue)].places
    }

    package func endpoint(named name: String) -> EndpointRecord? { endpoints.first { $0.name == name } }
}
