package import WeirDiagnostics

/// One Kubernetes object: `apiVersion`, `kind` and the tree below. Lists are already taken apart.
package struct Document: Hashable, Sendable {
    package let path: String
    package let apiVersion: String
    package let kind: String
    /// Always a mapping.
    package let root: LocatedNode

    /// The API group; empty for `v1`.
    package var group: String {
        guard let slash = apiVersion.firstIndex(of: "/") else { return "" }
        return String(apiVersion[..<slash])
    }

    package var version: String {
        guard let slash = apiVersion.firstIndex(of: "/") else { return apiVersion }
        return String(apiVersion[apiVersion.index(after: slash)...])
    }

    package var location: SourceLocation { root.location(in: path) }

    /// Where the kind is written, else where the object begins (an item of a `PodList` need not repeat it).
    package var kindLocation: SourceLocation { (root["kind"] ?? root).location(in: path) }

    package var cursor: Cursor { Cursor(path: path, name: kind, node: root) }
}

/// Gives `body` all objects of an input, each as soon as it is read. `List` and `*List` are flattened, empty
/// documents left out.
///
/// After an error in the syntax the objects before it were given, so that their problems are found too.
package func readDocuments(
    from stream: inout SourceStream, limits: SyntaxLimits = SyntaxLimits(), diagnostics: inout DiagnosticsCollector,
    _ body: (Document, inout DiagnosticsCollector) -> Void
) {
    let path = stream.path
    var composer = Composer(path: path, limits: limits)
    // Items that lack a kind, of a list that has not told its own yet.
    var waiting: [LocatedNode] = []
    composer.compose({ () throws(InputFailure) in try stream.next() }) { composed in
        switch composed {
        case .item(let node, let list):
            if list.apiVersion != nil && list.kind != nil || node["apiVersion"] != nil && node["kind"] != nil {
                flatten(node, path: path, of: list, &diagnostics, body)
            } else {
                waiting.append(node)
            }
        case .document(let root, withoutItems: true):
            guard let list = header(of: root, path: path, &diagnostics) else { break }
            if list.kind?.hasSuffix("List") == true {
                for node in waiting { flatten(node, path: path, of: list, &diagnostics, body) }
            } else {
                diagnostics.error(
                    .wrongType, "items belong to a List, not to \(list.kind ?? ""); write kind above them",
                    at: (root.entry("items")?.value ?? root).location(in: path))
            }
            waiting = []
        case .document(let root, withoutItems: false):
            flatten(root, path: path, of: nil, &diagnostics, body)
        }
    }
    diagnostics.append(contentsOf: composer.diagnostics)
}

/// All objects of a file, in order.
package func parseDocuments(
    _ source: SourceFile, limits: SyntaxLimits = SyntaxLimits(), diagnostics: inout DiagnosticsCollector
) -> [Document] {
    var stream = SourceStream(source)
    var documents: [Document] = []
    readDocuments(from: &stream, limits: limits, diagnostics: &diagnostics) { document, _ in
        documents.append(document)
    }
    return documents
}

/// The objects of several files, in order.
package func parseDocuments(
    _ sources: [SourceFile], limits: SyntaxLimits = SyntaxLimits(), diagnostics: inout DiagnosticsCollector
) -> [Document] {
    var documents: [Document] = []
    for source in sources {
        documents += parseDocuments(source, limits: limits, diagnostics: &diagnostics)
    }
    return documents
}

/// `apiVersion` and `kind`, which every object has, or takes from the list that it is an item of.
private func header(
    of node: LocatedNode, path: String, in list: ListHeader? = nil, _ diagnostics: inout DiagnosticsCollector
) -> ListHeader? {
    let cursor = Cursor(path: path, name: "document", node: node)
    guard case .mapping = node.content else {
        diagnostics.error(
            .notAnObject, "a document must be an object with apiVersion and kind, not \(node.summary)",
            at: cursor.location)
        return nil
    }
    func member(_ name: String, inherited: String?) -> String? {
        if let cursor = cursor[name] { return cursor.string(&diagnostics) }
        if let inherited { return inherited }
        diagnostics.error(.missingField, "the object has no \(name)", at: cursor.location)
        return nil
    }
    // The items of a PodList are Pods; those of a List are anything.
    let itemKind = list?.kind.flatMap { $0.hasSuffix("List") && $0 != "List" ? String($0.dropLast(4)) : nil }
    let apiVersion = member("apiVersion", inherited: itemKind == nil ? nil : list?.apiVersion)
    let kind = member("kind", inherited: itemKind)
    guard let apiVersion, let kind else { return nil }
    return ListHeader(apiVersion: apiVersion, kind: kind)
}

/// Gives `body` the object, or what a list holds. Recursion is bounded: a list in a list is four levels deeper, and
/// nesting is limited.
private func flatten(
    _ node: LocatedNode, path: String, of list: ListHeader?, _ diagnostics: inout DiagnosticsCollector,
    _ body: (Document, inout DiagnosticsCollector) -> Void
) {
    guard let header = header(of: node, path: path, in: list, &diagnostics),
        let apiVersion = header.apiVersion, let kind = header.kind
    else { return }
    guard kind.hasSuffix("List"), node.entry("items") != nil else {
        return body(Document(path: path, apiVersion: apiVersion, kind: kind, root: node), &diagnostics)
    }
    // `items: null` is how Go prints an empty list.
    let items = Cursor(path: path, name: "document", node: node)["items"]?.list(&diagnostics) ?? []
    for item in items { flatten(item.node, path: path, of: header, &diagnostics, body) }
}
