/// A document before it is text. Mappings may have a key twice, as texts may.
indirect enum Tree: Sendable {
    case null
    case bool(Bool)
    /// Digits as they shall be written, of any size.
    case number(String)
    case text(String)
    case list([Tree])
    case map([(key: String, value: Tree)])
    /// A value with an anchor, and a place that repeats it. JSON has neither: there both are the value alone.
    case anchored(String, Tree)
    case alias(String)

    static func object(_ members: (String, Tree?)...) -> Tree {
        .map(members.compactMap { key, value in value.map { (key: key, value: $0) } })
    }

    static func strings(_ texts: [String]) -> Tree { .list(texts.map(Tree.text)) }
    static func labels(_ labels: [String: String]) -> Tree {
        .map(labels.sorted { $0.key < $1.key }.map { (key: $0.key, value: .text($0.value)) })
    }

    /// Itself and everything below.
    var size: Int {
        switch self {
        case .list(let items): items.reduce(1) { $0 + $1.size }
        case .map(let members): members.reduce(1) { $0 + $1.value.size }
        case .anchored(_, let value): 1 + value.size
        default: 1
        }
    }

    /// The value at a position of the walk that `size` counts.
    subscript(position: Int) -> Tree {
        get {
            var copy = self
            var found = self
            copy.change(at: position) { found = $0 }
            return found
        }
        set { change(at: position) { $0 = newValue } }
    }

    mutating func change(at position: Int, _ body: (inout Tree) -> Void) {
        var remaining = position
        change(&remaining, body)
    }

    private mutating func change(_ remaining: inout Int, _ body: (inout Tree) -> Void) {
        if remaining == 0 { body(&self) }
        remaining -= 1
        guard remaining >= 0 else { return }
        switch self {
        case .list(var items):
            for index in items.indices where remaining >= 0 { items[index].change(&remaining, body) }
            self = .list(items)
        case .map(var members):
            for index in members.indices where remaining >= 0 { members[index].value.change(&remaining, body) }
            self = .map(members)
        case .anchored(let name, var value):
            value.change(&remaining, body)
            self = .anchored(name, value)
        default: break
        }
    }
}
