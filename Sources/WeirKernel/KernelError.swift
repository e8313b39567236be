package import SystemPackage
package import WeirMaps

/// The kernel refused something. Says what was tried on what, why, and where known what to do about it.
package struct KernelError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A verb phrase: "load", "create map".
    package var operation: String
    /// A name or path.
    package var object: String
    package var errno: Errno
    package var hint: String?
    /// Everything the verifier or libbpf said; `description` has one line of it at most.
    package var log: String?

    package init(
        _ operation: String, _ object: String, errno: Errno, hint: String? = nil, log: String? = nil
    ) {
        self.operation = operation
        self.object = object
        self.errno = errno
        self.hint = hint
        self.log = log
    }

    /// From a return value of libbpf: a negative errno.
    init(_ operation: String, _ object: String, result: Int32, hint: String? = nil, log: String? = nil) {
        self.init(operation, object, errno: Errno(rawValue: -result), hint: hint, log: log)
    }

    package var description: String {
        "cannot \(operation) \(object): \(errno)" + (hint.map { " (\($0))" } ?? "")
    }
}

extension KernelError {
    package init(_ operation: String, _ object: String, _ error: MapError) {
        let (code, hint): (Int32, String?) =
            switch error {
            case .noEntry: (Errno.noSuchFileOrDirectory.rawValue, nil)
            case .exists: (Errno.fileExists.rawValue, nil)
            case .tooBig: (Errno.argListTooLong.rawValue, "the map is full or its index is out of range")
            case .noSpace: (Errno.noSpace.rawValue, "the map is full")
            case .invalid: (Errno.invalidArgument.rawValue, nil)
            case .noMemory: (Errno.noMemory.rawValue, "kernel memory or the memory cgroup's limit is exhausted")
            case .busy: (Errno.resourceBusy.rawValue, nil)
            case .other(let code): (code, nil)
            }
        self.init(operation, object, errno: Errno(rawValue: code), hint: hint)
    }
}
