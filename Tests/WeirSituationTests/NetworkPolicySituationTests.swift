import Testing

/// What the Kubernetes documentation of NetworkPolicy promises. The last line of output says how many of how many agree.
@Suite("Situations of Kubernetes NetworkPolicy")
struct NetworkPolicySituationTests {
    @Test("Every pair of ends, port, protocol and family gets the verdict of the documentation")
    func networkPolicy() throws { try expectAgreement(in: "network-policy") }
}

/// Runs a folder of situations and fails for each that differs.
func expectAgreement(in folder: String) throws {
    let situations = try Situation.all(in: folder)
    try #require(!situations.isEmpty)
    var agreeing = 0
    var verdicts = 0
    for situation in situations {
        let outcome = try SituationRun(situation: situation).outcome()
        verdicts += outcome.compared
        if outcome.differences.isEmpty { agreeing += 1 }
        let different = outcome.differences.count
        #expect(
            different == 0,
            "\(situation.name): \(different) of \(outcome.compared) differ, first: \(outcome.differences.prefix(5))")
    }
    print("\(folder): \(agreeing) of \(situations.count) situations agree, \(verdicts) verdicts")
}
