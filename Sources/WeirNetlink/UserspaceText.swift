internal import WeirModel
package import WeirWireGuard

/// What a device in a process is told and tells, as text: lines of `key=value`, and an empty one in the end.
package enum UserspaceText {
    /// Why a reply cannot be understood, or what the device refused.
    package enum Failure: Error, Hashable, Sendable {
        /// The number of the line, from 1.
        case malformed(line: Int)
        /// There is no `errno` line in the end.
        case cutShort
        /// Positive.
        case refused(Int32)
    }

    package static let get = "get=1\n\n"

    /// The request that makes a change; it holds no secret.
    package static func set(_ change: DeviceChange) -> String {
        var lines = ["set=1"]
        if let port = change.listenPort { lines.append("listen_port=\(port)") }
        if let mark = change.firewallMark { lines.append("fwmark=\(mark)") }
        for peer in change.peers {
            lines.append("public_key=\(hexadecimal(peer.publicKey))")
            // These two come before what they govern.
            switch peer.kind {
            case .add: break
            case .update: lines.append("update_only=true")
            case .remove: lines.append("remove=true")
            }
            if let endpoint = peer.endpoint { lines.append("endpoint=\(endpoint)") }
            if let seconds = peer.persistentKeepalive { lines.append("persistent_keepalive_interval=\(seconds)") }
            if peer.replacesAllowedIPs { lines.append("replace_allowed_ips=true") }
            lines += peer.allowedIPs.map { "allowed_ip=\($0)" }
        }
        return lines.map { "\($0)\n" }.joined() + "\n"
    }

    static func set(privateKey key: borrowing SecretKey) -> WipedBytes {
        var request = WipedBytes()
        request.append("set=1\nprivate_key=")
        request.append(hexadecimal: key)
        request.append("\n\n")
        return request
    }

    static func set(presharedKey key: borrowing SecretKey, of peer: PublicKey, creating: Bool) -> WipedBytes {
        var request = WipedBytes()
        request.append("set=1\npublic_key=\(hexadecimal(peer))\n\(creating ? "" : "update_only=true\n")preshared_key=")
        request.append(hexadecimal: key)
        request.append("\n\n")
        return request
    }

    /// The device that a reply to `get` describes, but for its interface's index.
    package static func state(_ reply: Span<UInt8>) throws(Failure) -> DeviceState {
        var reader = Reader()
        let lines = try readLines(reply) { key, value in reader.read(key, value) }
        guard let state = reader.finish() else { throw .malformed(line: lines) }
        return state
    }

    /// Throws what a reply to `set` says against it.
    package static func acknowledge(_ reply: Span<UInt8>) throws(Failure) {
        _ = try readLines(reply) { _, _ in true }
    }

    private static func hexadecimal(_ key: PublicKey) -> String {
        String(decoding: key.bytes.flatMap { [hexadecimalDigit($0 >> 4), hexadecimalDigit($0 & 15)] }, as: UTF8.self)
    }

    /// Reads each line up to the `errno` one; `read` says whether it understood. The number of lines.
    private static func readLines(
        _ reply: Span<UInt8>, _ read: (String, Span<UInt8>) -> Bool
    ) throws(Failure) -> Int {
        var start = 0
        var number = 0
        while let end = newline(in: reply, from: start) {
            number += 1
            let line = reply.extracting(start..<end)
            start = end + 1
            guard let equals = line.indices.first(where: { line[$0] == UInt8(ascii: "=") }) else {
                throw .malformed(line: number)
            }
            let key = text(line.extracting(0..<equals))
            let value = line.extracting(equals + 1..<line.count)
            if key == "errno" {
                // Some write it with a minus.
                guard let code = Int32(text(value)), code != .min, newline(in: reply, from: start) == start else {
                    throw .malformed(line: number)
                }
                if code != 0 { throw .refused(abs(code)) }
                return number
            }
            guard read(key, value) else { throw .malformed(line: number) }
        }
        throw .cutShort
    }

    private static func newline(in bytes: Span<UInt8>, from start: Int) -> Int? {
        var index = start
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "\n") { return index }
            index += 1
        }
        return nil
    }

    /// Never of a secret value.
    fileprivate static func text(_ bytes: Span<UInt8>) -> String {
        String(decoding: bytes.indices.map { bytes[$0] }, as: UTF8.self)
    }
}

/// Collects the lines of a reply.
private struct Reader {
    private var device = DeviceState(interfaceIndex: 0)
    private var peers: [PeerState] = []

    /// False where the value is not what the key calls for. Keys that nobody knows yet are passed over.
    mutating func read(_ key: String, _ value: Span<UInt8>) -> Bool {
        switch key {
        case "private_key": return readPrivateKey(value)
        case "public_key":
            guard let bytes = Self.hexadecimal(value), let key = PublicKey(bytes: bytes) else { return false }
            peers.append(PeerState(publicKey: key))
            return true
        case "preshared_key":
            guard value.count == 2 * SecretKey.byteCount, !peers.isEmpty else { return false }
            peers[peers.count - 1].hasPresharedKey = value.indices.contains { value[$0] != UInt8(ascii: "0") }
            return true
        default: return readPlain(key, UserspaceText.text(value))
        }
    }

    private mutating func readPlain(_ key: String, _ value: String) -> Bool {
        switch key {
        case "listen_port": return Self.set(&device.listenPort, value)
        case "fwmark": return Self.set(&device.firewallMark, value)
        case "persistent_keepalive_interval": return setPeer(\.persistentKeepalive, value)
        case "last_handshake_time_sec": return setPeer(\.lastHandshake, value)
        case "rx_bytes": return setPeer(\.receivedBytes, value)
        case "tx_bytes": return setPeer(\.sentBytes, value)
        case "endpoint":
            guard !peers.isEmpty, let endpoint = Self.endpoint(value) else { return false }
            peers[peers.count - 1].endpoint = endpoint
            return true
        case "allowed_ip":
            guard !peers.isEmpty, let prefix = Prefix(value) else { return false }
            peers[peers.count - 1].allowedIPs.append(prefix)
            return true
        default: return true
        }
    }

    /// nil where a peer came twice.
    mutating func finish() -> DeviceState? {
        for index in peers.indices { peers[index].allowedIPs.sort() }
        peers.sort { $0.publicKey < $1.publicKey }
        for (one, next) in zip(peers, peers.dropFirst()) where one.publicKey == next.publicKey {
            return nil
        }
        device.peers = peers
        return device
    }

    private mutating func setPeer<Number: FixedWidthInteger>(
        _ field: WritableKeyPath<PeerState, Number>, _ value: String
    ) -> Bool {
        guard !peers.isEmpty else { return false }
        return Self.set(&peers[peers.count - 1][keyPath: field], value)
    }

    private static func set<Number: FixedWidthInteger>(_ field: inout Number, _ value: String) -> Bool {
        guard let number = Number(value) else { return false }
        field = number
        return true
    }

    /// The digits go straight into a page that is wiped.
    private mutating func readPrivateKey(_ value: Span<UInt8>) -> Bool {
        guard value.count == 2 * SecretKey.byteCount else { return false }
        var isValid = true
        let key = unsafe SecretKey { bytes in
            for index in bytes.indices {
                guard let high = hexadecimalValue(value[2 * index]), let low = hexadecimalValue(value[2 * index + 1])
                else {
                    isValid = false
                    return
                }
                unsafe bytes[index] = high << 4 | low
            }
        }
        let isSet = value.indices.contains { value[$0] != UInt8(ascii: "0") }
        if isValid, isSet { device.publicKey = key.publicKey }
        return isValid
    }

    private static func hexadecimal(_ value: Span<UInt8>) -> [UInt8]? {
        guard value.count == 2 * PublicKey.byteCount else { return nil }
        var bytes: [UInt8] = []
        for index in 0..<PublicKey.byteCount {
            guard let high = hexadecimalValue(value[2 * index]), let low = hexadecimalValue(value[2 * index + 1]) else {
                return nil
            }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    /// `ADDRESS:PORT`, IPv6 in brackets; what follows a `%` in them names an interface.
    private static func endpoint(_ value: String) -> PeerEndpoint? {
        guard let colon = value.lastIndex(of: ":"), let port = UInt16(value[value.index(after: colon)...]) else {
            return nil
        }
        var host = value[..<colon]
        if host.first == "[", host.last == "]" {
            host = host.dropFirst().dropLast()
            if let percent = host.firstIndex(of: "%") { host = host[..<percent] }
        }
        return IPAddress(host).map { PeerEndpoint(address: $0, port: port) }
    }
}
