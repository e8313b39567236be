import Testing

/// What the Network Policy API promises for its cluster-wide kinds. The last line of output says how many of how many agree.
@Suite("Situations of AdminNetworkPolicy, BaselineAdminNetworkPolicy and ClusterNetworkPolicy")
struct AdminPolicySituationTests {
    @Test("Every pair of ends, port, protocol and family gets the verdict of the documentation")
    func adminPolicy() throws { try expectAgreement(in: "admin-policy") }
}
