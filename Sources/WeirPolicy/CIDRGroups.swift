internal import WeirDiagnostics
internal import WeirModel
internal import WeirSyntax

/// A `CiliumCIDRGroup`: prefixes under a name and labels.
struct CIDRGroup {
    var name: String
    /// Source `cidrgroup`, as in Cilium; a key without a source finds them.
    var labels: LabelSet
    /// Sorted, distinct.
    var prefixes: [Prefix]
}

/// The groups of a run, in the order of their names.
struct CIDRGroups {
    private var groups: [String: CIDRGroup] = [:]

    mutating func insert(_ group: CIDRGroup) { groups[group.name] = group }

    var names: [String] { groups.keys.sorted() }

    /// Nil where no such group exists.
    func prefixes(of name: String) -> [Prefix]? { groups[name]?.prefixes }

    /// Of all groups that the selector chooses; sorted, distinct.
    func prefixes(chosenBy selector: LabelSelector) -> [Prefix] {
        Set(groups.values.filter { selector.matches($0.labels) }.flatMap(\.prefixes)).sorted()
    }
}

func decodeCIDRGroup(
    _ document: Document, names: inout NameRegister, diagnostics: inout DiagnosticsCollector
) -> CIDRGroup? {
    guard var fields = document.cursor.fields(&diagnostics) else { return nil }
    fields.ignore("apiVersion", "kind", "status")
    let metadata = Metadata(&fields, defaultNamespace: nil, diagnostics: &diagnostics)
    let spec = fields.required("spec", &diagnostics)
    fields.reportUnknown(&diagnostics)
    guard let metadata else { return nil }
    names.add(document.kind, metadata, &diagnostics)
    guard let spec, var specFields = spec.fields(&diagnostics) else { return nil }
    let list = specFields.required("externalCIDRs", &diagnostics)
    specFields.reportUnknown(&diagnostics)
    guard let list else { return nil }
    let prefixes = decodePrefixes(list, &diagnostics)
    return CIDRGroup(
        name: metadata.name,
        labels: LabelSet(metadata.labels.map { Label(source: "cidrgroup", key: $0.key.text, value: $0.value) }),
        prefixes: Set(prefixes).sorted())
}

/// A list of `ADDRESS/LENGTH`; what is none is reported.
func decodePrefixes(_ list: Cursor, _ diagnostics: inout DiagnosticsCollector) -> [Prefix] {
    (list.list(&diagnostics) ?? []).compactMap { decodePrefix($0, &diagnostics) }
}

func decodePrefix(_ cursor: Cursor, _ diagnostics: inout DiagnosticsCollector) -> Prefix? {
    guard let text = cursor.string(&diagnostics) else { return nil }
    if let prefix = Prefix(text) { return prefix }
    var message = "\"\(text)\" is not a CIDR"
    if let address = IPAddress(text) {
        message = "\"\(text)\" is an address, not a CIDR; write \(Prefix(host: address))"
    }
    diagnostics.error(.invalidCIDR, message, at: cursor.location)
    return nil
}
