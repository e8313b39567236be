package import WeirDiagnostics
package import WeirModel

/// What became of every expectation.
package struct ExpectationReport: Hashable, Sendable, Encodable {
    /// One side of the flows of a failure.
    package struct Side: Hashable, Sendable, Encodable {
        package var verdict: String
        /// `path:line`, sorted.
        package var rules: [String]
        /// What audit mode lets pass.
        package var audit: String?

        package var text: String {
            let places = rules.isEmpty ? "" : " by \(rules.joined(separator: ", "))"
            return verdict + (audit.map { " (audit: \($0))" } ?? "") + places
        }
    }

    /// Flows that are judged alike, and not as expected.
    package struct Failure: Hashable, Sendable, Encodable {
        /// The first two ends; `pairs` says how many there are.
        package var from: String
        package var to: String
        package var pairs: Int
        package var family: AddressFamily
        /// Every range, such as `1-5431/tcp`.
        package var ports: [String]
        /// What is wrong: `is denied, and expected to be allowed`.
        package var problem: String
        package var egress: Side
        package var ingress: Side

        package var message: String {
            let others = pairs > 1 ? " (and \(pairs - 1) more like it)" : ""
            return "\(from) → \(to)\(others) \(ports.joined(separator: ", ")) over \(family.rawValue) \(problem): "
                + "egress \(egress.text), ingress \(ingress.text)"
        }
    }

    package struct Outcome: Hashable, Sendable, Encodable {
        package enum Kind: String, Hashable, Sendable, Encodable { case flow, noOtherFlows }

        /// The object that it stands in.
        package var expectations: String
        package var kind: Kind
        package var name: String
        package var path: String
        package var line: Int
        package var column: Int
        /// How many pairs of ends were judged, each family by itself.
        package var pairs: Int
        package var failures: [Failure]

        package var hasPassed: Bool { failures.isEmpty }
        package var location: SourceLocation { SourceLocation(path: path, line: line, column: column) }
    }

    /// Which rules decided any flow that was judged.
    package struct Coverage: Hashable, Sendable, Encodable {
        package struct Rule: Hashable, Sendable, Encodable {
            package var rule: String
            package var path: String
            package var line: Int

            package var place: String { "\(path):\(line)" }
        }

        package var rules: Int
        package var touched: Int
        package var untouched: [Rule]

        /// 100 where there is no rule at all.
        package var percent: Double { rules == 0 ? 100 : Double(touched) * 100 / Double(rules) }

        package var text: String {
            let tenths = rules == 0 ? 1000 : touched * 1000 / rules
            return "\(tenths / 10).\(tenths % 10) % (\(touched) of \(rules) rules)"
        }
    }

    package var passed: Int
    package var failed: Int
    package var expectations: [Outcome]
    package var coverage: Coverage

    init(_ outcomes: [Outcome], coverage: Coverage) {
        expectations = outcomes
        passed = outcomes.count { $0.hasPassed }
        failed = outcomes.count - passed
        self.coverage = coverage
    }

    /// `3 expectations: 2 passed, 1 failed`
    package var summary: String {
        let count = expectations.count == 1 ? "1 expectation" : "\(expectations.count) expectations"
        return "\(count): \(passed) passed, \(failed) failed"
    }
}
