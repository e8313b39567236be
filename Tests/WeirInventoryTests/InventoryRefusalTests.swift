import InputTestSupport
import Testing
import WeirDiagnostics

/// What is refused, why, and where. `⟦` marks the place.
@Suite("an inventory is refused") struct InventoryRefusalTests {
    struct Refusal: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var sample: Sample
        var id: DiagnosticID
        var says: String
        var note: Bool

        init(_ description: String, _ id: DiagnosticID, _ text: String, says: String = "", note: Bool = false) {
            testDescription = description
            self.sample = Sample(text)
            self.id = id
            self.says = says
            self.note = note
        }
    }

    private static func endpoint(_ spec: String, name: String = "a") -> String {
        "{apiVersion: weir.dev/v1, kind: Endpoint, metadata: {name: \(name)}, spec: {\(spec)}}\n---\n"
    }

    private static func pod(_ name: String, _ status: String, spec: String = "nodeName: n") -> String {
        "{apiVersion: v1, kind: Pod, metadata: {name: \(name), namespace: d}, spec: {\(spec)}, status: {\(status)}}\n---\n"
    }

    private static func node(_ spec: String, name: String = "n") -> String {
        "{apiVersion: weir.dev/v1, kind: Node, metadata: {name: \(name)}, spec: {\(spec)}}\n---\n"
    }

    static let refusals = [
        Refusal(
            "for an unknown field of ours", .unknownField,
            endpoint("node: n, ⟦adresses: [10.0.0.1], addresses: [10.0.0.9]"),
            says: "did you mean addresses?"),
        Refusal(
            "for an endpoint without addresses", .missingField,
            endpoint("node: n").replacing("spec: {", with: "spec: ⟦{")),
        Refusal("for an empty list of addresses", .missingField, endpoint("node: n, addresses: ⟦[]")),
        Refusal(
            "for a bad address", .invalidAddress, endpoint("node: n, addresses: [⟦10.0.0.256]"),
            says: "not an IP address"),
        Refusal(
            "for a prefix as an address", .invalidAddress, endpoint("node: n, addresses: [⟦10.0.0.1/32]"),
            says: "without the prefix length"),
        Refusal("for a loopback address", .invalidAddress, endpoint("node: n, addresses: [⟦'::1']")),
        Refusal("for a multicast address", .invalidAddress, endpoint("node: n, addresses: [⟦224.0.0.1]")),
        Refusal(
            "for two addresses of one family", .tooManyAddresses, endpoint("node: n, addresses: [10.0.0.8, ⟦10.0.0.9]"),
            says: "IPv4", note: true),
        Refusal(
            "for both interface and netns", .conflictingFields,
            endpoint("node: n, addresses: [10.0.0.9], interface: v, ⟦netns: w"), note: true),
        Refusal(
            "for an interface name that Linux does not take", .invalidValue,
            endpoint("node: n, addresses: [10.0.0.9], interface: ⟦a-very-long-name")),
        Refusal(
            "for a wrong type", .wrongType, endpoint("node: ⟦1, addresses: [10.0.0.9]"), says: "the number 1"),
        Refusal(
            "for a port without a name", .missingField,
            endpoint("node: n, addresses: [10.0.0.9], ports: [⟦{port: 80}]")),
        Refusal(
            "for a port over 65535", .invalidPort,
            endpoint("node: n, addresses: [10.0.0.9], ports: [{name: a, port: ⟦65536}]")),
        Refusal(
            "for a port name used twice", .duplicateName,
            endpoint("node: n, addresses: [10.0.0.9], ports: [{name: a, port: 1}, {name: ⟦a, port: 2}]")),
        Refusal(
            "for a derived label", .invalidLabel,
            "{apiVersion: weir.dev/v1, kind: Endpoint, metadata: {name: a, labels: {⟦io.kubernetes.pod.namespace: x}}, spec: {node: n, addresses: [10.0.0.9]}}"
        ),
        Refusal(
            "for an interface that two endpoints name", .duplicateInterface,
            endpoint("node: n, addresses: [10.0.0.8], interface: v")
                + endpoint("node: n, addresses: [10.0.0.9], interface: v", name: "⟦b"),
            says: "default/a and default/b", note: true),
        Refusal(
            "for a node that is not there", .unknownNode,
            node("addresses: [192.0.2.1]", name: "node-a")
                + endpoint("node: ⟦node-b, addresses: [10.0.0.9]"), says: "did you mean node-a?"),
        Refusal(
            "for a missing node where there are two", .ambiguousNode,
            node("", name: "a") + node("", name: "b") + endpoint("addresses: [10.0.0.9]", name: "⟦x"), says: "has 2"),
        Refusal(
            "for a missing node where there is none", .ambiguousNode, endpoint("addresses: [10.0.0.9]", name: "⟦x"),
            says: "has 0"),
        Refusal("for an unknown field of a node", .unknownField, node("⟦podCIDR: 10.0.0.0/8"), says: "podCIDRs"),
        Refusal("for a bad pod CIDR", .invalidCIDR, node("podCIDRs: [⟦10.0.0.0]")),
        Refusal("for a WireGuard block without a key", .missingField, node("wireguard: ⟦{endpoint: '192.0.2.1:1'}")),
        Refusal(
            "for an MTU that is no number", .wrongType, node("wireguard: {publicKey: x, mtu: ⟦large}")),
        Refusal(
            "for a keepalive that is no number", .wrongType,
            node("wireguard: {publicKey: x, persistentKeepalive: ⟦'25'}")),
        Refusal(
            "for an empty next key", .invalidValue, node("wireguard: {publicKey: x, nextPublicKey: ⟦''}"),
            says: "nextPublicKey"),
        Refusal(
            "for an internal address that the node does not have", .invalidAddress,
            node("addresses: [10.0.0.1], internalAddresses: [⟦10.0.0.2]"), says: "add it there"),
        Refusal(
            "for an unknown field in the WireGuard block", .unknownField, node("wireguard: {publicKey: x, ⟦port: 1}")),
        Refusal(
            "for two live pods with one address", .duplicateAddress,
            pod("a", "podIP: 10.0.0.9") + pod("b", "podIP: ⟦10.0.0.9"), says: "d/a and to d/b", note: true),
        Refusal(
            "for a pod with its node's address", .duplicateAddress,
            pod("a", "podIP: 10.0.0.9") + node("addresses: [⟦10.0.0.9]"), says: "node n", note: true),
        Refusal(
            "for two pods of one name", .duplicateName,
            pod("a", "podIP: 10.0.0.8") + pod("⟦a", "podIP: 10.0.0.9"), says: "d/a", note: true),
        Refusal(
            "for two addresses of one family on a pod", .tooManyAddresses,
            pod("a", "podIPs: [{ip: 'fd00::1'}, {ip: ⟦'fd00::2'}]"), note: true),
        Refusal("for a wrong type in a pod", .wrongType, pod("a", "podIP: 10.0.0.9", spec: "hostNetwork: ⟦'true'")),
        Refusal(
            "for audit mode that is neither on nor off", .invalidValue,
            pod("a, annotations: {weir.dev/audit: ⟦'yes'}", "podIP: 10.0.0.9"), says: "not the text \"yes\""),
        Refusal(
            "for audit mode that is no text", .wrongType,
            endpoint("node: n, addresses: [10.0.0.9]", name: "a, annotations: {weir.dev/audit: ⟦true}"),
            says: "quote it: \"true\""),
        Refusal(
            "for an unknown kind of ours", .unknownKind, "apiVersion: weir.dev/v1\nkind: ⟦Endpont\n",
            says: "did you mean Endpoint?"),
        Refusal(
            "for a kind of Cilium's that is not read", .unknownKind,
            "apiVersion: cilium.io/v2\nkind: ⟦CiliumEndpoint\nmetadata: {name: a}\n"),
    ]

    @Test(arguments: refusals) func isRefused(_ refusal: Refusal) {
        let taken = Taken(refusal.sample)
        #expect(taken.findings.map(\.id) == [refusal.id])
        #expect(taken.findings.map(\.location) == refusal.sample.marks)
        #expect(taken.findings.allSatisfy { refusal.says.isEmpty || $0.message.contains(refusal.says) })
        #expect(taken.findings.contains { !$0.notes.isEmpty } == refusal.note)
    }

    @Test("pods that ended may share an address with one that lives") func endedPods() {
        let taken = Taken(Sample(Self.pod("a", "phase: Succeeded, podIP: 10.0.0.9") + Self.pod("b", "podIP: 10.0.0.9")))
        #expect(taken.findings.isEmpty)
    }
}
