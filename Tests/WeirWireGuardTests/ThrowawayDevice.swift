import Foundation
import TestNetwork

/// A device in a namespace of its own: the kernel's, or `wireguard-go`'s where it has none. Gone with its owner.
final class ThrowawayDevice {
    let namespace: String
    let interface: String
    private var process: BackgroundCommand?

    init() throws {
        let number = UInt32.random(in: 0..<100_000)
        namespace = "weirtest-wg-\(ProcessInfo.processInfo.processIdentifier)-\(number)"
        // Sockets of wireguard-go lie in one directory for all namespaces.
        interface = "wgt\(ProcessInfo.processInfo.processIdentifier % 100_000)\(number % 1000)"
        try run("ip", "netns", "add", namespace)
        guard try attempt(["ip", "-n", namespace, "link", "add", interface, "type", "wireguard"]).status != 0
        else { return }
        process = try BackgroundCommand(["ip", "netns", "exec", namespace, "wireguard-go", "-f", interface])
        for _ in 0..<500 {
            if try wg("show", interface).status == 0 { return }
            usleep(10_000)
        }
        throw CommandFailure(description: "wireguard-go has not made \(interface)")
    }

    deinit {
        process?.stop()
        _ = try? attempt(["ip", "netns", "del", namespace])
        if process != nil { try? FileManager.default.removeItem(atPath: "/var/run/wireguard/\(interface).sock") }
    }

    func wg(_ words: String...) throws -> (status: Int32, output: String) { try wg(words) }

    func wg(_ words: [String]) throws -> (status: Int32, output: String) {
        try attempt(["ip", "netns", "exec", namespace, "wg"] + words)
    }

    func peers(_ what: String) throws -> [String] {
        try wg("show", interface, what).output.split(separator: "\n").map {
            String($0).replacing("\t", with: " ")
        }.sorted()
    }
}
