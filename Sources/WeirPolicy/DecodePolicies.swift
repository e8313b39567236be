package import WeirDiagnostics
package import WeirModel
package import WeirSyntax

/// The typed policies in `documents`, CIDR groups already resolved to their prefixes.
///
/// Every problem of every document is reported, and a document with an error contributes nothing. Objects
/// of the inventory and of other API groups are counted as skipped. The result does not depend on
/// the order of the documents.
package func decodePolicies(
    _ documents: [Document], defaultNamespace: String, diagnostics: inout DiagnosticsCollector
) -> PolicySet {
    var skipped = 0
    var groups: [Document] = []
    var policies: [(Document, PolicyKind)] = []
    for document in documents {
        switch ObjectKind(of: document) {
        case .policy(.ciliumCIDRGroup): groups.append(document)
        case .policy(.ciliumNetworkPolicy): policies.append((document, .ciliumNetworkPolicy))
        case .policy(.ciliumClusterwideNetworkPolicy): policies.append((document, .ciliumClusterwideNetworkPolicy))
        case .policy(.networkPolicy): policies.append((document, .networkPolicy))
        case .inventory, .foreign: skipped += 1
        case .unsupportedPolicy:
            diagnostics.error(
                .unknownKind, "\(document.kind) is not supported yet", at: document.kindLocation)
        case .unknown(let reason):
            diagnostics.error(.unknownKind, reason, at: document.kindLocation)
        }
    }

    var names = NameRegister()
    var cidrGroups = CIDRGroups()
    for document in groups {
        guard let group = decodeCIDRGroup(document, names: &names, diagnostics: &diagnostics) else { continue }
        cidrGroups.insert(group)
    }

    var specs: [PolicySpec] = []
    for (document, kind) in policies {
        var findings = DiagnosticsCollector()
        let decoded = decodePolicy(
            document, kind: kind, defaultNamespace: defaultNamespace, groups: cidrGroups, names: &names, &findings)
        if !findings.hasErrors { specs += decoded }
        diagnostics.append(contentsOf: findings.all)
    }
    return PolicySet(specs: specs, skippedDocuments: skipped)
}

private func decodePolicy(
    _ document: Document, kind: PolicyKind, defaultNamespace: String, groups: CIDRGroups,
    names: inout NameRegister, _ diagnostics: inout DiagnosticsCollector
) -> [PolicySpec] {
    guard var fields = document.cursor.fields(&diagnostics) else { return [] }
    fields.ignore("apiVersion", "kind", "status")
    let isNamespaced = kind != .ciliumClusterwideNetworkPolicy
    let metadata = Metadata(
        &fields, defaultNamespace: isNamespaced ? defaultNamespace : nil, diagnostics: &diagnostics)
    guard let metadata else { return [] }
    names.add(document.kind, metadata, &diagnostics)
    switch kind {
    case .networkPolicy:
        let spec = fields.required("spec", &diagnostics)
        let place = fields.keyLocation(of: "spec") ?? document.location
        fields.reportUnknown(&diagnostics)
        guard let spec else { return [] }
        let decoder = NetworkPolicyDecoder(
            name: metadata.name, namespace: metadata.namespace ?? defaultNamespace, location: place)
        return decoder.decode(spec, &diagnostics).map { [$0] } ?? []
    case .ciliumNetworkPolicy, .ciliumClusterwideNetworkPolicy:
        return decodeCiliumPolicy(&fields, kind: kind, metadata: metadata, groups: groups, &diagnostics)
    case .adminNetworkPolicy, .baselineAdminNetworkPolicy, .clusterNetworkPolicy:
        return []
    }
}

/// `spec` first, then the items of `specs`; Cilium takes both together.
private func decodeCiliumPolicy(
    _ fields: inout Fields, kind: PolicyKind, metadata: Metadata, groups: CIDRGroups,
    _ diagnostics: inout DiagnosticsCollector
) -> [PolicySpec] {
    var written: [(Cursor, SourceLocation)] = []
    if let spec = fields.optional("spec") {
        written.append((spec, fields.keyLocation(of: "spec") ?? spec.location))
    }
    for item in fields.optional("specs")?.list(&diagnostics) ?? [] { written.append((item, item.location)) }
    fields.reportUnknown(&diagnostics)
    if written.isEmpty {
        diagnostics.error(.emptyPolicy, "the policy has neither spec nor specs", at: fields.location)
    }
    return written.enumerated().compactMap { index, spec in
        let decoder = CiliumSpecDecoder(
            kind: kind, namespace: metadata.namespace, name: metadata.name, index: index, location: spec.1,
            groups: groups)
        return decoder.decode(spec.0, &diagnostics)
    }
}
