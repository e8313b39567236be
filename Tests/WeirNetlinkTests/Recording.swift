import Foundation
import Testing
import WeirModel
import WeirNetlink
import WeirWireGuard

/// What a command said to a kernel, and heard from it, as `Tests/Fixtures/netlink` has it.
struct Recording: Sendable {
    static let kernels = ["6.1", "6.12"]

    var command: String
    var sent: [[UInt8]] = []
    var received: [[UInt8]] = []

    /// Everything that was recorded on a kernel.
    static func all(_ kernel: String) throws -> [Recording] {
        let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Fixtures/netlink/linux-\(kernel).txt")
        var recordings: [Recording] = []
        for line in try String(contentsOf: fixtures, encoding: .utf8).split(separator: "\n") {
            let rest = line.dropFirst(2)
            switch line.first {
            case "#" where rest.hasPrefix("it said:"): continue
            case "#": recordings.append(Recording(command: String(rest)))
            case ">": recordings[recordings.count - 1].sent.append(try bytes(rest))
            default: recordings[recordings.count - 1].received.append(try bytes(rest))
            }
        }
        return recordings
    }

    /// The only one, or the last one, of a command.
    static func of(_ command: String, _ kernel: String) throws -> Recording {
        try #require(all(kernel).last { $0.command == command }, "\(command) was not recorded")
    }

    private static func bytes(_ text: Substring) throws -> [UInt8] {
        let digits = Array(text.utf8)
        return try stride(from: 0, to: digits.count - 1, by: 2).map {
            try #require(UInt8(String(decoding: digits[$0...$0 + 1], as: UTF8.self), radix: 16))
        }
    }

    /// The number under which that kernel knew WireGuard: the type of what the command sent last.
    var family: UInt16 { messageType(sent.last ?? []) }

    /// What was sent of the last message's type, without sender and sequence numbers.
    var change: [UInt8] {
        sent.filter { messageType($0) == family }.flatMap { datagram in
            var datagram = datagram
            datagram.replaceSubrange(8..<16, with: [UInt8](repeating: 0, count: 8))
            return datagram
        }
    }

    /// What a device said of itself; not what was asked before.
    var reply: [UInt8] { received.filter { messageType($0) == family }.flatMap { $0 } }
}

private func messageType(_ message: [UInt8]) -> UInt16 {
    message.count < 16 ? 0 : UInt16(message[4]) | UInt16(message[5]) << 8
}

/// The keys that were recorded: the number, and sevens.
func numberedKey(_ number: Int) -> [UInt8] {
    [UInt8(number / 256), UInt8(number % 256)] + [UInt8](repeating: 7, count: 30)
}

func peerKey(_ number: Int) throws -> PublicKey { try #require(PublicKey(bytes: numberedKey(number))) }

func secretKey(_ bytes: [UInt8]) -> SecretKey { unsafe SecretKey { unsafe $0.copyBytes(from: bytes) } }

func prefixes(_ texts: String...) throws -> [Prefix] { try texts.map { try #require(Prefix($0)) } }

func endpoint(_ address: String, _ port: UInt16 = 51871) throws -> PeerEndpoint {
    PeerEndpoint(address: try #require(IPAddress(address)), port: port)
}

func bytes(of messages: borrowing NetlinkMessages) -> [UInt8] { unsafe messages.withBytes { unsafe Array($0) } }
