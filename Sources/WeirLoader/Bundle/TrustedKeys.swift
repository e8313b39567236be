internal import Glibc
internal import SystemPackage
package import WeirBundle

/// The public keys of a directory: who may sign for this node.
///
/// Whoever can write there decides what the node enforces, so everything in it must be out of reach: regular files of
/// root, or of the user that runs this, that nobody else may write. Anything else is refused, never passed over.
extension TrustedKeys {
    package static func load(directory: String) throws(LoaderError) -> TrustedKeys {
        try bordered {
            try requireOutOfReach(directory, try status(directory), "directory", type: S_IFDIR)
            let names = try Files.list(directory) ?? []
            guard !names.isEmpty else {
                throw LoaderError.refused(
                    "no key is trusted: \(directory) is empty", hint: "copy the .pub file of weir bundle key there")
            }
            return TrustedKeys(try names.map { try Key(name: $0, key: load("\(directory)/\($0)")) })
        }
    }

    private static func status(_ path: String) throws -> stat {
        var status = stat()
        // SAFETY: the path outlives the call; only `status` is written.
        guard unsafe stat(path, &status) == 0 else {
            throw FileError("look at the trusted keys in", path, errno: Errno(rawValue: Glibc.errno))
        }
        return status
    }

    private static func load(_ path: String) throws -> BundleKey {
        let file: FileDescriptor
        do {
            file = try FileDescriptor.open(FilePath(path), .readOnly, options: [.noFollow, .closeOnExec, .nonBlocking])
        } catch let error as Errno {
            guard error != .tooManySymbolicLinkLevels else {
                throw LoaderError.refused(
                    "the trusted key \(path) is a link", hint: "put a regular file there, or take it away")
            }
            throw FileError("read the trusted key", path, errno: error)
        }
        return try file.closeAfter {
            var status = stat()
            // SAFETY: only `status` is written.
            guard unsafe fstat(file.rawValue, &status) == 0 else {
                throw FileError("look at the trusted key", path, errno: Errno(rawValue: Glibc.errno))
            }
            try requireOutOfReach(path, status, "regular file", type: S_IFREG)
            var bytes = [UInt8](repeating: 0, count: SigningKey.maximumTextCount + 1)
            // SAFETY: the buffer is the array's own.
            let count = try unsafe bytes.withUnsafeMutableBytes { try unsafe file.read(into: $0) }
            guard count <= SigningKey.maximumTextCount, let key = BundleKey(text: Array(bytes.prefix(count))) else {
                throw LoaderError.refused(
                    "\(path) holds no public key of weir's",
                    hint: "put the .pub file of weir bundle key there, or take this one away")
            }
            return key
        }
    }

    private static func requireOutOfReach(_ path: String, _ status: stat, _ what: String, type: mode_t) throws {
        guard status.st_mode & S_IFMT == type else {
            throw LoaderError.refused(
                "\(path) is no \(what), and so no place of trusted keys",
                hint: "see --trusted-keys in weir apply --help")
        }
        guard status.st_uid == 0 || status.st_uid == geteuid() else {
            throw LoaderError.refused(
                "\(path) belongs to user \(status.st_uid), who could trust anybody", hint: "chown root \(path)")
        }
        guard status.st_mode & 0o022 == 0 else {
            throw LoaderError.refused(
                "\(path) has mode \(String(status.st_mode & 0o7777, radix: 8)), so others could trust anybody",
                hint: "chmod go-w \(path)")
        }
    }
}
