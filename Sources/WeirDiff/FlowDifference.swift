package import WeirCompiler
internal import WeirModel

/// Every flow that is allowed under one set of policies and not under the other.
///
/// Exact: it compares what decides for every class of peers and every range of ports, never samples. A flow counts by its
/// ends' names and as a whole: where one side refuses it before and after, the other side may change as it likes. As in
/// `weir verdict` another node is judged nowhere, so what it says to endpoints elsewhere under a host firewall appears
/// twice: as `remote-node:ADDR` judged by the endpoint, and as `host:ADDR` judged by the node.
package struct FlowDifference: Sendable {
    /// What became allowed first, then by where the rules are.
    package let changes: [FlowChange]
    /// Endpoints that only one of the two has, or has on another node. Their flows are not compared.
    package let addedEndpoints: [String]
    package let removedEndpoints: [String]

    package var isEmpty: Bool { changes.isEmpty && addedEndpoints.isEmpty && removedEndpoints.isEmpty }

    package init(from old: VerdictMatrix, to new: VerdictMatrix) {
        let known: (VerdictMatrix, VerdictMatrix) -> [String] = { matrix, other in
            matrix.endpoints.filter { other.endpoints[$0.key]?.node != $0.value.node }.map(\.key).sorted()
        }
        removedEndpoints = known(old, new)
        addedEndpoints = known(new, old)
        var walk = DifferenceWalk(Versions(old: old, new: new))
        walk.run()
        changes = walk.changes()
    }
}

/// Takes every two parties that may meet to the comparison of their tables.
private struct DifferenceWalk {
    private let parties: Parties
    private let matrices: Versions<VerdictMatrix>
    private var comparison: TableComparison
    /// Lists of ends, each once.
    private var lists: [[FlowEnd]] = []
    private var numberOfList: [[FlowEnd]: Int] = [:]
    /// By delta, then by lists of ends, the families.
    private var found: [Int: [Pair: Set<AddressFamily>]] = [:]

    private struct Pair: Hashable {
        var from: Int
        var to: Int
    }

    /// One end of a meeting: by which rows it is judged, if at all, and which class the other end takes it for.
    private struct End {
        var rows: Versions<Parties.Rows?>
        var classes: Versions<Int>
        /// Index into `lists`.
        var list: Int
    }

    init(_ matrices: Versions<VerdictMatrix>) {
        self.matrices = matrices
        parties = Parties(matrices)
        comparison = TableComparison(matrices)
    }

    mutating func run() {
        compareEndpoints()
        compareEndpointsWithHosts()
        compareEndpointsWithOthers()
        compareHosts()
    }

    private mutating func compareEndpoints() {
        let buckets = parties.endpoints
        let numbers = buckets.map { list($0.members.map { .endpoint($0.name) }) }
        for (from, source) in buckets.enumerated() {
            for (to, destination) in buckets.enumerated() where from != to || source.members.count > 1 {
                for (family, sourceClasses) in source.classes {
                    guard let destinationClasses = destination.classes[family] else { continue }
                    compare(
                        from: End(rows: source.rows, classes: sourceClasses, list: numbers[from]),
                        to: End(rows: destination.rows, classes: destinationClasses, list: numbers[to]), family)
                }
            }
        }
    }

    private mutating func compareEndpointsWithHosts() {
        let ownHost = list([.host])
        for bucket in parties.endpoints {
            let homes = Set(bucket.members.map(\.node))
            for host in parties.hosts {
                guard bucket.classes[host.family] != nil else { continue }
                let nodes = Set(host.members.map(\.node))
                if let own = end(bucket, on: host.family, where: nodes.contains) {
                    compare(
                        from: own, to: End(rows: host.rows, classes: host.asDestination, list: ownHost), host.family)
                    compare(
                        from: End(rows: host.rows, classes: host.asSource, list: ownHost), to: own, host.family)
                }
                guard let elsewhere = host.elsewhere else { continue }
                let remote = host.members.filter { homes != [$0.node] }
                guard !remote.isEmpty, let all = end(bucket, on: host.family, where: { _ in true }) else { continue }
                let addresses = remote.map(\.address)
                meet(
                    all, End(rows: .none, classes: elsewhere, list: list(addresses.map { .remoteNode($0) })),
                    host.family)
                guard host.rows != .none else { continue }
                let node = End(rows: host.rows, classes: elsewhere, list: list(addresses.map { .hostAddress($0) }))
                meet(node, End(rows: .none, classes: all.classes, list: all.list), host.family)
            }
        }
    }

    private mutating func compareEndpointsWithOthers() {
        for other in parties.others {
            for bucket in parties.endpoints {
                for view in other.views {
                    guard let pods = end(bucket, on: other.family, where: view.isSeen) else { continue }
                    meet(pods, other, view)
                }
            }
        }
    }

    /// Hosts that are judged themselves, with whom they meet beside the endpoints of the inventory.
    private mutating func compareHosts() {
        for host in parties.hosts where host.rows != .none {
            for other in parties.others where other.family == host.family && !other.isBehindOwnNode {
                for view in other.views {
                    let members = host.members.filter { view.isSeen($0.node) }
                    guard !members.isEmpty else { continue }
                    meet(
                        End(
                            rows: host.rows, classes: host.elsewhere ?? host.asDestination,
                            list: list(members.map { .hostAddress($0.address) })), other, view)
                }
            }
            let homes = Set(host.members.map(\.node))
            for remote in parties.hosts where remote.family == host.family {
                let members = remote.members.filter { homes != [$0.node] }
                guard let elsewhere = host.elsewhere, let remoteClasses = remote.elsewhere, !members.isEmpty else {
                    continue
                }
                meet(
                    End(
                        rows: host.rows, classes: elsewhere, list: list(host.members.map { .hostAddress($0.address) })),
                    End(rows: .none, classes: remoteClasses, list: list(members.map { .remoteNode($0.address) })),
                    host.family)
            }
        }
    }

    /// Both ways between somebody who is judged and somebody who is not.
    private mutating func meet(_ judged: End, _ other: End, _ family: AddressFamily) {
        compare(from: judged, to: other, family)
        compare(from: other, to: judged, family)
    }

    private mutating func meet(_ judged: End, _ other: Parties.Others, _ view: Parties.Others.View) {
        let end = End(rows: .none, classes: view.classes, list: list(other.members))
        if other.isDestination { compare(from: judged, to: end, other.family) }
        if other.isSource { compare(from: end, to: judged, other.family) }
    }

    /// nil where none of them is there.
    private mutating func end(
        _ bucket: Parties.Endpoints, on family: AddressFamily, where isMeant: (String) -> Bool
    ) -> End? {
        guard let classes = bucket.classes[family] else { return nil }
        let members = bucket.members.filter { isMeant($0.node) }
        guard !members.isEmpty else { return nil }
        return End(rows: bucket.rows, classes: classes, list: list(members.map { .endpoint($0.name) }))
    }

    private mutating func list(_ ends: [FlowEnd]) -> Int {
        if let number = numberOfList[ends] { return number }
        numberOfList[ends] = lists.count
        lists.append(ends)
        return lists.count - 1
    }

    private mutating func compare(from: End, to: End, _ family: AddressFamily) {
        func table(_ row: Int?, _ peerClass: Int, _ matrix: VerdictMatrix) -> Int? {
            row.map { matrix.cells[$0][peerClass] }
        }
        let meeting = TableComparison.Meeting(
            egress: Versions(
                old: table(from.rows.old?.egress, to.classes.old, matrices.old),
                new: table(from.rows.new?.egress, to.classes.new, matrices.new)),
            ingress: Versions(
                old: table(to.rows.old?.ingress, from.classes.old, matrices.old),
                new: table(to.rows.new?.ingress, from.classes.new, matrices.new)), family: family)
        for delta in comparison.compare(meeting) {
            found[delta, default: [:]][Pair(from: from.list, to: to.list), default: []].insert(family)
        }
    }

    // MARK: Result

    func changes() -> [FlowChange] {
        found.map { number, pairs in
            let delta = comparison.deltas[number]
            return FlowChange(
                effect: delta.effect, ports: delta.ports, before: delta.before, after: delta.after,
                flows: flows(pairs))
        }
        .sorted { ($0.effect, $0.sortKey) < ($1.effect, $1.sortKey) }
    }

    /// Sources with the same destinations are put together.
    private func flows(_ pairs: [Pair: Set<AddressFamily>]) -> [FlowChange.Flows] {
        struct Source: Hashable {
            var list: Int
            var families: [AddressFamily]
        }
        struct Destinations: Hashable {
            var ends: [FlowEnd]
            var families: [AddressFamily]
        }
        var destinations: [Source: Set<FlowEnd>] = [:]
        for (pair, families) in pairs {
            destinations[Source(list: pair.from, families: families.sorted()), default: []].formUnion(lists[pair.to])
        }
        var sources: [Destinations: Set<FlowEnd>] = [:]
        for (source, ends) in destinations {
            sources[Destinations(ends: ends.sorted(), families: source.families), default: []].formUnion(
                lists[source.list])
        }
        return sources.map { FlowChange.Flows(from: $1.sorted(), to: $0.ends, families: $0.families) }
            .sorted { ($0.from, $0.to, $0.families.count) < ($1.from, $1.to, $1.families.count) }
    }
}

extension Versions where Value == Parties.Rows? {
    /// Not judged, by neither.
    fileprivate static var none: Self { Versions(old: nil, new: nil) }
}

extension FlowChange {
    /// By the places of the rules, then whatever else makes a difference.
    fileprivate var sortKey: String {
        let rules = (after + before).flatMap(\.rules).map { "\($0.location) \($0)" }
        let ends = flows.first.map {
            "\($0.from.first.map(String.init(describing:)) ?? "") \($0.to.first.map(String.init(describing:)) ?? "")"
        }
        return (rules + ports.map(\.description) + [ends ?? ""]).joined(separator: "\n")
    }
}

/// Lists by their first element that differs.
private func < (left: ([FlowEnd], [FlowEnd], Int), right: ([FlowEnd], [FlowEnd], Int)) -> Bool {
    if left.0 != right.0 { return left.0.lexicographicallyPrecedes(right.0) }
    if left.1 != right.1 { return left.1.lexicographicallyPrecedes(right.1) }
    return left.2 < right.2
}
