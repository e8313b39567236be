internal import WeirCompiler
internal import WeirModel

/// Everybody in both of two matrices, put together where neither tells them apart.
struct Parties {
    struct Rows: Hashable {
        var egress: Int
        var ingress: Int
    }

    struct Endpoints {
        struct Member {
            var name: String
            var node: String
        }

        var rows: Versions<Rows?>
        var classes: [AddressFamily: Versions<Int>]
        /// Sorted by name.
        var members: [Member]
    }

    struct Hosts {
        struct Member {
            var node: String
            var address: IPAddress
        }

        var family: AddressFamily
        var rows: Versions<Rows?>
        var asDestination: Versions<Int>
        var asSource: Versions<Int>
        /// nil where only the node's own endpoints are known.
        var elsewhere: Versions<Int>?
        /// Sorted by address.
        var members: [Member]
    }

    /// Whoever is judged by nobody.
    struct Others {
        /// How the endpoints of some nodes see them.
        struct View {
            var isSeen: (String) -> Bool
            var classes: Versions<Int>
        }

        var family: AddressFamily
        var members: [FlowEnd]
        var isSource = true
        var isDestination = true
        /// Anybody who borrows an address of the other end's own node.
        var isBehindOwnNode = false
        var views: [View]
    }

    private(set) var endpoints: [Endpoints] = []
    private(set) var hosts: [Hosts] = []
    private(set) var others: [Others] = []

    init(_ matrices: Versions<VerdictMatrix>) {
        addEndpoints(matrices)
        addHosts(matrices)
        addAddresses(matrices)
        addRegions(matrices)
        addFixed(matrices)
    }

    private mutating func addEndpoints(_ matrices: Versions<VerdictMatrix>) {
        struct Profile: Hashable {
            var rows: Versions<Rows?>
            var classes: [AddressFamily: Versions<Int>]
        }
        var buckets: [Profile: Int] = [:]
        for (name, old) in matrices.old.endpoints.sorted(by: { $0.key < $1.key }) {
            guard let new = matrices.new.endpoints[name], new.node == old.node else { continue }
            let versions = Versions(old: old, new: new)
            var classes: [AddressFamily: Versions<Int>] = [:]
            for (family, oldClass) in old.classes {
                if let newClass = new.classes[family] { classes[family] = Versions(old: oldClass, new: newClass) }
            }
            let profile = Profile(rows: versions.map { Self.rows($0.subject) }, classes: classes)
            let member = Endpoints.Member(name: name, node: old.node)
            if let known = buckets[profile] {
                endpoints[known].members.append(member)
            } else {
                buckets[profile] = endpoints.count
                endpoints.append(Endpoints(rows: profile.rows, classes: classes, members: [member]))
            }
        }
    }

    /// nil: not judged, or in audit mode, where all passes.
    private static func rows(_ subject: VerdictMatrix.Subject?) -> Rows? {
        guard let subject, !subject.isAudited else { return nil }
        return Rows(egress: subject.egressRow, ingress: subject.ingressRow)
    }

    private mutating func addHosts(_ matrices: Versions<VerdictMatrix>) {
        struct Profile: Hashable {
            var family: AddressFamily
            var rows: Versions<Rows?>
            var asDestination: Versions<Int>
            var asSource: Versions<Int>
            var elsewhere: Versions<Int>?
        }
        var buckets: [Profile: Int] = [:]
        for (node, old) in matrices.old.hosts.sorted(by: { $0.key < $1.key }) {
            guard let new = matrices.new.hosts[node] else { continue }
            let versions = Versions(old: old, new: new)
            for (address, oldAddress) in old.addresses.sorted(by: { $0.key < $1.key }) {
                guard let newAddress = new.addresses[address] else { continue }
                var elsewhere: Versions<Int>?
                if let oldClass = oldAddress.elsewhere, let newClass = newAddress.elsewhere {
                    elsewhere = Versions(old: oldClass, new: newClass)
                }
                let profile = Profile(
                    family: address.family, rows: versions.map { Self.rows($0.subject) },
                    asDestination: Versions(old: oldAddress.asDestination, new: newAddress.asDestination),
                    asSource: versions.map(\.asSource), elsewhere: elsewhere)
                let member = Hosts.Member(node: node, address: address)
                if let known = buckets[profile] {
                    hosts[known].members.append(member)
                } else {
                    buckets[profile] = hosts.count
                    hosts.append(
                        Hosts(
                            family: profile.family, rows: profile.rows, asDestination: profile.asDestination,
                            asSource: profile.asSource, elsewhere: elsewhere, members: [member]))
                }
            }
        }
    }

    private struct OtherProfile: Hashable {
        var family: AddressFamily
        var classes: Versions<Int>
    }

    private mutating func addAddresses(_ matrices: Versions<VerdictMatrix>) {
        var buckets: [OtherProfile: Int] = [:]
        let all = Set(matrices.old.addresses.keys).union(matrices.new.addresses.keys)
        for address in all.sorted()
        where !matrices.old.namedAddresses.contains(address) && !matrices.new.namedAddresses.contains(address) {
            let parties = matrices.map { $0.addresses[address] }
            let classes = matrices.map { $0.peerClass(of: address) }
            let label = parties.new?.label ?? parties.old?.label ?? ""
            let end = FlowEnd.address(address, label: label)
            let nodes = Set(parties.old?.onNode.keys.map(\.self) ?? []).union(
                parties.new?.onNode.keys.map(\.self) ?? [])
            if nodes.isEmpty {
                add(end, OtherProfile(family: address.family, classes: classes), &buckets)
                continue
            }
            var views = [Others.View(isSeen: { !nodes.contains($0) }, classes: classes)]
            for node in nodes.sorted() {
                views.append(
                    Others.View(
                        isSeen: { $0 == node },
                        classes: Versions(
                            old: parties.old?.onNode[node] ?? classes.old,
                            new: parties.new?.onNode[node] ?? classes.new)))
            }
            others.append(Others(family: address.family, members: [end], views: views))
        }
    }

    private mutating func add(_ end: FlowEnd, _ profile: OtherProfile, _ buckets: inout [OtherProfile: Int]) {
        if let known = buckets[profile] {
            others[known].members.append(end)
        } else {
            buckets[profile] = others.count
            others.append(
                Others(
                    family: profile.family, members: [end],
                    views: [Others.View(isSeen: { _ in true }, classes: profile.classes)]))
        }
    }

    /// Every prefix of either side, unless nobody is left in it: narrower prefixes and known addresses may fill it.
    private mutating func addRegions(_ matrices: Versions<VerdictMatrix>) {
        let prefixes = Set(matrices.old.regions.keys).union(matrices.new.regions.keys)
        let addresses = [matrices.old, matrices.new].flatMap { Array($0.namedAddresses) + Array($0.addresses.keys) }
        let filled = PrefixCover(prefixes.union(addresses.map { Prefix(host: $0) }).union(Self.destinationsOnly))
        var buckets: [OtherProfile: Int] = [:]
        for prefix in prefixes.sorted()
        where !Self.destinationsOnly.contains(where: { $0.contains(prefix) }) && !filled.fills(prefix) {
            let regions = matrices.map { $0.region(around: prefix) }
            let label = regions.new?.label ?? regions.old?.label ?? ""
            add(
                .region(prefix, label: label),
                OtherProfile(family: prefix.family, classes: regions.map { $0?.peerClass ?? 0 }), &buckets)
        }
    }

    /// Multicast and broadcast, which are a peer of their own.
    private static let destinationsOnly = ["224.0.0.0/4", "255.255.255.255/32", "ff00::/8"].compactMap { Prefix($0) }

    private mutating func addFixed(_ matrices: Versions<VerdictMatrix>) {
        for family in AddressFamily.allCases {
            others.append(
                Others(
                    family: family, members: [.masqueraded], isDestination: false, isBehindOwnNode: true,
                    views: [Others.View(isSeen: { _ in true }, classes: matrices.map(\.masqueraded))]))
            others.append(
                Others(
                    family: family, members: [.multicast], isSource: false,
                    views: [Others.View(isSeen: { _ in true }, classes: matrices.map(\.multicast))]))
        }
    }
}

/// Whether narrower prefixes fill a prefix to the last address.
private struct PrefixCover {
    private var sorted: [Prefix]
    private let members: Set<Prefix>

    init(_ members: Set<Prefix>) {
        self.members = members
        sorted = members.sorted()
    }

    func fills(_ prefix: Prefix) -> Bool { halves(of: prefix).map { $0.allSatisfy(isFull) } ?? false }

    private func isFull(_ prefix: Prefix) -> Bool {
        if members.contains(prefix) { return true }
        guard hasMembers(in: prefix) else { return false }
        return fills(prefix)
    }

    /// nil of a single address.
    private func halves(of prefix: Prefix) -> [Prefix]? {
        let width = prefix.family.bitWidth
        guard prefix.length < width else { return nil }
        let bit = UInt128(1) << UInt128(width - prefix.length - 1)
        return [prefix.address.value, prefix.address.value | bit].map {
            Prefix(IPAddress(family: prefix.family, value: $0), length: prefix.length + 1)
        }
    }

    /// Sorted, so that what a prefix contains comes right after it.
    private func hasMembers(in prefix: Prefix) -> Bool {
        var low = 0
        var high = sorted.count
        while low < high {
            let middle = (low + high) / 2
            if sorted[middle] < prefix { low = middle + 1 } else { high = middle }
        }
        return low < sorted.count && prefix.contains(sorted[low])
    }
}
