internal import Glibc
package import SystemPackage

/// The kernel, a namespace or a WireGuard device refused something.
package struct NetlinkError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A verb phrase: "list".
    package var operation: String
    package var object: String
    package var errno: Errno
    package var hint: String?

    package init(_ operation: String, _ object: String, errno: Errno, hint: String? = nil) {
        self.operation = operation
        self.object = object
        self.errno = errno
        self.hint = hint
    }

    /// From a return value of the shim: a negative errno.
    init(_ operation: String, _ object: String, result: Int32, hint: String? = nil) {
        self.init(operation, object, errno: Errno(rawValue: -result), hint: hint)
    }

    package var description: String {
        "cannot \(operation) \(object): \(errno)" + (hint.map { " (\($0))" } ?? "")
    }
}

extension Errno {
    /// ENODEV, for which swift-system has the words of another system.
    package static var noSuchDevice: Errno { Errno(rawValue: Glibc.ENODEV) }
}
