internal import WeirFlow
internal import WeirImage
internal import WeirModel

/// Judges two ends over all ports, each pod on its own node, as `FlowAnswerer` does one flow.
///
/// A class because nodes are compiled when they are first asked, and then kept.
final class PairJudge {
    let register = VerdictRegister()
    private let inventory: Inventory
    private let resolver: FlowResolver
    private let makeImage: (String) -> Image
    private let endpoints: [String: Endpoint]
    private var nodes: [String: NodeVerdicts] = [:]

    /// The register's numbers of both sides; nil is a side without a managed endpoint.
    struct Sides: Hashable {
        var egress: Int?
        var ingress: Int?
    }

    init(_ inventory: Inventory, hostFirewall: Bool, makeImage: @escaping (String) -> Image) {
        self.inventory = inventory
        resolver = FlowResolver(inventory, hostFirewall: hostFirewall)
        self.makeImage = makeImage
        endpoints = Dictionary(
            inventory.endpoints.map { ($0.qualifiedName, $0) }, uniquingKeysWith: { first, _ in first })
    }

    func endpoint(_ name: String) -> Endpoint? { endpoints[name] }

    func node(_ name: String) throws -> NodeVerdicts {
        if let known = nodes[name] { return known }
        let made = try NodeVerdicts(makeImage(name), register)
        nodes[name] = made
        return made
    }

    /// Throws `FlowError` where the ends cannot meet over the family.
    func sides(_ from: Flow.Peer, _ to: Flow.Peer, _ family: AddressFamily) throws -> Sides {
        let sides = try resolver.resolve(Flow(from: from, to: to, protocol: .tcp, port: 0, family: family))
        return Sides(
            egress: try sides.egress.map { try node($0.node).verdicts($0) },
            ingress: try sides.ingress.map { try node($0.node).verdicts($0) })
    }

    /// Whether an end has an address of a family, as far as its name says.
    func has(_ family: AddressFamily, _ peer: Flow.Peer) -> Bool {
        switch peer {
        case .endpoint(let name): endpoints[name]?.address(family) != nil
        case .address(let address), .remoteNode(let address): address.family == family
        case .host(let address): address.map { $0.family == family } ?? true
        }
    }

    func side(_ number: Int?) -> PortVerdicts? { number.map { register.sides[$0] } }

    func pieces(_ sides: Sides, _ ports: PortChoice, _ family: AddressFamily) -> [Piece] {
        switch ports {
        case .everything:
            return Piece.everything(egress: side(sides.egress), ingress: side(sides.ingress), family: family)
        case .other:
            return Piece.everything(egress: side(sides.egress), ingress: side(sides.ingress), family: family)
                .filter { $0.proto.map { !IPProtocol.common.contains($0) } ?? true }
        case .range(let proto, let range):
            guard proto.family == nil || proto.family == family else { return [] }
            return Piece.pieces(proto, range, egress: side(sides.egress), ingress: side(sides.ingress))
        }
    }
}
