package import WeirDiagnostics
package import WeirModel
package import WeirSyntax

/// The typed policies in `documents`, CIDR groups already resolved to their prefixes.
///
/// Every problem of every document is reported, and a document with an error contributes nothing. Objects
/// of the inventory and of other API groups are counted as skipped. The result does not depend on
/// the order of the documents.
package func decodePolicies(
    _ documents: [Document], options: PolicyDecodingOptions = PolicyDecodingOptions(),
    diagnostics: inout DiagnosticsCollector
) -> PolicySet {
    var skipped = 0
    var groups: [Document] = []
    var policies: [(Document, ObjectKind.Policy)] = []
    for document in documents {
        switch ObjectKind(of: document) {
        case .policy(.ciliumCIDRGroup): groups.append(document)
        case .policy(let kind): policies.append((document, kind))
        case .inventory, .foreign: skipped += 1
        case .expectations: break
        case .unknown(let reason):
            diagnostics.error(.unknownKind, reason, at: document.kindLocation)
        }
    }

    var decoder = PolicyDecoder(options: options)
    for document in groups {
        guard let group = decodeCIDRGroup(document, names: &decoder.names, diagnostics: &diagnostics) else { continue }
        decoder.groups.insert(group)
    }

    var specs: [PolicySpec] = []
    var ranked: [AdminPolicyDecoder.Decoded] = []
    for (document, kind) in policies {
        var findings = DiagnosticsCollector()
        let decoded = decoder.decode(document, kind, &findings)
        if !findings.hasErrors {
            specs += decoded.specs
            ranked += decoded.ranked
        }
        diagnostics.append(contentsOf: findings.all)
    }
    reportEqualPriorities(ranked, &diagnostics)
    return PolicySet(specs: specs + ranked.map(\.spec), skippedDocuments: skipped)
}

/// Policies one by one, with what they share.
private struct PolicyDecoder {
    let options: PolicyDecodingOptions
    var groups = CIDRGroups()
    var names = NameRegister()

    init(options: PolicyDecodingOptions) { self.options = options }

    /// What one object holds: specs that are asked together, or one with a priority.
    struct Decoded {
        var specs: [PolicySpec] = []
        var ranked: [AdminPolicyDecoder.Decoded] = []
    }

    mutating func decode(
        _ document: Document, _ kind: ObjectKind.Policy, _ diagnostics: inout DiagnosticsCollector
    ) -> Decoded {
        guard var fields = document.cursor.fields(&diagnostics) else { return Decoded() }
        fields.ignore("apiVersion", "kind", "status")
        let isNamespaced = kind == .ciliumNetworkPolicy || kind == .networkPolicy
        let metadata = Metadata(
            &fields, defaultNamespace: isNamespaced ? options.defaultNamespace : nil, diagnostics: &diagnostics)
        guard let metadata else { return Decoded() }
        names.add(document.kind, metadata, &diagnostics)
        var decoded = decode(&fields, document, kind, metadata, &diagnostics)
        guard metadata.isAudited(&diagnostics) else { return decoded }
        for index in decoded.specs.indices { decoded.specs[index].isAudited = true }
        for index in decoded.ranked.indices { decoded.ranked[index].spec.isAudited = true }
        return decoded
    }

    private func decode(
        _ fields: inout Fields, _ document: Document, _ kind: ObjectKind.Policy, _ metadata: Metadata,
        _ diagnostics: inout DiagnosticsCollector
    ) -> Decoded {
        switch kind {
        case .ciliumNetworkPolicy:
            return Decoded(specs: decodeCilium(&fields, .ciliumNetworkPolicy, metadata, &diagnostics))
        case .ciliumClusterwideNetworkPolicy:
            return Decoded(specs: decodeCilium(&fields, .ciliumClusterwideNetworkPolicy, metadata, &diagnostics))
        case .networkPolicy:
            return Decoded(specs: decodeNetworkPolicy(&fields, document, metadata, &diagnostics))
        case .adminNetworkPolicy:
            return Decoded(ranked: decodeAdmin(&fields, document, .adminNetworkPolicy, metadata, &diagnostics))
        case .baselineAdminNetworkPolicy:
            return Decoded(ranked: decodeAdmin(&fields, document, .baselineAdminNetworkPolicy, metadata, &diagnostics))
        case .clusterNetworkPolicy:
            return Decoded(ranked: decodeAdmin(&fields, document, .clusterNetworkPolicy, metadata, &diagnostics))
        case .ciliumCIDRGroup:
            return Decoded()
        }
    }

    /// `spec` first, then the items of `specs`; Cilium takes both together.
    private func decodeCilium(
        _ fields: inout Fields, _ kind: PolicyKind, _ metadata: Metadata, _ diagnostics: inout DiagnosticsCollector
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
                groups: groups, options: options)
            return decoder.decode(spec.0, &diagnostics)
        }
    }

    private func decodeNetworkPolicy(
        _ fields: inout Fields, _ document: Document, _ metadata: Metadata,
        _ diagnostics: inout DiagnosticsCollector
    ) -> [PolicySpec] {
        guard let (spec, place) = onlySpec(&fields, document, &diagnostics) else { return [] }
        let decoder = NetworkPolicyDecoder(
            name: metadata.name, namespace: metadata.namespace ?? options.defaultNamespace, location: place)
        return decoder.decode(spec, &diagnostics).map { [$0] } ?? []
    }

    private func decodeAdmin(
        _ fields: inout Fields, _ document: Document, _ dialect: AdminDialect, _ metadata: Metadata,
        _ diagnostics: inout DiagnosticsCollector
    ) -> [AdminPolicyDecoder.Decoded] {
        if dialect.kind == .baselineAdminNetworkPolicy, metadata.name != AdminDialect.baselineName {
            diagnostics.error(
                .invalidValue,
                "a cluster has one BaselineAdminNetworkPolicy, named \(AdminDialect.baselineName), not \"\(metadata.name)\"",
                at: metadata.location)
        }
        guard let (spec, place) = onlySpec(&fields, document, &diagnostics) else { return [] }
        let decoder = AdminPolicyDecoder(
            dialect: dialect, name: metadata.name, location: place, unsupported: options.unsupported)
        return decoder.decode(spec, &diagnostics).map { [$0] } ?? []
    }

    private func onlySpec(
        _ fields: inout Fields, _ document: Document, _ diagnostics: inout DiagnosticsCollector
    ) -> (Cursor, SourceLocation)? {
        let spec = fields.required("spec", &diagnostics)
        let place = fields.keyLocation(of: "spec") ?? document.location
        fields.reportUnknown(&diagnostics)
        return spec.map { ($0, place) }
    }
}
