import Testing
import WeirBench

@Suite("Figures of scripts/bench")
struct StatisticsTests {
    @Test("The median is the middle value, or the mean of the two")
    func median() {
        #expect(Samples([5, 1, 3]).median == 3)
        #expect(Samples([4, 1, 3, 2]).median == 2.5)
        #expect(Samples([7]).median == 7)
    }

    @Test("A quantile is the smallest value that the share does not exceed")
    func quantile() {
        let samples = Samples((1...100).map(Double.init))
        #expect(samples.quantile(0.5) == 50)
        #expect(samples.quantile(0.99) == 99)
        #expect(samples.quantile(1) == 100)
        #expect(samples.quantile(0) == 1)
    }

    @Test("An interval is as wide as the values differ, and says the same each time")
    func interval() {
        let same = Estimate(medianOf: [2, 2, 2, 2])
        #expect(same.interval == 2...2)
        let values = (0..<40).map { 1 + Double($0 % 7) / 100 }
        let estimate = Estimate(medianOf: values)
        #expect(estimate.interval.contains(estimate.value))
        #expect(estimate.interval.lowerBound > 1 && estimate.interval.upperBound < 1.06)
        #expect(estimate.interval.lowerBound < estimate.interval.upperBound)
        #expect(Estimate(medianOf: values).interval == estimate.interval)
    }

    @Test("Conditions are measured there and back, and each pair is averaged")
    func interleaving() {
        var order: [String] = []
        let rounds = interleaved(["A", "B", "C"], rounds: 2) { condition -> Double in
            order.append(condition)
            return Double(order.count)
        }
        #expect(order == ["A", "B", "C", "C", "B", "A", "A", "B", "C", "C", "B", "A"])
        #expect(rounds == [[3.5, 3.5, 3.5], [9.5, 9.5, 9.5]])
    }

    @Test("A goal for an interval holds for all of it")
    func goals() {
        let estimate = Estimate(medianOf: [1, 1, 1, 1.2, 1.2])
        #expect(Row("a/b", estimate, .times, goal: .atMost(1.1)).isMet == true)
        #expect(Row("a/b", estimate, .times, goal: .intervalAtMost(1.1)).isMet == false)
        #expect(Row("a/b", Samples([2, 1]), .seconds, goal: .below(1.5)).isMet == false)
        #expect(Row("a/b", Samples([2, 1]), .seconds).isMet == nil)
    }

    @Test("A group, a row or the beginning of rows can be asked for")
    func selection() {
        #expect(Run(wanted: ["compile"]).wants("compile/1000x100"))
        #expect(Run(wanted: ["compile/50000"]).wants("compile/50000x1000"))
        #expect(!Run(wanted: ["compile/50000"]).wants("compile/1000x100"))
        #expect(Run().wants("load/seconds"))
        let groups = RowGroup.all.filter(Run(wanted: ["load/seconds", "parse"]).wants(_:)).map(\.name)
        #expect(groups == ["parse", "load"])
    }
}
