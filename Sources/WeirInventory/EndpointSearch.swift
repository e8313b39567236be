package import WeirDiagnostics
package import WeirModel
package import WeirSyntax

/// What documents say of one endpoint, whether or not it has an address yet: a pod that is about to start has none.
///
/// Other documents are not looked at, sound or not. A pod that has ended is another one of the same name.
package struct EndpointSearch {
    private let namespace: String
    private let name: String
    private let options: InventoryOptions
    private var names = NameRegister()
    /// nil where no document has the endpoint.
    package private(set) var found: EndpointDescription?

    package init(namespace: String, name: String, options: InventoryOptions = InventoryOptions()) {
        self.namespace = namespace
        self.name = name
        self.options = options
    }

    package mutating func add(_ document: Document, diagnostics: inout DiagnosticsCollector) {
        guard case .inventory(let kind) = ObjectKind(of: document), kind == .pod || kind == .weirEndpoint else {
            return
        }
        var findings = DiagnosticsCollector()
        let object = document.cursor
        let metadata = Metadata(of: object, defaultNamespace: options.defaultNamespace, diagnostics: &findings)
        guard let metadata, metadata.name == name, metadata.namespace == namespace else { return }
        if kind == .weirEndpoint {
            guard let draft = decodeWeirEndpoint(document, options, &names, &findings) else {
                diagnostics.append(contentsOf: findings.all)
                return
            }
            found = EndpointDescription(
                labels: draft.labels, serviceAccount: draft.serviceAccount, ports: draft.ports)
        } else {
            if let phase = object["status"]?["phase"]?.string(&findings), phase == "Succeeded" || phase == "Failed" {
                return
            }
            names.add("Endpoint", metadata, &findings)
            let spec = object["spec"]
            found = EndpointDescription(
                labels: metadata.labelDictionary.filter { !isDerivedLabel($0.key) },
                serviceAccount: decodeServiceAccount(spec, &findings),
                ports: decodeContainerPorts(spec?["containers"], &findings))
        }
        diagnostics.append(contentsOf: findings.all)
    }
}
