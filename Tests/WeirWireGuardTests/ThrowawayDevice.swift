import Foundation
import TestNetwork

/// A device in a namespace of its own: the kernel's, or `wireguard-go`'s where it has none. Gone with its owner.
final class ThrowawayDevice {
    let namespace: String
    let interface: String
    private var process: WireGuardProcess?
    private var sockets: String { FileManager.default.temporaryDirectory.path + "/\(namespace)-sockets" }

    init() throws {
        let number = UInt32.random(in: 0..<100_000)
        namespace = "weirtest-wg-\(ProcessInfo.processInfo.processIdentifier)-\(number)"
        interface = "wgt\(ProcessInfo.processInfo.processIdentifier % 100_000)\(number % 1000)"
        try run("ip", "netns", "add", namespace)
        guard try attempt(["ip", "-n", namespace, "link", "add", interface, "type", "wireguard"]).status != 0
        else { return }
        process = try WireGuardProcess(interface, in: namespace, sockets: sockets)
    }

    deinit {
        process?.stop()
        _ = try? attempt(["ip", "netns", "del", namespace])
        try? FileManager.default.removeItem(atPath: sockets)
    }

    func wg(_ words: String...) throws -> (status: Int32, output: String) { try wg(words) }

    func wg(_ words: [String]) throws -> (status: Int32, output: String) {
        try attempt((process?.entering ?? ["ip", "netns", "exec", namespace]) + ["wg"] + words)
    }

    func peers(_ what: String) throws -> [String] {
        try wg("show", interface, what).output.split(separator: "\n").map {
            String($0).replacing("\t", with: " ")
        }.sorted()
    }
}
