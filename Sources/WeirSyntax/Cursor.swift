package import WeirDiagnostics

/// A value on its way to a type. Each reading either returns it or reports why not, at its place,
/// and returns nil; the reader goes on, so that one run finds every problem.
package struct Cursor: Sendable {
    package let path: String
    /// The field or list that the value belongs to, for messages.
    package let name: String
    package let node: LocatedNode

    package init(path: String, name: String, node: LocatedNode) {
        self.path = path
        self.name = name
        self.node = node
    }

    package var location: SourceLocation { node.location(in: path) }

    /// The value of a key, for objects whose other keys do not matter. Null counts as missing, as in Kubernetes.
    package subscript(key: String) -> Cursor? {
        guard let value = node[key], !value.isNull else { return nil }
        return Cursor(path: path, name: key, node: value)
    }

    package func wrongType(_ expected: String, _ diagnostics: inout DiagnosticsCollector) {
        var message = "\(name) must be \(expected), not \(node.summary)"
        if expected == "a string", case .scalar(let scalar) = node.content, scalar.value != .null {
            message += "; quote it: \"\(scalar.excerpt)\""
        }
        diagnostics.error(.wrongType, message, at: location)
    }

    package func string(_ diagnostics: inout DiagnosticsCollector) -> String? {
        guard case .scalar(let scalar) = node.content, scalar.value == .string else {
            wrongType("a string", &diagnostics)
            return nil
        }
        return scalar.text
    }

    package func integer(_ diagnostics: inout DiagnosticsCollector) -> Int? {
        guard case .scalar(let scalar) = node.content, case .integer(let value) = scalar.value else {
            wrongType("an integer", &diagnostics)
            return nil
        }
        return value
    }

    package func boolean(_ diagnostics: inout DiagnosticsCollector) -> Bool? {
        guard case .scalar(let scalar) = node.content, case .boolean(let value) = scalar.value else {
            wrongType("true or false", &diagnostics)
            return nil
        }
        return value
    }

    /// The items of a list; messages call each `an item of` the list.
    package func list(_ diagnostics: inout DiagnosticsCollector) -> [Cursor]? {
        guard case .sequence(let items) = node.content else {
            wrongType("a list", &diagnostics)
            return nil
        }
        let itemName = "an item of \(name)"
        return items.map { Cursor(path: path, name: itemName, node: $0) }
    }

    /// A list of strings; nil if any item is not one.
    package func strings(_ diagnostics: inout DiagnosticsCollector) -> [Cursor.Text]? {
        guard let items = list(&diagnostics) else { return nil }
        let texts = items.map { item in
            item.string(&diagnostics).map { Text(text: $0, location: item.location) }
        }
        let found = texts.compactMap(\.self)
        return found.count == texts.count ? found : nil
    }

    /// A string with its place.
    package struct Text: Hashable, Sendable {
        package let text: String
        package let location: SourceLocation

        package init(text: String, location: SourceLocation) {
            self.text = text
            self.location = location
        }
    }

    /// An object, with its keys to be accounted for.
    package func fields(_ diagnostics: inout DiagnosticsCollector) -> Fields? {
        guard case .mapping(let entries) = node.content else {
            wrongType("an object", &diagnostics)
            return nil
        }
        return Fields(path: path, name: name, location: location, entries: entries)
    }

    /// An object whose keys are the user's own, such as labels.
    package func members(_ diagnostics: inout DiagnosticsCollector) -> [(key: Text, value: Cursor)]? {
        guard case .mapping(let entries) = node.content else {
            wrongType("an object", &diagnostics)
            return nil
        }
        return entries.map { entry in
            (
                Text(text: entry.key, location: entry.keyLocation(in: path)),
                Cursor(path: path, name: entry.key, node: entry.value)
            )
        }
    }
}

/// The keys of an object, each to be asked for once; what nobody asked for is an error.
package struct Fields: Sendable {
    package let path: String
    package let name: String
    package let location: SourceLocation
    private let entries: [LocatedNode.Entry]
    private var known: [String] = []

    init(path: String, name: String, location: SourceLocation, entries: [LocatedNode.Entry]) {
        self.path = path
        self.name = name
        self.location = location
        self.entries = entries
    }

    private func entry(_ name: String) -> LocatedNode.Entry? { entries.first { $0.key == name } }

    /// Null counts as missing, as in Kubernetes.
    package mutating func optional(_ name: String) -> Cursor? {
        known.append(name)
        guard let value = entry(name)?.value, !value.isNull else { return nil }
        return Cursor(path: path, name: name, node: value)
    }

    package mutating func required(_ name: String, _ diagnostics: inout DiagnosticsCollector) -> Cursor? {
        if let cursor = optional(name) { return cursor }
        diagnostics.error(
            .missingField, "\(self.name) needs the field \(name)", at: keyLocation(of: name) ?? location)
        return nil
    }

    /// Where a key is written, also where its value is null.
    package func keyLocation(of name: String) -> SourceLocation? { entry(name)?.keyLocation(in: path) }

    /// Written, but without a value.
    package func isNull(_ name: String) -> Bool { entry(name)?.value.isNull == true }

    /// Names that may be there and mean nothing to us.
    package mutating func ignore(_ names: String...) { known += names }

    /// Reports every key that was neither asked for nor ignored, with the nearest known name.
    package func reportUnknown(_ diagnostics: inout DiagnosticsCollector) {
        for entry in entries where !known.contains(entry.key) {
            let place = entry.keyLocation(in: path)
            let key = Scalar(entry.key, isPlain: true).excerpt
            var message = "\(name) has no field \"\(key)\""
            if let nearest = nearestName(to: entry.key, among: known) { message += "; did you mean \(nearest)?" }
            diagnostics.error(.unknownField, message, at: place)
        }
    }
}
