/// One measured figure beside its goal and beside what others need.
package struct Row: Encodable, Sendable {
    /// `group/what`, stable: arguments of `scripts/bench` select by it.
    package var name: String
    package var value: Double
    package var unit: Unit
    /// Of the repetitions that `value` is the median of, or the interval that it is known to lie in.
    package var low: Double
    package var high: Double
    package var samples: Int
    package var goal: Goal?
    /// What others need for the same, as published or as measured elsewhere: not of this run.
    package var peers: String?
    /// What is compared with what, where the name does not say it, and the absolute figures behind a ratio.
    package var note: String?

    package enum Unit: String, Encodable, Sendable {
        case times = "×"
        case seconds = "s"
        case nanoseconds = "ns"
        case microseconds = "µs"
        case mebibytes = "MiB"
        case mebibytesPerSecond = "MiB/s"
        case count = ""
        case percent = "%"
    }

    package enum Goal: Sendable {
        case atMost(Double)
        case below(Double)
        /// The whole interval lies below it.
        case intervalAtMost(Double)
    }

    package init(
        _ name: String, _ samples: Samples, _ unit: Unit, goal: Goal? = nil, peers: String? = nil, note: String? = nil
    ) {
        self.name = name
        value = samples.median
        self.unit = unit
        low = samples.minimum
        high = samples.maximum
        self.samples = samples.count
        self.goal = goal
        self.peers = peers
        self.note = note
    }

    package init(
        _ name: String, _ estimate: Estimate, _ unit: Unit, goal: Goal? = nil, peers: String? = nil, note: String? = nil
    ) {
        self.name = name
        value = estimate.value
        self.unit = unit
        low = estimate.interval.lowerBound
        high = estimate.interval.upperBound
        samples = estimate.count
        self.goal = goal
        self.peers = peers
        self.note = note
    }

    /// Whether the goal is met; nil without one.
    package var isMet: Bool? {
        switch goal {
        case nil: nil
        case .atMost(let bound): value <= bound
        case .below(let bound): value < bound
        case .intervalAtMost(let bound): high <= bound
        }
    }

    private enum Key: String, CodingKey {
        case name, value, unit, low, high, samples, goal, met, peers, note
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(name, forKey: .name)
        try container.encode(value, forKey: .value)
        try container.encode(unit, forKey: .unit)
        try container.encode(low, forKey: .low)
        try container.encode(high, forKey: .high)
        try container.encode(samples, forKey: .samples)
        try container.encodeIfPresent(goal.map { "\($0)" }, forKey: .goal)
        try container.encodeIfPresent(isMet, forKey: .met)
        try container.encodeIfPresent(peers, forKey: .peers)
        try container.encodeIfPresent(note, forKey: .note)
    }
}

extension Row.Goal: CustomStringConvertible {
    package var description: String {
        switch self {
        case .atMost(let bound): "≤ \(short(bound))"
        case .below(let bound): "< \(short(bound))"
        case .intervalAtMost(let bound): "all ≤ \(short(bound))"
        }
    }
}
