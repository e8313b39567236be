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

/// All objects of a file, in order. `List` and `*List` are flattened, empty documents left out.
///
/// After a syntax error the objects before it are returned, so that their problems are found too.
package func parseDocuments(
    _ source: SourceFile, limits: SyntaxLimits = SyntaxLimits(), diagnostics: inout DiagnosticsCollector
) -> [Document] {
    var bytes = source.bytes[...]
    if bytes.starts(with: [0xef, 0xbb, 0xbf]) { bytes = bytes.dropFirst(3) }
    do {
        _ = try UTF8Span(validating: bytes.span)
    } catch {
        let offset = bytes.startIndex + error.byteOffsets.lowerBound
        let place = position(ofByte: offset, in: source.bytes)
        let byte = String(source.bytes[offset], radix: 16)
        diagnostics.error(
            .invalidUTF8, "byte \(offset) (0x\(byte)) is not UTF-8", at: place.location(in: source.path))
        return []
    }
    var composer = Composer(path: source.path, limits: limits)
    let roots = composer.compose(bytes)
    diagnostics.append(contentsOf: composer.diagnostics)
    var documents: [Document] = []
    for root in roots {
        collect(root, path: source.path, inherited: nil, into: &documents, &diagnostics)
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

/// Recursion is bounded: a list in a list is four levels deeper, and nesting is limited.
private func collect(
    _ node: LocatedNode, path: String, inherited: (apiVersion: String, kind: String)?,
    into documents: inout [Document], _ diagnostics: inout DiagnosticsCollector
) {
    let cursor = Cursor(path: path, name: "document", node: node)
    guard case .mapping = node.content else {
        diagnostics.error(
            .notAnObject, "a document must be an object with apiVersion and kind, not \(node.summary)",
            at: cursor.location)
        return
    }
    func member(_ name: String, inherited: String?) -> String? {
        if let cursor = cursor[name] { return cursor.string(&diagnostics) }
        if let inherited { return inherited }
        diagnostics.error(.missingField, "the object has no \(name)", at: cursor.location)
        return nil
    }
    let apiVersion = member("apiVersion", inherited: inherited?.apiVersion)
    let kind = member("kind", inherited: inherited?.kind)
    guard let apiVersion, let kind else { return }
    guard kind.hasSuffix("List"), let items = cursor["items"] else {
        // `items: null` is how Go prints an empty list.
        if kind.hasSuffix("List"), node.entry("items") != nil { return }
        documents.append(Document(path: path, apiVersion: apiVersion, kind: kind, root: node))
        return
    }
    let itemKind = String(kind.dropLast(4))
    for item in items.list(&diagnostics) ?? [] {
        collect(
            item.node, path: path, inherited: itemKind.isEmpty ? nil : (apiVersion, itemKind), into: &documents,
            &diagnostics)
    }
}
