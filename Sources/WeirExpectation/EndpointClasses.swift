internal import WeirEmulator
internal import WeirFlow
internal import WeirModel

/// Endpoints that get the same answers from all of them and give the same answers to all of them, so that one stands
/// for its class: 10,000 pods of 200 workloads make 40,000 meetings, not 100 million.
///
/// Read from the images alone: two endpoints are *seen* alike if every node has them in the same groups; they *behave*
/// alike if their rows say the same about everybody who is seen differently.
struct EndpointClasses {
    private let classes: [String: Int]

    /// nil for names that were not asked for.
    subscript(name: String) -> Int? { classes[name] }

    private struct RowKey: Hashable {
        var node: String
        var direction: Direction
        var row: UInt32
        var isAudited: Bool
    }

    private struct Key: Hashable {
        var seen: Int
        var egress: Int
        var ingress: Int
    }

    /// - Parameter names: of the inventory.
    init(_ names: some Sequence<String>, _ judge: PairJudge) throws {
        let endpoints = Set(names).sorted().compactMap(judge.endpoint)
        let byNode = Dictionary(grouping: endpoints.indices, by: { endpoints[$0].node })
        let nodes = byNode.keys.sorted()
        // By endpoint: on each node its group in each direction and family.
        var groups = [[UInt32]](repeating: [], count: endpoints.count)
        for node in nodes {
            let verdicts = try judge.node(node)
            let locals = byNode[node] ?? []
            for direction in Direction.allCases {
                for family in AddressFamily.allCases {
                    let local = locals.lazy.compactMap { index in
                        endpoints[index].address(family).flatMap { address in
                            verdicts.subject(endpoints[index].qualifiedName).map { ($0, address) }
                        }
                    }.first
                    for index in endpoints.indices {
                        guard let local, let address = endpoints[index].address(family) else {
                            groups[index].append(Self.absent)
                            continue
                        }
                        let meeting = try verdicts.meeting(local.0, direction, local: local.1, peer: address)
                        groups[index].append(meeting.group)
                    }
                }
            }
        }
        // A family that no endpoint of a node has says nothing there; who has none at all must differ all the same.
        for index in endpoints.indices {
            groups[index] += AddressFamily.allCases.map { endpoints[index].address($0) == nil ? 0 : 1 }
        }
        let seen = Self.numbers(groups)
        let kinds = Dictionary(zip(seen, endpoints.indices), uniquingKeysWith: { first, _ in first })
            .sorted { $0.key < $1.key }.map(\.value)

        var behaviours: [[Int]: Int] = [:]
        var ofRow: [RowKey: Int] = [:]
        func behaviour(_ endpoint: Endpoint, _ direction: Direction, _ position: Int) throws -> Int {
            let verdicts = try judge.node(endpoint.node)
            guard let subject = verdicts.subject(endpoint.qualifiedName), let address = endpoint.addresses.first
            else { return -1 }
            let row = try verdicts.meeting(subject, direction, local: address, peer: address).row
            let key = RowKey(node: endpoint.node, direction: direction, row: row, isAudited: subject.isAudited)
            if let known = ofRow[key] { return known }
            let offset = position * 4 + (direction == .egress ? 0 : 2)
            let answers = try kinds.flatMap { kind in
                try groups[kind][offset..<offset + 2].map { group in
                    group == Self.absent
                        ? -1
                        : try verdicts.verdicts(
                            at: EmulatorJudge.Meeting(row: row, group: group), isAudited: subject.isAudited)
                }
            }
            let number = behaviours[answers] ?? behaviours.count
            behaviours[answers] = number
            ofRow[key] = number
            return number
        }
        var keys: [Key] = []
        let positions = Dictionary(uniqueKeysWithValues: nodes.enumerated().map { ($1, $0) })
        for (index, endpoint) in endpoints.enumerated() {
            let position = positions[endpoint.node] ?? 0
            keys.append(
                Key(
                    seen: seen[index], egress: try behaviour(endpoint, .egress, position),
                    ingress: try behaviour(endpoint, .ingress, position)))
        }
        classes = Dictionary(
            zip(endpoints.map(\.qualifiedName), Self.numbers(keys)), uniquingKeysWith: { first, _ in first })
    }

    /// No group: nobody there, or no address.
    private static let absent = UInt32.max

    /// Equal values get equal numbers, counted in order of appearance.
    private static func numbers<Value: Hashable>(_ values: [Value]) -> [Int] {
        var known: [Value: Int] = [:]
        return values.map { value in
            if let number = known[value] { return number }
            known[value] = known.count
            return known.count - 1
        }
    }
}
