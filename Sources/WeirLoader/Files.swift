internal import Glibc
internal import SystemPackage

/// The system calls that the state and pin directories need. ENOENT is an answer, every other errno is thrown.
enum Files {
    private static var lastError: Errno { Errno(rawValue: Glibc.errno) }

    /// nil where there is no such file.
    static func read(_ path: String) throws(FileError) -> [UInt8]? {
        do {
            let file = try FileDescriptor.open(FilePath(path), .readOnly, options: .closeOnExec)
            return try file.closeAfter {
                var bytes: [UInt8] = []
                var chunk = [UInt8](repeating: 0, count: 1 << 16)
                while true {
                    // SAFETY: the buffer is the chunk's own.
                    let count = try unsafe chunk.withUnsafeMutableBytes { try unsafe file.read(into: $0) }
                    if count == 0 { return bytes }
                    bytes += chunk[..<count]
                }
            }
        } catch {
            let error = error as? Errno ?? .ioError
            if error == .noSuchFileOrDirectory { return nil }
            throw FileError("read", path, errno: error)
        }
    }

    /// Replaces the file in one step: after a crash it has its old bytes or these.
    static func write(_ bytes: [UInt8], to path: String) throws(FileError) {
        let temporary = path + ".tmp"
        do throws(FileError) {
            try writeThrough(bytes, to: temporary)
            try rename(temporary, to: path)
        } catch {
            _ = try? removeFile(temporary)
            throw error
        }
        try synchronize(directory: parent(path))
    }

    /// Writes into what is there: a file of /proc.
    static func overwrite(_ bytes: [UInt8], _ path: String) throws(FileError) {
        do {
            let file = try FileDescriptor.open(FilePath(path), .writeOnly, options: .closeOnExec)
            _ = try file.closeAfter { try file.writeAll(bytes) }
        } catch { throw FileError("write", path, errno: error as? Errno ?? .ioError) }
    }

    private static func writeThrough(_ bytes: [UInt8], to path: String) throws(FileError) {
        do {
            let file = try FileDescriptor.open(
                FilePath(path), .writeOnly, options: [.create, .truncate, .closeOnExec],
                permissions: [.ownerReadWrite])
            try file.closeAfter {
                try file.writeAll(bytes)
                try synchronize(file)
            }
        } catch {
            throw FileError("write", path, errno: error as? Errno ?? .ioError)
        }
    }

    private static func synchronize(_ file: FileDescriptor) throws {
        while fsync(file.rawValue) != 0 { guard lastError == .interrupted else { throw lastError } }
    }

    static func synchronize(directory: String) throws(FileError) {
        do {
            let file = try FileDescriptor.open(FilePath(directory), .readOnly, options: [.directory, .closeOnExec])
            try file.closeAfter { try synchronize(file) }
        } catch {
            throw FileError("synchronise", directory, errno: error as? Errno ?? .ioError)
        }
    }

    /// The target is replaced if it exists (a directory only if it is empty).
    static func rename(_ path: String, to target: String) throws(FileError) {
        // SAFETY: both paths outlive the call.
        guard unsafe Glibc.rename(path, target) == 0 else { throw FileError("rename", path, errno: lastError) }
    }

    static func makeDirectory(_ path: String, mode: mode_t = 0o700) throws(FileError) {
        // SAFETY: the path outlives the call.
        guard unsafe mkdir(path, mode) == 0 || Glibc.errno == EEXIST else {
            let error = lastError
            let dotted = error == .notPermitted && path.contains(".")
            throw FileError(
                "create directory", path, errno: error, hint: dotted ? "names on bpffs must not contain '.'" : nil)
        }
    }

    /// With the missing parents.
    static func makeDirectories(_ path: String) throws(FileError) {
        var prefix = ""
        for part in path.split(separator: "/") {
            prefix += "/" + part
            if try !exists(prefix) { try makeDirectory(prefix) }
        }
    }

    /// Throws where that cannot be told: what is taken for absent might be made a second time, or left behind.
    static func exists(_ path: String) throws(FileError) -> Bool {
        // SAFETY: the path outlives the call.
        guard unsafe access(path, F_OK) != 0 else { return true }
        let error = lastError
        guard error == .noSuchFileOrDirectory || error == .notDirectory else {
            throw FileError("look for", path, errno: error)
        }
        return false
    }

    /// false where it was not there.
    @discardableResult
    static func removeFile(_ path: String) throws(FileError) -> Bool {
        // SAFETY: the path outlives the call.
        guard unsafe unlink(path) != 0 else { return true }
        if Glibc.errno == ENOENT { return false }
        throw FileError("remove", path, errno: lastError)
    }

    static func removeEmptyDirectory(_ path: String) throws(FileError) {
        // SAFETY: the path outlives the call.
        guard unsafe rmdir(path) == 0 || Glibc.errno == ENOENT else {
            throw FileError("remove directory", path, errno: lastError)
        }
    }

    /// A directory and what is in it; nothing where it is not there. Does not follow links.
    static func removeTree(_ path: String) throws(FileError) {
        guard let names = try list(path) else { return }
        for name in names {
            let child = "\(path)/\(name)"
            if isDirectory(child) { try removeTree(child) } else { try removeFile(child) }
        }
        try removeEmptyDirectory(path)
    }

    private static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        // SAFETY: the path outlives the call; only `status` is written.
        return unsafe lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// Sorted names; nil where there is no such directory.
    static func list(_ path: String) throws(FileError) -> [String]? {
        // SAFETY: the directory is open until the end of the function; each name is copied before the next call.
        guard let directory = unsafe opendir(path) else {
            if Glibc.errno == ENOENT { return nil }
            throw FileError("list", path, errno: lastError)
        }
        defer { unsafe _ = closedir(directory) }
        var names: [String] = []
        // The end and an error differ by errno alone.
        Glibc.errno = 0
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) {
                unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
            Glibc.errno = 0
        }
        guard Glibc.errno == 0 else { throw FileError("list", path, errno: lastError) }
        return names.sorted()
    }

    static func parent(_ path: String) -> String {
        let parent = FilePath(path).removingLastComponent().string
        return parent.isEmpty ? "." : parent
    }

    /// Bytes that the kernel could hand out without killing anybody; nil where /proc does not say.
    static func availableMemory() -> Int? {
        guard let text = (try? read("/proc/meminfo")).flatMap(\.self) else { return nil }
        let line = String(decoding: text, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix("MemAvailable:") }
        return line?.split(separator: " ").dropFirst().first.flatMap { Int($0) }.map { $0 * 1024 }
    }
}

extension Files {
    /// Whether somebody holds the file's lock now. A file that is not there is not locked.
    static func isLocked(_ path: String) throws(FileError) -> Bool {
        do {
            let file = try FileDescriptor.open(FilePath(path), .readOnly, options: .closeOnExec)
            return try file.closeAfter {
                if flock(file.rawValue, LOCK_SH | LOCK_NB) == 0 { return false }
                guard lastError == .wouldBlock else { throw lastError }
                return true
            }
        } catch {
            let error = error as? Errno ?? .ioError
            if error == .noSuchFileOrDirectory { return false }
            throw FileError("look at the lock", path, errno: error)
        }
    }

    /// Runs the body while this process alone holds the file's lock; the kernel releases it if the process ends.
    static func withLock<Value>(_ path: String, timeout: Duration, _ body: () throws -> Value) throws -> Value {
        let file: FileDescriptor
        do {
            file = try FileDescriptor.open(
                FilePath(path), .readWrite, options: [.create, .closeOnExec], permissions: [.ownerReadWrite])
        } catch { throw FileError("open", path, errno: error as? Errno ?? .ioError) }
        defer { try? file.close() }
        let deadline = ContinuousClock.now + timeout
        while flock(file.rawValue, LOCK_EX | LOCK_NB) != 0 {
            let error = lastError
            guard error == .wouldBlock || error == .interrupted else { throw FileError("lock", path, errno: error) }
            guard ContinuousClock.now < deadline else { throw LoaderError.locked(path: path) }
            usleep(20_000)
        }
        return try body()
    }
}
