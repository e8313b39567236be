internal import CLibnl
internal import Glibc
internal import SystemPackage
package import WeirModel

/// A rule that leads packets to a routing table.
package struct RoutingRule: Hashable, Sendable, Comparable {
    /// Packets by their mark: those whose bits under the mask are these, or all others.
    package struct Mark: Hashable, Sendable {
        package var value: UInt32
        package var mask: UInt32

        package init(_ value: UInt32, mask: UInt32 = .max) {
            self.value = value
            self.mask = mask
        }
    }

    package var family: AddressFamily
    /// Lower ones are asked first; main's is 32766.
    package var preference: UInt32
    package var table: UInt32
    /// nil: whatever mark a packet has.
    package var mark: Mark?
    /// Takes the packets that the mark does not describe.
    package var isInverted: Bool
    /// Whether the mark is all that it asks for, and the table all that it does. weir makes no other.
    package private(set) var isPlain = true
    /// Who made it, in the numbers of rtnetlink's `RTPROT_`: 4 is an administrator.
    package var origin: UInt8

    package init(
        _ family: AddressFamily, preference: UInt32, table: UInt32, mark: Mark? = nil, isInverted: Bool = false,
        origin: UInt8 = UInt8(RTPROT_STATIC)
    ) {
        self.family = family
        self.preference = preference
        self.table = table
        self.mark = mark
        self.isInverted = isInverted
        self.origin = origin
    }

    package static func < (left: Self, right: Self) -> Bool {
        (left.family, left.preference, left.table) < (right.family, right.preference, right.table)
    }
}

extension RoutingRule: CustomStringConvertible {
    package var description: String {
        let inversion = isInverted ? "not " : ""
        let mark = mark.map { "fwmark 0x\(String($0.value, radix: 16))/0x\(String($0.mask, radix: 16)) " } ?? ""
        return "\(preference): \(inversion)\(mark)to table \(table) (\(family.rawValue))" + (isPlain ? "" : " and more")
    }
}

extension Netlink {
    /// The rules of both families in the order in which they are asked.
    package func rules() throws(NetlinkError) -> [RoutingRule] {
        var rules: [RoutingRule] = []
        for family in AddressFamily.allCases {
            var list: UnsafeMutablePointer<weir_nl_rule>?
            var count = 0
            // SAFETY: the shim allocates `count` elements, which are copied before they are released.
            let result = unsafe weir_nl_rules(Int32(family.bitWidth / 8), &list, &count)
            if [-EAFNOSUPPORT, -EOPNOTSUPP].contains(result) { continue }
            guard result == 0 else { throw NetlinkError("list", "\(family.rawValue) rules", result: result) }
            defer { unsafe free(list) }
            rules += unsafe Array(UnsafeBufferPointer(start: list, count: count)).map { RoutingRule($0, family) }
        }
        return rules
    }

    /// False where there is such a rule already.
    package func add(_ rule: RoutingRule) throws(NetlinkError) -> Bool {
        guard try !rules().contains(rule) else { return false }
        // For the kernel, one that asks for more is the same: it must not stand in for this one.
        let hint = "a narrower rule of somebody else has this preference and table; one of both needs another"
        _ = try unsafe change("add rule", rule.description, hint: hint) { unsafe rule.encode(add: true, &$0) }
        return true
    }

    /// False where there is none that is exactly so.
    package func delete(_ rule: RoutingRule) throws(NetlinkError) -> Bool {
        guard try rules().contains(rule) else { return false }
        return try unsafe change("delete rule", rule.description, unchanged: [.noSuchFileOrDirectory]) {
            unsafe rule.encode(add: false, &$0)
        } == nil
    }
}

extension NetlinkMessages {
    /// The message that adds a rule.
    package init(_ rule: RoutingRule) throws(NetlinkError) {
        try unsafe self.init("add rule", rule.description) { unsafe rule.encode(add: true, &$0) }
    }
}

extension RoutingRule {
    init(_ raw: weir_nl_rule, _ family: AddressFamily) {
        self.init(
            family, preference: raw.preference, table: raw.table,
            mark: raw.mask == 0 ? nil : Mark(raw.mark, mask: raw.mask), isInverted: raw.is_inverted != 0,
            origin: raw.protocol)
        isPlain = raw.is_plain != 0
    }

    func encode(add: Bool, _ messages: inout weir_nl_messages) -> Int32 {
        var raw = weir_nl_rule()
        raw.length = UInt8(family.bitWidth / 8)
        raw.protocol = origin
        raw.is_inverted = isInverted ? 1 : 0
        raw.preference = preference
        raw.table = table
        raw.mark = mark?.value ?? 0
        raw.mask = mark?.mask ?? 0
        // SAFETY: the shim reads `raw` and appends to the messages.
        return unsafe weir_nl_encode_rule(add ? 1 : 0, &raw, &messages)
    }
}
