package import WeirDiagnostics
package import WeirModel
package import WeirSyntax

package struct InventoryOptions: Hashable, Sendable {
    /// `--cluster-name`; every endpoint carries it as a label.
    package var clusterName: String
    /// For documents of our own without a namespace.
    package var defaultNamespace: String

    package init(clusterName: String = "default", defaultNamespace: String = "default") {
        self.clusterName = clusterName
        self.defaultNamespace = defaultNamespace
    }
}

/// What `documents` say about pods, nodes and services. Policies and other API groups are counted as skipped.
///
/// Every problem of every document is reported, and a document with an error contributes nothing.
/// The result does not depend on the order of the documents. No document at all is an empty cluster.
package func decodeInventory(
    _ documents: [Document], options: InventoryOptions = InventoryOptions(),
    diagnostics: inout DiagnosticsCollector
) -> Inventory {
    var assembly = Assembly(options: options)
    var names = NameRegister()
    var isSound = true
    for document in documents {
        switch ObjectKind(of: document) {
        case .policy, .unsupportedPolicy, .foreign: assembly.skipped.otherDocuments += 1
        case .unknown(let reason):
            diagnostics.error(.unknownKind, reason, at: document.kindLocation)
            isSound = false
        case .inventory(let kind):
            var findings = DiagnosticsCollector()
            let finding = decode(document, kind, options, &names, &findings)
            if findings.hasErrors {
                isSound = false
            } else if let finding {
                assembly.add(finding)
            }
            diagnostics.append(contentsOf: findings.all)
        }
    }
    return assembly.finish(documentsAreSound: isSound, &diagnostics)
}

/// What one document contributes.
enum Finding {
    case endpoint(EndpointDraft)
    case node(NodeDraft)
    case namespace(name: String, labels: [String: String])
    case service(ServiceDraft)
    case endpointSlice(EndpointSliceDraft)
    case skippedPod(WritableKeyPath<Inventory.Skipped, Int>)
}

private func decode(
    _ document: Document, _ kind: ObjectKind.Inventory, _ options: InventoryOptions, _ names: inout NameRegister,
    _ diagnostics: inout DiagnosticsCollector
) -> Finding? {
    switch kind {
    case .weirEndpoint: return decodeWeirEndpoint(document, options, &names, &diagnostics).map(Finding.endpoint)
    case .weirNode: return decodeWeirNode(document, &names, &diagnostics).map(Finding.node)
    case .pod, .namespace, .node, .service, .endpointSlice, .ciliumNode: break
    }
    let object = document.cursor
    let isNamespaced = [.pod, .service, .endpointSlice].contains(kind)
    let metadata = Metadata(
        of: object, defaultNamespace: isNamespaced ? options.defaultNamespace : nil, diagnostics: &diagnostics)
    guard let metadata else { return nil }
    names.add(kind == .pod ? "Endpoint" : document.kind, metadata, &diagnostics)
    switch kind {
    case .pod: return decodePod(object, metadata, &diagnostics)
    case .namespace: return .namespace(name: metadata.name, labels: metadata.labelDictionary)
    case .node: return .node(decodeNode(object, metadata, &diagnostics))
    case .ciliumNode: return .node(decodeCiliumNode(object, metadata, &diagnostics))
    case .service: return .service(decodeService(object, metadata, &diagnostics))
    case .endpointSlice: return .endpointSlice(decodeEndpointSlice(object, metadata, &diagnostics))
    case .weirEndpoint, .weirNode: return nil
    }
}

extension Metadata {
    var labelDictionary: [String: String] {
        Dictionary(labels.map { ($0.key.text, $0.value) }) { first, _ in first }
    }
}
