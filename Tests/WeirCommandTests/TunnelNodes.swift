import Foundation
import TestNetwork
import Testing

/// Two nodes, `node-a` and `node-b`, on one wire, for the commands of `weir wireguard`.
///
/// Everything that a command of theirs prints is kept, and must hold no key that is secret.
final class TunnelNodes: Throwaway {
    static let names = ["node-a", "node-b"]

    private let base = "weirwg-\(ProcessInfo.processInfo.processIdentifier)-\(UInt32.random(in: 0..<1_000_000))"
    private var devices: [WireGuardProcess] = []
    private var transcript = ""
    /// What the inventory publishes.
    var keys: [String: String] = [:]
    var nextKeys: [String: String] = [:]

    static func use(_ body: (TunnelNodes) async throws -> Void) async throws {
        try await TunnelNodes().use { nodes in
            try await body(nodes)
            try nodes.requireSecrecy()
        }
    }

    func namespace(_ node: String) -> String { "\(base)-\(node)" }
    private var directory: String { FileManager.default.temporaryDirectory.path + "/\(base)" }
    func stateDirectory(_ node: String) -> String { "\(directory)/\(node)/state" }
    private func sockets(_ node: String) -> String { "\(directory)/\(node)/sockets" }
    var inventoryPath: String { "\(directory)/inventory.yaml" }

    func make() throws {
        for (number, node) in Self.names.enumerated() {
            try FileManager.default.createDirectory(atPath: sockets(node), withIntermediateDirectories: true)
            try run("ip", "netns", "add", namespace(node))
            try run("ip", "-n", namespace(node), "link", "set", "lo", "up")
            if number == 1 {
                try run(
                    "ip", "-n", namespace("node-a"), "link", "add", "eth0", "type", "veth", "peer", "name", "eth0",
                    "netns", namespace("node-b"))
            }
        }
        for (number, node) in Self.names.enumerated() {
            try run("ip", "-n", namespace(node), "addr", "add", "192.0.2.\(number + 1)/24", "dev", "eth0")
            try run("ip", "-n", namespace(node), "link", "set", "eth0", "up")
        }
    }

    func remove() {
        for device in devices { device.stop() }
        for node in Self.names { _ = try? attempt(["ip", "netns", "del", namespace(node)]) }
        _ = try? attempt(["rm", "-rf", directory])
    }

    /// Runs wireguard-go, with a directory of sockets of its own.
    func startDevice(_ node: String, _ name: String = "weir-wg0") throws {
        devices.append(try WireGuardProcess(name, in: namespace(node), sockets: sockets(node)))
    }

    // MARK: Inventory

    /// Every node makes a key and publishes it.
    func publishKeys() async throws {
        for node in Self.names {
            keys[node] = try await weir(["key"], on: node).output.trimmingCharacters(in: .newlines)
        }
    }

    /// Writes down the nodes that are named, with what they publish.
    func writeInventory(_ nodes: [String] = names, more: String = "") throws {
        let documents = nodes.map { node in
            let number = (Self.names.firstIndex(of: node) ?? 0) + 1
            let published = [
                keys[node].map { "publicKey: \"\($0)\"" }, nextKeys[node].map { "nextPublicKey: \"\($0)\"" },
            ].compactMap { $0 }
            return
                "{apiVersion: weir.dev/v1, kind: Node, metadata: {name: \(node)}, spec: {addresses: [192.0.2.\(number)], "
                + "podCIDRs: [10.\(number).0.0/24], wireguard: {\(published.joined(separator: ", "))}}}\n---\n"
        }
        try (documents.joined() + more).write(toFile: inventoryPath, atomically: true, encoding: .utf8)
    }

    // MARK: Commands

    /// Runs `weir wireguard` on a node, with the inventory where it is wanted.
    func weir(
        _ arguments: [String], on node: String = "node-a", inventory: Bool = false, under wrapper: [String] = []
    ) async throws -> Outcome {
        let sources = inventory ? ["--inventory", inventoryPath, "--node", node] : []
        let outcome = try await Weir.run(
            ["wireguard"] + arguments + sources
                + ["--state-dir", stateDirectory(node), "--socket-dir", sockets(node), "--timeout", "30"],
            under: ["nsenter", "--net=/run/netns/\(namespace(node))"] + wrapper)
        transcript += outcome.output + outcome.errors
        return outcome
    }

    /// A text of a command with what differs from run to run replaced by what it is.
    func steady(_ text: String) -> String {
        var text = text.replacing(directory, with: "DIR")
        for (names, mark) in [(keys, "KEY"), (nextKeys, "NEXT")] {
            for (node, key) in names {
                text = text.replacing(key, with: "<\(mark) \(node)>").replacing("\(key.prefix(8))…", with: "<\(node)>")
            }
        }
        for (pattern, replacement) in [
            (#""(handshakeAgeSeconds)" : [0-9]+"#, "\"$1\" : N"),
            (#""(interfaceIndex|receivedBytes|sentBytes)" : [1-9][0-9]*"#, "\"$1\" : N"),
            (#"listen port: [0-9]+ ->"#, "listen port: N ->"), (#"through interface [0-9]+ "#, "through interface N "),
            (#"\b[0-9]+ s ago +[1-9][0-9]* +[1-9][0-9]* +"#, "N s ago  N  N  "),
            (#"HANDSHAKE +RECEIVED +SENT +"#, "HANDSHAKE  RECEIVED  SENT  "),
        ] {
            text = text.replacingOccurrences(of: pattern, with: replacement, options: .regularExpression)
        }
        return text
    }

    // MARK: Secrets

    /// No output so far has a private key in it, as base64 or hexadecimal, nor the half of one.
    private func requireSecrecy() throws {
        var count = 0
        for node in Self.names {
            for name in ["private.key", "next.key"] {
                guard
                    let text = try? String(contentsOfFile: "\(stateDirectory(node))/wireguard/\(name)", encoding: .utf8)
                else { continue }
                count += 1
                let bytes = try #require(Data(base64Encoded: text.trimmingCharacters(in: .newlines)))
                let hexadecimal = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
                for secret in [String(text.prefix(16)), String(hexadecimal.prefix(24))] {
                    #expect(!transcript.lowercased().contains(secret.lowercased()))
                }
            }
        }
        #expect(count > 0 || keys.isEmpty)
    }
}
