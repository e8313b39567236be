internal import CLibnl
internal import Glibc
internal import SystemPackage

/// Changes as the bytes that the kernel will get: netlink messages, one behind the other. Wiped when they end.
@safe package struct NetlinkMessages: ~Copyable {
    private var raw = unsafe weir_nl_messages()

    init() {}

    /// - Parameters:
    ///   - operation, object: what could not be written down, for the error.
    ///   - encode: appends to the messages.
    init(
        _ operation: String, _ object: String, encode: (inout weir_nl_messages) -> Int32
    ) throws(NetlinkError) {
        let result = unsafe append(encode)
        guard result == 0 else { throw NetlinkError(operation, object, result: result) }
    }

    mutating func append(_ encode: (inout weir_nl_messages) -> Int32) -> Int32 { unsafe encode(&raw) }

    deinit {
        var raw = unsafe raw
        // SAFETY: the messages are ours and not used again.
        unsafe weir_nl_release(&raw)
    }

    /// The bytes, for the call's duration; sender and sequence numbers are zero until they are sent.
    package func withBytes<Value>(_ body: (UnsafeRawBufferPointer) throws -> Value) rethrows -> Value {
        // SAFETY: as many bytes as the shim has written.
        try unsafe body(UnsafeRawBufferPointer(start: raw.bytes, count: raw.length))
    }

    /// How many the kernel took, and 0 or the negative errno of the one that it refused; later ones are not sent.
    mutating func send(_ family: Int32) -> (accepted: Int, result: Int32) {
        var accepted = 0
        // SAFETY: the messages are ours; `accepted` is written.
        let result = unsafe weir_nl_send(family, &raw, &accepted)
        return (accepted, result)
    }
}

extension Netlink {
    /// Sends one change. nil: done; an errno of `unchanged`: it was so already. The hint is for EEXIST.
    func change(
        _ operation: String, _ object: String, unchanged: [Errno] = [], hint: String? = nil,
        encode: (inout weir_nl_messages) -> Int32
    ) throws(NetlinkError) -> Errno? {
        var messages = try unsafe NetlinkMessages(operation, object, encode: encode)
        let result = messages.send(NETLINK_ROUTE).result
        if result == 0 { return nil }
        let errno = Errno(rawValue: -result)
        guard unchanged.contains(errno) else {
            let remedy: String? =
                switch errno {
                case .notPermitted: "needs root or CAP_NET_ADMIN"
                case .fileExists: hint
                default: nil
                }
            throw NetlinkError(operation, object, errno: errno, hint: remedy)
        }
        return errno
    }
}
