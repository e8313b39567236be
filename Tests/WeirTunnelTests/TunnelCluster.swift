import Foundation
import TestNetwork
import WeirDiagnostics
import WeirInventory
import WeirKernel
import WeirLoader
import WeirModel
import WeirNetlink
import WeirSyntax
import WeirWireGuard

/// Whether this kernel makes WireGuard devices; asked of a namespace that goes again. Else they are wireguard-go's.
let kernelHasWireGuard =
    (try? attempt(["unshare", "--net", "ip", "link", "add", "weir-wg0", "type", "wireguard"]).status) == 0

/// Nodes on one wire, each with one pod, and clear routes between the pod networks, as a CNI makes them. Devices are the
/// kernel's where it has any, else wireguard-go's. Gone with its owner.
///
///     pod 1: 10.1.0.2 fd01::2 ── node 1: 192.0.2.1 fd00::1 ──┬── wire ──┬── node 2 ── pod 2: 10.2.0.2 fd02::2
final class TunnelCluster {
    let base: String
    let count: Int
    private var processes: [String: WireGuardProcess] = [:]
    /// What the inventory says of a node beyond its addresses.
    var published: [Int: (key: PublicKey?, next: PublicKey?)] = [:]

    init(nodes count: Int) throws {
        self.count = count
        base = "wt\(ProcessInfo.processInfo.processIdentifier)-\(UInt32.random(in: 0..<1_000_000))"
        do { try build() } catch {
            remove()
            throw error
        }
    }

    deinit { remove() }

    var wire: String { "\(base)-wire" }
    func node(_ number: Int) -> String { "\(base)-n\(number)" }
    func pod(_ number: Int) -> String { "\(base)-p\(number)" }
    var directory: String { "/tmp/\(base)" }
    private func sockets(_ number: Int) -> String { "\(directory)/\(number)/sockets" }
    func stateDirectory(_ number: Int) -> String { "\(directory)/\(number)/state" }
    func pinPath(_ number: Int) -> String { "/sys/fs/bpf/\(base)-n\(number)" }

    private func build() throws {
        try run("ip", "netns", "add", wire)
        try run("ip", "-n", wire, "link", "add", "br0", "type", "bridge")
        try run("ip", "-n", wire, "link", "set", "br0", "up")
        for number in 1...count {
            let (node, pod) = (node(number), pod(number))
            try FileManager.default.createDirectory(atPath: sockets(number), withIntermediateDirectories: true)
            for namespace in [node, pod] {
                try run("ip", "netns", "add", namespace)
                try run("ip", "-n", namespace, "link", "set", "lo", "up")
                try run(
                    "ip", "netns", "exec", namespace, "sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad")
            }
            try run(
                "ip", "netns", "exec", node, "sh", "-c",
                "for f in /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding; do echo 1 > $f; done")
            try run(
                "ip", "-n", node, "link", "add", "eth0", "type", "veth", "peer", "name", "port\(number)", "netns", wire)
            try run("ip", "-n", wire, "link", "set", "port\(number)", "master", "br0", "up")
            try run("ip", "-n", node, "link", "set", "eth0", "up")
            try run("ip", "-n", node, "addr", "add", "192.0.2.\(number)/24", "dev", "eth0")
            try run("ip", "-n", node, "addr", "add", "fd00::\(number)/64", "dev", "eth0", "nodad")
            try run("ip", "-n", node, "link", "add", "veth-pod", "type", "veth", "peer", "name", "eth0", "netns", pod)
            for end in [[node, "veth-pod"], [pod, "eth0"]] { try run("ip", "-n", end[0], "link", "set", end[1], "up") }
            try run("ip", "-n", node, "addr", "add", "10.\(number).0.1/32", "dev", "veth-pod")
            try run("ip", "-n", node, "route", "add", "10.\(number).0.2/32", "dev", "veth-pod")
            try run("ip", "-n", pod, "addr", "add", "10.\(number).0.2/32", "dev", "eth0")
            try run("ip", "-n", pod, "route", "add", "10.\(number).0.1", "dev", "eth0")
            try run("ip", "-n", pod, "route", "add", "default", "via", "10.\(number).0.1")
            try run("ip", "-n", node, "addr", "add", "fd0\(number)::1/128", "dev", "veth-pod", "nodad")
            try run("ip", "-n", node, "-6", "route", "add", "fd0\(number)::2/128", "dev", "veth-pod")
            try run("ip", "-n", pod, "addr", "add", "fd0\(number)::2/128", "dev", "eth0", "nodad")
            try run("ip", "-n", pod, "-6", "route", "add", "fd0\(number)::1", "dev", "eth0")
            try run("ip", "-n", pod, "-6", "route", "add", "default", "via", "fd0\(number)::1")
        }
        for number in 1...count {
            try awaitLinkLocalAddresses(node(number), 2)
            try awaitLinkLocalAddresses(pod(number), 1)
            for other in 1...count where other != number {
                try run("ip", "-n", node(number), "route", "add", "10.\(other).0.0/24", "via", "192.0.2.\(other)")
                try run("ip", "-n", node(number), "-6", "route", "add", "fd0\(other)::/64", "via", "fd00::\(other)")
            }
        }
    }

    /// Until the interfaces have all that the kernel gives them by itself.
    private func awaitLinkLocalAddresses(_ namespace: String, _ count: Int) throws {
        for _ in 0..<500 {
            let shown = try run("ip", "-6", "-o", "-n", namespace, "addr", "show", "scope", "link", "-tentative")
            if shown.split(separator: "\n").count == count { return }
            usleep(20_000)
        }
        throw CommandFailure(description: "the interfaces of \(namespace) do not come up")
    }

    private func remove() {
        for number in 1...count {
            _ = try? onNode(number) { _ = try Loader(options: loaderOptions(number)).detach() }
            _ = try? attempt(["rm", "-rf", pinPath(number)])
        }
        for process in processes.values { process.stop() }
        for namespace in (1...count).flatMap({ [node($0), pod($0)] }) + [wire] {
            _ = try? attempt(["ip", "netns", "del", namespace])
        }
        _ = try? attempt(["rm", "-rf", directory])
    }

    // MARK: The node's side

    func loaderOptions(_ number: Int) -> Loader.Options {
        var options = Loader.Options()
        options.pinPath = pinPath(number)
        options.stateDirectory = stateDirectory(number)
        options.lockTimeout = .seconds(2)
        return options
    }

    func loader(_ number: Int, force: Bool = false) -> TunnelLoader {
        var options = TunnelLoader.Options()
        options.socketDirectory = sockets(number)
        options.isForced = force
        return TunnelLoader(loaderOptions(number), options: options)
    }

    func onNode<Value>(_ number: Int, _ body: () throws -> Value) throws -> Value {
        try NetworkNamespace(path: "/run/netns/\(node(number))").run(body)
    }

    /// Runs wireguard-go for a lane, with a directory of sockets of its own. The kernel's devices need nobody to run.
    func startDevice(_ number: Int, lane: Int = 0) throws {
        guard !kernelHasWireGuard else { return }
        let name = "weir-wg\(lane)"
        processes["\(number)/\(lane)"] = try WireGuardProcess(name, in: node(number), sockets: sockets(number))
    }

    /// The device is gone when this returns, and everything that the kernel knew of it.
    func stopDevice(_ number: Int, lane: Int = 0) throws {
        let name = "weir-wg\(lane)"
        guard !kernelHasWireGuard else {
            try run("ip", "-n", node(number), "link", "delete", name)
            return
        }
        processes.removeValue(forKey: "\(number)/\(lane)")?.stop()
        for _ in 0..<250 where try hasInterface(number, name) { usleep(20_000) }
    }

    func hasInterface(_ number: Int, _ name: String) throws -> Bool {
        try attempt(["ip", "-n", node(number), "link", "show", name]).status == 0
    }

    /// `wg show DEVICE dump` of a node: fields of the peers' lines.
    func dump(_ number: Int, lane: Int = 0) throws -> [[String]] {
        var words = ["ip", "netns", "exec", node(number)]
        if !kernelHasWireGuard {
            guard let process = processes["\(number)/\(lane)"] else { return [] }
            words = process.entering
        }
        let (status, text) = try attempt(words + ["wg", "show", "weir-wg\(lane)", "dump"])
        guard status == 0 else { throw CommandFailure(description: text) }
        return text.split(separator: "\n").dropFirst().map { line in
            line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
        }
    }

    // MARK: Inventory

    /// Every node makes a key and publishes it.
    func publishKeys() throws {
        for number in 1...count {
            published[number] = (try onNode(number) { try loader(number).ensureKey().publicKey }, nil)
        }
    }

    var inventoryText: String {
        (1...count).map { number in
            var fields: [String] = []
            if let key = published[number]?.key { fields.append("publicKey: \"\(key.base64)\"") }
            if let next = published[number]?.next { fields.append("nextPublicKey: \"\(next.base64)\"") }
            return """
                ---
                apiVersion: weir.dev/v1
                kind: Node
                metadata: {name: n\(number)}
                spec:
                  addresses: [192.0.2.\(number), "fd00::\(number)"]
                  podCIDRs: [10.\(number).0.0/24, "fd0\(number)::/64"]
                \(fields.isEmpty ? "" : "  wireguard: {\(fields.joined(separator: ", "))}")
                ---
                apiVersion: weir.dev/v1
                kind: Endpoint
                metadata: {name: pod-\(number), namespace: shop, labels: {pod: p\(number)}}
                spec: {node: n\(number), addresses: [10.\(number).0.2, "fd0\(number)::2"], interface: veth-pod}

                """
        }.joined()
    }

    func documents(_ text: String) throws -> [Document] {
        var diagnostics = DiagnosticsCollector()
        let documents = parseDocuments(SourceFile(path: "cluster.yaml", text: text), diagnostics: &diagnostics)
        if let finding = diagnostics.sorted.first { throw CommandFailure(description: "\(finding)") }
        return documents
    }

    var inventory: Inventory {
        get throws {
            var diagnostics = DiagnosticsCollector()
            let inventory = decodeInventory(try documents(inventoryText), diagnostics: &diagnostics)
            if let finding = diagnostics.sorted.first { throw CommandFailure(description: "\(finding)") }
            return inventory
        }
    }

    func configuration(_ number: Int) throws -> TunnelConfiguration {
        var diagnostics = DiagnosticsCollector()
        guard
            let configuration = TunnelCompiler.compile(
                inventory: try inventory, node: "n\(number)", diagnostics: &diagnostics)
        else { throw CommandFailure(description: "\(diagnostics.sorted)") }
        return configuration
    }

    @discardableResult
    func apply(_ number: Int, force: Bool = false) throws -> TunnelLoader.Outcome {
        let configuration = try configuration(number)
        return try onNode(number) { try loader(number, force: force).apply(configuration) }
    }

    func report(_ number: Int) throws -> TunnelReport? { try onNode(number) { try loader(number).report() } }

    // MARK: Traffic

    func ping(_ from: Int, _ address: String) throws -> Bool {
        try attempt(["ip", "netns", "exec", pod(from), "ping", "-c", "1", "-W", "1", "-n", address]).status == 0
    }

    /// Both families. Where both sides begin the first handshake at once, it takes another, five seconds later.
    func reaches(_ from: Int, _ to: Int) throws -> Bool {
        try ["10.\(to).0.2", "fd0\(to)::2"].allSatisfy { address in
            for _ in 0..<15 where try ping(from, address) { return true }
            return false
        }
    }

    /// A listener on a port of a pod, once it accepts, that deals with each connection as socat's second address says.
    func listen(_ number: Int, _ port: Int, _ address: String) throws -> BackgroundCommand {
        let command = try BackgroundCommand([
            "ip", "netns", "exec", pod(number), "socat", "TCP-LISTEN:\(port),fork,reuseaddr", address,
        ])
        for _ in 0..<250 {
            if try connects(number, "127.0.0.1", port) { return command }
            usleep(20_000)
        }
        throw CommandFailure(description: "socat did not listen")
    }

    func connects(_ from: Int, _ address: String, _ port: Int) throws -> Bool {
        try attempt(["ip", "netns", "exec", pod(from), "nc", "-z", "-w", "2", address, "\(port)"]).status == 0
    }

    /// Echo requests all the time, to all other pods, from every pod.
    func chatter() throws -> [BackgroundCommand] {
        try (1...count).flatMap { from in
            try (1...count).filter { $0 != from }.flatMap { to in
                try ["10.\(to).0.2", "fd0\(to)::2"].map { address in
                    try BackgroundCommand([
                        "ip", "netns", "exec", pod(from), "ping", "-q", "-i", "0.02", "-W", "1", "-n", address,
                    ])
                }
            }
        }
    }
}
