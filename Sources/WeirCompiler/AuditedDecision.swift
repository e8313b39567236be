/// What the policies in force decide, and what those in audit mode would change about it.
///
/// The policies in force decide alone. Where they allow and all policies together would refuse, the answer is that
/// refusal, marked: it is reported and passes. What a policy in audit mode allows opens nothing.
///
/// Worked example: a policy allows tcp/80 and enforces; one in audit mode denies 10.0.0.0/8. Then tcp/80 to
/// 10.1.2.3 is an audited deny, tcp/80 to anybody else is allowed, and everything else is denied by default.
struct AuditedDecision {
    let inForce: TieredDecision
    /// With the policies in audit mode; nil where none applies.
    let withAudited: TieredDecision?
    /// What decides where no rule does.
    let fallback: Ruling

    init(inForce: TieredDecision, withAudited: TieredDecision? = nil) {
        self.inForce = inForce
        self.withAudited = withAudited
        fallback = Self.combined(inForce.fallback, withAudited?.fallback)
    }

    /// - Parameter matching: the rules that match, sorted by tier, spec and origin.
    /// - Returns: nil where the fallback decides.
    func decide(_ matching: [AppliedInput]) -> Ruling? {
        guard let withAudited else { return inForce.decide(matching) }
        return Self.combined(
            inForce.decide(matching.filter { !$0.isAudited }) ?? inForce.fallback,
            withAudited.decide(matching) ?? withAudited.fallback)
    }

    private static func combined(_ inForce: Ruling, _ withAudited: Ruling?) -> Ruling {
        guard inForce.kind == .allow, var refusal = withAudited, refusal.kind != .allow else { return inForce }
        refusal.isAudited = true
        return refusal
    }
}
