import Foundation
import TestNetwork
import Testing
import WeirModel
import WeirNetlink

@Suite("Finding an endpoint's interface", .serialized, .enabled(if: kernelTestsAreWanted))
struct InterfaceFinderTests {
    private func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }

    private func find(
        _ topology: Topology, _ addresses: [String], _ attachment: Endpoint.Attachment = .byAddress
    ) throws -> NetworkInterface {
        let addresses = try addresses.map(address)
        return try topology.onNode {
            try InterfaceFinder().interface(of: "shop/api", addresses: addresses, attachment: attachment)
        }
    }

    private func failure(
        _ topology: Topology, _ addresses: [String], _ attachment: Endpoint.Attachment = .byAddress
    ) throws -> InterfaceNotFound {
        do {
            let found = try find(topology, addresses, attachment)
            throw CommandFailure(description: "found \(found.name)")
        } catch let error as InterfaceNotFound { return error }
    }

    @Test("an explicit name is taken as it is; one that does not exist is an error")
    func byName() throws {
        let topology = try Topology(pods: [2])
        #expect(try find(topology, ["10.7.0.2"], .interface("veth-2")).name == "veth-2")
        #expect(try failure(topology, ["10.7.0.2"], .interface("veth-9")).reason.contains("no interface 'veth-9'"))
    }

    @Test("a named namespace leads to the peer of the interface with the address")
    func byNamespace() throws {
        let topology = try Topology(wiring: .bridged)
        #expect(try find(topology, ["10.7.0.3"], .networkNamespace(topology.pods[1])).name == "veth-3")
        #expect(
            try failure(topology, ["10.7.0.3"], .networkNamespace(topology.pods[0])).reason
                .contains("nothing has the address 10.7.0.3"))
        #expect(try failure(topology, ["10.7.0.3"], .networkNamespace("nowhere")).reason.contains("'nowhere'"))
    }

    @Test("a host route over a pair leads to its host side, in both families")
    func byRoute() throws {
        let topology = try Topology()
        #expect(try find(topology, ["10.7.0.2", "fd07::2"]).name == "veth-2")
        #expect(try find(topology, ["fd07::3"]).name == "veth-3")
    }

    @Test("a route through a bridge is not the endpoint's interface: the peer of the owner is")
    func behindBridge() throws {
        let topology = try Topology(wiring: .bridged)
        #expect(try find(topology, ["10.7.0.2"]).name == "veth-2")
        #expect(try find(topology, ["10.7.0.3"]).name == "veth-3")
    }

    @Test("an uplink that is a veth is not taken for an endpoint")
    func uplink() throws {
        let topology = try Topology(pods: [2, 3])
        try run("ip", "-n", topology.node, "route", "add", "default", "dev", "veth-3")
        try run("ip", "-n", topology.node, "route", "add", "203.0.113.7/32", "dev", "veth-3")
        let error = try failure(topology, ["203.0.113.7"])
        #expect(error.tried.contains { $0.contains("veth-3, which carries a default route") })
        #expect(error.reason.contains("nothing has the address"))
    }

    @Test("a wide route over a pair is not enough, but the address behind it is found")
    func wideRoute() throws {
        let topology = try Topology(pods: [2])
        try run("ip", "-n", topology.node, "route", "add", "10.9.0.0/24", "dev", "veth-2")
        #expect(try failure(topology, ["10.9.0.5"]).tried.contains { $0.contains("/24 on veth-2") })
        try run("ip", "-n", topology.pods[0], "addr", "add", "10.9.0.5/32", "dev", "eth0")
        #expect(try find(topology, ["10.9.0.5"]).name == "veth-2")
    }

    @Test("two namespaces with one address are ambiguous")
    func ambiguous() throws {
        let topology = try Topology()
        for pod in topology.pods { try run("ip", "-n", pod, "addr", "add", "10.8.0.9/32", "dev", "eth0") }
        let error = try failure(topology, ["10.8.0.9"])
        #expect(error.reason.contains("ambiguous"))
        #expect(topology.pods.allSatisfy { error.reason.contains($0) })
        #expect(error.reason.contains("veth-2, veth-3"))
    }

    @Test("a namespace without a name is found by one of its processes")
    func unnamedNamespace() throws {
        let topology = try Topology(pods: [2], wiring: .bridged)
        let sleeper = try BackgroundCommand(["ip", "netns", "exec", topology.pods[0], "sleep", "30"])
        defer { sleeper.stop() }
        for _ in 0..<100 where try run("ip", "netns", "pids", topology.pods[0]).isEmpty { usleep(10_000) }
        try run("ip", "netns", "del", topology.pods[0])
        #expect(try find(topology, ["10.7.0.2"]).name == "veth-2")
    }

    @Test("the node's own address is no endpoint's")
    func ownAddress() throws {
        let topology = try Topology(pods: [2])
        #expect(try failure(topology, ["10.7.0.1"]).reason.contains("an address of the node itself"))
    }

    @Test("a pair whose other end is in a third namespace is not ours")
    func foreignPeer() throws {
        let topology = try Topology(pods: [2, 3])
        try run(
            "ip", "-n", topology.pods[0], "link", "add", "inner", "type", "veth", "peer", "name", "outer", "netns",
            topology.pods[1])
        try run("ip", "-n", topology.pods[0], "addr", "add", "10.8.0.7/32", "dev", "inner")
        #expect(try failure(topology, ["10.8.0.7"]).reason.contains("not in this network namespace"))
    }
}
