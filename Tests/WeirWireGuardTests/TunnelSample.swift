import InputTestSupport
import WeirDiagnostics
import WeirInventory
import WeirModel
import WeirSyntax
import WeirWireGuard

/// A key that is not of low order, told apart by its number.
func key(_ number: UInt8) -> PublicKey {
    guard let key = PublicKey(bytes: [number] + [UInt8](repeating: 7, count: 31)) else { fatalError("32 bytes") }
    return key
}

func prefix(_ text: String) -> Prefix {
    guard let prefix = Prefix(text) else { fatalError("\(text) is no prefix") }
    return prefix
}

func endpoint(_ text: String) -> PeerEndpoint {
    guard let endpoint = PeerEndpoint(text) else { fatalError("\(text) is no endpoint") }
    return endpoint
}

/// What the compiler makes of an inventory text, for node `a` if nothing else is said.
struct Compiled {
    var configuration: TunnelConfiguration?
    var findings: [Diagnostic]

    init(_ sample: Sample, node: String = "a", options: TunnelOptions = TunnelOptions()) {
        var diagnostics = DiagnosticsCollector()
        let inventory = decodeInventory(sample.documents(&diagnostics), diagnostics: &diagnostics)
        configuration = TunnelCompiler.compile(
            inventory: inventory, node: node, options: options, diagnostics: &diagnostics)
        findings = diagnostics.sorted
    }

    init(_ text: String, node: String = "a", options: TunnelOptions = TunnelOptions()) {
        self.init(Sample(text), node: node, options: options)
    }
}

/// A Node document of ours.
func node(_ name: String, _ spec: String) -> String {
    "{apiVersion: weir.dev/v1, kind: Node, metadata: {name: \(name)}, spec: {\(spec)}}\n---\n"
}

/// A pod as a document of ours.
func pod(_ name: String, on node: String, _ addresses: String) -> String {
    "{apiVersion: weir.dev/v1, kind: Endpoint, metadata: {name: \(name)}, spec: {node: \(node), addresses: [\(addresses)]}}\n---\n"
}

/// `wireguard: {…}` with the key of a number.
func wireguard(_ number: UInt8, _ more: String = "") -> String {
    "wireguard: {publicKey: \"\(key(number).base64)\"\(more.isEmpty ? "" : ", " + more)}"
}

func address(_ text: String) -> IPAddress {
    guard let address = IPAddress(text) else { fatalError("\(text) is no address") }
    return address
}
