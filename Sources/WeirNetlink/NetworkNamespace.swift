internal import CLibnl
internal import SystemPackage

/// Which namespace a file stands for: the same namespace has the same identity whatever file names it.
package struct NamespaceIdentity: Hashable, Sendable, Comparable, Codable {
    package var device: UInt64 = 0
    package var inode: UInt64 = 0

    private init() {}

    package static func < (left: Self, right: Self) -> Bool {
        (left.device, left.inode) < (right.device, right.inode)
    }

    /// nil where the file is gone or may not be looked at.
    package init?(path: String) {
        var device: UInt64 = 0
        var inode: UInt64 = 0
        // SAFETY: the path outlives the call; only the two numbers are written.
        guard unsafe weir_nl_namespace_inode(path, &device, &inode) == 0 else { return nil }
        self.device = device
        self.inode = inode
    }

    /// The calling thread's network namespace.
    package static func current() throws(NetlinkError) -> NamespaceIdentity {
        let path = "/proc/thread-self/ns/net"
        var identity = NamespaceIdentity()
        // SAFETY: the path outlives the call; only the two numbers are written.
        let result = unsafe weir_nl_namespace_inode(path, &identity.device, &identity.inode)
        guard result == 0 else {
            let hint = Errno(rawValue: -result) == .noSuchFileOrDirectory ? "is /proc mounted?" : nil
            throw NetlinkError("look at", path, result: result, hint: hint)
        }
        return identity
    }
}

/// A network namespace held open by a file of it.
package struct NetworkNamespace: ~Copyable {
    package let path: String
    let descriptor: Int32

    /// ENOENT: no such namespace, or its process has ended.
    package init(path: String) throws(NetlinkError) {
        do {
            descriptor = try FileDescriptor.open(FilePath(path), .readOnly, options: .closeOnExec).rawValue
        } catch {
            throw NetlinkError("open namespace", path, errno: error as? Errno ?? .ioError)
        }
        self.path = path
    }

    deinit { try? FileDescriptor(rawValue: descriptor).close() }

    /// Runs the body inside the namespace, on a thread that ends with it, and waits for it. Never call this from an
    /// async function: it blocks.
    package func run<Value>(_ body: () throws -> Value) throws -> Value {
        var outcome: Result<Value, any Error>?
        let result = withoutActuallyEscaping({ outcome = Result(catching: body) }) { work in
            let errand = Errand(work)
            // SAFETY: the thread has ended when the shim returns: nothing is used after that, and nobody here touches
            // `outcome` meanwhile.
            return unsafe weir_nl_in_namespace(
                descriptor,
                { context in
                    guard let context = unsafe context else { return }
                    unsafe Unmanaged<Errand>.fromOpaque(context).takeUnretainedValue().work()
                }, Unmanaged.passUnretained(errand).toOpaque())
            // The check that the closure has not escaped has the length of this file's path in it, which no prefix map
            // changes: without a name of its own the executable would depend on the folder that it was built in.
            #sourceLocation(file:"NetworkNamespace",line:73)
        }
        #sourceLocation()
        guard result == 0, let outcome else {
            throw NetlinkError(
                "enter namespace", path, errno: Errno(rawValue: -result),
                hint: result == -1 ? "needs root or CAP_SYS_ADMIN" : nil)
        }
        return try outcome.get()
    }

    /// A class to have an address that a C thread can be given.
    private final class Errand {
        let work: () -> Void
        init(_ work: @escaping () -> Void) { self.work = work }
    }
}
