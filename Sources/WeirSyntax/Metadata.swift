package import WeirDiagnostics

/// The part of `metadata` that has a meaning to weir.
package struct Metadata: Sendable {
    package let name: String
    /// Nil for clusterwide kinds.
    package let namespace: String?
    /// In the order of the text; keys are distinct.
    package let labels: [(key: Cursor.Text, value: String)]
    /// Of the name.
    package let location: SourceLocation
    private let annotations: Cursor?

    /// `namespace/name`, or the name alone.
    package var qualifiedName: String { namespace.map { "\($0)/\(name)" } ?? name }

    /// Reads `metadata` of a document that a person wrote. `defaultNamespace` nil means that the kind has no namespace.
    ///
    /// What the server sets is ignored; a key that Kubernetes does not have is an error, as a misspelled
    /// `namespace` would move the object.
    package init?(_ object: inout Fields, defaultNamespace: String?, diagnostics: inout DiagnosticsCollector) {
        guard let cursor = object.required("metadata", &diagnostics), var fields = cursor.fields(&diagnostics) else {
            return nil
        }
        fields.ignore(
            "name", "namespace", "labels", "annotations", "uid", "resourceVersion", "generation",
            "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields",
            "ownerReferences", "finalizers", "generateName", "selfLink", "clusterName")
        fields.reportUnknown(&diagnostics)
        if defaultNamespace == nil, let namespace = cursor["namespace"] {
            diagnostics.warning(
                .unsupportedField, "a clusterwide object has no namespace: it holds in all of them",
                at: namespace.location)
        }
        self.init(cursor, defaultNamespace: defaultNamespace, &diagnostics)
    }

    /// Reads `metadata` of an object as the API server prints it; keys we do not read are ignored.
    package init?(of object: Cursor, defaultNamespace: String?, diagnostics: inout DiagnosticsCollector) {
        guard let cursor = object["metadata"] else {
            diagnostics.error(.missingField, "\(object.name) needs the field metadata", at: object.location)
            return nil
        }
        self.init(cursor, defaultNamespace: defaultNamespace, &diagnostics)
    }

    private init?(_ metadata: Cursor, defaultNamespace: String?, _ diagnostics: inout DiagnosticsCollector) {
        var labels: [(key: Cursor.Text, value: String)] = []
        for (key, value) in metadata["labels"]?.members(&diagnostics) ?? [] {
            guard let value = value.string(&diagnostics) else { continue }
            labels.append((key, value))
        }
        self.labels = labels
        annotations = metadata["annotations"]
        var namespace = defaultNamespace
        if defaultNamespace != nil, let written = metadata["namespace"] {
            guard let text = written.string(&diagnostics) else { return nil }
            if !text.isEmpty { namespace = text }
        }
        self.namespace = namespace
        guard let name = metadata["name"] else {
            diagnostics.error(.missingField, "metadata needs the field name", at: metadata.location)
            return nil
        }
        guard let text = name.string(&diagnostics) else { return nil }
        guard !text.isEmpty else {
            diagnostics.error(.invalidValue, "the name is empty", at: name.location)
            return nil
        }
        self.name = text
        self.location = name.location
    }
}

extension Metadata {
    package static let auditAnnotation = "weir.dev/audit"

    /// Audit mode of the object, by its annotation: "true" or "false". Without one it is not in audit mode.
    package func isAudited(_ diagnostics: inout DiagnosticsCollector) -> Bool {
        guard let annotations, let node = annotations.node[Self.auditAnnotation] else { return false }
        let written = Cursor(path: annotations.path, name: Self.auditAnnotation, node: node)
        guard let text = written.string(&diagnostics) else { return false }
        switch text {
        case "true": return true
        case "false": return false
        default:
            diagnostics.error(
                .invalidValue, "\(written.name) is \"true\" or \"false\", not \(node.summary)", at: written.location)
            return false
        }
    }
}

/// The names that are taken, by kind and namespace.
package struct NameRegister: Sendable {
    private var places: [[String]: SourceLocation] = [:]

    package init() {}

    /// Reports the second of two objects with one name.
    package mutating func add(_ kind: String, _ metadata: Metadata, _ diagnostics: inout DiagnosticsCollector) {
        let key = [kind, metadata.namespace ?? "", metadata.name]
        if let first = places[key] {
            diagnostics.error(
                .duplicateName, "there are two objects \(kind) \(metadata.qualifiedName)", at: metadata.location,
                notes: [Diagnostic.Note("the first is here", at: first)])
        } else {
            places[key] = metadata.location
        }
    }
}
