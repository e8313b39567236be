package import WeirTestSupport

extension SeededGenerator {
    /// True in `percent` of a hundred cases.
    package mutating func chance(_ percent: Int) -> Bool { below(100) < percent }

    package mutating func pick<Element>(_ choices: [Element]) -> Element {
        // Callers give literals, which are not empty.
        choices[below(choices.count)]
    }

    package mutating func some<Element>(_ range: ClosedRange<Int>, _ make: (inout SeededGenerator) -> Element)
        -> [Element]
    {
        (0..<Int.random(in: range, using: &self)).map { _ in make(&self) }
    }

    /// A value, or nothing in `100 - percent` of a hundred cases.
    package mutating func maybe<Value>(_ percent: Int, _ make: (inout SeededGenerator) -> Value) -> Value? {
        chance(percent) ? make(&self) : nil
    }
}
