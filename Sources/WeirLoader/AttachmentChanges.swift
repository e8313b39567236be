internal import WeirKernel

/// The difference between the hooks that should run our programs and those that do.
struct AttachmentChanges {
    struct New: Hashable {
        var hook: Hook
        var plan: HookPlan
        var kind: AttachKind
    }

    /// Sorted by hook.
    var missing: [New] = []
    /// They run an older version.
    var outdated: [Hook: Attachment] = [:]
    /// No endpoint is behind them any longer, or another kind replaces them.
    var stale: [Hook: Attachment] = [:]
    var deadPins: [String]
    /// Of every interface, for people.
    var names: [UInt32: String]
    /// Everything that should run.
    var plans: [Hook: HookPlan]

    var isEmpty: Bool { missing.isEmpty && outdated.isEmpty && stale.isEmpty && deadPins.isEmpty }

    /// `programs`: the ids of those that should run, by name.
    init(
        _ survey: AttachmentSurvey, _ checked: Loader.Checked, programs: [String: UInt32], mode: AttachMode
    ) {
        deadPins = survey.deadPins
        names = survey.names
        let wanted: AttachKind? =
            switch mode {
            case .automatic: nil
            case .tcx: .tcx
            case .clsact: .clsact
            }
        plans = checked.node.hooks
        for (hook, plan) in plans.sorted(by: { $0.key < $1.key }) {
            let attachment = survey.attached[hook]
            if let attachment, wanted == nil || wanted == attachment.kind {
                if attachment.programID != programs[plan.program] { outdated[hook] = attachment }
            } else {
                stale[hook] = attachment
                let kind = wanted ?? (checked.features.hasTCX ? .tcx : .clsact)
                missing.append(New(hook: hook, plan: plan, kind: kind))
            }
        }
        for (hook, attachment) in survey.attached where plans[hook] == nil { stale[hook] = attachment }
    }
}
