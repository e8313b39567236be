internal import WeirDiagnostics

/// Builds located trees from events with an explicit stack: limits are checked as the tree grows,
/// never after.
struct Composer {
    private let path: String
    private let limits: SyntaxLimits

    private var stack: [Collection] = []
    private var anchors: [String: Anchored] = [:]
    private var aliasedNodes = 0
    private var root: LocatedNode?
    private(set) var diagnostics: [Diagnostic] = []

    init(path: String, limits: SyntaxLimits) {
        self.path = path
        self.limits = limits
    }

    /// A collection whose end has not come yet.
    private struct Collection {
        var position: LocatedNode.Position
        var anchor: String?
        var isMapping: Bool
        var items: [LocatedNode] = []
        var entries: [LocatedNode.Entry] = []
        /// Filled from `indexedFrom` entries on; below that a scan is cheaper.
        var keys: [String: LocatedNode.Position] = [:]
        var pendingKey: (text: String, position: LocatedNode.Position, isMerge: Bool)?
        var merged: [LocatedNode] = []
        var nodeCount = 1
        /// How many levels are below this one so far.
        var height = 0
    }

    private static let indexedFrom = 24

    private struct Anchored {
        var node: LocatedNode
        var nodeCount: Int
        var height: Int
    }

    /// A problem after which the rest of the file means nothing.
    private struct Abandoned: Error {
        var diagnostic: Diagnostic
        init(_ id: DiagnosticID, _ message: String, at location: SourceLocation) {
            diagnostic = Diagnostic(.error, id, message, at: location)
        }
    }

    /// The roots of all documents up to the first syntax error, empty ones left out.
    mutating func compose(_ bytes: ArraySlice<UInt8>) -> [LocatedNode] {
        var roots: [LocatedNode] = []
        var composer = self
        withYAMLEvents(of: bytes) { next in
            do {
                while true {
                    let (event, position) = try next()
                    if case .streamEnd = event { break }
                    if let root = try composer.take(event, at: position), !root.isNull { roots.append(root) }
                }
            } catch let error as YAMLSyntaxError {
                composer.report(error)
            } catch let error as Abandoned {
                composer.diagnostics.append(error.diagnostic)
            } catch {}
        }
        self = composer
        return roots
    }

    private mutating func report(_ error: YAMLSyntaxError) {
        var notes: [Diagnostic.Note] = []
        if let context = error.context, let position = error.contextPosition, position != error.position {
            notes.append(Diagnostic.Note(context, at: position.location(in: path)))
        }
        diagnostics.append(
            Diagnostic(
                .error, error.isTooDeep ? .nestingTooDeep : .syntax, error.message,
                at: error.position.location(in: path), notes: notes))
    }

    /// Returns the root when a document ends.
    private mutating func take(_ event: YAMLEvent, at position: LocatedNode.Position) throws -> LocatedNode? {
        switch event {
        case .documentStart:
            anchors = [:]
            aliasedNodes = 0
            root = nil
        case .documentEnd:
            return root
        case .scalar(let scalar, let anchor, let tag):
            let node = LocatedNode(.scalar(try apply(tag, to: scalar, at: position)), at: position)
            try add(Anchored(node: node, nodeCount: 1, height: 0), anchor: anchor)
        case .alias(let name):
            guard let target = anchors[name] else {
                throw Abandoned(.syntax, "the alias *\(name) has no anchor before it", at: position.location(in: path))
            }
            try spend(target.nodeCount, at: position)
            guard stack.count + target.height <= limits.nesting else { throw tooDeep(at: position) }
            // The use is the place that a message about the whole value should name.
            let node = LocatedNode(target.node.content, at: position)
            try add(Anchored(node: node, nodeCount: target.nodeCount, height: target.height), anchor: nil)
        case .sequenceStart(let anchor):
            try open(Collection(position: position, anchor: anchor, isMapping: false))
        case .mappingStart(let anchor):
            try open(Collection(position: position, anchor: anchor, isMapping: true))
        case .collectionEnd:
            try close()
        case .streamEnd:
            break
        }
        return nil
    }

    private func apply(_ tag: String?, to scalar: Scalar, at position: LocatedNode.Position) throws -> Scalar {
        switch tag {
        case nil: return scalar
        case "tag:yaml.org,2002:str": return Scalar(scalar.text, isPlain: false)
        case "tag:yaml.org,2002:int", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:null", "tag:yaml.org,2002:float":
            return Scalar(scalar.text, isPlain: true)
        case .some(let tag):
            throw Abandoned(.syntax, "the tag \(tag) has no meaning here", at: position.location(in: path))
        }
    }

    private mutating func spend(_ nodes: Int, at position: LocatedNode.Position) throws {
        aliasedNodes += nodes
        guard aliasedNodes <= limits.aliasedNodes else {
            throw Abandoned(
                .aliasExpansion, "aliases expand to more than \(limits.aliasedNodes) values",
                at: position.location(in: path))
        }
    }

    private func tooDeep(at position: LocatedNode.Position) -> Abandoned {
        Abandoned(
            .nestingTooDeep, "nested deeper than \(limits.nesting) levels", at: position.location(in: path))
    }

    private mutating func open(_ collection: Collection) throws {
        guard stack.count < limits.nesting else { throw tooDeep(at: collection.position) }
        if !stack.isEmpty, stack[stack.count - 1].isMapping, stack[stack.count - 1].pendingKey == nil {
            throw Abandoned(.syntax, "a key must be a scalar", at: collection.position.location(in: path))
        }
        stack.append(collection)
    }

    private mutating func close() throws {
        guard let collection = stack.popLast() else { return }
        var entries = collection.entries
        var nodeCount = collection.nodeCount
        for node in collection.merged {
            guard case .mapping(let merged) = node.content else { continue }
            for entry in merged where !entries.contains(where: { $0.key == entry.key }) {
                nodeCount += 1
                entries.append(entry)
            }
        }
        let content: LocatedNode.Content = collection.isMapping ? .mapping(entries) : .sequence(collection.items)
        let node = LocatedNode(content, at: collection.position)
        try add(
            Anchored(node: node, nodeCount: nodeCount, height: collection.height + 1), anchor: collection.anchor)
    }

    private mutating func add(_ new: Anchored, anchor: String?) throws {
        if let anchor { anchors[anchor] = new }
        guard !stack.isEmpty else {
            root = new.node
            return
        }
        let top = stack.count - 1
        stack[top].nodeCount += new.nodeCount
        stack[top].height = max(stack[top].height, new.height)
        guard stack[top].isMapping else {
            stack[top].items.append(new.node)
            return
        }
        guard let key = stack[top].pendingKey else {
            guard case .scalar(let scalar) = new.node.content else {
                throw Abandoned(.syntax, "a key must be a scalar", at: new.node.location(in: path))
            }
            stack[top].pendingKey = (scalar.text, new.node.position, scalar.isPlain && scalar.text == "<<")
            return
        }
        stack[top].pendingKey = nil
        if key.isMerge {
            try merge(new.node, into: top)
        } else if let first = place(of: key.text, in: stack[top]) {
            diagnostics.append(
                Diagnostic(
                    .error, .duplicateKey, "the key \"\(Scalar(key.text, isPlain: true).excerpt)\" is here twice",
                    at: key.position.location(in: path),
                    notes: [Diagnostic.Note("the first is here", at: first)]))
        } else {
            append(LocatedNode.Entry(key: key.text, at: key.position, value: new.node), keyAt: key.position, to: top)
        }
    }

    private func place(of key: String, in collection: Collection) -> SourceLocation? {
        if collection.keys.isEmpty {
            return collection.entries.first { $0.key == key }?.keyLocation(in: path)
        }
        return collection.keys[key]?.location(in: path)
    }

    private mutating func append(_ entry: LocatedNode.Entry, keyAt position: LocatedNode.Position, to top: Int) {
        stack[top].entries.append(entry)
        let count = stack[top].entries.count
        if count == Self.indexedFrom {
            for earlier in stack[top].entries {
                stack[top].keys[earlier.key] = earlier.keyPosition
            }
        } else if count > Self.indexedFrom {
            stack[top].keys[entry.key] = position
        }
    }

    /// `<<: *defaults` or `<<: [*a, *b]`: keys written out win, then the earlier mapping.
    private mutating func merge(_ node: LocatedNode, into top: Int) throws {
        let sources: [LocatedNode]
        switch node.content {
        case .sequence(let items): sources = items
        default: sources = [node]
        }
        for source in sources {
            guard case .mapping = source.content else {
                throw Abandoned(.syntax, "<< takes a mapping or a list of mappings", at: source.location(in: path))
            }
        }
        stack[top].merged += sources
    }
}
