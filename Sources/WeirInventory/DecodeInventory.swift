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

/// What the documents say about pods, nodes and services, one at a time: a document may be forgotten once it is added.
///
/// Policies and other API groups are counted as skipped. Every problem of every document is reported, and a document
/// with an error contributes nothing. The result does not depend on the order of the documents.
package struct InventoryDecoder {
    private let options: InventoryOptions
    private var assembly: Assembly
    private var names = NameRegister()
    private var isSound = true
    /// How many documents of other kinds there were.
    package private(set) var otherKinds: [String: Int] = [:]

    package init(options: InventoryOptions = InventoryOptions()) {
        self.options = options
        assembly = Assembly(options: options)
    }

    package mutating func add(_ document: Document, diagnostics: inout DiagnosticsCollector) {
        switch ObjectKind(of: document) {
        case .policy, .foreign:
            assembly.skipped.otherDocuments += 1
            otherKinds[document.kind, default: 0] += 1
        case .expectations: break
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

    /// Checks what only shows over all documents. No document at all is an empty cluster.
    package consuming func finish(diagnostics: inout DiagnosticsCollector) -> Inventory {
        assembly.finish(documentsAreSound: isSound, &diagnostics)
    }
}

/// The inventory of documents that are all there.
package func decodeInventory(
    _ documents: some Sequence<Document>, options: InventoryOptions = InventoryOptions(),
    diagnostics: inout DiagnosticsCollector
) -> Inventory {
    var decoder = InventoryDecoder(options: options)
    for document in documents { decoder.add(document, diagnostics: &diagnostics) }
    return decoder.finish(diagnostics: &diagnostics)
}

/// What one document contributes.
enum Finding {
    case endpoint(EndpointDraft)
    case node(NodeDraft)
    case namespace(name: String, labels: [String: String])
    case service(ServiceDraft)
    case endpointSlice(EndpointSliceDraft)
    case kubeAPIServer([LocatedAddress])
    case skippedPod(WritableKeyPath<Inventory.Skipped, Int>)
}

private func decode(
    _ document: Document, _ kind: ObjectKind.Inventory, _ options: InventoryOptions, _ names: inout NameRegister,
    _ diagnostics: inout DiagnosticsCollector
) -> Finding? {
    switch kind {
    case .weirEndpoint: return decodeWeirEndpoint(document, options, &names, &diagnostics).map(Finding.endpoint)
    case .weirNode: return decodeWeirNode(document, &names, &diagnostics).map(Finding.node)
    case .weirNamespace: return decodeWeirNamespace(document, &names, &diagnostics)
    case .weirService: return decodeWeirService(document, options, &names, &diagnostics).map(Finding.service)
    case .weirKubeAPIServer:
        return decodeWeirKubeAPIServer(document, &names, &diagnostics).map(Finding.kubeAPIServer)
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
    case .weirEndpoint, .weirKubeAPIServer, .weirNamespace, .weirNode, .weirService: return nil
    }
}

extension Metadata {
    var labelDictionary: [String: String] {
        Dictionary(labels.map { ($0.key.text, $0.value) }) { first, _ in first }
    }
}
