internal import WeirDiagnostics

/// What a composer has finished.
enum Composed {
    /// An item of a list, while the list goes on; with what is known of the list so far.
    case item(LocatedNode, of: ListHeader)
    /// A whole document; its `items` are empty where they were given out before.
    case document(LocatedNode, withoutItems: Bool)
}

/// What a list says about its items, if it does so as strings.
struct ListHeader {
    var apiVersion: String?
    var kind: String?

    init(apiVersion: String, kind: String) {
        self.apiVersion = apiVersion
        self.kind = kind
    }

    init(_ entries: [LocatedNode.Entry]) {
        func text(_ key: String) -> String? {
            guard case .scalar(let scalar) = entries.first(where: { $0.key == key })?.value.content,
                scalar.value == .string
            else { return nil }
            return scalar.text
        }
        apiVersion = text("apiVersion")
        kind = text("kind")
    }
}

/// Builds located trees from events with an explicit stack: limits are checked as the tree grows,
/// never after.
struct Composer {
    private let path: String
    private let limits: SyntaxLimits

    private var stack: [Collection] = []
    private var anchors: [String: Anchored] = [:]
    private var aliasedNodes = 0
    private var root: LocatedNode?
    private var itemsWereEmitted = false
    private var complete: [Composed] = []
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
        /// The items are documents of their own and are not kept.
        var emitsItems = false
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

    /// Gives `emit` each document, and each item of a list at the root of one, as soon as it is complete, up to the
    /// first error; empty documents are left out.
    mutating func compose(
        _ nextPiece: () throws(InputFailure) -> [UInt8]?, _ emit: (Composed) -> Void
    ) {
        var composer = self
        withYAMLEvents(reading: nextPiece) { next in
            do throws(YAMLFailure) {
                while true {
                    let (event, position) = try next()
                    if case .streamEnd = event { break }
                    do throws(Abandoned) {
                        try composer.take(event, at: position)
                    } catch {
                        composer.diagnostics.append(error.diagnostic)
                        break
                    }
                    for composed in composer.complete { emit(composed) }
                    composer.complete.removeAll(keepingCapacity: true)
                }
            } catch {
                switch error {
                case .syntax(let error): composer.report(error)
                case .input(let failure): composer.diagnostics.append(failure.diagnostic)
                }
            }
        }
        self = composer
    }

    private mutating func report(_ error: YAMLSyntaxError) {
        var notes: [Diagnostic.Note] = []
        if let context = error.context, let position = error.contextPosition, position != error.position {
            notes.append(Diagnostic.Note(context, at: position.location(in: path)))
        }
        diagnostics.append(
            Diagnostic(.error, error.id, error.message, at: error.position.location(in: path), notes: notes))
    }

    private mutating func take(_ event: YAMLEvent, at position: LocatedNode.Position) throws(Abandoned) {
        switch event {
        case .documentStart:
            anchors = [:]
            aliasedNodes = 0
            root = nil
            itemsWereEmitted = false
        case .documentEnd:
            if let root, !root.isNull { complete.append(.document(root, withoutItems: itemsWereEmitted)) }
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
    }

    private func apply(_ tag: String?, to scalar: Scalar, at position: LocatedNode.Position) throws(Abandoned) -> Scalar
    {
        switch tag {
        case nil: return scalar
        case "tag:yaml.org,2002:str": return Scalar(scalar.text, isPlain: false)
        case "tag:yaml.org,2002:int", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:null", "tag:yaml.org,2002:float":
            return Scalar(scalar.text, isPlain: true)
        case .some(let tag):
            throw Abandoned(.syntax, "the tag \(tag) has no meaning here", at: position.location(in: path))
        }
    }

    private mutating func spend(_ nodes: Int, at position: LocatedNode.Position) throws(Abandoned) {
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

    private mutating func open(_ collection: Collection) throws(Abandoned) {
        guard stack.count < limits.nesting else { throw tooDeep(at: collection.position) }
        if !stack.isEmpty, stack[stack.count - 1].isMapping, stack[stack.count - 1].pendingKey == nil {
            throw Abandoned(.syntax, "a key must be a scalar", at: collection.position.location(in: path))
        }
        stack.append(collection)
        if isListOfObjects(collection) {
            stack[stack.count - 1].emitsItems = true
            itemsWereEmitted = true
        }
    }

    /// Whether an opened collection is `items` at the root of a list, as far as can be known: kubectl writes `kind`
    /// below the items. An anchor would need the list later.
    private func isListOfObjects(_ collection: Collection) -> Bool {
        guard stack.count == 2, !collection.isMapping, collection.anchor == nil, stack[0].isMapping,
            let key = stack[0].pendingKey, key.text == "items", !key.isMerge,
            place(of: "items", in: 0) == nil
        else { return false }
        return ListHeader(stack[0].entries).kind?.hasSuffix("List") ?? true
    }

    private mutating func close() throws(Abandoned) {
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

    private mutating func add(_ new: Anchored, anchor: String?) throws(Abandoned) {
        if let anchor { anchors[anchor] = new }
        guard !stack.isEmpty else {
            root = new.node
            return
        }
        let top = stack.count - 1
        stack[top].nodeCount += new.nodeCount
        stack[top].height = max(stack[top].height, new.height)
        guard stack[top].isMapping else {
            if stack[top].emitsItems {
                complete.append(.item(new.node, of: ListHeader(stack[0].entries)))
            } else {
                stack[top].items.append(new.node)
            }
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
        } else if let first = place(of: key.text, in: top) {
            diagnostics.append(
                Diagnostic(
                    .error, .duplicateKey, "the key \"\(Scalar(key.text, isPlain: true).excerpt)\" is here twice",
                    at: key.position.location(in: path),
                    notes: [Diagnostic.Note("the first is here", at: first)]))
        } else {
            append(LocatedNode.Entry(key: key.text, at: key.position, value: new.node), keyAt: key.position, to: top)
        }
    }

    /// Where the mapping at this depth has a key.
    private func place(of key: String, in depth: Int) -> SourceLocation? {
        if stack[depth].keys.isEmpty {
            return stack[depth].entries.first { $0.key == key }?.keyLocation(in: path)
        }
        return stack[depth].keys[key]?.location(in: path)
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
    private mutating func merge(_ node: LocatedNode, into top: Int) throws(Abandoned) {
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
