import CBench
import Foundation
import Glibc
import TestNetwork
import WeirABI
import WeirCompiler
import WeirImage
import WeirKernel
import WeirMaps
import WeirModel
import WeirNetlink

/// Two pods behind veth pairs, and everything that may stand between them: of all of it one at a time.
///
/// A class because it owns namespaces and descriptors; what it made goes with it.
final class TrafficBed {
    enum Between: CaseIterable {
        case nothing
        /// A program that only says "next", on both of weir's hooks.
        case emptyProgram
        case weir
        /// The same, and nobody answers.
        case weirOneWay
        /// The same question asked of a set of all addresses, for each packet.
        case nftables
        /// The same, asked for the first packet of a flow.
        case nftablesConntrack
    }

    static let port: UInt16 = 9000
    private static let sender = 2
    private static let receiver = 3
    static let receiverAddress = "10.7.0.3"

    let topology: Topology
    private let addresses: [IPAddress]
    private let object: BPFObject
    private let placed: [KernelMap]
    private let emptyProgram: Int32
    private let interfaces: [UInt32]
    /// What is attached now.
    private var links: [Int32] = []
    private var weirLinks = WeirLinks()

    private static let documents = """
        ---
        apiVersion: weir.dev/v1
        kind: Endpoint
        metadata: {name: sender, namespace: ns-0, labels: {bench: sender}}
        spec: {node: bench, addresses: [10.7.0.2], interface: veth-2}
        ---
        apiVersion: weir.dev/v1
        kind: Endpoint
        metadata: {name: receiver, namespace: ns-0, labels: {bench: receiver}}
        spec: {node: bench, addresses: [10.7.0.3], interface: veth-3}
        ---
        apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: sender, namespace: ns-0}
        spec:
          endpointSelector: {matchLabels: {bench: sender}}
          egress:
          - toEndpoints: [{}]
            toPorts: [{ports: [{port: "9000", protocol: ANY}]}]
        ---
        apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: receiver, namespace: ns-0}
        spec:
          endpointSelector: {matchLabels: {bench: receiver}}
          ingress:
          - fromEndpoints: [{}]
            toPorts: [{ports: [{port: "9000", protocol: ANY}]}]

        """

    init(_ run: Run) throws {
        try mountBPFFileSystem()
        let topology = try Topology(pods: [Self.sender, Self.receiver])
        self.topology = topology
        let workload = Workload(pods: run.choose(50_000, quick: 1_000), policies: run.choose(1_000, quick: 100))
        let typed = try workload.typed(extra: Self.documents)
        let image = Compiler.compile(policies: typed.policies, inventory: typed.inventory, node: "bench")
        addresses = typed.inventory.endpoints.flatMap(\.addresses)

        let found = try topology.onNode { try Netlink().interfaces() }
        func interface(_ pod: Int) throws -> UInt32 {
            guard let index = found.first(where: { $0.name == Topology.vethName(pod) })?.index else {
                throw CommandFailure(description: "no interface \(Topology.vethName(pod)) on the node")
            }
            return index
        }
        interfaces = [try interface(Self.sender), try interface(Self.receiver)]
        let object = try BPFObject(bytes: EmbeddedObject.bytes)
        try object.setOptions(.defaults)
        try object.load()
        placed = try Self.commit(image, ["ns-0/sender": interfaces[0], "ns-0/receiver": interfaces[1]], object)
        self.object = object
        emptyProgram = try succeed(cbench_empty_program())
        try loadSet()
    }

    deinit {
        detach()
        close(emptyProgram)
    }

    /// Makes the image the policy of the object's maps, as an apply does, without pins.
    private static func commit(
        _ image: Image, _ interfaces: [String: UInt32], _ object: borrowing BPFObject
    ) throws -> [KernelMap] {
        let slot = 1
        let ofRecord = image.endpoints.compactMap { record in interfaces[record.name].map { (record.id, $0) } }
        let contents = try SlotContents(
            image: image, endpoints: image.endpointEntries(interfaces: Dictionary(ofRecord) { $1 }),
            extraRoom: true)
        let created = try contents.create()
        for (name, map) in created.sorted(by: { $0.key < $1.key }) {
            try object.map(name.rawValue).place(map, at: slot)
        }
        let meta = contents.meta(image: image, nodeDigest: [UInt8](repeating: 0, count: 32), generation: 0)
        try object.map(NodeMap.slot_meta.rawValue).update(UInt32(slot).abiBytes, meta.abiBytes, mode: .any)
        try ControlWord(try object.map(NodeMap.control.rawValue)).store(ControlValue(word: UInt64(slot)))
        return Array(created.values)
    }

    // MARK: One at a time

    /// Takes away what is there, and puts this there instead.
    func put(_ between: Between) throws {
        detach()
        try nft("flush chain inet bench forward")
        switch between {
        case .nothing: break
        case .emptyProgram:
            links = try topology.onNode {
                try zip(interfaces, [Int32(0), 1]).map { try succeed(cbench_attach(emptyProgram, $0, $1)) }
            }
        case .weir, .weirOneWay:
            try topology.onNode {
                weirLinks.sender = try WeirLinks.Both(object, interfaces[0])
                weirLinks.receiver = try WeirLinks.Both(object, interfaces[1])
            }
        case .nftables: try nft(Self.rules(tracking: false))
        case .nftablesConntrack: try nft(Self.rules(tracking: true))
        }
    }

    /// Dropping a link that is not pinned detaches it.
    private struct WeirLinks: ~Copyable {
        struct Both: ~Copyable {
            let egress: TCXLink
            let ingress: TCXLink

            init(_ object: borrowing BPFObject, _ interface: UInt32) throws {
                let fromEndpoint = try TCXLink(
                    try object.program(ProgramName.fromEndpoint), interface: interface, direction: .egress)
                let toEndpoint = try TCXLink(
                    try object.program(ProgramName.toEndpoint), interface: interface, direction: .ingress)
                egress = fromEndpoint
                ingress = toEndpoint
            }
        }
        var sender: Both?
        var receiver: Both?
    }

    private func detach() {
        for link in links { close(link) }
        links = []
        weirLinks = WeirLinks()
    }

    // MARK: nftables

    /// Egress of the one and ingress of the other, as weir judges both.
    private static func rules(tracking: Bool) -> String {
        let rules =
            (tracking ? ["ct state established accept"] : []) + [
                "iifname veth-2 ip daddr != @peers drop", "iifname veth-2 th dport != \(port) drop",
                "oifname veth-3 ip saddr != @peers drop", "oifname veth-3 th dport != \(port) drop",
            ]
        return rules.map { "add rule inet bench forward \($0)\n" }.joined()
    }

    private func loadSet() throws {
        let elements = addresses.map { "\($0)" }.joined(separator: ",")
        try nft(
            """
            add table inet bench
            add set inet bench peers { type ipv4_addr; }
            add chain inet bench forward { type filter hook forward priority 0; }
            add element inet bench peers { \(elements) }
            """)
    }

    private func nft(_ commands: String) throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(topology.node).nft")
        try commands.write(to: file, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(at: file) }
        try TestNetwork.run("ip", "netns", "exec", topology.node, "nft", "-f", file.path)
    }

    // MARK: Ends

    /// Runs the body on a thread inside one of the pods.
    func inSender<Value>(_ body: () throws -> Value) throws -> Value { try inPod(0, body) }
    func inReceiver<Value>(_ body: () throws -> Value) throws -> Value { try inPod(1, body) }

    private func inPod<Value>(_ index: Int, _ body: () throws -> Value) throws -> Value {
        try NetworkNamespace(path: "/run/netns/\(topology.pods[index])").run(body)
    }
}
