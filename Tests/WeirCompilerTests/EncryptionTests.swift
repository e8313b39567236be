import Testing
import WeirABI
import WeirCompiler
import WeirImage
import WeirMaps
import WeirModel
import WeirTestSupport

@Suite("Peers whose traffic is encrypted")
struct EncryptionTests {
    private static let seeds: Range<UInt64> = 20_270_501..<20_270_561

    /// The flags of the longest entry around an address.
    private func isEncrypted(_ address: IPAddress, in image: Image) throws -> Bool {
        let isIPv4 = address.family == .ipv4
        var value = image.entries(isIPv4 ? .ipcache4 : .ipcache6).first { $0.key == address.bytes }?.value
        for length in stride(from: address.family.bitWidth, through: 0, by: -1) where value == nil {
            let key = UInt32(length).abiBytes + Prefix(address, length: length).address.bytes
            value = image.entries(isIPv4 ? .cidrs4 : .cidrs6).first { $0.key == key }?.value
        }
        let bytes = try #require(value)
        let peer = try #require(weir_peer(abiBytes: bytes))
        return peer.flags & WEIR_PEER_ENCRYPTED.rawValue != 0
    }

    @Test("are the pods of other nodes and what else lies in their pod networks", arguments: seeds)
    func remotePods(seed: UInt64) throws {
        var world = RandomWorld(seed: seed)
        world.options.encryption = .wireguard
        let inventory = world.inventory
        let image = Compiler.compile(
            policies: world.policies, inventory: inventory, node: "node-a", options: world.options)
        let pods = Dictionary(inventory.endpoints.flatMap { pod in pod.addresses.map { ($0, pod.node) } }) { $1 }
        let others = Set(inventory.nodes.flatMap(\.addresses) + inventory.services.flatMap(\.addresses))
        for address in Set(RandomWorld.addresses + Array(pods.keys)).subtracting(others) {
            // The naive answer: a pod by its node, anything else by the longest pod network.
            let network = inventory.nodes.flatMap { node in node.podCIDRs.map { ($0, node.name) } }
                .filter { $0.0.contains(address) }.max { $0.0.length < $1.0.length }
            let node = pods[address] ?? network?.1
            #expect(
                try isEncrypted(address, in: image) == (node != nil && node != "node-a"), "\(address), seed \(seed)")
        }
        #expect(try others.subtracting(pods.keys).allSatisfy { try !isEncrypted($0, in: image) })
        #expect(image.wantsEncryption == inventory.endpoints.contains { $0.node != "node-a" })

        world.options.encryption = .none
        let clear = Compiler.compile(
            policies: world.policies, inventory: inventory, node: "node-a", options: world.options)
        #expect(!clear.wantsEncryption)
    }
}
