import Foundation
import LoaderBed
import TestNetwork
import Testing
import WeirKernel
import WeirLoader
import WeirModel

/// Pods 2, 4 and 5 change, pod 3 is the `db` with listeners, pod 9 is there for the row of what is caged.
@Suite("A change of pods in place", .serialized, .enabled(if: kernelTestsAreWanted))
struct InPlaceTests {
    private static let pods = [2, 3, 4, 5, 9]

    /// Both ports accept TCP and echo UDP.
    private struct Servers {
        private var commands: [BackgroundCommand] = []

        init(_ topology: Topology) throws {
            for port in [80, 81] {
                commands.append(try topology.listen(in: 1, port))
                commands.append(
                    try BackgroundCommand([
                        "ip", "netns", "exec", topology.pods[1], "socat", "-T", "1",
                        "UDP4-LISTEN:\(port),fork,reuseaddr",
                        "PIPE",
                    ]))
            }
        }

        func stop() { for command in commands { command.stop() } }
    }

    private static func openPorts(_ topology: Topology, from index: Int) throws -> [Int] {
        try [80, 81].filter { try topology.connect(from: index, "10.7.0.3", $0) }
    }

    /// Whether a datagram from this very port comes back.
    private static func echoes(_ topology: Topology, from index: Int, port: Int, sourcePort: Int) throws -> Bool {
        try topology.inPod(
            index, "sh", "-c", "echo hello | socat -T 0.5 - UDP4:10.7.0.3:\(port),sourceport=\(sourcePort)"
        ).output.contains("hello")
    }

    @Test("a pod that comes is a few writes; one that goes is forgotten", arguments: [AttachMode.tcx, .clsact])
    func comeAndGo(mode: AttachMode) throws {
        let fixture = try LoaderFixture(mode, pods: Self.pods)
        let (topology, place) = (fixture.topology, fixture.place)
        let servers = try Servers(topology)
        defer { servers.stop() }
        var cluster = Cluster([2: "web"])
        cluster.webPort = 79
        _ = try place.apply(cluster)
        cluster.webPort = 80
        #expect(try place.apply(cluster).result == .committed)
        #expect(try Self.openPorts(topology, from: 0) == [80])
        #expect(try Self.openPorts(topology, from: 2) == [], "nobody knows pod 4")

        cluster.add(4, "web")
        let plan = try place.plan(cluster)
        #expect(plan.inPlace && plan.hasChanges && plan.notInPlace == nil)
        #expect(plan.maps.map(\.map) == ["endpoints", "ipcache4", "ipcache6"])
        #expect(plan.maps.allSatisfy { $0.added == 1 && $0.changed == 0 && $0.removed == 0 })
        let outcome = try place.apply(cluster)
        #expect(outcome.result == .adjusted && outcome.slot == 0 && outcome.revision == 4)
        #expect(outcome.attached.count == 2)
        #expect(outcome.mapWrites < 10 && outcome.mapWrites == plan.mapWrites)
        #expect(try Self.openPorts(topology, from: 2) == [80])
        #expect(try place.apply(cluster).result == .unchanged)
        #expect(try place.status()?.problems == [])
        #expect(try place.status()?.endpoints.map(\.name).contains("shop/pod-4") == true)

        cluster.remove(4)
        let gone = try place.apply(cluster)
        #expect(gone.result == .adjusted && gone.detached.count == 2 && gone.mapWrites < 12)
        #expect(try Self.openPorts(topology, from: 2) == [])
        #expect(try Self.openPorts(topology, from: 0) == [80])
        #expect(try place.status()?.problems == [])
        try place.detach()
        #expect(try fixture.traces() == [])
    }

    @Test("a pod with other labels is another peer at once, in its open flows too")
    func relabelled() throws {
        let fixture = try LoaderFixture(pods: Self.pods)
        let (topology, place) = (fixture.topology, fixture.place)
        let servers = try Servers(topology)
        defer { servers.stop() }
        var cluster = Cluster([2: "web", 4: "web"])
        _ = try place.apply(cluster)
        #expect(try Self.echoes(topology, from: 0, port: 80, sourcePort: 5555))
        cluster.relabel(2, "ops")
        #expect(try place.apply(cluster).result == .adjusted)
        #expect(try Self.openPorts(topology, from: 0) == [81])
        #expect(try !Self.echoes(topology, from: 0, port: 80, sourcePort: 5555))
        #expect(try Self.echoes(topology, from: 2, port: 80, sourcePort: 5555), "the server answers others")
        #expect(try place.status()?.problems == [])
    }

    @Test("labels that change a pod's own rules and its peers' take the one store")
    func bothSides() throws {
        let fixture = try LoaderFixture(pods: Self.pods)
        let (topology, place) = (fixture.topology, fixture.place)
        let servers = try Servers(topology)
        defer { servers.stop() }
        var cluster = Cluster([2: "web"])
        _ = try place.apply(cluster)
        cluster.relabel(2, "caged")
        let outcome = try place.apply(cluster)
        #expect(outcome.result == .committed && outcome.notInPlace?.contains("at the same time") == true)
        #expect(try Self.openPorts(topology, from: 0) == [])
    }

    @Test("an address that another pod gets is never judged by the pod that had it, in its open flows neither")
    func reused() throws {
        let fixture = try LoaderFixture(pods: Self.pods)
        let (topology, place) = (fixture.topology, fixture.place)
        let servers = try Servers(topology)
        defer { servers.stop() }
        var cluster = Cluster([2: "web", 5: "web"])
        _ = try place.apply(cluster)
        #expect(try Self.echoes(topology, from: 0, port: 80, sourcePort: 5555))
        try handOver(topology)
        cluster.remove(2)
        cluster.pods.append(Cluster.Pod(name: "heir", role: "ops", address: 2, interface: 4))
        #expect(try place.apply(cluster).result == .adjusted)
        #expect(try !Self.echoes(topology, from: 2, port: 80, sourcePort: 5555))
        #expect(try Self.echoes(topology, from: 3, port: 80, sourcePort: 5555), "the server answers others")
        #expect(try Self.echoes(topology, from: 2, port: 81, sourcePort: 5555))
        #expect(try Self.openPorts(topology, from: 2) == [81])
        #expect(try place.status()?.problems == [])
    }

    /// Pod 4's interface gets pod 2's addresses.
    private func handOver(_ topology: Topology) throws {
        for (family, address, length) in [("-4", "10.7.0.2", 32), ("-6", "fd07::2", 128)] {
            try run("ip", "-n", topology.pods[0], family, "addr", "del", "\(address)/\(length)", "dev", "eth0")
            try run("ip", "-n", topology.node, family, "route", "replace", "\(address)/\(length)", "dev", "veth-4")
        }
        try run("ip", "-n", topology.pods[2], "addr", "flush", "dev", "eth0", "scope", "global")
        try run("ip", "-n", topology.pods[2], "addr", "add", "10.7.0.2/32", "dev", "eth0")
        try run("ip", "-n", topology.pods[2], "addr", "add", "fd07::2/128", "dev", "eth0", "nodad")
        for route in [["10.7.0.1", "scope", "link"], ["default", "via", "10.7.0.1"]] {
            _ = try attempt(["ip", "-n", topology.pods[2], "route", "replace"] + route + ["dev", "eth0"])
        }
    }

    @Test("pods that come, go and change cost nobody else a packet, and let nobody in whom neither policy lets in")
    func probes() throws {
        let fixture = try LoaderFixture(pods: Self.pods)
        let (topology, place) = (fixture.topology, fixture.place)
        var cluster = Cluster([2: "none", 4: "web"])
        _ = try place.apply(cluster)
        let probes = try [2, 3].map { index in
            try Probe(topology, from: index)
        }
        for round in 0..<12 {
            switch round % 3 {
            case 0: cluster.relabel(2, "ops")
            case 1: cluster.remove(2)
            default: cluster.add(2, "none")
            }
            let outcome = try place.apply(cluster)
            #expect(outcome.result == .adjusted, "round \(round): \(outcome.notInPlace ?? "")")
        }
        let (friend, stranger) = (try probes[0].end(), try probes[1].end())
        #expect(friend.sent > 20 && friend.answered == friend.sent, "\(friend)")
        #expect(stranger.sent > 20 && stranger.answered == 0, "\(stranger)")
    }

    /// Echo requests to the db, one after the other, until it ends.
    private struct Probe {
        private let process = Process()
        private let pipe = Pipe()

        init(_ topology: Topology, from index: Int) throws {
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = [
                "ip", "netns", "exec", topology.pods[index], "ping", "-q", "-i", "0.01", "10.7.0.3",
            ]
            process.standardOutput = pipe
            process.standardError = FileHandle.nullDevice
            try process.run()
        }

        func end() throws -> (sent: Int, answered: Int) {
            kill(process.processIdentifier, SIGINT)
            let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            let numbers = try #require(text.split(separator: "\n").first { $0.contains("packets transmitted") })
                .split(separator: " ").compactMap { Int($0) }
            return (try #require(numbers.first), try #require(numbers.dropFirst().first))
        }
    }

    // MARK: Back

    @Test("a rollback knows the pods that came since")
    func rollbackKnowsPods() throws {
        let fixture = try LoaderFixture(pods: Self.pods)
        let (topology, place) = (fixture.topology, fixture.place)
        let servers = try Servers(topology)
        defer { servers.stop() }
        var cluster = Cluster([2: "web"])
        _ = try place.apply(cluster)
        cluster.webPort = 81
        #expect(try place.apply(cluster).result == .committed)
        cluster.add(4, "web")
        #expect(try place.apply(cluster).result == .adjusted)
        #expect(try Self.openPorts(topology, from: 2) == [81])
        _ = try place.rollback()
        #expect(try Self.openPorts(topology, from: 2) == [80])
        #expect(try place.status()?.problems == [])
        _ = try place.rollback()
        #expect(try Self.openPorts(topology, from: 2) == [81])

        // A commit changes policy and pods at once; what it leaves behind knows them, too.
        cluster.webPort = 79
        cluster.add(5, "ops")
        #expect(try place.apply(cluster).result == .committed)
        _ = try place.rollback()
        #expect(try Self.openPorts(topology, from: 3) == [81])
    }

    @Test("a rollback to a policy that would have to tell a new pod apart is refused, and says why")
    func rollbackGivenUp() throws {
        let fixture = try LoaderFixture(pods: Self.pods)
        let place = fixture.place
        var cluster = Cluster([2: "web"])
        cluster.pods.removeAll { $0.name == "far-ops" }
        _ = try place.apply(cluster)
        cluster.webPort = 81
        _ = try place.apply(cluster)
        // Nobody was `ops` so far: neither slot has a group for it, and only the one in force gets a new slot.
        cluster.add(4, "ops")
        let outcome = try place.apply(cluster)
        let reason = try #require(outcome.rollbackRefusal)
        #expect(reason.contains("with today's pods it would be another one"))
        let refused = #expect(throws: LoaderError.self) { try place.rollback() }
        #expect(refused?.description.contains("given up: \(reason)") == true)
        #expect(try place.status()?.problems == [])
    }

    @Test("bundles change pods in place, and give the other slot up")
    func bundles() throws {
        let fixture = try LoaderFixture(pods: Self.pods)
        let place = fixture.place
        var cluster = Cluster([2: "web"])
        _ = try place.apply(cluster.image)
        cluster.webPort = 81
        _ = try place.apply(cluster.image)
        cluster.add(4, "web")
        let outcome = try place.apply(cluster.image)
        #expect(outcome.result == .adjusted && outcome.rollbackRefusal?.contains("--without-sources") == true)
        #expect(throws: LoaderError.self) { try place.rollback() }
        #expect(try place.apply(cluster.image).result == .unchanged)
    }

    // MARK: Not to its end

    /// Everything at once that single writes can do: a pod comes, one goes.
    private static func before() -> Cluster { Cluster([2: "web", 4: "web"]) }
    private static func after() -> Cluster {
        var cluster = before()
        cluster.remove(2)
        cluster.add(5, "web")
        return cluster
    }

    private static let moments: [(ApplyStep, Int)] =
        [
            (.checked, 1), (.pinned, 1), (.imageSaved, 1), (.marked, 1), (.attached, 1), (.advanced, 1), (.fenced, 1),
            (.detached, 1), (.saved, 1),
        ] + [1, 3, 6].map { (.written, $0) }

    @Test(
        "killed at any step, nobody is let in whom neither policy lets in, and the next apply completes it",
        arguments: moments)
    func killed(step: ApplyStep, time: Int) throws {
        let fixture = try LoaderFixture(pods: Self.pods)
        let (topology, place) = (fixture.topology, fixture.place)
        let servers = try Servers(topology)
        defer { servers.stop() }
        var first = Self.before()
        first.webPort = 79
        _ = try place.apply(first)
        _ = try place.apply(Self.before())
        #expect(try Self.echoes(topology, from: 0, port: 80, sourcePort: 5555))
        let errand = Errand.apply(.cluster(Self.after()), on: place, until: .init(step, time: time))
        #expect(try errand.send() == 128 + SIGKILL)
        #expect(try topology.connect(from: 2, "10.7.0.3", 80), "nobody changed pod 4")
        #expect(try !topology.connect(from: 3, "10.7.0.3", 81))
        _ = try place.apply(Self.after())
        #expect(try !topology.connect(from: 0, "10.7.0.3", 80))
        #expect(try !Self.echoes(topology, from: 0, port: 80, sourcePort: 5555))
        #expect(try Self.echoes(topology, from: 2, port: 80, sourcePort: 5555), "the server answers others")
        #expect(try topology.connect(from: 3, "10.7.0.3", 80))
        let status = try #require(try place.status())
        #expect(status.problems == [] && status.slots.map(\.state) == [.ready, .ready])
        #expect(try fixture.attached().contains("veth-5/ingress") && !fixture.attached().contains("veth-2/ingress"))
        _ = try place.rollback()
        #expect(try !topology.connect(from: 3, "10.7.0.3", 80))
        try place.detach()
        #expect(try fixture.traces() == [])
    }

    @Test(
        "what fails in place goes through the other slot",
        arguments: moments.filter { ![.checked, .pinned].contains($0.0) })
    func failed(step: ApplyStep, time: Int) throws {
        let fixture = try LoaderFixture(pods: Self.pods)
        let (topology, place) = (fixture.topology, fixture.place)
        let servers = try Servers(topology)
        defer { servers.stop() }
        var first = Self.before()
        first.webPort = 79
        _ = try place.apply(first)
        _ = try place.apply(Self.before())
        let before = try #require(try place.status())
        var seen = 0
        func apply() throws -> Loader.Outcome {
            try place.apply(Self.after()) { reported in
                if reported == step { seen += 1 }
                if reported == step, seen == time { throw CommandFailure(description: "as the test wants it") }
            }
        }
        if [.imageSaved, .marked, .attached].contains(step) {
            #expect(throws: LoaderError.self) { try apply() }
            let after = try #require(try place.status())
            #expect(after.slots == before.slots && after.endpoints == before.endpoints)
            #expect(try place.apply(Self.after()).result == .adjusted)
        } else {
            let outcome = try apply()
            #expect(outcome.result == .committed && outcome.notInPlace?.contains("as the test wants it") == true)
        }
        #expect(try !topology.connect(from: 0, "10.7.0.3", 80))
        #expect(try topology.connect(from: 2, "10.7.0.3", 80))
        #expect(try topology.connect(from: 3, "10.7.0.3", 80))
        #expect(try place.status()?.problems == [])
        try place.detach()
        #expect(try fixture.traces() == [])
    }
}
