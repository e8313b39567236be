import Foundation
import TestNetwork
import Testing
import WeirNetlink

@Suite("The host side of a container's interface", .serialized, .enabled(if: kernelTestsAreWanted))
struct HostSideTests {
    private func hostSide(_ topology: Topology, _ name: String, _ path: String) throws -> NetworkInterface {
        try topology.onNode { try InterfaceFinder().hostSide(of: name, inNamespaceAt: path) }
    }

    private func failure(_ topology: Topology, _ name: String, _ path: String) throws -> String {
        do {
            let found = try hostSide(topology, name, path)
            throw CommandFailure(description: "found \(found.name)")
        } catch let error as InterfaceNotFound { return error.reason }
    }

    @Test("it is the peer, whatever the pair carries and wherever the namespace's file lies")
    func peer() throws {
        let topology = try Topology(wiring: .bridged)
        #expect(try hostSide(topology, "eth0", "/run/netns/\(topology.pods[1])").name == "veth-3")
        let sleeper = try BackgroundCommand(["ip", "netns", "exec", topology.pods[0], "sleep", "30"])
        defer { sleeper.stop() }
        for _ in 0..<100 where try run("ip", "netns", "pids", topology.pods[0]).isEmpty { usleep(10_000) }
        let process = try run("ip", "netns", "pids", topology.pods[0]).split(separator: "\n").first.map(String.init)
        #expect(try hostSide(topology, "eth0", "/proc/\(try #require(process))/ns/net").name == "veth-2")
        // A second pair into the same namespace is another interface.
        try run(
            "ip", "-n", topology.node, "link", "add", "extra", "type", "veth", "peer", "name", "net1", "netns",
            topology.pods[0])
        #expect(try hostSide(topology, "net1", "/run/netns/\(topology.pods[0])").name == "extra")
    }

    @Test("macvlan has none, and the error says what it is")
    func macvlan() throws {
        let topology = try Topology(pods: [2])
        try run("ip", "-n", topology.node, "link", "add", "mac0", "link", "veth-2", "type", "macvlan")
        try run("ip", "-n", topology.node, "link", "set", "mac0", "netns", topology.pods[0])
        let reason = try failure(topology, "mac0", "/run/netns/\(topology.pods[0])")
        #expect(reason == "'mac0' in /run/netns/\(topology.pods[0]) is macvlan, which has no host side")
    }

    @Test("a pair whose other end is in a third namespace, or in the container itself, has none here")
    func elsewhere() throws {
        let topology = try Topology(pods: [2, 3])
        let path = "/run/netns/\(topology.pods[0])"
        try run(
            "ip", "-n", topology.pods[0], "link", "add", "inner", "type", "veth", "peer", "name", "outer", "netns",
            topology.pods[1])
        #expect(try failure(topology, "inner", path).contains("not in this network namespace"))
        try run("ip", "-n", topology.pods[0], "link", "add", "one", "type", "veth", "peer", "name", "two")
        #expect(try failure(topology, "one", path).contains("not in this network namespace"))
    }

    @Test("no namespace, the node's own, and no such interface are told apart")
    func nothing() throws {
        let topology = try Topology(pods: [2])
        #expect(try failure(topology, "eth0", "/run/netns/nowhere") == "there is no network namespace")
        #expect(
            try failure(topology, "eth0", "/run/netns/\(topology.node)") == "that is the node's own network namespace")
        #expect(try failure(topology, "eth7", "/run/netns/\(topology.pods[0])") == "there is no interface of that name")
        #expect(throws: NetlinkError.self) { try hostSide(topology, "eth0", "/dev/null") }
    }
}
