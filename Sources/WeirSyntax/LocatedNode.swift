package import WeirDiagnostics

/// A YAML or JSON value that knows where it is written. Lines and columns count from 1,
/// columns in Unicode scalars.
package struct LocatedNode: Hashable, Sendable {
    package enum Content: Hashable, Sendable {
        case scalar(Scalar)
        case sequence([LocatedNode])
        /// In the order of the text; keys are distinct.
        case mapping([Entry])
    }

    /// One key of a mapping with its value.
    package struct Entry: Hashable, Sendable {
        package let key: String
        let keyPosition: Position
        package let value: LocatedNode

        init(key: String, at position: Position, value: LocatedNode) {
            self.key = key
            self.keyPosition = position
            self.value = value
        }

        package func keyLocation(in path: String) -> SourceLocation { keyPosition.location(in: path) }
    }

    /// Four bytes each: a large inventory holds millions of these.
    struct Position: Hashable, Sendable {
        let line: UInt32
        let column: UInt32

        func location(in path: String) -> SourceLocation {
            SourceLocation(path: path, line: Int(line), column: Int(column))
        }
    }

    package let content: Content
    let position: Position

    init(_ content: Content, at position: Position) {
        self.content = content
        self.position = position
    }

    package var line: Int { Int(position.line) }
    package var column: Int { Int(position.column) }

    package func location(in path: String) -> SourceLocation { position.location(in: path) }

    /// The value under a key; nil also where this is no mapping.
    package subscript(key: String) -> LocatedNode? { entry(key)?.value }

    package func entry(_ key: String) -> Entry? {
        guard case .mapping(let entries) = content else { return nil }
        return entries.first { $0.key == key }
    }

    /// `null`, `~` or nothing at all. Kubernetes treats a field with such a value as missing.
    package var isNull: Bool {
        guard case .scalar(let scalar) = content else { return false }
        return scalar.value == .null
    }
}

extension LocatedNode {
    /// What a message says this is: `the number 80`, `a list`.
    package var summary: String {
        switch content {
        case .sequence: return "a list"
        case .mapping: return "an object"
        case .scalar(let scalar):
            switch scalar.value {
            case .null: return "no value"
            case .boolean: return "the boolean \(scalar.excerpt)"
            case .integer, .number: return "the number \(scalar.excerpt)"
            case .string: return "the text \"\(scalar.excerpt)\""
            }
        }
    }
}
