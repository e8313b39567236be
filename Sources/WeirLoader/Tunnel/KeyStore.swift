internal import Glibc
internal import SystemPackage
internal import WeirWireGuard

/// This node's private keys, one file each, as `wg` writes them: base64 and a newline.
///
/// A key is created once, by whoever comes first, and readable by its owner alone. A file that anybody else could have
/// read or written is refused.
struct KeyStore: Sendable {
    enum Name: String, Hashable, Sendable, CaseIterable {
        case current = "private.key"
        /// What the node rotates to.
        case next = "next.key"
    }

    let directory: String

    func path(_ name: Name) -> String { "\(directory)/\(name.rawValue)" }

    /// nil where there is no such key yet.
    func load(_ name: Name) throws -> SecretKey? {
        guard try Files.exists(directory) else { return nil }
        try checkDirectory()
        return try Self.load(path(name))
    }

    func publicKey(_ name: Name) throws -> PublicKey? { try load(name)?.publicKey }

    /// Makes a key that is not there yet. EEXIST: it is.
    func create(_ name: Name) throws -> PublicKey {
        try Files.makeDirectories(directory)
        try checkDirectory()
        let key = SecretKey.generatePrivateKey()
        guard let publicKey = key.publicKey else {
            throw LoaderError.refused("the new key has no public key", hint: "try again")
        }
        let path = path(name)
        // Under its name a key is whole or not there. What a crash left under the other one was never used.
        let unfinished = path + ".new"
        try Files.removeFile(unfinished)
        defer { _ = try? Files.removeFile(unfinished) }
        do {
            let file = try FileDescriptor.open(
                FilePath(unfinished), .writeOnly, options: [.create, .exclusiveCreate, .noFollow, .closeOnExec],
                permissions: [.ownerReadWrite])
            try file.closeAfter {
                try unsafe key.withBase64 { text in _ = try unsafe file.writeAll(text) }
                guard fsync(file.rawValue) == 0 else { throw Errno(rawValue: Glibc.errno) }
            }
            // Fails where there is a key meanwhile.
            // SAFETY: both paths outlive the call.
            guard unsafe link(unfinished, path) == 0 else { throw Errno(rawValue: Glibc.errno) }
        } catch let error as Errno { throw FileError("create key", path, errno: error) }
        try Files.synchronize(directory: directory)
        return publicKey
    }

    /// The next key becomes the current one, in one step.
    func promote() throws { try Files.rename(path(.next), to: path(.current)) }

    // MARK: Files that hold a secret

    /// A key in a file of base64: nil where there is none.
    static func load(_ path: String) throws -> SecretKey? {
        let file: FileDescriptor
        do {
            file = try FileDescriptor.open(FilePath(path), .readOnly, options: [.noFollow, .closeOnExec, .nonBlocking])
        } catch let error as Errno {
            if error == .noSuchFileOrDirectory { return nil }
            throw FileError(
                "read key", path, errno: error, hint: error == .tooManySymbolicLinkLevels ? "it is a link" : nil)
        }
        defer { try? file.close() }
        var status = stat()
        // SAFETY: only `status` is written.
        guard unsafe fstat(file.rawValue, &status) == 0 else {
            throw FileError("look at key", path, errno: Errno(rawValue: Glibc.errno))
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw LoaderError.refused("\(path) is no file", hint: "a key is a regular file")
        }
        try requirePrivate(path, status, permissions: 0o600)
        return try decode(file, path)
    }

    private func checkDirectory() throws {
        var status = stat()
        // SAFETY: the path outlives the call; only `status` is written.
        guard unsafe lstat(directory, &status) == 0 else {
            throw FileError("look at", directory, errno: Errno(rawValue: Glibc.errno))
        }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw LoaderError.refused("\(directory) is no directory", hint: "the state directory keeps keys there")
        }
        try Self.requirePrivate(directory, status, permissions: 0o700)
    }

    private static func requirePrivate(_ path: String, _ status: stat, permissions: mode_t) throws {
        let mode = status.st_mode & 0o7777
        guard status.st_uid == geteuid() else {
            throw LoaderError.refused(
                "\(path) belongs to user \(status.st_uid), not to \(geteuid())", hint: "chown \(geteuid()) \(path)")
        }
        guard mode & 0o077 == 0 else {
            throw LoaderError.refused(
                "\(path) has mode \(String(mode, radix: 8)), so others can reach a secret key",
                hint:
                    "chmod \(String(permissions, radix: 8)) \(path), and think of the key as known: weir wireguard rotate"
            )
        }
    }

    private static func decode(_ file: FileDescriptor, _ path: String) throws -> SecretKey {
        // On a stack buffer that is wiped: 44 characters, a newline, and room to see that there is more.
        try unsafe withUnsafeTemporaryAllocation(byteCount: 64, alignment: 8) { buffer in
            // SAFETY: the buffer is the allocation, and wiped before it ends.
            defer { if let base = buffer.baseAddress { unsafe explicit_bzero(base, buffer.count) } }
            let count = try unsafe file.read(into: buffer)
            let text = unsafe UnsafeRawBufferPointer(rebasing: buffer[..<count])
            guard let key = unsafe SecretKey.decode(base64: text) else {
                throw LoaderError.refused(
                    "\(path) holds no key", hint: "44 characters of base64, as wg genkey writes them")
            }
            return key
        }
    }
}
