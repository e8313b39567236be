import Foundation
import TestNetwork

/// What goes over the wire, recorded until it is asked for.
final class WireCapture {
    private let cluster: TunnelCluster
    private let file: String
    private let command: BackgroundCommand
    private var marks = 0

    init(_ cluster: TunnelCluster) throws {
        self.cluster = cluster
        file = "\(cluster.directory).pcap"
        command = try BackgroundCommand([
            "ip", "netns", "exec", cluster.wire, "tcpdump", "-i", "br0", "-U", "--immediate-mode", "-w", file,
        ])
        try catchUp()
    }

    deinit {
        command.stop()
        try? FileManager.default.removeItem(atPath: file)
    }

    /// Packets up to now that match, one line each.
    func packets(_ filter: String) throws -> [String] {
        try catchUp()
        return try read(filter)
    }

    /// Until a packet of now is in the file: a question for an address that nobody has, again while nobody listens.
    private func catchUp() throws {
        let deadline = Date.now + 30
        while Date.now < deadline {
            marks = marks % 100 + 1
            let address = "192.0.2.\(100 + marks)"
            try run("ip", "netns", "exec", cluster.node(1), "bash", "-c", "echo > /dev/udp/\(address)/9")
            for _ in 0..<20 {
                // At first there is no file, or no header in it.
                if let found = try? read("arp host \(address)"), !found.isEmpty { return }
                usleep(50_000)
            }
        }
        throw CommandFailure(description: "tcpdump does not see the wire")
    }

    private func read(_ filter: String) throws -> [String] {
        let (status, output) = try attempt(["tcpdump", "-n", "-r", file, filter])
        guard status == 0 else { throw CommandFailure(description: output) }
        return output.split(separator: "\n").map(String.init).filter { !$0.hasPrefix("reading from file") }
    }

    /// Anything of a pod's that can be read.
    func clear() throws -> [String] {
        try packets("net 10.0.0.0/8 or (ip6 and (net fd01::/64 or net fd02::/64 or net fd03::/64))")
    }

    func encrypted() throws -> [String] { try packets("udp portrange 51871-51872") }
}
