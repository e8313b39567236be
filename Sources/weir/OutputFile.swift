import ArgumentParser
import CStart
import Foundation

/// Where a command's data goes: standard output, or a file that appears complete or not at all.
struct OutputFileOptions: ParsableArguments {
    @Option(help: "Write to this path instead of standard output.", completion: .file())
    private var outputFile: String?

    var path: String? { outputFile ?? Environment.optional("OUTPUT_FILE") }

    /// Where a row of a table must fit; a file takes all.
    var tableWidth: Int? { path == nil ? Terminal.width : nil }

    func write(_ bytes: [UInt8]) throws(Refusal) {
        var output = try OutputFile(path: path)
        try output.write(bytes)
        try output.commit()
    }

    func write(_ text: String) throws(Refusal) { try write(Array(text.utf8)) }
}

/// Data on its way to its place. A regular file is written beside its place and moved there by `commit`;
/// without one, and where a signal ends the run, nothing is left behind. Devices, pipes and standard output are written as it comes.
struct OutputFile: ~Copyable {
    private let path: String?
    private var temporary: String?
    private let stream: Stream

    init(path: String?) throws(Refusal) {
        self.path = path
        guard let path else {
            stream = Stream(standard: STDOUT_FILENO)
            return
        }
        do {
            var status = stat()
            let exists = unsafe stat(path, &status) == 0
            if exists, status.st_mode & S_IFMT != S_IFREG {
                stream = try Stream(opening: path, O_WRONLY)
            } else {
                let temporary = "\(path).\(getpid()).tmp"
                // SAFETY: the path is copied.
                guard unsafe weir_remove_at_signal(temporary) == 0 else { throw StreamFailure(code: ENAMETOOLONG) }
                stream = try Stream(
                    opening: temporary, O_WRONLY | O_CREAT | O_TRUNC,
                    permissions: exists ? status.st_mode & 0o777 : 0o666)
                self.temporary = temporary
            }
        } catch {
            throw Refusal("cannot write \(path): \(error)")
        }
    }

    deinit {
        guard let temporary else { return }
        unsafe unlink(temporary)
        _ = weir_remove_at_signal(nil)
    }

    func write(_ bytes: [UInt8]) throws(Refusal) {
        guard let path else { return try Terminal.output(bytes) }
        do { try stream.write(bytes) } catch { throw Refusal("cannot write \(path): \(error)") }
    }

    mutating func commit() throws(Refusal) {
        guard let path, let temporary else { return }
        do {
            try stream.synchronize()
            // SAFETY: both paths outlive the call.
            guard unsafe rename(temporary, path) == 0 else { throw StreamFailure(code: errno) }
        } catch {
            throw Refusal("cannot write \(path): \(error)")
        }
        self.temporary = nil
        _ = weir_remove_at_signal(nil)
    }
}
