internal import Glibc
internal import SystemPackage
package import WeirBundle

/// A key pair that signs bundles, in two files: the private key at a path, the public one beside it with `.pub` behind
/// the name.
package enum SigningKeyFile {
    package static func publicPath(_ path: String) -> String { path + ".pub" }

    /// Makes both. EEXIST: one of them is there, and nothing was made. The private key is readable by its owner alone
    /// from its first byte on; under its name it is whole or not there.
    package static func create(_ path: String) throws(LoaderError) -> BundleKey {
        try bordered {
            let key = try SigningKey.generate()
            let publicPath = publicPath(path)
            for taken in [path, publicPath] where try Files.exists(taken) {
                throw FileError(
                    "create key", taken, errno: .fileExists, hint: "choose another name; keys are not replaced")
            }
            try write(to: path, permissions: [.ownerReadWrite]) { file in
                try file.writeAll(key.comment.utf8)
                try unsafe key.withBase64 { text in _ = try unsafe file.writeAll(text) }
            }
            do {
                try write(to: publicPath, permissions: [.ownerReadWrite, .groupRead, .otherRead]) { file in
                    try file.writeAll(key.publicKey.text.utf8)
                }
            } catch {
                // Half a pair is none; nobody has used it.
                _ = try? Files.removeFile(path)
                throw error
            }
            try Files.synchronize(directory: Files.parent(path))
            return key.publicKey
        }
    }

    private static func write(
        to path: String, permissions: FilePermissions, _ fill: (FileDescriptor) throws -> Void
    ) throws {
        let unfinished = "\(path).\(getpid()).new"
        defer { _ = try? Files.removeFile(unfinished) }
        do {
            let file = try FileDescriptor.open(
                FilePath(unfinished), .writeOnly, options: [.create, .exclusiveCreate, .noFollow, .closeOnExec],
                permissions: permissions)
            try file.closeAfter {
                try fill(file)
                guard fsync(file.rawValue) == 0 else { throw Errno(rawValue: Glibc.errno) }
            }
            // Fails where there is a file meanwhile.
            // SAFETY: both paths outlive the call.
            guard unsafe link(unfinished, path) == 0 else { throw Errno(rawValue: Glibc.errno) }
        } catch let error as Errno { throw FileError("create key", path, errno: error) }
    }

    /// The private key at a path. A file that anybody else could have read or written is refused.
    package static func load(_ path: String) throws(LoaderError) -> SigningKey {
        do { return try loadUnbordered(path) } catch { throw LoaderError(error) }
    }

    private static func loadUnbordered(_ path: String) throws -> SigningKey {
        let file: FileDescriptor
        do {
            file = try FileDescriptor.open(FilePath(path), .readOnly, options: [.closeOnExec, .nonBlocking])
        } catch let error as Errno {
            throw FileError(
                "read the signing key", path, errno: error,
                hint: error == .noSuchFileOrDirectory ? "weir bundle key \(path) makes one" : nil)
        }
        defer { try? file.close() }
        var status = stat()
        // SAFETY: only `status` is written.
        guard unsafe fstat(file.rawValue, &status) == 0 else {
            throw FileError("look at the signing key", path, errno: Errno(rawValue: Glibc.errno))
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw LoaderError.refused("\(path) is no file", hint: "a signing key is a regular file")
        }
        guard status.st_uid == geteuid() else {
            throw LoaderError.refused(
                "\(path) belongs to user \(status.st_uid), not to \(geteuid())", hint: "chown \(geteuid()) \(path)")
        }
        guard status.st_mode & 0o077 == 0 else {
            throw LoaderError.refused(
                "\(path) has mode \(String(status.st_mode & 0o7777, radix: 8)), so others can reach a signing key",
                hint: "make another one with weir bundle key, and take this one's public half from the nodes")
        }
        // On a stack buffer that is wiped, with room to see that there is more.
        return try unsafe withUnsafeTemporaryAllocation(byteCount: SigningKey.maximumTextCount + 1, alignment: 8) {
            buffer in
            // SAFETY: the buffer is the allocation, and wiped before it ends.
            defer { if let base = buffer.baseAddress { unsafe explicit_bzero(base, buffer.count) } }
            let count = try unsafe file.read(into: buffer)
            let text = unsafe UnsafeRawBufferPointer(rebasing: buffer[..<count])
            guard let key = unsafe SigningKey.decode(text) else {
                throw LoaderError.refused(
                    "\(path) holds no signing key", hint: "two lines, as weir bundle key writes them")
            }
            return key
        }
    }
}
