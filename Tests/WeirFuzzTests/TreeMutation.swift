import InputProperties
import WeirTestSupport

/// What people, templates and attackers do to a right document.
enum TreeMutation: CaseIterable {
    case otherType, emptied, null, otherCase, huge, nested, repeatedKey, unicode, removed, repeatedItem, renamed, alias,
        exchanged

    private static let scalars: [Tree] = [
        .null, .bool(true), .number("0"), .number("-1"), .number("80.5"), .number("1e9"), .number("0x50"),
        .number("080"),
        .number(".inf"), .text(""), .text("80"), .text("true"), .text("*"), .text("~"), .list([]), .map([]),
    ]

    private static let hugeNumbers = [
        "65536", "2147483648", "4294967296", "9223372036854775808", "-9223372036854775809",
        "18446744073709551616", "99999999999999999999999999999999999999", "1e400",
    ]

    private static let texts = [
        "ä\u{0308}", "\u{1F469}\u{200D}\u{1F469}", "\u{202E}evil", "\u{0}", "\u{FEFF}x", "\u{2028}", "\u{85}", "x\ny",
        "a: b",
        "::ffff:10.0.0.1/96", "10.0.0.1/33", "fe80::1%eth0", "10.0.0", "k8s:app", "reserved:host", "any:", ":", "/",
        "-",
        String(repeating: "x", count: 300),
    ]

    private static let keys = [
        "spec", "metadata", "name", "namespace", "labels", "ingress", "egress", "from", "to", "ports", "port",
        "endPort",
        "podSelector", "matchLabels", "matchExpressions", "values", "cidr", "except", "endpointSelector", "toPorts",
        "fromEndpoints", "toCIDRSet", "icmps", "tier", "priority", "subject", "items", "status", "kind", "<<", "",
    ]

    func apply(to document: inout Tree, _ random: inout SeededGenerator) {
        let position = random.below(document.size)
        switch self {
        case .otherType: document[position] = random.pick(Self.scalars)
        case .null: document[position] = .null
        case .huge: document[position] = .number(random.pick(Self.hugeNumbers))
        case .unicode: document[position] = .text(random.pick(Self.texts))
        case .exchanged: document[position] = document[random.below(document.size)]
        case .nested:
            for _ in 0..<random.pick([1, 3, 70]) {
                let isList = random.chance(50)
                document.change(at: position) { $0 = isList ? .list([$0]) : .map([(key: "matchLabels", value: $0)]) }
            }
        case .alias:
            let value = document[position]
            document.change(at: position) { $0 = .anchored("again", value) }
            document[random.below(document.size)] = .alias("again")
        case .emptied, .otherCase, .repeatedKey, .removed, .repeatedItem, .renamed:
            document.change(at: position) { changeContents(of: &$0, &random) }
        }
    }

    private func changeContents(of tree: inout Tree, _ random: inout SeededGenerator) {
        switch tree {
        case .map(var members) where !members.isEmpty:
            let index = random.below(members.count)
            switch self {
            case .emptied: members = []
            case .otherCase: members[index].key = Self.otherCase(members[index].key, &random)
            case .repeatedKey: members.insert(members[index], at: random.below(members.count + 1))
            case .removed: members.remove(at: index)
            default: members[index].key = random.pick(Self.keys)
            }
            tree = .map(members)
        case .list(var items) where !items.isEmpty:
            let index = random.below(items.count)
            switch self {
            case .emptied: items = []
            case .removed: items.remove(at: index)
            case .repeatedItem: items += Array(repeating: items[index], count: random.pick([1, 1, 2, 45]))
            default: items.shuffle(using: &random)
            }
            tree = .list(items)
        case .text(let text): tree = .text(self == .emptied ? "" : Self.otherCase(text, &random))
        default: tree = random.pick(Self.scalars)
        }
    }

    private static func otherCase(_ text: String, _ random: inout SeededGenerator) -> String {
        switch random.below(3) {
        case 0: text.uppercased()
        case 1: text.prefix(1).uppercased() + text.dropFirst()
        default: text.lowercased()
        }
    }
}
