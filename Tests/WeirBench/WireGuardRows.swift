import ArgumentParser
import Foundation
import TestNetwork
import WeirDiagnostics
import WeirModel
import WeirNetlink
import WeirWireGuard

/// A device of 1,000 peers: the configuration compiled, put onto the device, and changed in one place, beside `wg`.
enum WireGuardRows {
    private static let name = "wireguard"
    static let group = RowGroup(
        name: name,
        about: "a device of 1,000 peers with 5 allowed IPs each: compiled, configured, one changed, beside wg",
        needsRoot: true, rows: rows)

    private enum Way { case weir, wg }

    private static func rows(_ run: Run) throws -> [Row] {
        let count = run.choose(1_000, quick: 50)
        let device = try BenchDevice()
        let cluster = TunnelWorkload(peers: count, publicKey: device.publicKey)
        let changedCluster = TunnelWorkload(peers: count, publicKey: device.publicKey, extraNetworkOf: count / 2)
        let full = try device.files("full", try cluster.configuration())
        let changed = try device.files("changed", try changedCluster.configuration())
        var none = try cluster.configuration()
        none.peers = []
        let empty = try device.files("empty", none)
        let ways = [Way.weir, .wg]

        let configured = try interleaved(ways, rounds: run.choose(10, quick: 1)) { way in
            try device.wg("setconf", empty)
            let time = try seconds {
                switch way {
                case .weir: try device.weir(full)
                case .wg: try device.wg("setconf", full)
                }
            }
            try device.require(full)
            return time
        }
        let moved = try interleaved(ways, rounds: run.choose(10, quick: 1)) { way in
            let time = try seconds {
                switch way {
                case .weir: try device.weir(changed)
                case .wg: try device.wg("syncconf", changed)
                }
            }
            try device.require(changed)
            try device.weir(full)
            try device.require(full)
            return time
        }
        let compiled = try (0..<run.choose(10, quick: 1)).map { _ in
            try seconds { _ = try cluster.configuration() }
        }
        func ratio(_ what: String, _ rounds: [[Double]], _ goal: Double, _ command: String) -> Row {
            func median(_ column: Int) -> String { short(Samples(rounds.map { $0[column] * 1000 }).median) }
            return Row(
                "\(name)/\(what)", Estimate(medianOf: rounds.map { $0[0] / $0[1] }), .times, goal: .atMost(goal),
                note: "\(median(0)) ms for a process that reads the device, plans and changes it; \(command) takes "
                    + "\(median(1)) ms; \(device.kind)")
        }
        return [
            ratio("configure", configured, 1.2, "wg setconf"),
            ratio("change-one", moved, 1.2, "wg syncconf"),
            Row(
                "\(name)/compile", Samples(compiled), .seconds,
                note: "one node's configuration in a cluster of \(count + 1), from the typed inventory"),
        ]
    }
}

/// Nodes with two addresses and three pod networks each: 5 allowed IPs for every peer. The first is compiled for.
private struct TunnelWorkload {
    private let inventory: Inventory

    /// - Parameters:
    ///   - publicKey: the first node's.
    ///   - changed: a peer that has a fourth pod network.
    init(peers: Int, publicKey: PublicKey, extraNetworkOf changed: Int? = nil) {
        inventory = Inventory(
            nodes: (0...peers).map { number in
                let place = "\(number >> 8).\(number & 255)"
                let hexadecimal = String(number, radix: 16)
                var networks = ["10.\(place).0/24", "11.\(place).0/24", "fd01:0:0:\(hexadecimal)::/64"]
                if number == changed { networks.append("12.\(place).0/24") }
                let location = SourceLocation(path: "bench", line: number + 1, column: 1)
                return Node(
                    name: "node-\(number)", labels: [:],
                    addresses: ["172.16.\(place)", "fd02::\(hexadecimal)"].compactMap { IPAddress($0) },
                    podCIDRs: networks.compactMap { Prefix($0) }, isKubeAPIServer: false,
                    wireGuard: Node.WireGuardPeer(
                        publicKey: (number == 0 ? publicKey : Self.key(number) ?? publicKey).base64,
                        location: location),
                    location: location)
            })
    }

    /// Of no low order; nobody has the private one.
    private static func key(_ number: Int) -> PublicKey? {
        PublicKey(bytes: [UInt8(number & 255), UInt8(number >> 8)] + [UInt8](repeating: 7, count: 30))
    }

    func configuration() throws -> TunnelConfiguration {
        var diagnostics = DiagnosticsCollector()
        let configuration = TunnelCompiler.compile(inventory: inventory, node: "node-0", diagnostics: &diagnostics)
        guard diagnostics.sorted.isEmpty, let configuration else {
            throw Workload.Unsound(description: "\(diagnostics.sorted.prefix(3))")
        }
        return configuration
    }
}

/// A device in a namespace of its own: the kernel's, or wireguard-go's where it has none. Gone with its owner.
private final class BenchDevice {
    /// A key that everybody may know.
    private static let privateKey = "YAnQZxlxhU9fDCEJaDXiPpuKZGkfpaRxR3JDRTFYJ2Y="

    let publicKey: PublicKey
    /// For people.
    private(set) var kind = "the kernel's WireGuard"
    private let name = "weirbench-wg-\(ProcessInfo.processInfo.processIdentifier)"
    private let interface = "wgb\(ProcessInfo.processInfo.processIdentifier)"
    private let directory: String
    private let executable: String
    private var process: WireGuardProcess?
    private var sockets: String { directory + "/sockets" }

    init() throws {
        let derived = unsafe Array(Self.privateKey.utf8).withUnsafeBytes { text in
            // SAFETY: only read during the call.
            unsafe SecretKey.decode(base64: text)?.publicKey
        }
        guard let publicKey = derived else { throw Workload.Unsound(description: "no private key") }
        self.publicKey = publicKey
        directory = FileManager.default.temporaryDirectory.appendingPathComponent(name).path
        executable = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().path
        do { try build() } catch {
            remove()
            throw error
        }
    }

    deinit { remove() }

    private func build() throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try TestNetwork.run("ip", "netns", "add", name)
        if try attempt(["ip", "-n", name, "link", "add", interface, "type", "wireguard"]).status != 0 {
            kind = "wireguard-go, as this kernel has no WireGuard"
            process = try WireGuardProcess(interface, in: name, sockets: sockets)
        }
        try TestNetwork.run("ip", "-n", name, "link", "set", interface, "up")
    }

    private func remove() {
        process?.stop()
        _ = try? attempt(["ip", "netns", "del", name])
        try? FileManager.default.removeItem(atPath: directory)
    }

    private func inside(_ words: [String]) -> [String] {
        (process?.entering ?? ["nsenter", "--net=/run/netns/\(name)"]) + words
    }

    private func succeed(_ words: [String]) throws {
        let (status, output) = try attempt(inside(words))
        guard status == 0 else {
            throw CommandFailure(description: "\(words.joined(separator: " ")): \(status): \(output)")
        }
    }

    /// One configuration as both sides read it.
    struct Files {
        var lane: TunnelConfiguration.Lane
        /// For `wg`, with the private key, which it takes away where the file does not have it.
        var text: String
        /// For `configure-once`.
        var encoded: String
    }

    func files(_ name: String, _ configuration: TunnelConfiguration) throws -> Files {
        var configuration = configuration
        configuration.interfaces = [interface]
        let lane = configuration.lanes[0]
        let files = Files(lane: lane, text: "\(directory)/\(name).conf", encoded: "\(directory)/\(name).json")
        try lane.configurationFile
            .replacing("[Interface]\n", with: "[Interface]\nPrivateKey = \(Self.privateKey)\n")
            .write(toFile: files.text, atomically: true, encoding: .utf8)
        try Data(configuration.encoded()).write(to: URL(fileURLWithPath: files.encoded))
        return files
    }

    func wg(_ command: String, _ files: Files) throws { try succeed(["wg", command, interface, files.text]) }

    func weir(_ files: Files) throws { try succeed([executable, "configure-once", files.encoded]) }

    /// Throws unless the device is what the files say.
    func require(_ files: Files) throws {
        let state = try NetworkNamespace(path: "/run/netns/\(name)").run {
            try Netlink().wireGuardDevice(interface, socketDirectory: sockets).device?.state()
        }
        guard let state, DevicePlan(from: state, to: files.lane).isEmpty else {
            throw Workload.Unsound(description: "\(interface) is not as \(files.text) says")
        }
    }
}

/// Reads a device, plans what it lacks and changes that: in a process of its own, as `wg` is one.
struct ConfigureOnce: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "configure-once", abstract: "Configure one device that has its private key.", shouldDisplay: false)

    @Argument var path: String

    func run() throws {
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        let lane = try TunnelConfiguration(encoded: bytes).lanes[0]
        guard let device = try Netlink().wireGuardDevice(lane.interface).device else {
            throw CommandFailure(description: "there is no device \(lane.interface)")
        }
        let plan = DevicePlan(from: try device.state(), to: lane)
        guard !plan.setsPrivateKey else { throw CommandFailure(description: "\(lane.interface) has another key") }
        for change in plan.changes { try device.apply(change) }
    }
}
