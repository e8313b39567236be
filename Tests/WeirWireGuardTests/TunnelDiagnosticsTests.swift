import InputTestSupport
import Testing
import WeirDiagnostics
import WeirModel
import WeirWireGuard

/// What is found in an inventory, why, and where. `⟦` marks the place.
@Suite("A tunnel is refused, or warned about")
struct TunnelDiagnosticsTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var id: DiagnosticID
        var severity: Severity
        var sample: Sample
        var says: String

        init(_ description: String, _ id: DiagnosticID, _ severity: Severity, _ text: String, says: String) {
            testDescription = description
            self.id = id
            self.severity = severity
            sample = Sample(text)
            self.says = says
        }

        init(_ description: String, _ id: DiagnosticID, _ text: String, says: String) {
            self.init(description, id, .error, text, says: says)
        }
    }

    private static let own = node("a", "addresses: [192.0.2.10], podCIDRs: [10.7.0.0/24], \(wireguard(1))")

    /// Node `b` with a `wireguard` that begins with the mark.
    private static func peer(_ wireguard: String, _ spec: String = "addresses: [192.0.2.11]") -> String {
        own + node("b", "\(spec), wireguard: {publicKey: ⟦\(wireguard)}")
    }

    private static func marked(_ number: UInt8, _ more: String) -> String { "\"\(key(number).base64)\", \(more)" }

    private static let zero = "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\""
    private static let lowOrder = "\"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\""

    static let cases = [
        Case("for a key that is no base64", .invalidWireGuardKey, peer("abc"), says: "wg pubkey"),
        Case("for a key that is all zero", .invalidWireGuardKey, peer(zero), says: "all zero"),
        Case("for a key of low order", .invalidWireGuardKey, peer(lowOrder), says: "low order"),
        Case(
            "for a next key that is no base64", .invalidWireGuardKey, peer(marked(2, "nextPublicKey: x")),
            says: "next public key of node b"),
        Case("for two nodes with one key", .duplicateWireGuardKey, peer(marked(1, "mtu: 1500")), says: "a and b"),
        Case(
            "for a next key that is another node's", .duplicateWireGuardKey,
            peer(marked(2, "nextPublicKey: \"\(key(1).base64)\"")), says: "a and b"),
        Case(
            "for this node without a key", .missingWireGuardKey,
            node("⟦a", "addresses: [192.0.2.10]") + node("b", "addresses: [192.0.2.11], \(wireguard(2))"),
            says: "for which this is"),
        Case(
            "for another node without a key", .missingWireGuardKey, .warning,
            own + node("⟦b", "addresses: [192.0.2.11], podCIDRs: [10.7.1.0/24]"), says: "unreachable from node a"),
        Case(
            "for a node that only a pod names", .missingWireGuardKey, .warning,
            own
                + "{apiVersion: v1, kind: Pod, metadata: {namespace: d, name: ⟦p}, spec: {nodeName: z}, status: {podIP: 10.9.9.9}}\n",
            says: "node z"),
        Case(
            "for an endpoint without a port", .invalidEndpoint, peer(marked(2, "endpoint: 192.0.2.11")),
            says: "ADDRESS:PORT"),
        Case(
            "for an endpoint by name", .invalidEndpoint, peer(marked(2, "endpoint: 'b.example:51871'")),
            says: "not looked up"),
        Case(
            "for an endpoint on port 0", .invalidEndpoint, peer(marked(2, "endpoint: '192.0.2.11:0'")),
            says: "ADDRESS:PORT"),
        Case(
            "for an endpoint on the last port", .invalidEndpoint, peer(marked(2, "endpoint: '192.0.2.11:65535'")),
            says: "next port"),
        Case(
            "for an endpoint at a multicast address", .invalidEndpoint, peer(marked(2, "endpoint: '224.0.0.1:1'")),
            says: "no address"),
        Case(
            "for an endpoint behind the tunnel itself", .invalidEndpoint,
            peer(marked(2, "endpoint: '10.7.1.5:1'"), "podCIDRs: [10.7.1.0/24]"), says: "10.7.1.0/24, which is behind"),
        Case(
            "for a node without an address", .missingEndpoint, .warning,
            peer(marked(2, "mtu: 1500"), "podCIDRs: [10.7.1.0/24]"), says: "only it can begin"),
        Case(
            "for a node whose only address lies among its pods", .missingEndpoint, .warning,
            peer(marked(2, "mtu: 1500"), "addresses: [10.7.1.1], podCIDRs: [10.7.1.0/24]"), says: "only it can begin"),
        Case(
            "for an endpoint of a family that this node does not have", .unreachableFamily, .warning,
            peer(marked(2, "endpoint: '[2001:db8::1]:1'")), says: "node a has no IPv6 address"),
        Case(
            "for addresses of a family that this node does not have", .unreachableFamily, .warning,
            peer(marked(2, "mtu: 1500"), "addresses: ['fd00::11']"), says: "at [fd00::11]:51871"),
        Case(
            "for a pod network in that of this node", .tunnelOverlap,
            own + node("⟦b", "addresses: [192.0.2.11], podCIDRs: [10.7.0.128/25], \(wireguard(2))"),
            says: "10.7.0.128/25 of node b lies in 10.7.0.0/24 of node a"),
        Case(
            "for one pod network of two nodes", .tunnelOverlap,
            own + node("b", "addresses: [192.0.2.11], podCIDRs: [10.7.1.0/24], \(wireguard(2))")
                + node("⟦c", "addresses: [192.0.2.12], podCIDRs: [10.7.1.0/24], \(wireguard(3))"),
            says: "10.7.1.0/24 of node c lies in 10.7.1.0/24 of node b"),
        Case(
            "for a node's address among the pods of another, networks of the same node between them", .tunnelOverlap,
            own + node("⟦c", "addresses: [10.7.1.200], \(wireguard(3))")
                + node(
                    "b", "addresses: [192.0.2.11, 10.7.1.100], podCIDRs: [10.7.1.0/24, 10.7.1.128/26], \(wireguard(2))"),
            says: "10.7.1.200/32 of node c lies in 10.7.1.0/24 of node b"),
        Case(
            "for an MTU that is no MTU", .invalidValue, peer(marked(2, "mtu: 100")), says: "576 to 65535, not 100"),
        Case(
            "for a keepalive out of range", .invalidValue, peer(marked(2, "persistentKeepalive: 65536")),
            says: "0 to 65535, not 65536"),
        Case(
            "for an MTU that leaves too little for IPv6", .tunnelMTU,
            peer(marked(2, "mtu: 1339"), "addresses: [192.0.2.11], podCIDRs: ['fd07:1::/64']"),
            says: "leaves 1279 bytes"),
        Case(
            "for an MTU that leaves too little for IPv4", .tunnelMTU, peer(marked(2, "mtu: 635")),
            says: "IPv4 needs 576"),
        Case(
            "for a preshared key where a path belongs", .invalidValue,
            peer(marked(2, "presharedKeyFile: \"\(key(9).base64)\"")), says: "the key itself never belongs here"),
        Case(
            "for a path with a line break", .invalidValue, peer(marked(2, "presharedKeyFile: \"/k\\nx\"")),
            says: "absolute path"),
        Case(
            "for a preshared key on one side", .oneSidedPresharedKey, .warning,
            peer(marked(2, "presharedKeyFile: /k")), says: "node a has none"),
    ]

    @Test(arguments: cases)
    func isFound(_ example: Case) {
        let compiled = Compiled(example.sample)
        #expect(compiled.findings.map(\.id) == [example.id], "\(compiled.findings)")
        #expect(compiled.findings.map(\.severity) == [example.severity])
        #expect(compiled.findings.map(\.location) == example.sample.marks)
        #expect(compiled.findings.allSatisfy { $0.message.contains(example.says) }, "\(compiled.findings)")
        #expect((compiled.configuration == nil) == (example.severity == .error))
    }

    @Test("for a pod network that a node without a key has, too")
    func overlapWithoutKey() {
        let compiled = Compiled(
            Self.own + node("b", "addresses: [192.0.2.11], podCIDRs: [10.7.1.0/24], \(wireguard(2))")
                + node("c", "addresses: [192.0.2.12], podCIDRs: [10.7.0.0/16]"))
        #expect(compiled.findings.filter { $0.severity == .error }.map(\.id) == [.tunnelOverlap, .tunnelOverlap])
        #expect(compiled.configuration == nil)
    }

    @Test("for a node that is not there")
    func absent() {
        let compiled = Compiled(Self.own, node: "b")
        #expect(compiled.findings.map(\.description) == ["sample.yaml: error: there is no node \"b\" [unknown-node]"])
        #expect(compiled.configuration == nil)
    }

    @Test("exactly at the smallest MTU nothing is")
    func smallestMTU() {
        let text =
            Self.own
            + node("b", "addresses: [192.0.2.11], podCIDRs: ['fd07:1::/64'], \(wireguard(2, "mtu: 1340"))")
        #expect(Compiled(text).findings.isEmpty)
        #expect(Compiled(text).configuration?.peers.map(\.mtu) == [1280])
    }

    @Test("no message repeats a key that stands where a path belongs")
    func secret() {
        let secret = key(9).base64
        let compiled = Compiled(Self.peer(Self.marked(2, "presharedKeyFile: \"\(secret)\"")).replacing("⟦", with: ""))
        #expect(!compiled.findings.isEmpty)
        #expect(compiled.findings.allSatisfy { !$0.description.contains(secret) })
    }
}
