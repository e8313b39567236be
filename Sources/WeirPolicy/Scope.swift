internal import WeirDiagnostics
internal import WeirModel

/// Puts the scope of a policy into its selectors, so that later phases need not know it.
///
/// Worked example, in namespace `shop`: the peer `{app: api}` becomes `app In [api], k8s:namespace In [shop]`;
/// `{k8s:io.kubernetes.pod.namespace: dev}` stays as it is; `{reserved:host: ""}` stays as it is. Clusterwide,
/// `{}` becomes `k8s:namespace Exists`, which every pod has and no host, node or outside address.
struct Scope {
    /// Nil is clusterwide.
    var namespace: String?

    private static let key = LabelKey(source: WellKnownLabel.kubernetesSource, name: WellKnownLabel.namespace)

    static let anyNamespace = LabelSelector.Requirement(key, .exists)

    static func inNamespace(_ name: String) -> LabelSelector.Requirement {
        LabelSelector.Requirement(key, .in, [name])
    }

    /// In a namespace, `k8s:io.kubernetes.pod.namespace` in `matchLabels` gives way to the policy's own; any other
    /// requirement on the namespace must hold too, so one that names another namespace selects nobody.
    func subject(
        _ written: WrittenSelector, at location: SourceLocation, _ diagnostics: inout DiagnosticsCollector
    ) -> LabelSelector {
        guard let namespace else {
            return isReserved(written) ? written.selector : written.selector.adding(Self.anyNamespace)
        }
        let own = Self.inNamespace(namespace)
        let foreign = written.requirements.contains { requirement in
            requirement.key.name == WellKnownLabel.namespace && requirement.operator == .in
                && !requirement.values.contains(namespace)
        }
        if foreign {
            diagnostics.warning(
                .conflictingFields,
                "the policy selects in its own namespace \(namespace) only, whatever its selector names",
                at: location)
        }
        let kept = written.matchLabels.filter { $0.key != Self.key } + written.matchExpressions
        return LabelSelector(kept).adding(own)
    }

    func peer(_ written: WrittenSelector) -> LabelSelector {
        let selector = written.selector
        if isReserved(written) || selector.mentions(WellKnownLabel.namespace) { return selector }
        let namesNamespaceLabels = selector.requirements.contains {
            $0.key.name.hasPrefix(WellKnownLabel.namespaceLabelsPrefix)
        }
        guard let namespace, !namesNamespaceLabels else { return selector.adding(Self.anyNamespace) }
        return selector.adding(Self.inNamespace(namespace))
    }

    private func isReserved(_ written: WrittenSelector) -> Bool {
        written.requirements.contains { $0.key.source == WellKnownLabel.reservedSource }
    }
}
