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

    /// The files of a directory that count.
    package static let suffixes = [".yaml", ".yml", ".json"]

    /// `standardInput` is a descriptor to read for `-`; it is not closed.
    package init(maximumBytes: Int, standardInput: Int32 = STDIN_FILENO) {
        self.maximumBytes = maximumBytes
        self.remainingBytes = maximumBytes
        self.standardInput = standardInput
    }

    /// The sources behind `paths`, in that order, those of a directory sorted by path.
    ///
    /// A directory is read recursively: `*.yaml`, `*.yml`, `*.json`; hidden names are passed over (a mounted
    /// ConfigMap holds every file twice, once hidden); links are followed, a directory is entered once. The same
    /// path given twice is read once. A file is refused by its size, before it is read.
    package mutating func read(
        _ paths: some Sequence<String>, diagnostics: inout DiagnosticsCollector
    ) -> [SourceFile] {
        var sources: [SourceFile] = []
        var seen: Set<String> = []
        for path in paths {
            if path == "-" {
                if let source = readStandardInput(&diagnostics) { sources.append(source) }
                continue
            }
            for file in files(at: path, &diagnostics) where seen.insert(file).inserted {
                if let source = readFile(file, &diagnostics) { sources.append(source) }
            }
        }
        return sources
    }

    private mutating func readStandardInput(_ diagnostics: inout DiagnosticsCollector) -> SourceFile? {
        guard !standardInputIsTaken else {
            diagnostics.error(
                .stdinTwice, "stdin can be read once, and - is here a second time", at: SourceLocation(file: "-"))
            return nil
        }
        standardInputIsTaken = true
        return readAll(standardInput, path: "-", expectedSize: 0, &diagnostics)
    }

    private mutating func readFile(_ path: String, _ diagnostics: inout DiagnosticsCollector) -> SourceFile? {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            report(errno, reading: path, &diagnostics)
            return nil
        }
        defer { close(descriptor) }
        var status = stat()
        let size = unsafe fstat(descriptor, &status) == 0 ? Int(status.st_size) : 0
        guard size <= remainingBytes else {
            reportTooLarge(path, &diagnostics)
            return nil
        }
        return readAll(descriptor, path: path, expectedSize: size, &diagnostics)
    }

    /// Reads to the end, and never more than one byte beyond the limit: pipes and devices have no size.
    private mutating func readAll(
        _ descriptor: Int32, path: String, expectedSize: Int, _ diagnostics: inout DiagnosticsCollector
    ) -> SourceFile? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(expectedSize)
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            // SAFETY: the buffer is the chunk's own and read(2) gets its exact size.
            let count = unsafe chunk.withUnsafeMutableBytes {
                unsafe Glibc.read(descriptor, $0.baseAddress, $0.count)
            }
            if count < 0 {
                if errno == EINTR { continue }
                report(errno, reading: path, &diagnostics)
                return nil
            }
            if count == 0 { break }
            guard bytes.count + count <= remainingBytes else {
                reportTooLarge(path, &diagnostics)
                return nil
            }
            bytes.append(contentsOf: chunk[..<count])
        }
        remainingBytes -= bytes.count
        return SourceFile(path: path, bytes: bytes)
    }

    private func report(_ code: Int32, reading path: String, _ diagnostics: inout DiagnosticsCollector) {
        // SAFETY: strerror returns a terminated string, copied at once.
        let reason = unsafe String(cString: strerror(code))
        diagnostics.error(.fileUnreadable, "cannot be read: \(reason)", at: SourceLocation(file: path))
    }

    private func reportTooLarge(_ path: String, _ diagnostics: inout DiagnosticsCollector) {
        diagnostics.error(
            .inputTooLarge, "the inputs up to here are larger than \(maximumBytes) bytes (--max-input-bytes)",
            at: SourceLocation(file: path))
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
