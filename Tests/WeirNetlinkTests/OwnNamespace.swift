import Foundation
import TestNetwork
import Testing
import WeirNetlink

/// A network namespace of its own; gone with its owner.
final class OwnNamespace {
    let name = "weirnl-\(ProcessInfo.processInfo.processIdentifier)-\(UInt32.random(in: 0..<1_000_000))"

    init() throws {
        try run("ip", "netns", "add", name)
        try ip("link", "set", "lo", "up")
    }

    deinit { _ = try? attempt(["ip", "netns", "del", name]) }

    /// Runs the body on a thread inside.
    func inside<Value>(_ body: () throws -> Value) throws -> Value {
        try NetworkNamespace(path: "/run/netns/\(name)").run(body)
    }

    @discardableResult
    func ip(_ words: String...) throws -> String {
        let (status, output) = try attempt(["ip", "-n", name] + words)
        guard status == 0 else { throw CommandFailure(description: "ip \(words): \(output)") }
        return output
    }

    /// What `ip -j` prints, as objects.
    func json(_ words: String...) throws -> [[String: any Sendable]] {
        let (status, output) = try attempt(["ip", "-n", name, "-j"] + words)
        guard status == 0 else { throw CommandFailure(description: "ip \(words): \(output)") }
        let objects = try JSONSerialization.jsonObject(with: Data(output.utf8))
        return try #require(objects as? [[String: any Sendable]])
    }

    /// An interface that routes can lead through: one end of a pair whose other end is here too.
    func veth(_ name: String) throws -> UInt32 {
        try ip("link", "add", name, "type", "veth", "peer", "name", "peer-\(name)")
        for end in [name, "peer-\(name)"] { try ip("link", "set", end, "up") }
        let interface = try inside { try Netlink().interface(named: name) }
        return try #require(interface).index
    }
}
