internal import CLibnl
internal import Glibc
internal import SystemPackage
package import WeirWireGuard

/// A device in a process of its own, such as wireguard-go, through the unix socket at which it listens. Its interface is
/// of kind "tun" and goes with the process.
package struct UserspaceDevice: WireGuardDevice {
    package static let socketDirectory = "/var/run/wireguard"

    package let name: String
    package let socketPath: String
    /// How long the process may be silent.
    private let patienceSeconds: Int

    package init(name: String, socketDirectory: String = socketDirectory, patienceSeconds: Int = 10) {
        self.name = name
        self.socketPath = "\(socketDirectory)/\(name).sock"
        self.patienceSeconds = patienceSeconds
    }

    /// What to run, under supervision and as long as the device is wanted.
    package static func command(for name: String) -> String { "wireguard-go --foreground \(name)" }

    /// Whether a process listens at the socket, for an interface of whatever namespace.
    package func isRunning() throws(NetlinkError) -> Bool {
        do { _ = try connect() } catch {
            if error.isNotRunning { return false }
            throw error
        }
        return true
    }

    /// Throws where nobody listens, or a process of another network namespace: sockets are shared by all of them.
    func requireListener() throws(NetlinkError) {
        let connection = try connect()
        var process: Int32 = 0
        // SAFETY: only `process` is written.
        let result = unsafe weir_nl_listener(connection.raw, &process)
        guard result == 0 else { throw NetlinkError("look who listens at", socketPath, result: result) }
        let own = try NamespaceIdentity.current()
        // A process of another process namespace cannot be looked at.
        guard process > 0, let theirs = NamespaceIdentity(path: "/proc/\(process)/ns/net"), theirs != own else {
            return
        }
        throw NetlinkError(
            "use device", name, errno: .addressInUse,
            hint: "process \(process), which listens at \(socketPath), is in another network namespace")
    }

    package func state() throws(NetlinkError) -> DeviceState {
        guard let interface = try Netlink().interface(named: name) else {
            throw NetlinkError(
                "read", "WireGuard device \(name)", errno: .noSuchDevice, hint: "this namespace has no such interface")
        }
        var request = WipedBytes()
        request.append(UserspaceText.get)
        var state = try converse(request, "read") { reply throws(UserspaceText.Failure) in
            try UserspaceText.state(reply)
        }
        state.interfaceIndex = interface.index
        return state
    }

    package func apply(_ change: DeviceChange) throws(NetlinkError) {
        guard !change.isEmpty else { return }
        var request = WipedBytes()
        request.append(UserspaceText.set(change))
        try set(request, "configure")
    }

    package func setPrivateKey(_ key: borrowing SecretKey) throws(NetlinkError) {
        try set(UserspaceText.set(privateKey: key), "set the private key of")
    }

    package func setPresharedKey(
        _ key: borrowing SecretKey, of peer: PublicKey, creating: Bool
    ) throws(NetlinkError) {
        try set(
            UserspaceText.set(presharedKey: key, of: peer, creating: creating),
            "set the preshared key of peer \(peer) of")
    }

    private func set(_ request: borrowing WipedBytes, _ operation: String) throws(NetlinkError) {
        try converse(request, operation) { reply throws(UserspaceText.Failure) in
            try UserspaceText.acknowledge(reply)
        }
    }

    // MARK: - The socket

    /// Sends a request, reads to the empty line that ends the reply and has it understood.
    private func converse<Value>(
        _ request: borrowing WipedBytes, _ operation: String,
        _ understand: (Span<UInt8>) throws(UserspaceText.Failure) -> Value
    ) throws(NetlinkError) -> Value {
        let connection = try connect()
        let object = "WireGuard device \(name) at \(socketPath)"
        let sent = unsafe request.withBytes { unsafe connection.send($0) }
        guard sent == 0 else { throw NetlinkError(operation, object, errno: silence(sent)) }
        var reply = WipedBytes(room: 1 << 16)
        while !reply.isComplete {
            var received = 0
            unsafe reply.append(atMost: 1 << 14) { room in
                unsafe received = connection.receive(into: room)
                return max(received, 0)
            }
            guard received >= 0 else { throw NetlinkError(operation, object, errno: silence(Int32(-received))) }
            guard received > 0 else {
                throw NetlinkError(operation, object, errno: .connectionReset, hint: "the process broke off its reply")
            }
        }
        let result: Result<Value, UserspaceText.Failure> = unsafe reply.withBytes { bytes in
            // SAFETY: the span does not outlive the call.
            Result { () throws(UserspaceText.Failure) in
                try unsafe understand(Span(_unsafeBytes: bytes))
            }
        }
        switch result {
        case .success(let value): return value
        case .failure(.refused(let code)): throw NetlinkError(operation, object, errno: Errno(rawValue: code))
        case .failure(.malformed(let line)):
            throw NetlinkError(operation, object, errno: .badMessage, hint: "line \(line) of its reply makes no sense")
        case .failure(.cutShort):
            throw NetlinkError(operation, object, errno: .badMessage, hint: "its reply has no errno")
        }
    }

    /// EAGAIN is what a socket's time limit gives.
    private func silence(_ code: Int32) -> Errno { code == EAGAIN ? .timedOut : Errno(rawValue: code) }

    private func connect() throws(NetlinkError) -> Connection {
        do { return try Connection(socketPath, patienceSeconds: patienceSeconds) } catch {
            let errno = silence(error.rawValue)
            let isMissing = errno == .noSuchFileOrDirectory || errno == .connectionRefused
            throw NetlinkError(
                "reach the WireGuard process at", socketPath, errno: errno,
                hint: isMissing ? "none is running; run, under supervision: \(Self.command(for: name))" : nil)
        }
    }
}

extension NetlinkError {
    /// Nobody listens at a device's socket.
    fileprivate var isNotRunning: Bool { errno == .noSuchFileOrDirectory || errno == .connectionRefused }
}

extension WipedBytes {
    /// Whether an empty line ends it.
    fileprivate var isComplete: Bool {
        unsafe withBytes { bytes in
            unsafe bytes.count >= 2 && bytes[bytes.count - 1] == 10 && bytes[bytes.count - 2] == 10
        }
    }
}

/// A connected unix socket with time limits.
private struct Connection: ~Copyable {
    let raw: Int32

    init(_ path: String, patienceSeconds: Int) throws(Errno) {
        raw = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard raw >= 0 else { throw Errno(rawValue: errno) }
        var limit = timeval(tv_sec: patienceSeconds, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            // SAFETY: the limit is read during the call.
            let result = unsafe setsockopt(raw, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
            guard result == 0 else { throw Errno(rawValue: errno) }
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { throw .fileNameTooLong }
        setBytes(&address.sun_path, bytes)
        // SAFETY: the address is read during the call.
        let result = unsafe withUnsafePointer(to: &address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe Glibc.connect(raw, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else { throw Errno(rawValue: errno) }
    }

    deinit { if raw >= 0 { _ = close(raw) } }

    /// All of it; an errno where that failed.
    func send(_ bytes: UnsafeRawBufferPointer) -> Int32 {
        var done = 0
        while done < bytes.count {
            // SAFETY: what is left of the bytes.
            let count = unsafe Glibc.send(
                raw, bytes.baseAddress.map { unsafe $0 + done }, bytes.count - done, Int32(MSG_NOSIGNAL))
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { return errno }
            done += count
        }
        return 0
    }

    /// 0 at the end, a negative errno where it failed.
    func receive(into room: UnsafeMutableRawBufferPointer) -> Int {
        while true {
            // SAFETY: the room is ours.
            let count = unsafe recv(raw, room.baseAddress, room.count, 0)
            if count >= 0 { return count }
            if errno != EINTR { return -Int(errno) }
        }
    }
}
