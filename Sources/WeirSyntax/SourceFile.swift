/// One input, read whole: a file, or stdin under the name `-`.
package struct SourceFile: Hashable, Sendable {
    /// As the user wrote it, or found below the directory the user wrote.
    package let path: String
    package let bytes: [UInt8]

    package init(path: String, bytes: [UInt8]) {
        self.path = path
        self.bytes = bytes
    }

    package init(path: String, text: String) { self.init(path: path, bytes: Array(text.utf8)) }
}

/// What an input may ask of us at most; an input beyond a limit is refused with its location.
package struct SyntaxLimits: Hashable, Sendable {
    /// Mappings and sequences inside each other. Policies need about 8, a Pod about 14.
    package var nesting: Int
    /// Nodes that aliases and merge keys may add to a document, over those that are written out.
    package var aliasedNodes: Int

    package init(nesting: Int = 64, aliasedNodes: Int = 1_000_000) {
        self.nesting = nesting
        self.aliasedNodes = aliasedNodes
    }
}
