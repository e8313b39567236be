import Testing
import WeirABI
import WeirCompiler
import WeirFlow
import WeirImage
import WeirMaps
import WeirModel
import WeirTestSupport

/// More new flows than there is room for, against flows that are established.
@Suite("A flood of half-open flows", .serialized, .enabled(if: KernelRequirement.isMet))
struct FloodTests {
    @Test("leaves every established flow that speaks now and then where it is")
    func established() throws {
        let world = RandomWorld(seed: 1)
        let endpoint = try #require(
            world.inventory.endpoints.first { $0.node == "node-a" && $0.address(.ipv4) != nil })
        let own = try #require(endpoint.address(.ipv4))
        let image = Compiler.compile(policies: PolicySet(specs: []), inventory: world.inventory, node: "node-a")
        let record = try #require(image.endpoint(named: endpoint.qualifiedName))
        let kernel = try KernelNode(options: .defaults, watching: 0)
        try kernel.place(image, interfaces: [record.id: KernelNode.interface], hostDevices: [], slot: 1)
        kernel.commit(revision: 1)
        let established = try #require(kernel.flowMaps[.conntrack4])
        let new = try #require(kernel.flowMaps[.conntrack4_new])

        func send(_ peer: String, _ port: UInt16, _ flags: UInt8, answer: Bool = false) throws {
            var spec = PacketSpec(from: own, to: try #require(IPAddress(peer)), protocol: .tcp)
            spec.sourcePort = port
            spec.destinationPort = 80
            if answer { spec = spec.reversed }
            spec.tcpFlags = flags
            let item = PacketSource.Item(
                frame: PacketBuilder.frame(spec), direction: answer ? .ingress : .egress, isFromHost: false)
            let passes = try #require(try kernel.process(item)).passes
            try #require(passes, "\(peer) port \(port)")
        }
        let ports = 1000..<1200 as Range<UInt16>
        for port in ports {
            try send("198.51.100.1", port, PacketSpec.TCPFlags.syn)
            try send("198.51.100.1", port, PacketSpec.TCPFlags.syn | PacketSpec.TCPFlags.ack, answer: true)
            try send("198.51.100.1", port, PacketSpec.TCPFlags.ack)
        }
        #expect(try established.entries().count == ports.count)
        for peer in 1...4 {
            for port in 2000..<42_000 as Range<UInt16> { try send("203.0.113.\(peer)", port, PacketSpec.TCPFlags.syn) }
            // The answers too: nothing but the entry lets them in that is not new.
            for port in ports { try send("198.51.100.1", port, PacketSpec.TCPFlags.ack, answer: true) }
        }
        #expect(try established.entries().count == ports.count)
        let halfOpen = try new.entries().count
        #expect(halfOpen > 10_000 && halfOpen <= Int(WEIR_CONNTRACK4_NEW_ENTRIES))
    }
}
