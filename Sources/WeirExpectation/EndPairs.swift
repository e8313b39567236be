internal import WeirFlow
internal import WeirModel

/// Who meets whom: pairs of ends that are judged alike are one meeting, with the first pair as its example.
struct EndPairs {
    struct Meeting {
        var from: Flow.Peer
        var to: Flow.Peer
        var family: AddressFamily
        var sides: PairJudge.Sides
        var pairs: Int
        /// What `apart` said about both.
        var marks: [[Int]]
    }

    struct Met {
        var meetings: [Meeting] = []
        /// Why the first pair that cannot be judged cannot.
        var firstError: FlowError?
    }

    private struct Key: Hashable {
        var sides: PairJudge.Sides
        var family: AddressFamily
        var marks: [[Int]]
    }

    /// Endpoints of one class and mark; or one name.
    private struct Group {
        var members: [Flow.Peer]
        var names: Set<String>
        var mark: [Int]
    }

    let judge: PairJudge
    let classes: EndpointClasses

    /// An endpoint does not meet itself: such a packet never leaves the pod.
    ///
    /// - Parameter apart: ends for which this differs are kept apart, the first of a pair and the second.
    func meetings(
        _ from: Ends, _ to: Ends, _ families: [AddressFamily], apart: (Flow.Peer) -> [Int] = { _ in [] }
    ) throws -> Met {
        var met = Met()
        var order: [Key: Int] = [:]
        func add(_ source: Flow.Peer, _ destination: Flow.Peer, _ pairs: Int, _ marks: [[Int]]) throws {
            for family in families {
                guard judge.has(family, source), judge.has(family, destination) else {
                    met.firstError =
                        met.firstError
                        ?? FlowError(
                            "\(source.name) and \(destination.name) have no \(family.rawValue) address in common")
                    continue
                }
                do {
                    let sides = try judge.sides(source, destination, family)
                    let key = Key(sides: sides, family: family, marks: marks)
                    if let index = order[key] {
                        met.meetings[index].pairs += pairs
                    } else {
                        order[key] = met.meetings.count
                        met.meetings.append(
                            Meeting(
                                from: source, to: destination, family: family, sides: sides, pairs: pairs,
                                marks: marks))
                    }
                } catch let error as FlowError {
                    met.firstError = met.firstError ?? error
                }
            }
        }
        // Classes hold among endpoints only: other ends are judged one by one.
        for source in from.peers {
            for destination in to.peers + to.endpoints.map(Flow.Peer.endpoint) {
                try add(source, destination, 1, [apart(source), apart(destination)])
            }
        }
        for source in from.endpoints.map(Flow.Peer.endpoint) {
            for destination in to.peers { try add(source, destination, 1, [apart(source), apart(destination)]) }
        }
        let sources = groups(from.endpoints, apart)
        let destinations = groups(to.endpoints, apart)
        for source in sources {
            for destination in destinations {
                let pairs =
                    source.members.count * destination.members.count
                    - source.names.intersection(destination.names).count
                guard pairs > 0, let (first, second) = example(source, destination) else { continue }
                try add(first, second, pairs, [source.mark, destination.mark])
            }
        }
        return met
    }

    private func groups(_ names: [String], _ apart: (Flow.Peer) -> [Int]) -> [Group] {
        var groups: [Group] = []
        var positions: [[Int]: Int] = [:]
        for name in names {
            let peer = Flow.Peer.endpoint(name)
            let mark = apart(peer)
            let key = [classes[name] ?? -1] + mark
            if let position = positions[key] {
                groups[position].members.append(peer)
                groups[position].names.insert(name)
            } else {
                positions[key] = groups.count
                groups.append(Group(members: [peer], names: [name], mark: mark))
            }
        }
        return groups
    }

    /// The first pair of two endpoints.
    private func example(_ source: Group, _ destination: Group) -> (Flow.Peer, Flow.Peer)? {
        for first in source.members.prefix(2) {
            if let second = destination.members.first(where: { $0 != first }) { return (first, second) }
        }
        return nil
    }
}
