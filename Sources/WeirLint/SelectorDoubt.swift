internal import WeirDiagnostics
internal import WeirModel

/// Why a selector chooses nobody, as far as one requirement is to blame.
struct SelectorDoubt {
    private enum Cause {
        case namespace, serviceAccount, label, combination
    }

    private var cause = Cause.combination
    /// A clause, with the nearest name where there is one.
    private(set) var text = "no endpoint has all of these labels"

    init(_ selector: LabelSelector, _ population: Population) {
        for requirement in selector.requirements where requirement.operator == .in {
            let key = requirement.key.name
            let known = population.labelValues[key] ?? []
            guard let value = requirement.values.first, known.isDisjoint(with: requirement.values) else { continue }
            switch key {
            case WellKnownLabel.namespace, WellKnownLabel.namespaceLabelsPrefix + WellKnownLabel.namespaceName:
                cause = .namespace
                text = "namespace \"\(value)\" has no endpoint"
                let others = population.namespaces.subtracting([value])
                if !population.namespaces.contains(value) { text += suggestion(value, among: others) }
                return  // Nothing else is as likely.
            case WellKnownLabel.serviceAccount:
                cause = .serviceAccount
                text = "no endpoint uses the service account \"\(value)\"" + suggestion(value, among: known)
            default:
                guard cause != .serviceAccount else { continue }
                cause = .label
                text =
                    known.isEmpty
                    ? "no endpoint has a label \"\(key)\"" + suggestion(key, among: population.labelValues.keys)
                    : "no endpoint has \(requirement.text)" + suggestion(value, among: known)
            }
        }
        guard cause == .combination else { return }
        for requirement in selector.requirements
        where requirement.operator == .exists && population.labelValues[requirement.key.name] == nil {
            cause = .label
            text =
                "no endpoint has a label \"\(requirement.key.name)\""
                + suggestion(requirement.key.name, among: population.labelValues.keys)
            return
        }
    }

    func id(otherwise id: DiagnosticID) -> DiagnosticID {
        switch cause {
        case .namespace: .unknownNamespace
        case .serviceAccount: .unknownServiceAccount
        case .label, .combination: id
        }
    }
}
