package import SystemPackage
package import WeirKernel
package import WeirNetlink

/// The node could not be changed or read. Unless it is `afterCommit` or
/// `afterRelease`, what the node enforces is as before.
package enum LoaderError: Error, Sendable, CustomStringConvertible {
    case kernel(KernelError)
    case netlink(NetlinkError)
    /// Every endpoint whose interface could not be told.
    case interfaces([InterfaceNotFound])
    case file(FileError)
    /// A condition that apply checks before it changes anything.
    case refused(String, hint: String)
    /// Maps of another ABI are pinned.
    case incompatible([SchemaDifference], pinPath: String)
    /// Somebody else held the lock for too long.
    case locked(path: String)
    /// Until the policy in force is confirmed, or goes away, nothing else can be put in force.
    case pending
    /// The step observer stopped the run.
    case stopped(ApplyStep, reason: String)
    /// The new policy is in force, but something after that failed; the next apply completes it.
    indirect case afterCommit(revision: UInt64, LoaderError)
    /// A detach has ended enforcement, but could not take everything away; the next one does.
    indirect case afterRelease(LoaderError)

    package var description: String {
        switch self {
        case .kernel(let error): error.description
        case .netlink(let error): error.description
        case .interfaces(let errors): errors.map(\.description).joined(separator: "\n")
        case .file(let error): error.description
        case .refused(let reason, let hint): "\(reason) (\(hint))"
        case .incompatible(let differences, let path):
            "the maps pinned in \(path) are not what this weir uses: "
                + differences.map(\.description).joined(separator: "; ")
                + " (detach with the weir that made them, then apply again)"
        case .locked(let path): "another weir is at work: \(path) is locked (see --timeout)"
        case .pending:
            "the policy in force waits to be confirmed (weir confirm to keep it, weir rollback to go back at once)"
        case .stopped(let step, let reason): "stopped at '\(step.rawValue)': \(reason)"
        case .afterCommit(let revision, let error):
            "revision \(revision) is in force, but \(error) (apply again to complete it)"
        case .afterRelease(let error): "nothing is enforced any more, but \(error) (detach again to complete it)"
        }
    }
}

extension LoaderError {
    /// Everything that the verifier or libbpf said, where a load failed.
    package var log: String? {
        switch self {
        case .kernel(let error): error.log
        case .afterCommit(_, let error), .afterRelease(let error): error.log
        default: nil
        }
    }
}

/// A file or directory of weir's own could not be used.
package struct FileError: Error, Hashable, Sendable, CustomStringConvertible {
    package var operation: String
    package var path: String
    package var errno: Errno
    package var hint: String?

    package init(_ operation: String, _ path: String, errno: Errno, hint: String? = nil) {
        self.operation = operation
        self.path = path
        self.errno = errno
        self.hint = hint
    }

    package var description: String {
        "cannot \(operation) \(path): \(errno)" + (hint.map { " (\($0))" } ?? "")
    }
}

/// The module's border: whatever its parts throw becomes a `LoaderError`.
func bordered<Value>(_ body: () throws -> Value) throws(LoaderError) -> Value {
    do { return try body() } catch { throw LoaderError(error) }
}

extension LoaderError {
    init(_ error: any Error) {
        self =
            switch error {
            case let error as LoaderError: error
            case let error as KernelError: .kernel(error)
            case let error as NetlinkError: .netlink(error)
            case let error as InterfaceNotFound: .interfaces([error])
            case let error as FileError: .file(error)
            default: .refused("\(error)", hint: "unexpected")
            }
    }
}
