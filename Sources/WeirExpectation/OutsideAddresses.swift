internal import WeirModel

/// Addresses outside of the cluster that stand for all that rules tell apart: one in each prefix, and one in none.
struct OutsideAddresses {
    let addresses: [IPAddress]
    /// Prefixes that are left out: a first file is to be read by people.
    let omitted: Int

    private static let limit = 16
    /// For documentation (RFC 5737, RFC 3849), and then public.
    private static let elsewhere = [
        "203.0.113.1", "198.51.100.1", "192.0.2.1", "9.9.9.9", "2001:db8:ffff::1", "2001:db8::1", "2620:fe::fe",
    ].compactMap { IPAddress($0) }

    init(_ policies: PolicySet, _ inventory: Inventory) {
        let prefixes = Set(
            policies.specs.flatMap(\.rules).flatMap { rule -> [Prefix] in
                guard case .list(let peers) = rule.peers else { return [] }
                return peers.flatMap { peer -> [Prefix] in
                    switch peer {
                    case .cidr(let block), .network(let block): [block.prefix] + block.except
                    default: []
                    }
                }
            }
        ).sorted()
        let families = Set(inventory.endpoints.flatMap(\.addresses).map(\.family))
        let inside =
            inventory.nodes.flatMap { $0.podCIDRs + $0.addresses.map(Prefix.init(host:)) }
            + inventory.endpoints.flatMap(\.addresses).map(Prefix.init(host:))
        func isOutside(_ address: IPAddress) -> Bool {
            families.contains(address.family) && !address.isMulticast && !address.isBroadcast && !address.isLoopback
                && !address.isUnspecified && !inside.contains { $0.contains(address) }
        }
        let sampled = prefixes.compactMap { prefix -> IPAddress? in
            let narrower = prefixes.filter { $0 != prefix && prefix.contains($0) }
            let room = prefix.family.bitWidth - prefix.length
            let candidates = (0..<min(room, 8)).map { UInt128(1) << UInt128($0) } + [0]
            return candidates.lazy.map { IPAddress(family: prefix.family, value: prefix.address.value | $0) }
                .first { address in isOutside(address) && !narrower.contains { $0.contains(address) } }
        }
        let anywhere = AddressFamily.allCases.compactMap { family in
            Self.elsewhere.first { address in
                address.family == family && isOutside(address)
                    && !prefixes.contains { $0.length > 0 && $0.contains(address) }
            }
        }
        omitted = max(0, Set(sampled).count - Self.limit)
        addresses = Set(Set(sampled).sorted().prefix(Self.limit) + anywhere).sorted()
    }
}
