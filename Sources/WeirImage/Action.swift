package import WeirABI

/// The number of a rule attribution in an image. Zero stands for "no rule".
package struct RuleID: Hashable, Sendable, Comparable, RawRepresentable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package static let none = RuleID(rawValue: 0)
    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// The number of a verdict table in an image, from 1.
package struct TableID: Hashable, Sendable, Comparable, RawRepresentable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// A peer group of an image; see `enum weir_group` for those with fixed numbers.
package struct PeerGroup: Hashable, Sendable, Comparable, RawRepresentable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package init(_ fixed: weir_group) { self.rawValue = fixed.rawValue }
    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// What decides: a policy's final answer and who gave it.
package struct Decision: Hashable, Sendable {
    package enum Kind: String, Hashable, Sendable, CaseIterable {
        case allow, deny
        case defaultDeny = "default-deny"
    }

    package var kind: Kind
    package var rule: RuleID
    /// Audit mode: a refusal that is reported and passes. Without meaning for an allow.
    package var isAudited: Bool

    package init(_ kind: Kind, rule: RuleID = .none, isAudited: Bool = false) {
        self.kind = kind
        self.rule = rule
        self.isAudited = isAudited
    }

    /// Whether a packet goes on. An endpoint or a node in audit mode lets pass more.
    package var passes: Bool { kind == .allow || isAudited }
}

/// One word of `peers` or `verdicts`: a decision, or (in `peers`) a table to ask.
///
/// Worked example: allow by attribution 5 is kind 1 in bits 31...30 and 5 below: `0x4000_0005`. A deny by it in audit
/// mode is kind 2 and bit 29: `0xa000_0005`.
package enum Action: Hashable, Sendable {
    case decided(Decision)
    case table(TableID)

    package init(rawValue: UInt32) {
        let id = rawValue & UInt32(WEIR_ACTION_ID_MASK)
        let isAudited = rawValue & UInt32(WEIR_ACTION_AUDIT) != 0
        func decided(_ kind: Decision.Kind) -> Self {
            .decided(Decision(kind, rule: RuleID(rawValue: id), isAudited: isAudited))
        }
        switch rawValue >> UInt32(WEIR_ACTION_KIND_SHIFT) {
        case WEIR_ACTION_ALLOW.rawValue: self = decided(.allow)
        case WEIR_ACTION_DENY.rawValue: self = decided(.deny)
        case WEIR_ACTION_DEFAULT_DENY.rawValue: self = decided(.defaultDeny)
        default: self = .table(TableID(rawValue: id))
        }
    }

    package var rawValue: UInt32 {
        switch self {
        case .table(let table): table.rawValue
        case .decided(let decision):
            switch decision.kind {
            case .allow: Self.word(WEIR_ACTION_ALLOW, decision)
            case .deny: Self.word(WEIR_ACTION_DENY, decision)
            case .defaultDeny: Self.word(WEIR_ACTION_DEFAULT_DENY, decision)
            }
        }
    }

    private static func word(_ kind: weir_action_kind, _ decision: Decision) -> UInt32 {
        kind.rawValue << UInt32(WEIR_ACTION_KIND_SHIFT) | decision.rule.rawValue
            | (decision.isAudited ? UInt32(WEIR_ACTION_AUDIT) : 0)
    }
}
