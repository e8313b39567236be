internal import WeirDiagnostics
internal import WeirSyntax

/// The part of `metadata` that has a meaning here. What the server sets is ignored; a key that Kubernetes
/// does not have is an error, as a misspelled `namespace` would move the policy.
struct Metadata {
    var name: String
    /// Nil for clusterwide kinds.
    var namespace: String?
    var labels: [(key: String, value: String)] = []
    /// Of the name.
    var location: SourceLocation

    /// Reads `metadata` from an object. `defaultNamespace` nil means the kind has no namespace.
    init?(_ object: inout Fields, defaultNamespace: String?, diagnostics: inout DiagnosticsCollector) {
        guard let cursor = object.required("metadata", &diagnostics), var fields = cursor.fields(&diagnostics) else {
            return nil
        }
        let name = fields.required("name", &diagnostics)
        let namespace = fields.optional("namespace")
        let labels = fields.optional("labels")
        fields.ignore(
            "annotations", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
            "deletionGracePeriodSeconds", "managedFields", "ownerReferences", "finalizers", "generateName",
            "selfLink", "clusterName")
        fields.reportUnknown(&diagnostics)

        guard let name, let text = name.string(&diagnostics) else { return nil }
        guard !text.isEmpty else {
            diagnostics.error(.invalidValue, "the name is empty", at: name.location)
            return nil
        }
        self.name = text
        self.location = name.location
        if let defaultNamespace {
            self.namespace = defaultNamespace
            if let namespace {
                guard let text = namespace.string(&diagnostics) else { return nil }
                if !text.isEmpty { self.namespace = text }
            }
        } else if let namespace {
            diagnostics.warning(
                .unsupportedField, "a clusterwide object has no namespace: it holds in all of them",
                at: namespace.location)
        }
        for (key, value) in labels?.members(&diagnostics) ?? [] {
            guard let value = value.string(&diagnostics) else { continue }
            self.labels.append((key.text, value))
        }
    }
}
