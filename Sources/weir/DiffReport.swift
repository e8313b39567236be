import WeirDiff
import WeirImage
import WeirModel

/// What `weir diff` prints.
struct DiffReport {
    var flows: FlowDifference
    /// Whose map entries are compared; nil where that is no single node.
    var node: String?
    var maps: [MapChange]

    // MARK: JSON

    struct JSON: Encodable {
        struct Side: Encodable {
            var side: Direction
            var verdict: SideRuling.Verdict
            var rules: [String]
        }

        struct Flows: Encodable {
            var from: [String]
            var to: [String]
            var families: [AddressFamily]
        }

        struct Change: Encodable {
            var effect: FlowChange.Effect
            var ports: [String]
            var before: [Side]
            var after: [Side]
            var flows: [Flows]
            var pairs: Int
        }

        struct Endpoints: Encodable {
            var added: [String]
            var removed: [String]
        }

        var changes: [Change]
        var endpoints: Endpoints
        var node: String?
        var maps: [MapChange]
    }

    var json: JSON {
        JSON(
            changes: flows.changes.map { change in
                JSON.Change(
                    effect: change.effect, ports: change.ports.map(\.description),
                    before: change.before.map(Self.side), after: change.after.map(Self.side),
                    flows: change.flows.map {
                        JSON.Flows(
                            from: $0.from.map(\.description), to: $0.to.map(\.description), families: $0.families)
                    }, pairs: change.pairs)
            }, endpoints: JSON.Endpoints(added: flows.addedEndpoints, removed: flows.removedEndpoints), node: node,
            maps: maps)
    }

    private static func side(_ ruling: SideRuling) -> JSON.Side {
        JSON.Side(side: ruling.side, verdict: ruling.verdict, rules: ruling.rules.places)
    }

    // MARK: Text

    /// - Parameter allNames: else a few of each end.
    func text(allNames: Bool, allEntries: Bool) -> String {
        var lines: [String] = []
        for (effect, title) in [(FlowChange.Effect.allowed, "allowed"), (.denied, "denied")] {
            let changes = flows.changes.filter { $0.effect == effect }
            guard !changes.isEmpty else { continue }
            let count = changes.reduce(0) { $0 + $1.pairs }
            lines.append(count == 1 ? "1 pair of ends becomes \(title):" : "\(count) pairs of ends become \(title):")
            for change in changes { lines += text(change, allNames: allNames) }
            lines.append("")
        }
        for (verb, names) in [("new", flows.addedEndpoints), ("gone", flows.removedEndpoints)] where !names.isEmpty {
            let list = allNames ? names.joined(separator: ", ") : Self.summary(names)
            lines += ["endpoints that are \(verb), whose flows are not compared: \(list)", ""]
        }
        if flows.isEmpty {
            lines.append("no flow changes")
            if !maps.isEmpty {
                lines.append(
                    "  what one side opens or closes, the other may refuse all the same: weir explain says why")
            }
            lines.append("")
        }
        if let node {
            lines += maps.isEmpty ? ["no map entry of \(node) changes"] : ["map entries of \(node):"]
            lines += maps.flatMap { text($0, allEntries: allEntries) }
        } else {
            lines.removeLast()
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private func text(_ change: FlowChange, allNames: Bool) -> [String] {
        let sign = change.effect == .allowed ? "+" : "-"
        var lines: [String] = []
        for flows in change.flows {
            let family = flows.families.count == 1 ? " (\(flows.families.map(\.rawValue).joined()) only)" : ""
            let (from, to) = (flows.from.map(\.description), flows.to.map(\.description))
            lines.append(
                "  \(sign) \(allNames ? from.joined(separator: ", ") : Self.summary(from)) -> "
                    + "\(allNames ? to.joined(separator: ", ") : Self.summary(to))  "
                    + change.ports.map(\.description).joined(separator: ", ") + family)
        }
        for (word, sides) in [("before", change.before), ("after", change.after)] {
            for side in sides { lines.append("      \(word): \(side.text)") }
        }
        return lines
    }

    /// The first few; of namespaces with many how many there are.
    private static func summary(_ names: [String]) -> String {
        let shown = names.prefix(4).joined(separator: ", ")
        return names.count > 4 ? "\(shown) and \(names.count - 4) more" : shown
    }

    private func text(_ map: MapChange, allEntries: Bool) -> [String] {
        let title = "  \(map.map): \(map.added) added, \(map.changed) changed, \(map.removed) removed"
        return [title] + (allEntries ? map.entries.map { "    \($0.text)" } : [])
    }
}

extension SideRuling {
    fileprivate var text: String {
        let verdict = verdict == .none ? "not judged" : verdict.rawValue
        let by = rules.places.isEmpty ? "" : " by \(rules.places.joined(separator: ", "))"
        return "\(side.rawValue) \(verdict)\(by)"
    }
}

extension MapChange.Entry {
    /// `+` new, `-` gone, `~` another value.
    var text: String {
        switch (before, after) {
        case (nil, let after?): "+ \(key) -> \(after)"
        case (let before?, nil): "- \(key) -> \(before)"
        case (let before?, let after?): "~ \(key) -> \(before) => \(after)"
        case (nil, nil): key
        }
    }
}
