internal import WeirJSON
internal import WeirModel

extension NetworkConfiguration {
    /// The capability by which containerd and CRI-O hand a pod's annotations over.
    package static let annotationsCapability = "io.kubernetes.cri.pod-annotations"
    /// The annotation that holds a pod's labels as a JSON object.
    package static let labelsAnnotation = "weir.dev/labels"

    /// The labels that the runtime handed over; nil where it handed over none.
    ///
    /// `args.cni.labels` (CONVENTIONS.md, "args in network config") are the runtime's own words and go first. The annotation
    /// is whoever's words who may create the pod, as the pod's labels are.
    package func labels() throws(CNIError) -> [String: String]? {
        if let value = object["args"]?["cni"]?["labels"] { return try listedLabels(value) }
        guard let value = object["runtimeConfig"]?[Self.annotationsCapability]?[Self.labelsAnnotation] else {
            return nil
        }
        return try annotatedLabels(value)
    }

    private func listedLabels(_ value: JSONValue) throws(CNIError) -> [String: String] {
        let rule = "a list of objects with a key and a value"
        guard let entries = value.array else { throw invalid("args.cni.labels", "is \(value)", rule) }
        var labels: [String: String] = [:]
        for entry in entries {
            guard let key = entry["key"]?.string, let text = entry["value"]?.string else {
                throw invalid("args.cni.labels", "has \(entry)", rule)
            }
            try check(key, text, "args.cni.labels")
            guard labels.updateValue(text, forKey: key) == nil else {
                throw invalid("args.cni.labels", "has '\(key)' twice", rule)
            }
        }
        return labels
    }

    private func annotatedLabels(_ value: JSONValue) throws(CNIError) -> [String: String] {
        let place = "the annotation \(Self.labelsAnnotation)"
        let rule = "a JSON object of strings, such as {\"app\":\"web\"}"
        guard let text = value.string, let members = (try? JSONValue(parsing: Array(text.utf8)))?.members else {
            throw invalid(place, "is \(value)", rule)
        }
        var labels: [String: String] = [:]
        for member in members {
            guard let text = member.value.string else {
                throw invalid(place, "has '\(member.name)': \(member.value)", rule)
            }
            try check(member.name, text, place)
            labels[member.name] = text
        }
        return labels
    }

    private func check(_ key: String, _ value: String, _ place: String) throws(CNIError) {
        guard isLabelKey(key) else { throw invalid(place, "has the key '\(key)'", "keys of Kubernetes labels") }
        guard isLabelValue(value) else {
            throw invalid(place, "has '\(key)' with the value '\(value)'", "values of Kubernetes labels")
        }
        guard !isDerivedLabel(key) else {
            throw invalid(
                place, "has the key '\(key)'", "without labels that weir derives from namespace and service account")
        }
    }
}
