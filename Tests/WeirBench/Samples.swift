import WeirTestSupport

/// Repetitions of one measurement.
package struct Samples: Sendable {
    /// Ascending; at least one.
    private let values: [Double]

    package init(_ values: [Double]) {
        precondition(!values.isEmpty)
        self.values = values.sorted()
    }

    package init(_ value: Double) { self.init([value]) }

    package var count: Int { values.count }
    package var minimum: Double { values[0] }
    package var maximum: Double { values[values.count - 1] }
    package var median: Double { (values[(values.count - 1) / 2] + values[values.count / 2]) / 2 }

    /// The smallest value that at least this share of all values does not exceed.
    package func quantile(_ share: Double) -> Double {
        values[min(values.count - 1, max(0, Int((share * Double(values.count)).rounded(.up)) - 1))]
    }

    package func map(_ transform: (Double) -> Double) -> Samples { Samples(values.map(transform)) }
}

/// A figure and the interval in which it lies with a confidence of 95 %.
package struct Estimate: Sendable {
    package var value: Double
    package var interval: ClosedRange<Double>
    package var count: Int

    /// A statistic of rounds, its interval by drawing as many rounds again and again; seeded, so that equal measurements
    /// give equal intervals.
    package init<Round>(of rounds: [Round], resamples: Int = 2000, _ statistic: ([Round]) -> Double) {
        value = statistic(rounds)
        count = rounds.count
        var generator = SeededGenerator(seed: 1)
        let drawn = Samples(
            (0..<resamples).map { _ in statistic(rounds.map { _ in rounds[generator.below(rounds.count)] }) })
        interval = drawn.quantile(0.025)...drawn.quantile(0.975)
    }

    package init(medianOf values: [Double]) { self.init(of: values) { Samples($0).median } }
}

/// Seconds that the body takes.
package func seconds(_ body: () throws -> Void) rethrows -> Double {
    try ContinuousClock().measure(body) / .seconds(1)
}

/// Three significant digits, without an exponent.
func short(_ value: Double) -> String {
    guard value != 0, value.isFinite else { return value == 0 ? "0" : "\(value)" }
    var digits = 0
    var scaled = abs(value)
    while scaled < 100, digits < 6 {
        scaled *= 10
        digits += 1
    }
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let rounded = (value * scale).rounded() / scale
    return rounded == rounded.rounded() && abs(rounded) < 1e15 ? "\(Int(rounded))" : "\(rounded)"
}
