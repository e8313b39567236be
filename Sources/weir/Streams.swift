import Foundation
import WeirDiagnostics

/// A system call on a file or stream failed.
struct StreamFailure: Error, CustomStringConvertible {
    var code: Int32

    /// The system's own words, such as "No such file or directory".
    var description: String {
        // SAFETY: strerror returns a terminated string, copied at once.
        unsafe String(cString: strerror(code))
    }
}

/// An open file or stream; what it opened it closes.
struct Stream: ~Copyable {
    private let descriptor: Int32
    private let isOwned: Bool

    /// For one of the process's own streams.
    init(standard descriptor: Int32) {
        self.descriptor = descriptor
        isOwned = false
    }

    init(opening path: String, _ flags: Int32, permissions: mode_t = 0) throws(StreamFailure) {
        descriptor = unsafe open(path, flags | O_CLOEXEC, permissions)
        guard descriptor >= 0 else { throw StreamFailure(code: errno) }
        isOwned = true
    }

    /// For reading; `-` is standard input.
    init(reading path: String) throws(StreamFailure) {
        if path == "-" { self.init(standard: STDIN_FILENO) } else { try self.init(opening: path, O_RDONLY) }
    }

    deinit { if isOwned { close(descriptor) } }

    /// Appends up to `limit` bytes; false at the end.
    func read(into bytes: inout [UInt8], limit: Int = 1 << 16) throws(StreamFailure) -> Bool {
        while true {
            let start = bytes.count
            bytes.append(contentsOf: repeatElement(0, count: limit))
            // SAFETY: the slice is the array's own and read(2) gets its exact size.
            let count = unsafe bytes[start...].withUnsafeMutableBytes {
                unsafe Glibc.read(descriptor, $0.baseAddress, $0.count)
            }
            let code = errno
            bytes.removeLast(limit - max(count, 0))
            if count >= 0 { return count > 0 }
            try wait(POLLIN, after: code)
        }
    }

    func write(_ bytes: [UInt8]) throws(StreamFailure) {
        var start = 0
        while start < bytes.count {
            // SAFETY: write(2) gets the exact size of what is left of the array.
            let count = unsafe bytes[start...].withUnsafeBytes {
                unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
            }
            if count >= 0 { start += count } else { try wait(POLLOUT, after: errno) }
        }
    }

    /// Returns where the call is to be tried again: streams that we inherit may be non-blocking.
    private func wait(_ event: Int32, after code: Int32) throws(StreamFailure) {
        if code == EINTR { return }
        guard code == EAGAIN else { throw StreamFailure(code: code) }
        var request = pollfd(fd: descriptor, events: Int16(event), revents: 0)
        // SAFETY: one request, alive during the call.
        _ = unsafe poll(&request, 1, -1)
    }

    /// Whether nobody reads the pipe any longer, without writing to it.
    static func isClosedPipe(_ descriptor: Int32) -> Bool {
        var request = pollfd(fd: descriptor, events: 0, revents: 0)
        // SAFETY: one request, alive during the call.
        return unsafe poll(&request, 1, 0) > 0 && Int32(request.revents) & (POLLERR | POLLHUP) != 0
    }

    /// What was written is on the disk.
    func synchronize() throws(StreamFailure) {
        guard fsync(descriptor) == 0 else { throw StreamFailure(code: errno) }
    }
}

extension Stream {
    /// Everything there is at a path, or on standard input; nil where that is more than `limit` bytes.
    static func contents(of path: String, limit: Int) throws(StreamFailure) -> [UInt8]? {
        let stream = try Stream(reading: path)
        var bytes: [UInt8] = []
        while try stream.read(into: &bytes) { guard bytes.count <= limit else { return nil } }
        return bytes
    }
}

/// Standard output is data, standard error is diagnostics.
enum Terminal {
    /// What is read by nobody is not written: a closed pipe ends the run as SIGPIPE would, without a word.
    static func output(_ bytes: [UInt8]) throws(Refusal) {
        do {
            try Stream(standard: STDOUT_FILENO).write(bytes)
        } catch {
            if error.code == EPIPE { exit(128 + SIGPIPE) }
            throw Refusal("cannot write to standard output: \(error)")
        }
    }

    static func output(_ text: String) throws(Refusal) { try output(Array(text.utf8)) }

    /// Columns of the terminal that standard output is; nil where it is none. COLUMNS, where set, goes first.
    static let width: Int? = {
        guard isatty(STDOUT_FILENO) == 1 else { return nil }
        if let columns = ProcessInfo.processInfo.environment["COLUMNS"].flatMap({ Int($0) }), columns > 0 {
            return columns
        }
        var size = winsize()
        // SAFETY: the request writes `size` alone.
        guard unsafe ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
        return Int(size.ws_col)
    }()

    private static let errorStyle = TextStyle(of: STDERR_FILENO)
    private static let severities: [(word: String, colour: TextStyle.Colour)] = [
        ("error", .red), ("warning", .yellow), ("note", .blue), ("hint", .blue),
    ]

    /// Where diagnostics cannot be written, the exit status still says what happened.
    static func complain(_ text: String) { complain(text, after: "weir: ") }

    /// The severity is what follows the prefix.
    private static func complain(_ text: String, after prefix: String) {
        var text = text
        for (word, colour) in severities where text.hasPrefix("\(prefix)\(word):") {
            text = prefix + errorStyle.text("\(word):", colour) + text.dropFirst(prefix.count + word.count + 1)
        }
        try? Stream(standard: STDERR_FILENO).write(Array((text + "\n").utf8))
    }

    static func report(_ diagnostic: Diagnostic) { complain(diagnostic.description, after: "\(diagnostic.location): ") }

    static func report(_ refusal: Refusal) {
        complain("weir: error: \(refusal.message)")
        if let hint = refusal.hint { complain("weir: hint: \(hint)") }
    }
}
