import CLibbpf
import Foundation
import TestNetwork
import Testing
import WeirKernel
import WeirMaps
import WeirModel
import WeirNetlink

/// A pod behind a veth pair whose traffic is counted behind our hooks, at the pair's two ends.
final class QuarantineBed {
    /// The kinds of packets that got through.
    struct Passed: Hashable {
        var fromPod: Set<String>
        var toPod: Set<String>

        static let nothing = Passed(fromPod: [], toPod: [])
        static let everything = Passed(fromPod: kinds, toPod: kinds)
        private static let kinds: Set<String> = ["any", "arp", "discovery", "ipv4", "ipv6", "udp"]
    }

    let topology: Topology
    /// Of the host-side interface.
    let interface: UInt32

    init() throws {
        let topology = try Topology(pods: [2])
        self.topology = topology
        interface = try #require(
            try topology.onNode { try Netlink().interfaces().first { $0.name == "veth-2" }?.index })
        for (namespace, device) in [(topology.node, "veth-2"), (topology.pods[0], "eth0")] {
            try run(
                "ip", "netns", "exec", namespace, "nft",
                """
                table netdev seen {
                    counter of_any {}; counter of_arp {}; counter of_discovery {}; counter of_ipv4 {}; counter of_ipv6 {}; counter of_udp {}
                    chain arrived {
                        type filter hook ingress device \(device) priority 0;
                        counter name of_any
                        ether type arp counter name of_arp
                        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } counter name of_discovery
                        ether type ip counter name of_ipv4
                        ether type ip6 counter name of_ipv6
                        meta l4proto udp counter name of_udp
                    }
                }
                """)
        }
    }

    /// What passes of ARP, neighbour discovery, echo requests and datagrams that both ends send.
    func passed() throws -> Passed {
        let script = """
            ip neigh flush dev $1 nud permanent; ip neigh flush dev $1
            ping -n -c 1 -W 1 $2 & ping -n -c 1 -W 1 $3 & wait
            for address in $2 $3; do ip neigh replace $address lladdr $4 dev $1 nud permanent; done
            ping -n -c 1 -W 1 $2 & ping -n -c 1 -W 1 $3 & wait
            for address in $2 $3; do echo > /dev/udp/$address/9; done; true
            """
        func address(_ namespace: String, _ device: String) throws -> String {
            try run("ip", "netns", "exec", namespace, "cat", "/sys/class/net/\(device)/address")
                .trimmingCharacters(in: .whitespacesAndNewlines)
        }
        let (node, pod) = (topology.node, topology.pods[0])
        let pods = BackgroundScript(
            ["ip", "netns", "exec", pod, "bash", "-c", script, "-", "eth0", "10.7.0.1", "fd07::1"]
                + [try address(node, "veth-2")])
        let nodes = BackgroundScript(
            ["ip", "netns", "exec", node, "bash", "-c", script, "-", "veth-2", "10.7.0.2", "fd07::2"]
                + [try address(pod, "eth0")])
        _ = try counted()
        try pods.start()
        try nodes.start()
        try pods.finish()
        try nodes.finish()
        let counts = try counted()
        return Passed(fromPod: Set(counts.fromPod.keys), toPod: Set(counts.toPod.keys))
    }

    /// Packets since the last time, by kind, without zeros.
    func counted() throws -> (fromPod: [String: Int], toPod: [String: Int]) {
        func counts(_ namespace: String) throws -> [String: Int] {
            let text = try run("ip", "netns", "exec", namespace, "nft", "reset", "counters", "table", "netdev", "seen")
            var counts: [String: Int] = [:]
            for match in text.matches(of: /counter of_(\w+) \{\s+packets (\d+)/) {
                counts[String(match.1)] = Int(match.2)
            }
            try #require(counts.count == 6, "\(text)")
            return counts.filter { $0.value > 0 }
        }
        return (try counts(topology.node), try counts(topology.pods[0]))
    }

    /// Of the host-side interface, once clsact is there where the kind needs it.
    func impose(_ kind: AttachKind) throws {
        try topology.onNode {
            if kind == .clsact { _ = try ClassicFilter.createQdisc(interface: interface) }
            try Quarantine.impose(on: interface, kind: kind)
        }
    }

    func lift() throws -> Bool { try topology.onNode { try Quarantine.lift(from: interface) } }

    func state() throws -> Quarantine.State? { try topology.onNode { try Quarantine.state(of: interface) } }

    func chain(_ direction: Direction) throws -> [UInt32] {
        try topology.onNode { try TCXLink.chain(interface: interface, direction: direction) }
    }

    /// The program under the quarantine's handle of clsact.
    func filter(_ direction: Direction) throws -> UInt32? {
        try topology.onNode {
            try ClassicFilter.attachedProgram(
                interface: interface, direction: direction, handle: ClassicFilter.quarantineHandle)
        }
    }

    /// Puts a program of somebody else's at the head of a tcx hook, where it stays.
    func attach(_ program: borrowing Program, _ direction: Direction) throws {
        let descriptor = bpf_prog_get_fd_by_id(program.id)
        defer { close(descriptor) }
        let result = try topology.onNode { weir_tcx_attach(descriptor, interface, direction == .ingress ? 1 : 0) }
        try #require(result == 0)
    }
}

/// A command whose end is waited for.
private final class BackgroundScript {
    private let process = Process()

    init(_ words: [String]) {
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = words
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        process.standardInput = FileHandle.nullDevice
    }

    func start() throws { try process.run() }

    func finish() throws {
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
    }
}

/// The quarantine's object, changed: what its program returns, what it adds for a packet, what its map is called.
func changedQuarantine(returning action: Int32 = 2, adding packets: UInt8 = 1, map: String = "weir_denied") throws
    -> BPFObject
{
    var bytes = EmbeddedObject.quarantine
    func replace(_ old: [UInt8], _ new: [UInt8]) throws {
        try #require(old.count == new.count)
        var place = bytes.firstRange(of: old)
        try #require(place != nil)
        while let found = place {
            bytes.replaceSubrange(found, with: new)
            place = bytes[found.upperBound...].firstRange(of: old)
        }
    }
    try replace([0xb4, 0, 0, 0, 2, 0, 0, 0], [0xb4, 0, 0, 0] + UInt32(bitPattern: action).abiBytes)  // r0 = 2
    try replace([0x07, 1, 0, 0, 1, 0, 0, 0], [0x07, 1, 0, 0, packets, 0, 0, 0])  // r1 += 1
    if map != "weir_denied" { try replace(Array("weir_denied".utf8), Array(map.utf8)) }
    let object = try BPFObject(bytes: bytes, name: "changed")
    try object.load()
    return object
}
