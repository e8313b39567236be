internal import WeirDiagnostics
internal import WeirModel

/// Warns of each spec that shares tier and priority with one before it, at its priority; in the order of the
/// origins, so that the files' order does not matter.
///
/// The API leaves open which of two such policies is asked first. In weir they are asked together, and a deny
/// beats a Pass, which beats an accept: that refuses most.
func reportEqualPriorities(_ policies: [AdminPolicyDecoder.Decoded], _ diagnostics: inout DiagnosticsCollector) {
    var first: [Tier: AdminPolicyDecoder.Decoded] = [:]
    for policy in policies.sorted(by: { $0.spec.origin < $1.spec.origin }) {
        let tier = policy.spec.tier
        guard let other = first[tier] else {
            first[tier] = policy
            continue
        }
        let name = "\(other.spec.origin.kind.rawValue) \(other.spec.origin.name)"
        diagnostics.warning(
            .equalPriority, "\(name) has this priority, too: where both match, deny beats pass, and pass beats accept",
            at: policy.priorityLocation, notes: [Diagnostic.Note("its priority is here", at: other.priorityLocation)])
    }
}
