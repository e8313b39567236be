internal import WeirDiagnostics
internal import WeirModel

/// Allows of one rule for more of the world than one usually means. What is taken out by exceptions makes it a note.
struct WidthFindings {
    let rule: Rule

    /// A shorter prefix than this is too wide to be somebody's network.
    private static func shortest(_ family: AddressFamily) -> Int { family == .ipv4 ? 8 : 16 }

    func report(to findings: inout DiagnosticsCollector) {
        guard rule.action == .allow, case .list(let list) = rule.peers else { return }
        var seen: Set<Peer> = []
        for peer in list where seen.insert(peer).inserted {
            switch peer {
            case .cidr(let block): report(block, outsideOnly: true, &findings)
            case .network(let block): report(block, outsideOnly: false, &findings)
            case .entity(let entity): report(entity, &findings)
            case .selector, .nodes, .service: break
            }
        }
    }

    private var verb: String { rule.direction == .ingress ? "from" : "to" }

    private func report(_ block: CIDRBlock, outsideOnly: Bool, _ findings: inout DiagnosticsCollector) {
        let family = block.prefix.family
        guard block.prefix.length < Self.shortest(family) else { return }
        let share =
            block.prefix.length == 0
            ? "every \(family.rawValue) address\(outsideOnly ? " outside the cluster" : "")"
            : "\(family.rawValue) addresses by prefixes shorter than /\(Self.shortest(family))"
        let exceptions = block.except.map(\.description)
        let tail = exceptions.isEmpty ? "" : ", except \(list(exceptions))"
        findings.append(
            Diagnostic(
                exceptions.isEmpty ? .warning : .note, .wideCIDR,
                "\(block.prefix) allows traffic \(verb) \(share)\(tail)", at: rule.origin.location))
    }

    private func report(_ entity: Entity, _ findings: inout DiagnosticsCollector) {
        let whom: String
        switch entity {
        case .all: whom = "everybody, inside the cluster and outside"
        case .world: whom = "every address outside the cluster"
        case .worldIPv4: whom = "every IPv4 address outside the cluster"
        case .worldIPv6: whom = "every IPv6 address outside the cluster"
        default: return
        }
        findings.append(
            Diagnostic(
                .note, .wideEntity, "\"\(entity.rawValue)\" allows traffic \(verb) \(whom)", at: rule.origin.location))
    }
}
