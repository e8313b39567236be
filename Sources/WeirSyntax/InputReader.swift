package import WeirDiagnostics
internal import Glibc

/// Reads the inputs of a run: files, directories, and stdin once. One reader serves policies and
/// inventory together, as the byte limit and stdin are the run's.
package struct InputReader: Sendable {
    /// What the inputs still to come may weigh.
    private var remainingBytes: Int
    private let maximumBytes: Int
    private let standardInput: Int32
    private var standardInputIsTaken = false
    private let isDigesting: Bool
    /// SHA-256 of every input that was read, by its path; empty unless asked for.
    package private(set) var digests: [String: [UInt8]] = [:]

    /// The files of a directory that count.
    package static let suffixes = [".yaml", ".yml", ".json"]

    /// `standardInput` is a descriptor to read for `-`; it is not closed.
    package init(maximumBytes: Int, standardInput: Int32 = STDIN_FILENO, isDigesting: Bool = false) {
        self.maximumBytes = maximumBytes
        self.isDigesting = isDigesting
        self.remainingBytes = maximumBytes
        self.standardInput = standardInput
    }

    /// The paths to open for `paths`, in that order: files as they are, those of a directory sorted.
    ///
    /// A directory is read recursively: `*.yaml`, `*.yml`, `*.json`; hidden names are passed over (a mounted
    /// ConfigMap holds every file twice, once hidden); links are followed, a directory is entered once. The same
    /// path given twice is there once, except `-`, which cannot be read again.
    package func files(at paths: some Sequence<String>, diagnostics: inout DiagnosticsCollector) -> [String] {
        var seen: Set<String> = []
        return paths.flatMap { path in
            path == "-" ? [path] : files(at: path, &diagnostics).filter { seen.insert($0).inserted }
        }
    }

    /// Opens one of `files` for as long as `body` runs; nil, with a finding, where that cannot be. A file is refused
    /// by its size, before it is read.
    package mutating func open<Result>(
        _ path: String, diagnostics: inout DiagnosticsCollector,
        _ body: (inout SourceStream, inout DiagnosticsCollector) -> Result
    ) -> Result? {
        do throws(InputFailure) {
            var stream = try stream(path)
            let result = body(&stream, &diagnostics)
            if let digest = try stream.digest() { digests[path] = digest }
            remainingBytes -= stream.bytesRead
            return result
        } catch {
            diagnostics.append(error.diagnostic)
            return nil
        }
    }

    /// The sources behind `paths`, whole.
    package mutating func read(
        _ paths: some Sequence<String>, diagnostics: inout DiagnosticsCollector
    ) -> [SourceFile] {
        var sources: [SourceFile] = []
        for path in files(at: paths, diagnostics: &diagnostics) {
            let source = open(path, diagnostics: &diagnostics) { stream, diagnostics -> SourceFile? in
                var bytes: [UInt8] = []
                do throws(InputFailure) {
                    while let piece = try stream.next() { bytes += piece }
                    return SourceFile(path: path, bytes: bytes)
                } catch {
                    diagnostics.append(error.diagnostic)
                    return nil
                }
            }
            if case .some(let source?) = source { sources.append(source) }
        }
        return sources
    }

    private mutating func stream(_ path: String) throws(InputFailure) -> SourceStream {
        var descriptor = standardInput
        if path == "-" {
            guard !standardInputIsTaken else {
                throw InputFailure(.stdinTwice, "stdin can be read once, and - is here a second time", path: path)
            }
            standardInputIsTaken = true
        } else {
            descriptor = unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw InputFailure(reading: path, code: errno) }
        }
        let stream = SourceStream(
            path: path, descriptor: descriptor, isOwned: path != "-", remainingBytes: remainingBytes,
            maximumBytes: maximumBytes, isDigested: isDigesting)
        var status = stat()
        if path != "-", unsafe fstat(descriptor, &status) == 0, Int(status.st_size) > remainingBytes {
            throw InputFailure(tooLarge: path, maximumBytes: maximumBytes)
        }
        return stream
    }

    private func report(_ code: Int32, reading path: String, _ diagnostics: inout DiagnosticsCollector) {
        diagnostics.append(InputFailure(reading: path, code: code).diagnostic)
    }

    /// The path itself, or what a directory holds.
    private func files(at path: String, _ diagnostics: inout DiagnosticsCollector) -> [String] {
        guard let kind = kind(of: path) else {
            report(errno, reading: path, &diagnostics)
            return []
        }
        guard case .directory = kind else { return [path] }
        var found: [String] = []
        var visited: Set<Kind> = []
        var pending = [path]
        while let directory = pending.popLast() {
            guard let kind = self.kind(of: directory), visited.insert(kind).inserted else { continue }
            guard let names = names(in: directory) else {
                report(errno, reading: directory, &diagnostics)
                continue
            }
            for name in names where !name.hasPrefix(".") {
                let child = directory.hasSuffix("/") ? directory + name : "\(directory)/\(name)"
                switch self.kind(of: child) {
                case .directory: pending.append(child)
                case .other:
                    if Self.suffixes.contains(where: name.hasSuffix) { found.append(child) }
                case nil:
                    // A dangling link matters only where its name says that it is an input.
                    if Self.suffixes.contains(where: name.hasSuffix) { report(errno, reading: child, &diagnostics) }
                }
            }
        }
        if found.isEmpty {
            diagnostics.warning(
                .fileUnreadable, "the directory has no .yaml, .yml or .json file", at: SourceLocation(file: path))
        }
        return found.sorted()
    }

    private enum Kind: Hashable {
        case directory(device: UInt, inode: UInt)
        case other
    }

    /// Follows links. Nil, with errno, where there is nothing.
    private func kind(of path: String) -> Kind? {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        guard status.st_mode & S_IFMT == S_IFDIR else { return .other }
        return .directory(device: status.st_dev, inode: status.st_ino)
    }

    /// Nil, with errno, where the directory cannot be read.
    private func names(in directory: String) -> [String]? {
        guard let stream = unsafe opendir(directory) else { return nil }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        // SAFETY: the entry is valid until the next readdir; its name is terminated and copied.
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            names.append(name)
        }
        return names
    }
}
