import Glibc
import Testing
import WeirModel
import WeirNetlink
import WeirTestSupport
import WeirWireGuard

@Suite("Messages of WireGuard devices")
struct WireGuardMessageTests {
    /// The change that each recorded command makes.
    static let changes: [String: @Sendable () throws -> DeviceChange] = [
        "wg set wg0 listen-port 51871 fwmark 0x200": { DeviceChange(listenPort: 51871, firewallMark: 0x200) },
        "wg set wg0 peer \(base64(1)) endpoint 192.0.2.11:51871 persistent-keepalive 25 allowed-ips "
            + "10.7.2.0/24,fd07:2::/64,192.0.2.11/32": {
                DeviceChange(peers: [
                    PeerChange(
                        .add, try peerKey(1), endpoint: try endpoint("192.0.2.11"), persistentKeepalive: 25,
                        replacesAllowedIPs: true,
                        allowedIPs: try prefixes("10.7.2.0/24", "fd07:2::/64", "192.0.2.11/32"))
                ])
            },
        "wg set wg0 peer \(base64(2)) endpoint [fd00::2]:51872": {
            DeviceChange(peers: [PeerChange(.add, try peerKey(2), endpoint: try endpoint("fd00::2", 51872))])
        },
        "wg set wg0 peer \(base64(3)) allowed-ips 10.7.3.0/24": {
            DeviceChange(peers: [
                PeerChange(.add, try peerKey(3), replacesAllowedIPs: true, allowedIPs: try prefixes("10.7.3.0/24"))
            ])
        },
        "wg set wg0 peer \(base64(3)) remove": { DeviceChange(peers: [PeerChange(.remove, try peerKey(3))]) },
        "wg addconf wg0 /keys/many-peers": { DeviceChange(peers: try manyPeers()) },
        "wg addconf wg0 /keys/wide-peer": { DeviceChange(peers: [try widePeer(300)]) },
    ]

    static func base64(_ number: Int) -> String { PublicKey(bytes: numberedKey(number))?.base64 ?? "" }

    static func manyPeers() throws -> [PeerChange] {
        try (100..<130).map { number in
            let hexadecimal = String(number, radix: 16)
            return PeerChange(
                .add, try peerKey(number), endpoint: try endpoint("192.0.2.\(number)"),
                persistentKeepalive: UInt16(number % 60), replacesAllowedIPs: true,
                allowedIPs: try prefixes(
                    "10.\(number).0.0/24", "10.\(number).1.0/24", "192.0.2.\(number)/32", "fd00:\(hexadecimal)::/64",
                    "fd01::\(hexadecimal)/128"))
        }
    }

    static func widePeer(_ count: Int) throws -> PeerChange {
        PeerChange(
            .add, try peerKey(200), replacesAllowedIPs: true,
            allowedIPs: try (0..<count).map { try #require(Prefix("10.200.\($0 / 250).\($0 % 250)/32")) })
    }

    @Test("a change is, byte for byte, what wg sends for it", arguments: Recording.kernels, changes.keys.sorted())
    func changeLikeWG(kernel: String, command: String) throws {
        let recording = try Recording.of(command, kernel)
        let makeChange = try #require(Self.changes[command])
        let device = KernelDevice(name: "wg0", family: recording.family)
        #expect(bytes(of: try device.messages(for: makeChange())) == recording.change)
    }

    @Test("keys and questions are, byte for byte, what wg sends for them", arguments: Recording.kernels)
    func keysLikeWG(kernel: String) throws {
        var recording = try Recording.of("wg set wg0 private-key /keys/private", kernel)
        let device = KernelDevice(name: "wg0", family: recording.family)
        #expect(bytes(of: try device.messages(forPrivateKey: secretKey(numberedKey(40000)))) == recording.change)
        recording = try Recording.of("wg set wg0 peer \(Self.base64(1)) preshared-key /keys/preshared", kernel)
        let key = secretKey(numberedKey(40001))
        #expect(
            bytes(of: try device.messages(forPresharedKey: key, of: try peerKey(1), creating: true)) == recording.change
        )
        recording = try Recording.of("wg show wg0 dump", kernel)
        #expect(bytes(of: try device.messagesForState()) == recording.change)
    }

    @Test("an update and a preshared key of a peer that must be there say so in every message")
    func updateOnly() throws {
        let device = KernelDevice(name: "wg0", family: 34)
        var update = try Self.widePeer(300)
        update.kind = .update
        let flags = try peerFlags(bytes(of: try device.messages(for: DeviceChange(peers: [update]))))
        #expect(flags == [6, 4, 4])
        let key = secretKey(numberedKey(40001))
        let messages = try device.messages(forPresharedKey: key, of: try peerKey(1), creating: false)
        #expect(try peerFlags(bytes(of: messages)) == [4])
    }

    @Test("1,000 peers with five allowed IPs, and one with 3,000, are whole in messages of at most a page")
    func large() throws {
        let device = KernelDevice(name: "wg0", family: 34)
        let peers = try (1000..<2000).map { number in
            PeerChange(
                .add, try peerKey(number), endpoint: try endpoint("192.0.2.1"), replacesAllowedIPs: true,
                allowedIPs: try (0..<5).map { try #require(Prefix("10.\(number / 250).\(number % 250).\($0)/32")) })
        }
        let wide = try Self.widePeer(3000)
        let all = split(bytes(of: try device.messages(for: DeviceChange(peers: peers + [wide]))))
        #expect(all.allSatisfy { $0.count <= 4096 })
        var heard: [PublicKey: [Prefix]] = [:]
        var replacing: [PublicKey: Int] = [:]
        for message in all {
            for (key, flags, allowed) in try peersOf(message) {
                heard[key, default: []] += allowed
                if flags & 2 != 0 {
                    #expect(heard[key] == allowed)
                    replacing[key, default: 0] += 1
                }
            }
        }
        #expect(heard.count == 1001)
        for peer in peers + [wide] { #expect(heard[peer.publicKey] == peer.allowedIPs) }
        #expect(replacing.values.allSatisfy { $0 == 1 })
    }

    // MARK: - Replies

    @Test("the reply to a question is read whole, over all its messages", arguments: Recording.kernels)
    func decodes(kernel: String) throws {
        let recordings = try Recording.all(kernel).filter { $0.command == "wg show wg0 dump" }
        try #require(recordings.count == 2)
        let publicKey = secretKey(numberedKey(40000)).publicKey
        let first = PeerState(
            publicKey: try peerKey(1), hasPresharedKey: true, endpoint: try endpoint("192.0.2.11"),
            allowedIPs: try prefixes("10.7.2.0/24", "192.0.2.11/32", "fd07:2::/64"), persistentKeepalive: 25)
        let second = PeerState(publicKey: try peerKey(2), endpoint: try endpoint("fd00::2", 51872))
        var state = try decode(recordings[0].reply)
        #expect(state.interfaceIndex != 0)
        #expect(
            state
                == DeviceState(
                    interfaceIndex: state.interfaceIndex, publicKey: publicKey, listenPort: 51871, firewallMark: 0x200,
                    peers: [first, second]))
        state = try decode(recordings[1].reply)
        let many = try Self.manyPeers() + [try Self.widePeer(300)]
        #expect(
            state.peers
                == [first, second]
                + many.map {
                    PeerState(
                        publicKey: $0.publicKey, endpoint: $0.endpoint, allowedIPs: $0.allowedIPs,
                        persistentKeepalive: $0.persistentKeepalive ?? 0)
                })
    }

    @Test("what a kernel refuses is its errno, also at the end of a dump; half a reply is none")
    func refusals() throws {
        let reply = try Recording.of("wg show wg0 dump", "6.12").reply
        #expect(throws: NetlinkError("read", "a WireGuard device's reply", errno: .badMessage)) {
            try decode(Array(reply.dropLast(20)))
        }
        // A DONE of 20 bytes ends it, whose last four are the errno: -95 is EOPNOTSUPP.
        var refused = reply
        refused.replaceSubrange(reply.count - 4..<reply.count, with: [0xa1, 0xff, 0xff, 0xff])
        #expect(throws: NetlinkError("read", "a WireGuard device's reply", errno: .notSupportedOnSocket)) {
            try decode(refused)
        }
        // Bit 4 of the flags of its first message: the table changed meanwhile.
        var interrupted = reply
        interrupted[6] |= 0x10
        #expect(throws: NetlinkError("read", "a WireGuard device's reply", errno: .resourceTemporarilyUnavailable)) {
            try decode(interrupted)
        }
    }

    @Test("a damaged reply is refused or read, and nothing outside of it is", arguments: Recording.kernels)
    func damaged(kernel: String) throws {
        let replies = try Recording.all(kernel).filter { $0.command == "wg show wg0 dump" }.map(\.reply)
        var generator = SeededGenerator(seed: 51871)
        var read = 0
        for round in 0..<6000 {
            var reply = replies[round % 2]
            for _ in 0..<Int.random(in: 1...8, using: &generator) {
                let place = Int.random(in: 0..<reply.count, using: &generator)
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: reply[place] = UInt8.random(in: 0...255, using: &generator)
                // Lengths and types are at multiples of four.
                case 1: reply[place & ~3] = UInt8.random(in: 0...255, using: &generator)
                case 2: reply[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
                default: if reply.count > 2000 { reply.removeLast(Int.random(in: 1..<900, using: &generator)) }
                }
            }
            guard let state = try? decode(reply) else { continue }
            read += 1
            #expect(state.peers.count <= reply.count / 40)
        }
        #expect(read > 100)
        #expect(read < 5900)
    }
}

/// Decodes bytes behind which there is a page that nobody may read.
private func decode(_ reply: [UInt8]) throws -> DeviceState {
    let page = Int(getpagesize())
    let room = (reply.count + page - 1) / page * page
    let start = unsafe try #require(
        mmap(nil, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
    defer { unsafe munmap(start, room + page) }
    unsafe mprotect(start + room, page, PROT_NONE)
    // Messages are multiples of four bytes; what was cut to another number stands before the page with a gap.
    let place = unsafe start + (room - (reply.count + 3) / 4 * 4)
    unsafe place.copyMemory(from: reply, byteCount: reply.count)
    return try unsafe KernelDevice.decode(
        UnsafeMutableBufferPointer(start: place.bindMemory(to: UInt8.self, capacity: reply.count), count: reply.count))
}

// MARK: - Reading messages that were written, independently of the library

private func number(_ bytes: ArraySlice<UInt8>) -> Int { bytes.reversed().reduce(0) { $0 << 8 | Int($1) } }

private func split(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] {
    var rest = bytes[...]
    var messages: [ArraySlice<UInt8>] = []
    while rest.count >= 4 {
        let length = number(rest.prefix(4))
        messages.append(rest.prefix(length))
        rest = rest.dropFirst((length + 3) & ~3)
    }
    return messages
}

private func attributes(_ bytes: ArraySlice<UInt8>) -> [(type: Int, value: ArraySlice<UInt8>)] {
    var rest = bytes
    var found: [(type: Int, value: ArraySlice<UInt8>)] = []
    while rest.count >= 4 {
        let length = number(rest.prefix(2))
        found.append((number(rest.dropFirst(2).prefix(2)) & 0x3fff, rest.prefix(length).dropFirst(4)))
        rest = rest.dropFirst((length + 3) & ~3)
    }
    return found
}

private func peersOf(_ message: ArraySlice<UInt8>) throws -> [(key: PublicKey, flags: Int, allowed: [Prefix])] {
    try attributes(message.dropFirst(20)).filter { $0.type == 8 }.flatMap { attributes($0.value) }.map { peer in
        let fields = attributes(peer.value)
        let key = try #require(fields.first { $0.type == 1 }.flatMap { PublicKey(bytes: $0.value) })
        let allowed = fields.filter { $0.type == 9 }.flatMap { attributes($0.value) }.compactMap { nest -> Prefix? in
            let fields = attributes(nest.value)
            guard let address = fields.first(where: { $0.type == 2 }).flatMap({ IPAddress(bytes: $0.value) }),
                let length = fields.first(where: { $0.type == 3 })?.value.first
            else { return nil }
            return Prefix(address, length: Int(length))
        }
        return (key, fields.first { $0.type == 3 }.map { number($0.value) } ?? 0, allowed)
    }
}

private func peerFlags(_ bytes: [UInt8]) throws -> [Int] { try split(bytes).flatMap { try peersOf($0).map(\.flags) } }
