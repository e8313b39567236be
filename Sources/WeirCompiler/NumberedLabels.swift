internal import WeirModel

/// Label sets as numbers in the order of their labels: they compare and hash as the sets do, at a fraction of the cost.
struct NumberedLabels {
    /// Every label of the sets, by number.
    let labels: [Label]
    private let numbers: [Int32]
    /// Where each set starts in `numbers`, and where the last one ends.
    private let starts: [Int]

    init(_ sets: some Sequence<LabelSet>) {
        var found: [Label: Int32] = [:]
        var numbers: [Int32] = []
        var starts = [0]
        for set in sets {
            for label in set.labels {
                let next = Int32(found.count)
                let number = found[label, default: next]
                if number == next { found[label] = next }
                numbers.append(number)
            }
            starts.append(numbers.count)
        }
        let order = found.sorted { $0.key < $1.key }
        var rank = [Int32](repeating: 0, count: order.count)
        for (position, entry) in order.enumerated() { rank[Int(entry.value)] = Int32(position) }
        labels = order.map(\.key)
        self.numbers = numbers.map { rank[Int($0)] }
        self.starts = starts
    }

    /// The numbers of one set, ascending.
    subscript(_ set: Int) -> ArraySlice<Int32> { numbers[starts[set]..<starts[set + 1]] }

    /// The sets' indices in the sets' order; `isBefore` decides between equal ones.
    func order(ties isBefore: (Int, Int) -> Bool) -> [Int] {
        (0..<starts.count - 1).sorted { left, right in
            let (leftSet, rightSet) = (self[left], self[right])
            for (number, other) in zip(leftSet, rightSet) where number != other { return number < other }
            return leftSet.count == rightSet.count ? isBefore(left, right) : leftSet.count < rightSet.count
        }
    }
}
