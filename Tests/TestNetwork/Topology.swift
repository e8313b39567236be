internal import Foundation
internal import WeirNetlink

/// A node in a network namespace of its own, with pods in others behind veth pairs. Gone with its owner.
///
///     pod a: eth0 10.7.0.2 fd07::2 ── veth-a ┐
///     pod b: eth0 10.7.0.3 fd07::3 ── veth-b ┤ node 10.7.0.1 fd07::1, forwarding
package final class Topology {
    package enum Wiring: Sendable {
        /// A host route to each pod.
        case routed
        /// The pods are ports of a bridge, which has the node's address.
        case bridged
    }

    package let node: String
    package let pods: [String]

    /// `pods` are the last parts of the pods' names and addresses: 2 is "…-2" with 10.7.0.2 and fd07::2.
    package init(pods numbers: [Int] = [2, 3], wiring: Wiring = .routed) throws {
        let base = "weirtest-\(ProcessInfo.processInfo.processIdentifier)-\(UInt32.random(in: 0..<1_000_000))"
        node = base
        pods = numbers.map { "\(base)-\($0)" }
        do { try build(numbers, wiring) } catch {
            remove()
            throw error
        }
    }

    deinit { remove() }

    private func build(_ numbers: [Int], _ wiring: Wiring) throws {
        try run("ip", "netns", "add", node)
        try run("ip", "-n", node, "link", "set", "lo", "up")
        try run("ip", "netns", "exec", node, "sh", "-c", """
            for f in /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding; do echo 1 > $f; done
            echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter; echo 0 > /proc/sys/net/ipv4/conf/default/rp_filter
            """)
        if wiring == .bridged {
            try run("ip", "-n", node, "link", "add", "br0", "type", "bridge")
            try run("ip", "-n", node, "addr", "add", "10.7.0.1/24", "dev", "br0")
            try run("ip", "-n", node, "link", "set", "br0", "up")
        }
        for (number, pod) in zip(numbers, pods) {
            let veth = Self.vethName(number)
            try run("ip", "netns", "add", pod)
            try run("ip", "-n", pod, "link", "set", "lo", "up")
            try run(
                "ip", "-n", node, "link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", pod)
            try run("ip", "-n", pod, "link", "set", "eth0", "up")
            try run("ip", "-n", node, "link", "set", veth, "up")
            switch wiring {
            case .routed:
                try run("ip", "-n", pod, "addr", "add", "10.7.0.\(number)/32", "dev", "eth0")
                try run("ip", "-n", pod, "addr", "add", "fd07::\(number)/128", "dev", "eth0", "nodad")
                try run("ip", "-n", pod, "route", "add", "10.7.0.1", "dev", "eth0", "scope", "link")
                try run("ip", "-n", pod, "route", "add", "default", "via", "10.7.0.1", "dev", "eth0")
                try run("ip", "-n", pod, "-6", "route", "add", "fd07::1", "dev", "eth0")
                try run("ip", "-n", pod, "-6", "route", "add", "default", "via", "fd07::1", "dev", "eth0")
                try run("ip", "-n", node, "addr", "add", "10.7.0.1/32", "dev", veth)
                try run("ip", "-n", node, "addr", "add", "fd07::1/128", "dev", veth, "nodad")
                try run("ip", "-n", node, "route", "add", "10.7.0.\(number)/32", "dev", veth)
                try run("ip", "-n", node, "-6", "route", "add", "fd07::\(number)/128", "dev", veth)
            case .bridged:
                try run("ip", "-n", node, "link", "set", veth, "master", "br0")
                try run("ip", "-n", pod, "addr", "add", "10.7.0.\(number)/24", "dev", "eth0")
                try run("ip", "-n", pod, "route", "add", "default", "via", "10.7.0.1")
            }
        }
    }

    /// The host side of a pod's pair.
    package static func vethName(_ number: Int) -> String { "veth-\(number)" }

    package func remove() {
        for namespace in pods + [node] { _ = try? attempt(["ip", "netns", "del", namespace]) }
    }

    /// Runs the body on a thread inside the node.
    package func onNode<Value>(_ body: () throws -> Value) throws -> Value {
        try NetworkNamespace(path: "/run/netns/\(node)").run(body)
    }

    package func inPod(_ index: Int, _ words: String...) throws -> (status: Int32, output: String) {
        try attempt(["ip", "netns", "exec", pods[index]] + words)
    }

    /// Whether one echo request from a pod is answered.
    package func ping(from index: Int, _ address: String) throws -> Bool {
        try inPod(index, "ping", "-c", "1", "-W", "1", "-n", address).status == 0
    }

    /// Whether a TCP connection from a pod gets an answer of a listener.
    package func connect(from index: Int, _ address: String, _ port: Int) throws -> Bool {
        try inPod(index, "nc", "-z", "-w", "1", address, "\(port)").status == 0
    }

    /// A listener on a port in a pod that accepts again and again.
    package func listen(in index: Int, _ port: Int) throws -> BackgroundCommand {
        let command = try BackgroundCommand([
            "ip", "netns", "exec", pods[index], "socat", "TCP-LISTEN:\(port),fork,reuseaddr", "SYSTEM:true",
        ])
        for _ in 0..<50 {
            if try inPod(index, "sh", "-c", "ss -ltn | grep -q :\(port)").status == 0 { break }
            usleep(20_000)
        }
        return command
    }
}
