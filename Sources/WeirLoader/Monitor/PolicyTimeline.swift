package import WeirABI

/// Under which policies an event can have been made: an event does not say, but its time does, up to a moment of doubt.
///
/// The policy in force is read again and again. An event from before the last time that a policy was found in force was
/// made under it or one before; one from after the first time, and `slack`, under it or one after. What lies between is
/// in doubt, and then counts only what all of them say.
///
/// Worked example: revision 4 was found at 10.0 s and revision 5 at 10.2 s. An event of 10.0 s is of 4, one of 10.31 s is of
/// 5, and one of 10.1 s of either. Had 6 been found, 5 would have been missed, and nothing is said of an event of 10.1 s but
/// its addresses.
package struct PolicyTimeline {
    /// What tells two policies apart.
    package struct Version: Hashable, Sendable {
        package var revision: UInt64
        package var imageDigest: [UInt8]

        package init(revision: UInt64, imageDigest: [UInt8]) {
            self.revision = revision
            self.imageDigest = imageDigest
        }
    }

    private struct Change {
        var before: EventNames
        /// Until then only `before`, from `until` on no longer. In ns of the monotonic clock.
        var from: UInt64
        var until: UInt64
        /// false: another policy may have come and gone in between.
        var isComplete: Bool
    }

    /// A program may have read the old revision, and been held up before it made its event.
    static let slack: UInt64 = 100_000_000

    package private(set) var version: Version
    private var names: EventNames
    private var lastSeen: UInt64
    private var changes: [Change] = []

    package init(_ version: Version, _ names: EventNames, at time: UInt64) {
        self.version = version
        self.names = names
        lastSeen = time
    }

    /// What was found in force by a reading that began and ended then.
    package mutating func found(_ version: Version, _ names: () throws -> EventNames, from: UInt64, until: UInt64)
        rethrows
    {
        changes.removeAll { $0.until + 10 * Self.slack < from }
        if version != self.version {
            let steps = version.revision &- self.version.revision
            changes.append(
                Change(before: self.names, from: lastSeen, until: until + Self.slack, isComplete: steps <= 1))
            self.version = version
            self.names = try names()
        }
        lastSeen = from
    }

    /// A record's event under the policy that made it.
    package func event(_ record: weir_event, time: String, interface: String?) -> MonitorEvent {
        let possible = candidates(at: UInt64(record.time_ns)).map { $0.event(record, time: time, interface: interface) }
        guard let first = possible.first else {
            return EventNames.unknown.event(record, time: time, interface: interface)
        }
        if possible.allSatisfy({ $0 == first }) { return first }
        var event = EventNames.unknown.event(record, time: time, interface: interface)
        func agreed<Value: Equatable>(_ field: KeyPath<MonitorEvent, Value>) -> Bool {
            possible.allSatisfy { $0[keyPath: field] == first[keyPath: field] }
        }
        if agreed(\.endpoint) { event.endpoint = first.endpoint }
        if agreed(\.from) && agreed(\.fromText) { (event.from, event.fromText) = (first.from, first.fromText) }
        if agreed(\.to) && agreed(\.toText) { (event.to, event.toText) = (first.to, first.toText) }
        if agreed(\.peer) { event.peer = first.peer }
        if agreed(\.decidingRules) { event.decidingRules = first.decidingRules }
        event.isDoubtful = true
        return event
    }

    private func candidates(at time: UInt64) -> [EventNames] {
        var candidates: [EventNames] = []
        for (index, change) in changes.enumerated() {
            let hadCome = index == 0 || time > changes[index - 1].from
            if hadCome, time <= change.until { candidates.append(change.before) }
            if !change.isComplete, time > change.from, time <= change.until { candidates.append(.unknown) }
        }
        if changes.last.map({ time > $0.from }) ?? true { candidates.append(names) }
        return candidates
    }
}
