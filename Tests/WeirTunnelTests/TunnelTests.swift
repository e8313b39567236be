import Foundation
import TestNetwork
import Testing
import WeirCompiler
import WeirDiagnostics
import WeirLoader
import WeirModel
import WeirPolicy
import WeirWireGuard

@Suite("A tunnel between nodes", .serialized, .enabled(if: kernelTestsAreWanted))
struct TunnelTests {
    private func cluster(_ count: Int) throws -> TunnelCluster {
        let cluster = try TunnelCluster(nodes: count)
        try cluster.publishKeys()
        for number in 1...count { try cluster.startDevice(number) }
        return cluster
    }

    @Test("encrypts what pods of three nodes say, and nothing else is on the wire")
    func mesh() throws {
        let cluster = try cluster(3)
        #expect(try cluster.reaches(1, 2), "in clear, before")
        for number in 1...3 {
            #expect(try cluster.apply(number).result == .applied)
            #expect(try cluster.apply(number).result == .unchanged)
        }
        let capture = try WireCapture(cluster)
        for from in 1...3 {
            for to in 1...3 where to != from { #expect(try cluster.reaches(from, to), "\(from) to \(to)") }
        }
        let listener = try cluster.listen(2, 80, "SYSTEM:true")
        defer { listener.stop() }
        #expect(try cluster.connects(1, "10.2.0.2", 80))
        #expect(
            try attempt(["ip", "netns", "exec", cluster.node(1), "ping", "-c", "1", "-W", "2", "10.3.0.2"]).status == 0,
            "the node itself")
        #expect(try capture.encrypted().count > 20)
        // The node's own address is not of a pod network: what is answered to it goes in clear.
        #expect(try capture.clear().filter { !$0.contains("192.0.2.1:") && !$0.contains("192.0.2.1 ") } == [])

        for number in 1...3 {
            let report = try #require(try cluster.report(number))
            #expect(report.isInSync && report.devices.count == 1)
            let peers = try #require(report.devices.first?.peers)
            let shown = try cluster.dump(number)
            #expect(Set(peers.map(\.publicKey)) == Set(shown.map { $0[0] }))
            for peer in peers {
                let fields = try #require(shown.first { $0[0] == peer.publicKey })
                #expect(peer.state == .ok && peer.endpoint == fields[2])
                #expect(Set(peer.allowedIPs) == Set(fields[3].split(separator: ",").map(String.init)))
                #expect(peer.handshakeAgeSeconds != nil && peer.receivedBytes > 0 && peer.sentBytes > 0)
                #expect(UInt64(fields[5]) ?? 0 >= peer.receivedBytes)
            }
        }
    }

    @Test("lets nothing out in clear: before the first handshake, without a peer, during apply, after the device died")
    func leaks() throws {
        let cluster = try cluster(2)
        // From here on node 1 has a tunnel, and its peer has none.
        try cluster.apply(1)
        try cluster.apply(2)
        let capture = try WireCapture(cluster)
        let chatter = try cluster.chatter()
        defer { for command in chatter { command.stop() } }
        #expect(try cluster.reaches(1, 2))

        // A peer without a key, on both sides.
        let keys = cluster.published
        cluster.published[2]?.key = nil
        #expect(try cluster.apply(1).changes.contains { $0.hasPrefix("  - peer") })
        #expect(try !cluster.ping(1, "10.2.0.2"))
        cluster.published = keys
        for number in 1...2 { try cluster.apply(number) }
        #expect(try cluster.reaches(1, 2))

        // Again and again, while there is traffic.
        for _ in 0..<10 {
            cluster.published[2]?.key = nil
            try cluster.apply(1)
            cluster.published = keys
            try cluster.apply(1)
        }

        try cluster.stopDevice(1)
        #expect(try !cluster.ping(1, "10.2.0.2"))
        #expect(try cluster.report(1)?.isInSync == false)
        if !kernelHasWireGuard {
            #expect(throws: LoaderError.self) { try cluster.apply(1) }
            #expect(try !cluster.ping(1, "10.2.0.2"))
            try cluster.startDevice(1)
            #expect(try !cluster.ping(1, "10.2.0.2"), "the new device knows nothing yet")
        }
        #expect(try cluster.apply(1).result == .applied)
        #expect(try cluster.reaches(1, 2))
        #expect(try capture.encrypted().count > 100)
        #expect(try capture.clear() == [])
    }

    @Test("down takes away what apply made, and nothing more; the key stays")
    func down() throws {
        let cluster = try cluster(2)
        func traces() throws -> Set<String> {
            var lines: Set<String> = []
            for words in [
                ["rule"], ["-6", "rule"], ["route", "show", "table", "all"], ["-6", "route", "show", "table", "all"],
            ] {
                let output = try attempt(["ip", "-n", cluster.node(1)] + words).output
                // What the kernel gives any interface by itself comes and goes when it likes.
                lines.formUnion(
                    output.split(separator: "\n").filter { !$0.contains("fe80::") && !$0.contains("ff00::") }
                        .map { "\(words): \($0)" })
            }
            return lines
        }
        let before = try traces()
        let key = cluster.published[1]?.key
        for _ in 0..<2 {
            try cluster.apply(1)
            #expect(try traces() != before)
            #expect(try !cluster.onNode(1) { try cluster.loader(1).down() }.isEmpty)
            if kernelHasWireGuard {
                #expect(try !cluster.hasInterface(1, "weir-wg0"), "weir made it")
            } else {
                // It is wireguard-go's and stays, without a peer, with what the kernel gave it while it was up.
                #expect(try cluster.dump(1) == [])
                try run("ip", "-n", cluster.node(1), "link", "set", "weir-wg0", "down")
            }
            // The kernel takes some of an interface's routes away a moment later.
            for _ in 0..<50 where try traces() != before { usleep(50_000) }
            let rest = try traces().symmetricDifference(before)
            #expect(rest == [], "\(rest)")
            #expect(try cluster.onNode(1) { try cluster.loader(1).down() }.isEmpty)
            #expect(try cluster.report(1) == nil)
        }
        #expect(try cluster.onNode(1) { try cluster.loader(1).publicKey() } == key)
    }

    @Test("a key that the inventory does not know is refused, and so is a node without one")
    func keys() throws {
        let cluster = try cluster(2)
        let secret = SecretKey.generatePrivateKey()
        let publicKey = secret.publicKey
        let other = try #require(publicKey)
        let published = cluster.published
        cluster.published[1]?.key = other
        let refusal = #expect(throws: LoaderError.self) { try cluster.apply(1) }
        #expect(refusal?.description.contains("publishes the key \(other.base64)") == true)
        cluster.published = published
        try run("rm", "-r", cluster.stateDirectory(1))
        let missing = #expect(throws: LoaderError.self) { try cluster.apply(1) }
        #expect(missing?.description.contains("weir wireguard key") == true)
        #expect(try run("ip", "-n", cluster.node(1), "rule").contains("51871") == false)
    }

    // MARK: Policy

    private static let policy = """
        ---
        apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: shop, namespace: shop}
        spec:
          endpointSelector: {}
          ingress:
          - fromEndpoints: [{}]
            toPorts: [{ports: [{port: "80", protocol: TCP}]}]
          - fromEndpoints: [{}]
            icmps: [{fields: [{family: IPv4, type: 8}, {family: IPv6, type: 128}]}]

        """

    private func applyPolicy(_ cluster: TunnelCluster, _ number: Int) throws {
        var diagnostics = DiagnosticsCollector()
        let policies = decodePolicies(try cluster.documents(Self.policy), diagnostics: &diagnostics)
        #expect(diagnostics.sorted.isEmpty)
        let image = Compiler.compile(
            policies: policies, inventory: try cluster.inventory, node: "n\(number)",
            options: PolicyOptions(encryption: .wireguard))
        #expect(image.wantsEncryption)
        _ = try cluster.onNode(number) {
            try Loader(options: cluster.loaderOptions(number)).apply(image)
        }
    }

    private func unencrypted(_ cluster: TunnelCluster, _ number: Int, _ direction: Direction) throws -> UInt64 {
        let status = try cluster.onNode(number) { try Loader(options: cluster.loaderOptions(number)).status() }
        return status?.drops.first { $0.reason == "unencrypted" && $0.direction == direction }?.packets ?? 0
    }

    @Test("under a policy that wants encryption, clear packets of other nodes' pods are dropped on either side")
    func strict() throws {
        try mountBPFFileSystem()
        let cluster = try TunnelCluster(nodes: 2)
        try cluster.publishKeys()
        // The policy is there first: nothing passes until the tunnel is.
        for number in 1...2 { try applyPolicy(cluster, number) }
        #expect(try !cluster.ping(1, "10.2.0.2"))
        #expect(try unencrypted(cluster, 1, .egress) > 0)
        let status = try cluster.onNode(1) { try Loader(options: cluster.loaderOptions(1)).status() }
        #expect(status?.problems.contains { $0.contains("weir wireguard apply") } == true)
        for number in 1...2 {
            try cluster.startDevice(number)
            try cluster.apply(number)
        }
        #expect(try cluster.reaches(1, 2) && cluster.reaches(2, 1))
        let ended = try cluster.onNode(1) { try Loader(options: cluster.loaderOptions(1)).status() }
        #expect(ended?.problems == [])
        let refused = try attempt(["ip", "netns", "exec", cluster.pod(1), "nc", "-z", "-w", "1", "10.2.0.2", "81"])
        #expect(refused.status != 0)

        // Somebody takes the rule away. Node 1's own programs keep its pods from speaking in clear.
        let capture = try WireCapture(cluster)
        let before = try unencrypted(cluster, 1, .egress)
        for family in ["-4", "-6"] { try run("ip", "-n", cluster.node(1), family, "rule", "del", "pref", "51") }
        #expect(try !cluster.ping(1, "10.2.0.2") && !cluster.ping(1, "fd02::2"))
        #expect(try unencrypted(cluster, 1, .egress) >= before + 2)
        #expect(try capture.clear() == [])

        // Where they are gone, too, the other node refuses what comes in clear.
        _ = try cluster.onNode(1) { try Loader(options: cluster.loaderOptions(1)).detach() }
        let arrived = try unencrypted(cluster, 2, .ingress)
        #expect(try !cluster.ping(1, "10.2.0.2") && !cluster.ping(1, "fd02::2"))
        #expect(try unencrypted(cluster, 2, .ingress) >= arrived + 2)
        #expect(try !capture.clear().isEmpty, "they were on the wire")
    }

    // MARK: Rotation

    /// One connection, a line every 20 ms that must come back, until the file is there.
    private static let talk = """
        exec 3<>/dev/tcp/$0/7 || exit 1
        count=0
        while [[ ! -e $1 ]]; do
            echo x >&3
            read -r -t 10 -u 3 line && [[ $line = x ]] || exit 1
            count=$((count + 1))
            sleep 0.02
        done
        echo $count
        """

    @Test("keys rotate at different times on two nodes without a lost packet or connection")
    func rotation() throws {
        let cluster = try cluster(2)
        for number in 1...2 { try cluster.apply(number) }
        #expect(try cluster.reaches(1, 2))
        let echo = try cluster.listen(2, 7, "PIPE")
        defer { echo.stop() }
        let done = "\(cluster.directory)/done"
        let talk = try Talk(
            ["ip", "netns", "exec", cluster.pod(1), "bash", "-c", Self.talk, "10.2.0.2", done],
            output: "\(cluster.directory)/talk")
        let pings = try Talk(
            ["ip", "netns", "exec", cluster.pod(2), "ping", "-i", "0.02", "-W", "2", "-n", "10.1.0.2"],
            output: "\(cluster.directory)/pings")
        let capture = try WireCapture(cluster)

        // Node 1 gets a new key; node 2 keeps its own.
        let old = try #require(cluster.published[1]?.key)
        let next = try cluster.onNode(1) { try cluster.loader(1).startRotation().publicKey }
        #expect(try cluster.onNode(1) { try cluster.loader(1).startRotation().isNew } == false)
        cluster.published[1]?.next = next
        for number in 1...2 {
            try cluster.startDevice(number, lane: 1)
            try cluster.apply(number)
        }
        let early = #expect(throws: LoaderError.self) {
            var configuration = try cluster.configuration(2)
            configuration.peers[0].publicKey = next
            try cluster.onNode(2) { _ = try cluster.loader(2).apply(configuration) }
        }
        #expect(early?.description.contains("rotate switch") == true)
        for number in 1...2 {
            try answered(cluster, number, lane: 1)
            #expect(
                try cluster.onNode(number) { try cluster.loader(number).send(onLane: 1) }.sendingInterface == "weir-wg1"
            )
            usleep(500_000)
        }
        #expect(try cluster.apply(1).result == .unchanged, "an apply does not send it back")
        cluster.published[1] = (next, next)
        for number in 1...2 {
            try cluster.apply(number)
            usleep(300_000)
        }
        #expect(
            try cluster.onNode(1) { try (cluster.loader(1).publicKey(), cluster.loader(1).nextPublicKey()) } == (
                next, nil
            ))
        for number in 1...2 {
            try answered(cluster, number, lane: 0)
            #expect(
                try cluster.onNode(number) { try cluster.loader(number).send(onLane: 0) }.sendingInterface == "weir-wg0"
            )
            usleep(500_000)
        }
        cluster.published[1] = (next, nil)
        for number in 1...2 { try cluster.apply(number) }
        usleep(500_000)
        try "".write(toFile: done, atomically: true, encoding: .utf8)

        let (talkStatus, lines) = try talk.wait()
        #expect(talkStatus == 0 && (Int(lines.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0) > 20, "\(lines)")
        pings.interrupt()
        // The last one may be on its way.
        let answers = Set(try pings.wait().output.matches(of: /bytes from .* icmp_seq=(\d+)/).compactMap { Int($0.1) })
        #expect(answers.count > 20 && answers.count == answers.max(), "\(answers.count) of \(answers.max() ?? 0)")
        #expect(try capture.clear() == [])
        #expect(try cluster.dump(2).map { $0[0] } == [next.base64] && old != next)
    }

    /// Until every peer has answered on a lane.
    private func answered(_ cluster: TunnelCluster, _ number: Int, lane: Int) throws {
        for _ in 0..<400 {
            let device = try cluster.report(number)?.devices[lane]
            if let device, !device.peers.isEmpty, device.peers.allSatisfy({ $0.handshakeAgeSeconds != nil }) { return }
            usleep(100_000)
        }
        Issue.record("no answer on lane \(lane) of node \(number): \(String(describing: try cluster.report(number)))")
    }
}

/// A command whose output is wanted at its end; until then it goes to a file.
private final class Talk {
    private let process = Process()
    private let path: String

    init(_ words: [String], output path: String) throws {
        self.path = path
        try "".write(toFile: path, atomically: false, encoding: .utf8)
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = words
        process.standardOutput = file
        process.standardError = file
        process.standardInput = FileHandle.nullDevice
        try process.run()
    }

    deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

    func interrupt() { kill(process.processIdentifier, SIGINT) }

    func wait() throws -> (status: Int32, output: String) {
        process.waitUntilExit()
        return (process.terminationStatus, try String(contentsOfFile: path, encoding: .utf8))
    }
}
